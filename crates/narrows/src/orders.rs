//! What the process is asked to do, by signals and from within: one stream, which one place handles.

use std::io;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

/// Orders from within that may wait; who gives more waits itself.
const WAITING: usize = 16;

/// Something that the process is asked to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// End gracefully: SIGTERM, SIGQUIT.
    Stop,
    /// The same, ordered from within.
    Drain(Asker),
    /// The same from a terminal: SIGINT. The second one ends at once.
    Interrupt,
    /// Take the configuration anew: SIGHUP. Unless it is confirmed in this time, the one before comes back.
    Reload(Asker, Option<Duration>),
    /// Open the log files anew: SIGUSR1.
    Reopen(Asker),
    /// Hand over to a new process: SIGUSR2.
    Upgrade(Asker),
}

/// Who waits to hear what became of an order; nobody, where a signal gave it.
#[derive(Debug, Default)]
pub(crate) struct Asker(Option<oneshot::Sender<Outcome>>);

/// What became of an order: what was done, or why nothing was.
pub(crate) type Outcome = Result<String, String>;

impl Asker {
    /// Says on standard error what became of the order, and to who asked.
    pub(crate) fn answer(self, outcome: Outcome) {
        let (Ok(text) | Err(text)) = &outcome;
        crate::say(&format!("narrows: {text}"));
        if let Some(sender) = self.0 {
            // Who asked may have gone.
            let _ = sender.send(outcome);
        }
    }
}

/// Gives orders from another thread.
#[derive(Debug, Clone)]
pub(crate) struct Commander(mpsc::Sender<Order>);

impl Commander {
    /// Gives the order that `make` makes and returns once something became of it. What was ordered is done even when this is dropped.
    pub(crate) async fn ordered(&self, make: impl FnOnce(Asker) -> Order) -> Outcome {
        let ended = || "the process ends".to_owned();
        let (sender, answer) = oneshot::channel();
        self.0.send(make(Asker(Some(sender)))).await.map_err(|_| ended())?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

/// All orders, as they come. Signals are caught from the moment when it is made.
pub(crate) struct Orders {
    terminate: Signal,
    quit: Signal,
    interrupt: Signal,
    hang_up: Signal,
    reopen: Signal,
    upgrade: Signal,
    sender: mpsc::Sender<Order>,
    receiver: mpsc::Receiver<Order>,
}

impl Orders {
    /// Catches the signals. Needs a runtime around it.
    ///
    /// # Errors
    /// When the system does not let a signal be caught.
    pub(crate) fn catch() -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(WAITING);
        Ok(Orders {
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
            upgrade: signal(SignalKind::user_defined2())?,
            sender,
            receiver,
        })
    }

    /// Gives orders to this stream.
    pub(crate) fn commander(&self) -> Commander {
        Commander(self.sender.clone())
    }

    /// The next order. Cancel safe.
    pub(crate) async fn next(&mut self) -> Order {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Order::Stop,
            _ = self.quit.recv() => Order::Stop,
            _ = self.interrupt.recv() => Order::Interrupt,
            _ = self.hang_up.recv() => Order::Reload(Asker::default(), None),
            _ = self.reopen.recv() => Order::Reopen(Asker::default()),
            _ = self.upgrade.recv() => Order::Upgrade(Asker::default()),
            Some(order) = self.receiver.recv() => order,
        }
    }
}
