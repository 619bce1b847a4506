//! A plan that is being served, from the first socket to the last connection.

use crate::load::{Files, Ready};
use crate::notify::{Manager, watchdog_interval};
use crate::operations::Operated;
use crate::orders::{Asker, Order, Orders};
use crate::pid_file::PidFile;
use crate::preflight::Becoming;
use crate::program::Program;
use crate::reload::Reloader;
use crate::say;
use crate::scrape::{self, Scraping};
use crate::upgrade::{Decision, Upgrade};
use crate::watchdog;
use narrows_admin::{AdminServer, RunningAdmin};
use narrows_otlp::Exporter;
use narrows_proxy::{Running, Server, Telemetry};
use narrows_runtime::{Guardian, Passed, Reporter, drop_privileges};
use std::process::{Child, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};
use tokio::runtime::{Builder, Runtime};

/// How often it is looked whether the workers have ended.
const LOOK: Duration = Duration::from_millis(20);
/// The exit status after a second Ctrl-C, as shells have it for SIGINT.
const INTERRUPTED: u8 = 130;

/// Where the configuration came from, to be read again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Source {
    /// Its files; `None` where it cannot be read again, as standard input.
    pub(crate) files: Option<Files>,
    /// Workers, as the command line has them.
    pub(crate) workers: Option<usize>,
}

/// What a process begins with, beside its plan.
#[derive(Debug, Default)]
pub(crate) struct Beginning {
    /// Where the configuration came from.
    pub(crate) source: Source,
    /// How the process was started; `None` when it cannot be started once more.
    pub(crate) program: Option<Program>,
    /// Sockets that were passed on to it.
    pub(crate) sockets: Vec<Passed>,
    /// The first process of its container.
    pub(crate) guardian: Option<Guardian>,
    /// Who it becomes once its sockets are bound.
    pub(crate) becoming: Option<Becoming>,
}

/// A plan that is being served.
pub(crate) struct Serving {
    runtime: Runtime,
    process: Process,
}

/// What the life of the process needs.
struct Process {
    orders: Orders,
    running: Arc<Running>,
    reloader: Reloader,
    /// Whether the configuration can be read again.
    is_readable: bool,
    program: Option<Program>,
    guardian: Option<Guardian>,
    manager: Option<Arc<Manager>>,
    /// There as long as this is the process that serves.
    pid_file: Option<PidFile>,
    /// A new process that does not serve yet.
    upgrade: Option<Upgrade>,
    /// The process that took over.
    successor: Option<Child>,
    draining: bool,
    /// The same, for the admin API.
    is_draining: Arc<AtomicBool>,
    /// Answers operators as long as this is the process that serves.
    admin: RunningAdmin,
    interrupts: u32,
    /// Where the metrics are told.
    scraping: Arc<Scraping>,
}

/// How serving ended.
enum End {
    /// All that ran was finished.
    Drained,
    /// At once, because somebody insisted.
    Interrupted,
}

impl Serving {
    /// Binds every address, becomes who the process shall be, starts the workers and says where they listen. A process that this one takes over from stops
    /// only then: `predecessor` is taken where the new one serves.
    ///
    /// # Errors
    /// What is wrong, a line each; then nothing is left behind.
    pub(crate) fn start(
        ready: Ready,
        beginning: Beginning,
        predecessor: &mut Option<Reporter>,
    ) -> Result<Self, String> {
        let Ready { plan, tls } = ready;
        let Beginning { source, program, sockets, guardian, becoming } = beginning;
        raise_descriptor_limit();
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let workers = source.workers.or(plan.settings.workers).unwrap_or_else(cores);
        let pid_file = plan.settings.pid_file.clone();
        let uncaught = |error| format!("cannot catch signals: {error}");
        let runtime = Builder::new_current_thread().enable_all().build().map_err(uncaught)?;
        let orders = {
            let _inside = runtime.enter();
            Orders::catch().map_err(uncaught)?
        };
        let scraping = Arc::new(Scraping::default());
        let (of_metrics, sockets) = sockets.into_iter().partition(scrape::are_of_metrics);
        let opened = scraping.open(&plan, of_metrics)?;
        let admin =
            AdminServer::open(&plan, &tls, predecessor.is_some(), |line| say(&format!("narrows: {line}")))
                .map_err(|error| error.to_string())?;
        let exporter = Exporter::new(narrows_observe::say);
        let collector = exporter.prepare(plan.otlp.as_deref()).map_err(|error| error.to_string())?;
        let telemetry =
            Telemetry { spans: Some(Arc::clone(&exporter) as _), logs: Some(Arc::clone(&exporter) as _) };
        let server =
            Server::bind_with(plan, tls, workers, sockets, telemetry).map_err(|error| error.to_string())?;
        if let Some(Becoming { identity, keeps_low_ports }) = &becoming {
            let unable = |error| format!("cannot become user {}: {error}", identity.user);
            server.give_sockets(identity).and_then(|()| admin.give_to(identity)).map_err(unable)?;
            drop_privileges(identity, *keeps_low_ports).map_err(unable)?;
        }
        exporter.adopt(collector).map_err(|error| error.to_string())?;
        let bound = server.bound();
        let running = Arc::new(server.start().map_err(|error| error.to_string())?);
        let is_readable = source.files.is_some();
        let reloader = Reloader::new(source.files, &running, &scraping, &exporter);
        let manager = Manager::of_environment().map(Arc::new);
        let took_over = predecessor.is_some();
        if let (Some(manager), Some(interval)) = (&manager, watchdog_interval(took_over)) {
            watchdog::start(Arc::clone(manager), running.pulse(), interval)
                .map_err(|error| format!("cannot start the watchdog: {error}"))?;
        }
        for socket in bound {
            say(&format!("narrows: listening on {socket}"));
        }
        scraping.serve(&running.plan(), opened, &running)?;
        let unwritten = |error| format!("cannot write the process number: {error}");
        let pid_file = pid_file.map(|file| PidFile::prepare(&file.path).map_err(unwritten)).transpose()?;
        let is_draining = Arc::<AtomicBool>::default();
        let operated = Operated {
            running: Arc::clone(&running),
            commander: orders.commander(),
            reloader: reloader.clone(),
            started: SystemTime::now(),
            is_draining: Arc::clone(&is_draining),
        };
        let admin = admin.start(Arc::new(operated)).map_err(|error| error.to_string())?;
        for bind in admin.bound() {
            say(&format!("narrows: admin API on {bind}"));
        }
        // Last, as the place of the admin API: the process that this one takes over from has its own there as long as anything may go wrong.
        let pid_file = pid_file.map(|file| file.place().map_err(unwritten)).transpose()?;
        if let Some(predecessor) = predecessor.take() {
            predecessor.ready();
        }
        running.own_sockets();
        scraping.own();
        if let Some(manager) = &manager {
            manager.ready("serving");
        }
        say("narrows: ready");
        let process = Process {
            orders,
            running,
            reloader,
            is_readable,
            program,
            guardian,
            manager,
            pid_file,
            scraping,
            upgrade: None,
            successor: None,
            draining: false,
            is_draining,
            admin,
            interrupts: 0,
        };
        Ok(Serving { runtime, process })
    }

    /// Serves until an order ends it.
    pub(crate) fn until_stopped(self) -> ExitCode {
        let Serving { runtime, mut process } = self;
        match runtime.block_on(process.life()) {
            End::Interrupted => {
                say("narrows: interrupted twice, ending now");
                process.running.stop();
                ExitCode::from(INTERRUPTED)
            }
            End::Drained => {
                process.running.wait();
                say("narrows: stopped");
                ExitCode::SUCCESS
            }
        }
    }
}

impl Process {
    /// The life of the process once it serves: one order after the other.
    async fn life(&mut self) -> End {
        loop {
            tokio::select! {
                order = self.orders.next() => {
                    if let Some(end) = self.obey(order) {
                        return end;
                    }
                }
                decision = decided(&mut self.upgrade) => self.finish_upgrade(decision),
                () = tokio::time::sleep(LOOK), if self.draining => {
                    if let Some(successor) = &mut self.successor {
                        // Reaped where it ends early; who serves is not this process' business any more.
                        let _ = successor.try_wait();
                    }
                    if self.running.is_finished() {
                        return End::Drained;
                    }
                }
            }
        }
    }

    fn obey(&mut self, order: Order) -> Option<End> {
        match order {
            Order::Stop => self.drain(),
            Order::Drain(asker) if self.draining => asker.answer(Err("this process ends already".into())),
            Order::Drain(asker) => {
                self.drain();
                asker.answer(Ok("the admin API has ordered it".into()));
            }
            Order::Interrupt => {
                self.interrupts += 1;
                if self.interrupts > 1 {
                    return Some(End::Interrupted);
                }
                self.drain();
            }
            Order::Reload(asker, confirm_within) => self.reload(asker, confirm_within),
            Order::Reopen(asker) => {
                self.running.reopen_logs();
                asker.answer(Ok("access logs are opened anew".into()));
            }
            Order::Upgrade(asker) => self.begin_upgrade(asker),
        }
        None
    }

    /// Reads the configuration again, on another thread: further orders are heard meanwhile.
    fn reload(&self, asker: Asker, confirm_within: Option<Duration>) {
        let reloader = match &self.reloader {
            _ if self.draining => return asker.answer(Err("not reloaded: this process ends already".into())),
            _ if self.upgrade.is_some() => {
                return asker.answer(Err("not reloaded: an upgrade is under way".into()));
            }
            reloader => reloader.clone(),
        };
        let manager = self.manager.clone();
        tokio::task::spawn_blocking(move || {
            if let Some(manager) = &manager {
                manager.reloading();
            }
            let outcome = reloader.reload(confirm_within);
            if let Some(manager) = &manager {
                manager.ready(if outcome.is_ok() { "serving" } else { "serving; a reload failed" });
            }
            asker.answer(outcome);
        });
    }

    fn drain(&mut self) {
        if self.draining {
            return;
        }
        self.draining = true;
        self.is_draining.store(true, Ordering::Relaxed);
        if let Some(upgrade) = self.upgrade.take() {
            upgrade.fail(Some("this process was told to end".to_owned()));
        }
        if let Some(manager) = &self.manager {
            manager.stopping("finishing what runs");
        }
        say("narrows: draining; running requests are finished");
        self.running.drain();
    }

    fn begin_upgrade(&mut self, asker: Asker) {
        let begun = match (self.is_readable, &self.program) {
            _ if self.draining => Err((asker, "this process ends already".to_owned())),
            _ if self.upgrade.is_some() => Err((asker, "an upgrade is under way".to_owned())),
            (true, Some(program)) => {
                let limit = self.running.plan().settings.upgrade_timeout;
                let guardian = self.guardian.as_ref();
                say(&format!("narrows: upgrade: starting {}", program.path().display()));
                let mut sockets = self.running.passing();
                sockets.extend(self.scraping.passing());
                Upgrade::begin(program, &sockets, guardian, limit, asker)
            }
            (false, _) => Err((
                asker,
                "the configuration cannot be read again, so no other process can start with it".to_owned(),
            )),
            (_, None) => {
                Err((asker, "the system does not tell where the program of this process is".to_owned()))
            }
        };
        match begun {
            Ok(upgrade) => {
                self.tell_status("a new process starts");
                self.upgrade = Some(upgrade);
            }
            Err((asker, why)) => asker.answer(Err(format!("no upgrade: {why}"))),
        }
    }

    fn finish_upgrade(&mut self, decision: Decision) {
        let Some(upgrade) = self.upgrade.take() else { return };
        let why = match decision {
            Decision::Serves => return self.hand_over(upgrade),
            Decision::Ended => None,
            Decision::Failed(why) => Some(why),
        };
        upgrade.fail(why);
        self.tell_status("serving; an upgrade failed");
    }

    /// The new process serves: this one takes nothing more and finishes what runs.
    fn hand_over(&mut self, upgrade: Upgrade) {
        let Some((child, asker)) = upgrade.succeed() else { return };
        self.draining = true;
        self.is_draining.store(true, Ordering::Relaxed);
        self.running.hand_over();
        self.scraping.hand_over();
        self.admin.hand_over();
        if let Some(guardian) = &self.guardian
            && let Err(error) = guardian.tell(child.id())
        {
            say(&format!("narrows: cannot tell the first process of this container who serves: {error}"));
        }
        if let Some(manager) = &self.manager {
            manager.hand_over(child.id());
        }
        // The new process has written its own.
        self.pid_file = None;
        asker.answer(Ok(format!("process {} serves now; this one finishes what runs", child.id())));
        self.successor = Some(child);
    }

    fn tell_status(&self, status: &str) {
        if let Some(manager) = &self.manager {
            manager.status(status);
        }
    }
}

/// What becomes of an upgrade; never, where there is none. Cancel safe.
async fn decided(upgrade: &mut Option<Upgrade>) -> Decision {
    match upgrade {
        Some(upgrade) => upgrade.decided().await,
        None => std::future::pending().await,
    }
}

/// A proxy needs two descriptors a connection, and the usual soft limit is 1024: takes what the hard limit allows.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
