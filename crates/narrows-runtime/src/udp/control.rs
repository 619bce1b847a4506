//! Socket options and control messages that the safe wrappers do not have.
#![allow(
    unsafe_code,
    reason = "IP_PKTINFO, IPV6_RECVPKTINFO, UDP_GRO and UDP_SEGMENT are in no safe wrapper of ours"
)]

use socket2::Socket;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;

/// Room for the control messages of one datagram: the larger address (20 bytes) and the size of segments (4), each with its header and
/// alignment. In words, so that it is aligned for a `cmsghdr`.
pub(super) type Space = [u64; 12];

/// Makes the kernel tell to which local address each datagram was sent: answers have to leave from it.
pub(super) fn tell_local_address(socket: &Socket, is_ipv6: bool) -> io::Result<()> {
    if is_ipv6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)
    } else {
        set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)
    }
}

/// Lets the kernel give several datagrams of one sender and one size as one long one, with the size (UDP_GRO), or stops that.
pub(super) fn join_on_receive(socket: &Socket, joins: bool) -> io::Result<()> {
    set(socket, libc::SOL_UDP, libc::UDP_GRO, joins.into())
}

fn set(socket: &Socket, level: i32, option: i32, value: i32) -> io::Result<()> {
    let length = size_of::<i32>() as libc::socklen_t;
    // SAFETY: `value` is an int of `length` bytes and lives during the call, which only reads it.
    let result =
        unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What the kernel told about a datagram.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    pub(super) local: Option<IpAddr>,
    pub(super) segment: Option<u16>,
}

/// Reads the control messages of a header that `recvmmsg` filled.
///
/// # Safety
/// `header` was filled by the kernel, and the space that it points to still lives.
pub(super) unsafe fn read(header: &libc::msghdr) -> Told {
    let mut told = Told::default();
    // SAFETY: the kernel wrote whole control messages into the space and their length into the header; the macros stay inside of it.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: the macros gave a pointer to a whole, aligned control message; its data is as long as its kind says, and is
        // read without asking for alignment.
        unsafe {
            let data = libc::CMSG_DATA(message);
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info: libc::in_pktinfo = data.cast::<libc::in_pktinfo>().read_unaligned();
                    told.local = Some(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr)).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info: libc::in6_pktinfo = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                    told.local = (!address.is_multicast()).then_some(address.into());
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let size: i32 = data.cast::<i32>().read_unaligned();
                    told.segment = u16::try_from(size).ok().filter(|size| *size > 0);
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    told
}

/// Writes the control messages of a datagram into `space` and points `header` to them.
pub(super) fn write(
    header: &mut libc::msghdr,
    space: &mut Space,
    from: Option<IpAddr>,
    segment: Option<u16>,
) {
    header.msg_control = std::ptr::null_mut();
    header.msg_controllen = 0;
    if from.is_none() && segment.is_none() {
        return;
    }
    *space = [0; 12];
    header.msg_control = space.as_mut_ptr().cast();
    header.msg_controllen = size_of::<Space>() as _;
    // SAFETY: the header points to aligned, zeroed space with room for both messages; the macros stay inside of it.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    let mut length = 0;
    match from {
        Some(IpAddr::V4(address)) => {
            let spec_dst = libc::in_addr { s_addr: u32::from(address).to_be() };
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: spec_dst,
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            // SAFETY: as above.
            unsafe { put(header, &mut message, &mut length, libc::IPPROTO_IP, libc::IP_PKTINFO, info) };
        }
        Some(IpAddr::V6(address)) => {
            let ipi6_addr = libc::in6_addr { s6_addr: address.octets() };
            let info = libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: 0 };
            // SAFETY: as above.
            unsafe { put(header, &mut message, &mut length, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info) };
        }
        None => {}
    }
    if let Some(segment) = segment {
        // SAFETY: as above.
        unsafe { put(header, &mut message, &mut length, libc::SOL_UDP, libc::UDP_SEGMENT, segment) };
    }
    header.msg_controllen = length as _;
}

/// Writes one control message and moves on to the place of the next.
///
/// # Safety
/// `message` points into the space of `header`, which has room for a message with this value.
unsafe fn put<T>(
    header: &libc::msghdr,
    message: &mut *mut libc::cmsghdr,
    length: &mut usize,
    level: i32,
    kind: i32,
    value: T,
) {
    let size = size_of::<T>() as u32;
    // SAFETY: said by the caller; the value is written without asking for alignment.
    unsafe {
        (**message).cmsg_level = level;
        (**message).cmsg_type = kind;
        (**message).cmsg_len = libc::CMSG_LEN(size) as _;
        libc::CMSG_DATA(*message).cast::<T>().write_unaligned(value);
        *length += libc::CMSG_SPACE(size) as usize;
        *message = libc::CMSG_NXTHDR(header, *message);
    }
}
