//! Which of many sockets have something to receive.

use super::DatagramSocket;
use crate::accept::register;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Sockets that are told at most with one look.
const LOOK: usize = 64;

/// The sockets of all sessions of a listener, in an epoll instance of their own that the event loop of the worker watches: one task
/// serves them all, and their answers leave together. A registration and a task for each session cost more than
/// a session of one question and one answer.
pub struct Arrivals {
    epoll: AsyncFd<OwnedFd>,
    events: Vec<epoll::Event>,
    again: Vec<u64>,
}

impl Arrivals {
    /// No socket yet.
    ///
    /// # Errors
    /// When no descriptor is left.
    pub fn new() -> io::Result<Self> {
        let epoll = register(epoll::create(CreateFlags::CLOEXEC)?, Interest::READABLE)?;
        Ok(Arrivals { epoll, events: Vec::with_capacity(LOOK), again: Vec::new() })
    }

    /// Watches a socket until it is closed; `token` names it.
    ///
    /// # Errors
    /// When the kernel has no memory or `fs.epoll.max_user_watches` is reached.
    pub fn add(&self, socket: &DatagramSocket, token: u64) -> io::Result<()> {
        let news = EventFlags::IN | EventFlags::ET;
        Ok(epoll::add(self.epoll.get_ref(), socket, EventData::new_u64(token), news)?)
    }

    /// The socket of `token` was not emptied: it is told again.
    pub fn again(&mut self, token: u64) {
        self.again.push(token);
    }

    /// Puts the tokens of sockets that have something, or an error, into `tokens`; what is not received then has to be asked for
    /// by [`again`](Arrivals::again). `Pending` when there is nothing new.
    pub fn poll(&mut self, context: &mut Context<'_>, tokens: &mut Vec<u64>) -> Poll<io::Result<()>> {
        tokens.clear();
        tokens.append(&mut self.again);
        loop {
            let mut guard = match self.epoll.poll_read_ready(context) {
                Poll::Ready(guard) => guard?,
                Poll::Pending if tokens.is_empty() => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Ok(())),
            };
            self.events.clear();
            let no_wait = Timespec { tv_sec: 0, tv_nsec: 0 };
            let buffer = rustix::buffer::spare_capacity(&mut self.events);
            match epoll::wait(guard.get_inner().as_fd(), buffer, Some(&no_wait)) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Poll::Ready(Err(error.into())),
            }
            // Fewer than asked for are all: what comes after them is reported anew, without another call.
            if self.events.len() < LOOK {
                guard.clear_ready();
            }
            if !self.events.is_empty() {
                tokens.extend(self.events.iter().map(|event| event.data.u64()));
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl std::fmt::Debug for Arrivals {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Arrivals").field("epoll", &self.epoll).finish_non_exhaustive()
    }
}
