//! Asking the other end whether it is there.

use h2::{Ping, PingPong};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// Asks as often as is wanted. An end that does not answer one question until the next is due is gone.
pub(crate) struct Pinging {
    pings: PingPong,
    every: Option<Interval>,
    awaited: bool,
}

/// What a look at the pings found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing new.
    Nothing,
    /// The other end is there.
    Here,
    /// It does not answer.
    Gone,
}

impl Pinging {
    pub(crate) fn new(pings: PingPong, every: Option<Duration>) -> Self {
        let every = every.map(|every| {
            let mut interval = interval(every);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval.reset();
            interval
        });
        Pinging { pings, every, awaited: false }
    }

    /// Asks now.
    pub(crate) fn ask(&mut self) {
        self.awaited = self.pings.send_ping(Ping::opaque()).is_ok();
    }

    /// What came of it; wakes the task of `context` when there is more.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Answer {
        let mut answer = Answer::Nothing;
        if self.awaited {
            match self.pings.poll_pong(context) {
                Poll::Ready(Ok(_)) => {
                    self.awaited = false;
                    answer = Answer::Here;
                }
                Poll::Ready(Err(_)) => return Answer::Gone,
                Poll::Pending => {}
            }
        }
        while self.every.as_mut().is_some_and(|every| every.poll_tick(context).is_ready()) {
            if self.awaited {
                return Answer::Gone;
            }
            self.ask();
            let _ = self.pings.poll_pong(context);
        }
        answer
    }
}
