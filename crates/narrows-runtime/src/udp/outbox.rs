//! Sending many datagrams with one system call, and those of one flow as one packet that the kernel cuts late.
#![allow(unsafe_code, reason = "sendmmsg is in no safe wrapper of ours")]

use super::BATCH;
use super::control::{self, Space};
use rustix::net::SendFlags;
use socket2::SockAddr;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// The longest datagrams that are joined: with the headers of IPv6 they fit into the usual 1,500 bytes. Longer ones would be refused.
const LONGEST_JOINED: usize = 1452;
/// The most datagrams that older kernels cut out of one.
const MOST_JOINED: usize = 64;
/// The most bytes of one packet, headers included.
const PACKET_BYTES: usize = 65_000;
/// After that many packets that the way did not take, nothing is joined for [`REST`].
const PATIENCE: u32 = 16;
/// Sends until joining is tried again.
const REST: u32 = 4096;

/// Datagrams to send: one, or several joined as they were received.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Whereto; `None` on a connected socket.
    pub to: Option<SocketAddr>,
    /// From which address of this machine; `None` lets the kernel choose.
    pub from: Option<IpAddr>,
    /// The payload.
    pub bytes: &'a [u8],
    /// The size of each but the last of the joined datagrams.
    pub segment: Option<u16>,
}

/// How far a send came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Messages that were sent or that failed, from the first.
    pub messages: usize,
    /// Whether the socket has no room for the next.
    pub blocked: bool,
}

/// Memory for sending.
pub struct Outbox {
    names: Vec<SockAddr>,
    spaces: Vec<Space>,
    pieces: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    pub(super) packets: Vec<Packet>,
    refused: u32,
    rest: u32,
}

/// What becomes one entry of the system call: consecutive messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet {
    first: usize,
    pub(super) count: usize,
    to: Option<SocketAddr>,
    from: Option<IpAddr>,
    /// The size of each but the last datagram.
    size: usize,
    last: usize,
    total: usize,
    /// Whether it was joined by others, and is full.
    is_closed: bool,
}

impl Packet {
    fn takes(&self, message: &Message<'_>) -> bool {
        !self.is_closed
            && message.segment.is_none()
            && self.count < MOST_JOINED
            && self.last == self.size
            && (1..=self.size).contains(&message.bytes.len())
            && self.total + message.bytes.len() <= PACKET_BYTES
            && self.to == message.to
            && self.from == message.from
    }

    fn segment(&self) -> Option<u16> {
        (self.total > self.size).then_some(self.size as u16)
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Outbox {
    /// An empty one.
    pub fn new() -> Self {
        Outbox {
            names: Vec::with_capacity(BATCH),
            spaces: vec![[0; 12]; BATCH],
            pieces: Vec::with_capacity(BATCH),
            headers: Vec::with_capacity(BATCH),
            packets: Vec::with_capacity(BATCH),
            refused: 0,
            rest: 0,
        }
    }

    /// Sends one datagram on a connected socket.
    ///
    /// # Errors
    /// What the system said; also what ICMP reported before.
    pub fn send_one(socket: impl AsFd, bytes: &[u8]) -> io::Result<()> {
        rustix::net::send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Sends at most [`BATCH`] messages, those of one flow and size joined. `failed` hears of each that the system
    /// refuses, by its number; the others are sent all the same.
    pub fn send<'a>(
        &mut self,
        socket: impl AsFd,
        messages: impl Iterator<Item = Message<'a>>,
        mut failed: impl FnMut(usize, io::Error),
    ) -> Sent {
        self.gather(messages);
        let socket = socket.as_fd();
        let mut done = 0;
        while done < self.packets.len() {
            match self.call(socket, done) {
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Sent { messages: self.packets[done].first, blocked: true };
                }
                Err(error) => {
                    self.send_apart(socket, done, error, &mut failed);
                    done += 1;
                }
            }
        }
        let messages = self.packets.last().map_or(0, |packet| packet.first + packet.count);
        Sent { messages, blocked: false }
    }

    fn gather<'a>(&mut self, messages: impl Iterator<Item = Message<'a>>) {
        self.packets.clear();
        self.pieces.clear();
        let joins = self.rest == 0;
        self.rest = self.rest.saturating_sub(1);
        for (number, message) in messages.take(BATCH).enumerate() {
            let length = message.bytes.len();
            self.pieces
                .push(libc::iovec { iov_base: message.bytes.as_ptr().cast_mut().cast(), iov_len: length });
            match self.packets.last_mut().filter(|packet| joins && packet.takes(&message)) {
                Some(packet) => {
                    packet.count += 1;
                    packet.last = length;
                    packet.total += length;
                }
                None => {
                    let size = message.segment.map_or(length, usize::from);
                    self.packets.push(Packet {
                        first: number,
                        count: 1,
                        to: message.to,
                        from: message.from,
                        size,
                        last: length,
                        total: length,
                        is_closed: message.segment.is_some() || length > LONGEST_JOINED || length == 0,
                    });
                }
            }
        }
    }

    /// Sends the packets from number `from` on, as many as the kernel takes with one call.
    fn call(&mut self, socket: BorrowedFd<'_>, from: usize) -> io::Result<usize> {
        self.headers.clear();
        self.names.clear();
        for packet in &self.packets[from..] {
            // An address that is not used keeps names and packets in step.
            let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
            self.names.push(SockAddr::from(packet.to.unwrap_or(nowhere)));
        }
        for (number, packet) in self.packets[from..].iter().enumerate() {
            // SAFETY: zeroes are a valid value of this plain C structure.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            if packet.to.is_some() {
                header.msg_hdr.msg_name = self.names[number].as_ptr().cast_mut().cast();
                header.msg_hdr.msg_namelen = self.names[number].len();
            }
            let pieces = &mut self.pieces[packet.first..packet.first + packet.count];
            header.msg_hdr.msg_iov = pieces.as_mut_ptr();
            header.msg_hdr.msg_iovlen = pieces.len() as _;
            control::write(&mut header.msg_hdr, &mut self.spaces[number], packet.from, packet.segment());
            self.headers.push(header);
        }
        send_many(socket, &mut self.headers)
    }

    /// A packet was refused: when it was joined, its datagrams are sent one by one, and otherwise it failed.
    fn send_apart(
        &mut self,
        socket: BorrowedFd<'_>,
        number: usize,
        error: io::Error,
        failed: &mut impl FnMut(usize, io::Error),
    ) {
        let packet = self.packets[number];
        let Some(segment) = packet.segment() else {
            failed(packet.first, error);
            return;
        };
        // What ICMP reported of an earlier datagram says nothing about joined ones.
        if error.kind() != io::ErrorKind::ConnectionRefused {
            self.refused += 1;
            if self.refused >= PATIENCE {
                (self.refused, self.rest) = (0, REST);
            }
        }
        for message in packet.first..packet.first + packet.count {
            let piece = self.pieces[message];
            let mut offset = 0;
            while offset < piece.iov_len {
                let length = piece.iov_len.min(offset + usize::from(segment)) - offset;
                // SAFETY: the piece points to the bytes of a message that the caller of `send` borrowed for the whole call.
                let start = unsafe { piece.iov_base.cast::<u8>().add(offset) };
                let mut part = libc::iovec { iov_base: start.cast(), iov_len: length };
                if let Err(error) = self.send_part(socket, &packet, &mut part) {
                    failed(message, error);
                    break;
                }
                offset += length;
            }
        }
    }

    fn send_part(
        &mut self,
        socket: BorrowedFd<'_>,
        packet: &Packet,
        part: &mut libc::iovec,
    ) -> io::Result<usize> {
        let name = packet.to.map(SockAddr::from);
        // SAFETY: zeroes are a valid value of this plain C structure.
        let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        if let Some(name) = &name {
            header.msg_hdr.msg_name = name.as_ptr().cast_mut().cast();
            header.msg_hdr.msg_namelen = name.len();
        }
        header.msg_hdr.msg_iov = &raw mut *part;
        header.msg_hdr.msg_iovlen = 1;
        control::write(&mut header.msg_hdr, &mut self.spaces[0], packet.from, None);
        send_many(socket, std::slice::from_mut(&mut header))
    }
}

fn send_many(socket: BorrowedFd<'_>, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: both callers point each header to a name, pieces and a space that live as long as this call, with their lengths; the
    // pieces are bytes that the caller of `send` borrowed, and the kernel only reads them.
    let count =
        unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), headers.len() as u32, flags) };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Outbox").field("refused", &self.refused).finish_non_exhaustive()
    }
}
