//! Datagrams: sockets of listeners and of sessions, and the batches that they are received and sent in.
//!
//! A [`DatagramListener`] receives from every client; a [`DatagramSocket`] is connected to one endpoint, so that the kernel keeps strangers
//! out and reports that nobody listens there. [`Inbox`] receives and [`Outbox`] sends many datagrams with one system call;
//! [`Arrivals`] says which of many sockets have something.
//!
//! quinn-udp was looked at and not taken: it forbids fragmentation on every socket, which a proxy for any protocol must not, sends to one
//! address per call, and hides that a datagram was cut.

mod arrivals;
mod control;
mod inbox;
mod outbox;
mod socket;

pub use arrivals::Arrivals;
pub use inbox::{BATCH, Datagram, Inbox};
pub use outbox::{Message, Outbox, Sent};
pub use socket::{DatagramListener, DatagramSocket, bind_datagrams};
pub(crate) use socket::{open, prepare};

#[cfg(test)]
mod tests;
