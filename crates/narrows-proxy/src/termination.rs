//! Who ended an exchange or a flow, and how far it was.

use crate::Fault;
use crate::fault::Side;
use narrows_observe::{Ender, Stage, Termination};
use narrows_upstream::{ConnectFailure, Shed, ShedCause};

/// How far it came.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Progress {
    /// Attempts that were made.
    pub(crate) attempts: u32,
    /// Whether an endpoint was connected to.
    pub(crate) is_connected: bool,
    /// Whether bytes were passed on from there.
    pub(crate) is_answered: bool,
}

/// Who ended it and when, by what went wrong; a proper end where nothing did.
pub(crate) fn termination(fault: Option<Fault>, progress: Progress) -> Termination {
    match fault {
        Some(fault) => Termination { by: ender(fault), at: stage(fault, progress) },
        None if progress.attempts == 0 => Termination { by: Ender::Local, at: Stage::Request },
        None => Termination::default(),
    }
}

fn ender(fault: Fault) -> Ender {
    match fault {
        Fault::EndpointDown => Ender::Down,
        Fault::Connect(ConnectFailure::Exhausted | ConnectFailure::Full) => Ender::Resource,
        Fault::Shed(Shed { cause: ShedCause::QueueTimedOut, .. }) | Fault::RequestTimedOut => {
            Ender::ServerTimeout
        }
        Fault::IdleTimedOut => Ender::ClientTimeout,
        _ => {
            let meaning = fault.meaning();
            match (meaning.side, meaning.status) {
                (Side::Downstream, 408) => Ender::ClientTimeout,
                (Side::Downstream, 499) => Ender::Client,
                // What a client says wrong, the proxy refuses.
                (Side::Downstream | Side::Proxy, _) => Ender::Proxy,
                (Side::Upstream, 504) => Ender::ServerTimeout,
                (Side::Upstream, _) => Ender::Server,
            }
        }
    }
}

fn stage(fault: Fault, progress: Progress) -> Stage {
    match fault {
        Fault::Shed(_) => Stage::Queue,
        Fault::Connect(_) | Fault::NoEndpoint | Fault::StickyEndpointDown => Stage::Connect,
        _ if progress.is_answered => Stage::Body,
        _ if progress.is_connected => Stage::Head,
        _ if progress.attempts > 0 => Stage::Connect,
        _ => Stage::Request,
    }
}

#[cfg(test)]
mod tests;
