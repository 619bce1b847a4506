//! A plan that is being served, from the first socket to the last connection.

use crate::load::{Files, Ready};
use crate::orders::{Order, Orders};
use crate::reload::Reloader;
use crate::say;
use crate::scrape::Scraping;
use narrows_proxy::{Running, Server};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// How often it is looked whether the workers have ended.
const LOOK: Duration = Duration::from_millis(20);
/// The exit status after a second Ctrl-C, as shells have it for SIGINT.
const INTERRUPTED: u8 = 130;

/// Where the configuration came from, to be read again.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Its files; `None` where it cannot be read again, as standard input.
    pub(crate) files: Option<Files>,
    /// Workers, as the command line has them.
    pub(crate) workers: Option<usize>,
}

/// A plan that is being served.
pub(crate) struct Serving {
    runtime: Runtime,
    orders: Orders,
    running: Arc<Running>,
    scraping: Arc<Scraping>,
    source: Source,
}

/// How serving ended.
enum End {
    /// All that ran was finished.
    Drained,
    /// At once, because somebody insisted.
    Interrupted,
}

impl Serving {
    /// Binds every address, starts the workers and says where they listen.
    ///
    /// # Errors
    /// A sentence; then nothing is left behind.
    pub(crate) fn start(ready: Ready, source: Source) -> Result<Self, String> {
        let Ready { plan, tls } = ready;
        raise_descriptor_limit();
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let workers = source.workers.or(plan.settings.workers).unwrap_or_else(cores);
        let uncaught = |error| format!("cannot catch signals: {error}");
        let runtime = Builder::new_current_thread().enable_all().build().map_err(uncaught)?;
        let orders = {
            let _inside = runtime.enter();
            Orders::catch().map_err(uncaught)?
        };
        let scraping = Arc::new(Scraping::default());
        let opened = scraping.open(&plan)?;
        let server = Server::bind(plan, tls, workers).map_err(|error| error.to_string())?;
        let running = Arc::new(server.start().map_err(|error| error.to_string())?);
        for socket in running.bound() {
            say(&format!("narrows: listening on {socket}"));
        }
        scraping.serve(&running.plan(), opened, &running)?;
        say("narrows: ready");
        Ok(Serving { runtime, orders, running, scraping, source })
    }

    /// Serves until an order ends it.
    pub(crate) fn until_stopped(self) -> ExitCode {
        let Serving { runtime, mut orders, running, scraping, source } = self;
        let reloader = Reloader::new(source.files, &running, &scraping);
        match runtime.block_on(life(&mut orders, &running, &reloader)) {
            End::Interrupted => {
                say("narrows: interrupted twice, ending now");
                running.stop();
                ExitCode::from(INTERRUPTED)
            }
            End::Drained => {
                running.wait();
                say("narrows: stopped");
                ExitCode::SUCCESS
            }
        }
    }
}

/// The life of the process once it serves: one order after the other.
async fn life(orders: &mut Orders, running: &Running, reloader: &Reloader) -> End {
    let mut interrupts = 0;
    let mut draining = false;
    loop {
        let order = tokio::select! {
            order = orders.next() => order,
            () = tokio::time::sleep(LOOK), if draining => {
                if running.is_finished() {
                    return End::Drained;
                }
                continue;
            }
        };
        match order {
            Order::Stop => {}
            Order::Interrupt => interrupts += 1,
            Order::Reload(asker) => {
                let reloader = reloader.clone();
                // It may take seconds; other orders are heard meanwhile.
                tokio::task::spawn_blocking(move || asker.answer(reloader.reload()));
                continue;
            }
            Order::Reopen(asker) => {
                running.reopen_logs();
                asker.answer(Ok("access logs are opened anew".into()));
                continue;
            }
            Order::Upgrade(asker) => {
                asker.answer(Err("this version does not hand over to another process".into()));
                continue;
            }
        }
        if interrupts > 1 {
            return End::Interrupted;
        }
        if !draining {
            say("narrows: draining; running requests are finished");
            running.drain();
        }
        draining = true;
    }
}

/// A proxy needs two descriptors a connection, and the usual soft limit is 1024: takes what the hard limit allows.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
