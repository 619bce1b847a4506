//! Receiving many datagrams with one system call.
#![allow(unsafe_code, reason = "recvmmsg is in no safe wrapper of ours")]

use super::control::{self, Space, Told};
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};

/// Datagrams that are received or sent with one system call at most.
pub const BATCH: usize = 32;

/// What one datagram may take: no payload of UDP is longer, and the kernel joins no more. So nothing is ever cut.
const DATAGRAM_BYTES: usize = 65_535;
/// The distance of two places in memory. No power of two: the first bytes of all datagrams would fight for the same lines of the cache.
const STRIDE: usize = (64 << 10) + 5 * 64;

/// A datagram, or several of one sender and one size that the kernel joined.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// Who sent it; `None` where the socket is connected.
    pub from: Option<SocketAddr>,
    /// To which address of this machine, where the socket listens on all.
    pub to: Option<IpAddr>,
    /// The payload.
    pub bytes: &'a [u8],
    /// The size of each but the last of the joined datagrams; `None` when it is one.
    pub segment: Option<u16>,
    /// What the caller said of the socket.
    pub tag: u64,
}

impl<'a> Datagram<'a> {
    /// The datagrams as they were sent.
    pub fn parts(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        // An empty datagram is one as well.
        let empty = self.bytes.is_empty().then_some(self.bytes);
        let size = self.segment.map_or(self.bytes.len(), usize::from).max(1);
        empty.into_iter().chain(self.bytes.chunks(size))
    }

    /// How many datagrams it is.
    pub fn count(&self) -> u64 {
        self.segment.map_or(1, |size| self.bytes.len().div_ceil(usize::from(size).max(1)).max(1) as u64)
    }
}

/// Received datagrams, at most [`BATCH`]. Memory that was never received into is never touched.
pub struct Inbox {
    memory: Box<[u8]>,
    names: Vec<libc::sockaddr_storage>,
    spaces: Vec<Space>,
    pieces: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    received: Vec<Received>,
    /// Places that are taken, those of datagrams that were cut included.
    used: usize,
    cut: u64,
}

#[derive(Debug, Clone, Copy)]
struct Received {
    slot: usize,
    length: usize,
    from: Option<SocketAddr>,
    told: Told,
    tag: u64,
}

impl Inbox {
    /// An empty one.
    #[allow(clippy::new_without_default, reason = "two megabytes are not made by default")]
    pub fn new() -> Self {
        // SAFETY: zeroes are a valid value of these plain C structures.
        let (name, piece, header) = unsafe { (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed()) };
        Inbox {
            memory: vec![0; BATCH * STRIDE].into_boxed_slice(),
            names: vec![name; BATCH],
            spaces: vec![[0; 12]; BATCH],
            pieces: vec![piece; BATCH],
            headers: vec![header; BATCH],
            received: Vec::with_capacity(BATCH),
            used: 0,
            cut: 0,
        }
    }

    /// Forgets what was received.
    pub fn clear(&mut self) {
        self.received.clear();
        self.used = 0;
    }

    /// Whether nothing was received.
    pub fn is_empty(&self) -> bool {
        self.received.is_empty()
    }

    /// Whether no place is left.
    pub fn is_full(&self) -> bool {
        self.used >= BATCH
    }

    /// The number of datagrams that did not fit, since the last question. No datagram is that long; should there be one all the
    /// same, it is dropped and counted rather than passed on in part.
    pub fn take_cut(&mut self) -> u64 {
        std::mem::take(&mut self.cut)
    }

    /// What was received, in that order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Datagram<'_>> + Clone {
        self.received.iter().map(|received| {
            let start = received.slot * STRIDE;
            let Told { local, segment } = received.told;
            Datagram {
                from: received.from,
                to: local,
                bytes: &self.memory[start..start + received.length],
                segment: segment.filter(|size| usize::from(*size) < received.length),
                tag: received.tag,
            }
        })
    }

    /// Adds what waits in a socket, as far as there is place, and says how many that was; the rest of the places being used up means that
    /// there may be more.
    ///
    /// # Errors
    /// `WouldBlock` when nothing waits; on a connected socket also what ICMP reported.
    pub fn receive(&mut self, socket: impl AsFd, tag: u64) -> io::Result<usize> {
        let first = self.used;
        if first >= BATCH {
            return Ok(0);
        }
        for slot in first..BATCH {
            self.pieces[slot] = libc::iovec {
                iov_base: self.memory[slot * STRIDE..].as_mut_ptr().cast(),
                iov_len: DATAGRAM_BYTES,
            };
            let header = &mut self.headers[slot].msg_hdr;
            header.msg_name = (&raw mut self.names[slot]).cast();
            header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
            header.msg_iov = &raw mut self.pieces[slot];
            header.msg_iovlen = 1;
            header.msg_control = self.spaces[slot].as_mut_ptr().cast();
            header.msg_controllen = size_of::<Space>() as _;
            header.msg_flags = 0;
        }
        let places = (BATCH - first) as u32;
        // SAFETY: each header points to a name, a piece of memory and a space that this value owns, that no other header points to and
        // that live as long as the call; the lengths are theirs.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                self.headers[first..].as_mut_ptr(),
                places,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for slot in first..(first + count).min(BATCH) {
            let header = &self.headers[slot];
            if header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 {
                self.cut += 1;
                continue;
            }
            let told = if header.msg_hdr.msg_controllen == 0 {
                Told::default()
            } else {
                // SAFETY: the kernel filled the header just now; its space is this value's.
                unsafe { control::read(&header.msg_hdr) }
            };
            let named = header.msg_hdr.msg_namelen > 0;
            let from = if named { address(&self.names[slot]) } else { None };
            let length = (header.msg_len as usize).min(DATAGRAM_BYTES);
            self.received.push(Received { slot, length, from, told, tag });
        }
        self.used = first + count;
        Ok(count)
    }
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Inbox").field("received", &self.received.len()).finish_non_exhaustive()
    }
}

fn address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    let name = &raw const *name;
    // SAFETY: the storage is large and aligned enough for both structures, every bit pattern is valid for them, and the family
    // says which of them the kernel wrote.
    unsafe {
        match i32::from((*name).ss_family) {
            libc::AF_INET => {
                let name = &*name.cast::<libc::sockaddr_in>();
                let address = u32::from_be(name.sin_addr.s_addr).into();
                Some(SocketAddrV4::new(address, u16::from_be(name.sin_port)).into())
            }
            libc::AF_INET6 => {
                let name = &*name.cast::<libc::sockaddr_in6>();
                let (address, port) = (name.sin6_addr.s6_addr.into(), u16::from_be(name.sin6_port));
                Some(SocketAddrV6::new(address, port, name.sin6_flowinfo, name.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}
