//! From a plan to a thread that answers.

use crate::address::Usual;
use crate::api::Api;
use crate::gate::Gate;
use crate::operations::Operations;
use crate::socket::{Listening, listen};
use crate::token::{BadToken, Token};
use crate::transport::{Clock, Transport};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use narrows_plan::{Admin, AdminApi, Bind, Plan};
use narrows_runtime::{
    Accepted, Deadlines, Phase, PhaseControl, PhaseWatch, SpawnError, Stream, TICK, accept, phases,
    spawn_thread,
};
use narrows_tls::{Acceptor, TlsContexts};
use socket2::Socket;
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::task::spawn_local;

/// Connections at one time on each address; further ones are closed at once.
const CONNECTIONS: usize = 64;
/// From the first look at a connection to the end of a request's head; also how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(10);
/// How long a client may take nothing of an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of a request's head, and of what is kept of an answer that nobody takes.
const BUFFER: usize = 16 << 10;
/// Fields of a request's head.
const FIELDS: usize = 64;

/// The admin API with its sockets open; nothing is accepted yet.
#[derive(Debug)]
pub struct AdminServer {
    listening: Vec<(Listening, Gate, Option<Arc<Acceptor>>)>,
}

/// Why the admin API cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// An address that is written cannot be listened on.
    #[error("{place}: admin: cannot listen on {bind}: {source}{}", hint(.source))]
    Bind {
        /// `file:line:column`.
        place: String,
        /// The address.
        bind: Bind,
        /// What the system said.
        source: io::Error,
    },
    /// The token cannot be had.
    #[error(transparent)]
    Token(#[from] BadToken),
    /// The variable holds what is no address.
    #[error(
        "NARROWS_ADMIN is `{0}`, which is neither `off` nor an address such as `unix:/run/narrows/admin.sock`"
    )]
    Variable(String),
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => " (another process listens there)",
        io::ErrorKind::NotFound => " (its folder is missing)",
        _ => "",
    }
}

impl AdminServer {
    /// Opens the sockets that the plan asks for. At the usual place, where nothing is written, a process that is there already keeps it: then
    /// there is no admin API, and `warn` is told why. `takes_over` says that the process that is there hands over to this one.
    ///
    /// # Errors
    /// The first address that cannot be had of those that are written, by the plan or by the variable; everything else is let go of.
    pub fn open(
        plan: &Plan,
        tls: &TlsContexts,
        takes_over: bool,
        warn: impl Fn(&str),
    ) -> Result<AdminServer, AdminError> {
        let mut server = AdminServer { listening: Vec::new() };
        match &plan.admin {
            Admin::Off => {}
            Admin::On(api) => server.open_all(plan, api, tls.admin(), takes_over)?,
            Admin::Usual => match Usual::here() {
                Usual::Off | Usual::Nowhere => {}
                Usual::Unreadable(text) => return Err(AdminError::Variable(text)),
                Usual::At(Bind::Socket(address)) => {
                    // Nobody has said who may use it.
                    return Err(AdminError::Variable(address.to_string()));
                }
                Usual::At(bind) => match listen(&bind, AdminApi::MODE, takes_over) {
                    Ok(listening) => server.listening.push((listening, Gate::Open, None)),
                    Err(source) => {
                        warn(&format!("no admin API: cannot listen on {bind}: {source}{}", hint(&source)));
                    }
                },
            },
        }
        Ok(server)
    }

    fn open_all(
        &mut self,
        plan: &Plan,
        api: &AdminApi,
        acceptor: Option<&Arc<Acceptor>>,
        takes_over: bool,
    ) -> Result<(), AdminError> {
        let token = api.token.as_ref().map(Token::load).transpose()?;
        for (bind, origin) in &api.binds {
            let listening = listen(bind, api.mode, takes_over).map_err(|source| AdminError::Bind {
                place: plan.locate(*origin),
                bind: bind.clone(),
                source,
            })?;
            let (gate, acceptor) = match (bind, &token) {
                (Bind::Unix(_), _) => (Gate::Open, None),
                (Bind::Socket(_), Some(token)) => (Gate::Token(token.clone()), acceptor.cloned()),
                (Bind::Socket(_), None) => (Gate::Open, acceptor.cloned()),
            };
            self.listening.push((listening, gate, acceptor));
        }
        Ok(())
    }

    /// Where it listens.
    pub fn bound(&self) -> impl Iterator<Item = &Bind> {
        self.listening.iter().map(|(listening, ..)| &listening.bind)
    }

    /// Answers from now on, on a thread of its own.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(self, operations: Arc<dyn Operations>) -> Result<RunningAdmin, SpawnError> {
        let (phase, watched) = phases();
        let mut running = RunningAdmin { phase, thread: None, listening: Vec::new() };
        let mut served = Vec::new();
        for (listening, gate, acceptor) in self.listening {
            let name = || listening.bind.to_string().into();
            let socket = listening.served().map_err(|source| SpawnError { name: name(), source })?;
            served.push(Served { socket, gate, acceptor });
            running.listening.push(listening);
        }
        if !served.is_empty() {
            running.thread = Some(spawn_thread("admin", move || life(served, operations, watched))?);
        }
        Ok(running)
    }
}

/// The running admin API. Dropping it ends its thread and removes its Unix sockets.
#[derive(Debug)]
pub struct RunningAdmin {
    phase: PhaseControl,
    thread: Option<JoinHandle<io::Result<()>>>,
    listening: Vec<Listening>,
}

impl RunningAdmin {
    /// Where it listens.
    pub fn bound(&self) -> impl Iterator<Item = &Bind> {
        self.listening.iter().map(|listening| &listening.bind)
    }
}

impl Drop for RunningAdmin {
    fn drop(&mut self) {
        self.phase.enter(Phase::Stopped);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One address, on the thread.
struct Served {
    socket: Socket,
    gate: Gate,
    acceptor: Option<Arc<Acceptor>>,
}

/// The life of the admin thread.
async fn life(served: Vec<Served>, operations: Arc<dyn Operations>, mut phase: PhaseWatch) -> io::Result<()> {
    let api = Rc::new(Api::new(operations));
    let deadlines = Deadlines::new();
    let ticking = spawn_local({
        let deadlines = Rc::clone(&deadlines);
        async move {
            loop {
                tokio::time::sleep(TICK).await;
                deadlines.sweep();
            }
        }
    });
    for Served { socket, gate, acceptor } in served {
        let door = Rc::new(Door {
            api: Rc::clone(&api),
            gate,
            acceptor,
            deadlines: Rc::clone(&deadlines),
            open: Cell::new(0),
        });
        let accepting = accept(socket, phase.clone(), Rc::default(), move |accepted| {
            // Who finds no place, or no descriptor, tries again.
            if let Accepted::Connection(stream, _) = accepted
                && door.open.get() < CONNECTIONS
            {
                spawn_local(connection(Place::take(&door), stream));
            }
        });
        spawn_local(accepting);
    }
    phase.stopped().await;
    ticking.abort();
    Ok(())
}

/// What the connections of one address share.
struct Door {
    api: Rc<Api>,
    gate: Gate,
    acceptor: Option<Arc<Acceptor>>,
    deadlines: Rc<Deadlines>,
    open: Cell<usize>,
}

/// The place of one connection, given back when it is dropped.
struct Place(Rc<Door>);

impl Place {
    fn take(door: &Rc<Door>) -> Self {
        door.open.set(door.open.get() + 1);
        Place(Rc::clone(door))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}

/// The life of a connection.
async fn connection(place: Place, stream: Stream) {
    let door = &place.0;
    let stream = match &door.acceptor {
        None => stream,
        Some(acceptor) => {
            let watch = door.deadlines.watch();
            watch.set(acceptor.timeout());
            match acceptor.accept(stream, &watch).await {
                Ok((stream, _)) => stream,
                Err(_) => return,
            }
        }
    };
    let service = service_fn(|request| async move {
        Ok::<_, std::convert::Infallible>(door.api.answer(&door.gate, request).await)
    });
    // What fails here is the client's connection, and it knows.
    let _ = http1::Builder::new()
        .timer(Clock)
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER)
        .max_headers(FIELDS)
        .serve_connection(Transport::new(stream, PATIENCE), service)
        .await;
}
