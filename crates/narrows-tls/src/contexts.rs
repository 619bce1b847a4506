//! What a plan needs for TLS, and its renewal when files change.

use crate::acceptor::Acceptor;
use crate::certificate_facts::{CertificateFacts, CertificateUse};
use crate::connector::Connector;
use crate::material::Problem;
use narrows_plan::{Admin, CertificateFiles, CheckKind, Plan, UpstreamId};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the listeners and upstreams of a plan need for TLS.
#[derive(Debug, Default, Clone)]
pub struct TlsContexts {
    acceptors: Vec<Option<Arc<Acceptor>>>,
    connectors: Vec<Option<Arc<Connector>>>,
    /// For health checks of upstreams that are plain to us and TLS to their clients.
    probes: Vec<Option<Arc<Connector>>>,
    /// For the admin API.
    admin: Option<Arc<Acceptor>>,
}

impl TlsContexts {
    /// Reads every file that the plan names; everything that is wrong is in the list. Without contexts the plan cannot be run.
    pub fn load(plan: &Plan) -> (Option<TlsContexts>, Vec<Problem>) {
        let mut contexts = TlsContexts::default();
        let mut problems = Vec::new();
        let mut complete = true;
        for listener in &plan.listeners {
            let acceptor = listener.tls.as_deref().map(|tls| Acceptor::new(tls, &mut problems)).transpose();
            contexts.acceptors.push(acceptor.map(|one| one.map(Arc::new)).unwrap_or_else(|found| {
                problems.extend(found);
                complete = false;
                None
            }));
        }
        if let Admin::On(api) = &plan.admin
            && let Some(tls) = api.tls.as_deref()
        {
            match Acceptor::new(tls, &mut problems) {
                Ok(acceptor) => contexts.admin = Some(Arc::new(acceptor)),
                Err(found) => {
                    problems.extend(found);
                    complete = false;
                }
            }
        }
        for upstream in &plan.upstreams {
            let tls = upstream.tls.as_deref();
            let connector = tls.map(|tls| Connector::new(tls, upstream.protocol, &mut problems)).transpose();
            contexts.connectors.push(connector.map(|one| one.map(Arc::new)).unwrap_or_else(|found| {
                problems.extend(found);
                complete = false;
                None
            }));
            let asks = upstream.health.as_ref().is_some_and(|health| matches!(health.kind, CheckKind::Tls));
            let probe = (tls.is_none() && asks).then(|| Connector::probing(upstream.origin)).flatten();
            contexts.probes.push(probe.map(Arc::new));
        }
        (complete.then_some(contexts), problems)
    }

    /// Ends TLS for a listener, by its index; `None` where it is plain.
    pub fn acceptor(&self, listener: usize) -> Option<&Arc<Acceptor>> {
        self.acceptors.get(listener)?.as_ref()
    }

    /// Ends TLS for the admin API; `None` where it is plain.
    pub fn admin(&self) -> Option<&Arc<Acceptor>> {
        self.admin.as_ref()
    }

    /// The certificates that are shown now, and by whom.
    pub fn certificates(&self, plan: &Plan) -> Vec<(CertificateUse, Arc<[CertificateFacts]>)> {
        let listeners = plan.listeners.iter().zip(&self.acceptors).filter_map(|(listener, acceptor)| {
            Some((CertificateUse::Listener(listener.name.clone()), acceptor.as_ref()?.certificates()))
        });
        let upstreams = plan.upstreams.iter().zip(&self.connectors).filter_map(|(upstream, connector)| {
            Some((CertificateUse::Upstream(upstream.name.clone()), connector.as_ref()?.certificates()))
        });
        let admin = self.admin.iter().map(|acceptor| (CertificateUse::Admin, acceptor.certificates()));
        listeners.chain(upstreams).chain(admin).collect()
    }

    /// Begins TLS to an upstream; `None` where it is plain.
    pub fn connector(&self, upstream: UpstreamId) -> Option<&Arc<Connector>> {
        self.connectors.get(upstream.0 as usize)?.as_ref()
    }

    /// Begins TLS to an upstream to see whether it is well: as [traffic](TlsContexts::connector) does; or, where that passes TLS of the clients
    /// through, with any certificate. `None` where nobody asks for TLS.
    pub fn probe(&self, upstream: UpstreamId) -> Option<&Arc<Connector>> {
        self.connector(upstream).or_else(|| self.probes.get(upstream.0 as usize)?.as_ref())
    }

    /// Looks at the files every second on a thread of its own, and reads them again when they changed. `tell` hears what came of it.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn reload_on_change(
        &self,
        plan: &Plan,
        tell: impl Fn(&str) + Send + 'static,
    ) -> std::io::Result<Reloading> {
        let (stop, stopped) = channel::<()>();
        let watched = self.watched(plan);
        if watched.is_empty() {
            return Ok(Reloading { stop, thread: None });
        }
        let thread = std::thread::Builder::new().name("tls-files".into()).spawn(move || {
            let mut watched = watched;
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                watched.iter_mut().for_each(|one| one.look(&tell));
            }
        })?;
        Ok(Reloading { stop, thread: Some(thread) })
    }

    fn watched(&self, plan: &Plan) -> Vec<Watched> {
        let mut watched = Vec::new();
        let listeners = plan.listeners.iter().zip(&self.acceptors);
        let mut served: Vec<_> = listeners
            .map(|(listener, acceptor)| {
                (format!("listener {}", listener.name), listener.tls.as_deref(), acceptor.as_ref())
            })
            .collect();
        if let Admin::On(api) = &plan.admin {
            served.push(("admin".to_owned(), api.tls.as_deref(), self.admin.as_ref()));
        }
        for (name, tls, acceptor) in served {
            let (Some(tls), Some(acceptor)) = (tls, acceptor) else { continue };
            let mut files = certificate_files(&tls.certificates);
            if let Some(clients) = &tls.clients {
                files.push(clients.authorities.path.clone());
                files.extend(clients.revocations.iter().map(|file| file.path.clone()));
            }
            let acceptor = Arc::clone(acceptor);
            watched.push(Watched::new(name, files, Box::new(move || acceptor.reload())));
        }
        for (upstream, connector) in plan.upstreams.iter().zip(&self.connectors) {
            let (Some(tls), Some(connector)) = (&upstream.tls, connector) else { continue };
            let mut files = certificate_files(tls.certificate.as_slice());
            files.extend(tls.authorities.iter().map(|file| file.path.clone()));
            let connector = Arc::clone(connector);
            let name = format!("upstream {}", upstream.name);
            watched.push(Watched::new(name, files, Box::new(move || connector.reload())));
        }
        watched.retain(|one| !one.files.is_empty());
        watched
    }
}

fn certificate_files(certificates: &[CertificateFiles]) -> Vec<PathBuf> {
    let files = certificates.iter().flat_map(|one| [Some(&one.chain), Some(&one.key), one.ocsp.as_ref()]);
    files.flatten().map(|file| file.path.clone()).collect()
}

/// The thread that looks at the files; it ends when this is dropped.
#[derive(Debug)]
pub struct Reloading {
    stop: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Reloading {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What leaves the new files usable, or what makes the old ones stay.
type Reload = Box<dyn Fn() -> Result<Vec<Problem>, Vec<Problem>> + Send>;

/// Files that one listener or upstream reads.
struct Watched {
    name: String,
    files: Vec<PathBuf>,
    seen: Vec<Seen>,
    /// A change is acted on once the files have stood still for a look: key and certificate are written one after the other.
    changed: bool,
    reload: Reload,
}

type Seen = Option<(SystemTime, u64)>;

impl Watched {
    fn new(name: String, files: Vec<PathBuf>, reload: Reload) -> Self {
        let seen = look_at(&files);
        Watched { name, files, seen, changed: false, reload }
    }

    fn look(&mut self, tell: &impl Fn(&str)) {
        let seen = look_at(&self.files);
        if seen != self.seen {
            self.seen = seen;
            self.changed = true;
            return;
        }
        if !std::mem::take(&mut self.changed) {
            return;
        }
        match (self.reload)() {
            Ok(problems) => {
                tell(&format!("{}: certificates were read again", self.name));
                for Problem { message, .. } in problems {
                    tell(&format!("{}: {message}", self.name));
                }
            }
            Err(problems) => {
                for Problem { message, .. } in problems {
                    tell(&format!("{}: the old certificates stay: {message}", self.name));
                }
            }
        }
    }
}

fn look_at(files: &[PathBuf]) -> Vec<Seen> {
    files
        .iter()
        .map(|path| {
            let found = std::fs::metadata(path).ok()?;
            Some((found.modified().ok()?, found.len()))
        })
        .collect()
}
