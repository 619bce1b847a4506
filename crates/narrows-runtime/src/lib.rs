//! What a worker stands on: sockets, streams, datagrams, coarse deadlines, buffers.
//!
//! One single-threaded runtime per worker. Nothing here knows what the bytes mean.
//!
//! Invariant: nothing in this room is shared between workers but [`Phase`], the order to stop.

mod accept;
mod buffers;
mod deadline;
mod process;
mod socket;
mod stream;
mod udp;
mod worker;

pub use accept::{Accepted, Stop, accept};
pub use buffers::{Buffer, Buffers};
pub use deadline::{Deadlines, TICK, Tick, Watch};
pub use process::{
    Guardian, Identity, IdentityError, InheritError, Inheritance, Passed, Passing, Reporter, Shared,
    Successor, Transport, drop_privileges, give_socket, low_ports_begin, read_as, start_successor,
    start_ward, take_inheritance,
};
pub use socket::{BindError, BoundSocket, bind, bind_beside};
pub use stream::{Layer, Peer, Stream};
pub use udp::{
    Arrivals, BATCH, Datagram, DatagramListener, DatagramSocket, Inbox, Message, Outbox, Sent, bind_datagrams,
};
pub use worker::{Phase, PhaseControl, PhaseWatch, SpawnError, phases, spawn_thread};
