//! Users and groups of the system.
#![allow(unsafe_code, reason = "the C library alone knows where a system keeps its users")]

use rustix::process::{getegid, geteuid};
use std::ffi::{CStr, CString};
use std::io;
use std::ptr;

/// Largest entry of a user or a group that is read, bytes.
const ENTRY_BYTES: usize = 1 << 20;
/// Most groups that a user may be in.
const GROUPS: usize = 65_536;

/// As whom a process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Number of the user.
    pub user: u32,
    /// Number of the group.
    pub group: u32,
    /// Numbers of all groups that the user is in.
    pub groups: Vec<u32>,
}

/// Why there is no such identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The system has no such user.
    #[error("this system has no user `{0}`")]
    NoUser(Box<str>),
    /// The system has no such group.
    #[error("this system has no group `{0}`")]
    NoGroup(Box<str>),
    /// The system cannot say.
    #[error("cannot look up `{0}`: {1}")]
    Unknown(Box<str>, #[source] io::Error),
}

impl Identity {
    /// The identity of this process now.
    pub fn present() -> Self {
        let groups = rustix::process::getgroups().unwrap_or_default();
        Identity {
            user: geteuid().as_raw(),
            group: getegid().as_raw(),
            groups: groups.into_iter().map(|group| group.as_raw()).collect(),
        }
    }

    /// Looks up a user and a group, by name or number. Without a user it is that of this process, without a group the user's own. May ask a network, and block.
    ///
    /// # Errors
    /// One of them does not exist, or cannot be looked up.
    pub fn find(user: Option<&str>, group: Option<&str>) -> Result<Self, IdentityError> {
        let mut identity = match user {
            Some(name) => find_user(name)?,
            None => Identity::present(),
        };
        if let Some(name) = group {
            identity.group = find_group(name)?;
            if user.is_none() {
                identity.groups.clear();
            }
        }
        Ok(identity)
    }
}

fn find_user(text: &str) -> Result<Identity, IdentityError> {
    let missing = || IdentityError::NoUser(text.into());
    let name = CString::new(text).map_err(|_| missing())?;
    let number = text.parse::<u32>().ok();
    let mut found: libc::passwd = empty_user();
    let found = look_up(
        text,
        |buffer, result: &mut *mut libc::passwd| {
            // SAFETY: `found` and `buffer` live longer than what is read of them below; the buffer's length is told; `name` ends with a zero.
            unsafe {
                match number {
                    Some(number) => {
                        libc::getpwuid_r(number, &raw mut found, buffer.as_mut_ptr(), buffer.len(), result)
                    }
                    None => libc::getpwnam_r(
                        name.as_ptr(),
                        &raw mut found,
                        buffer.as_mut_ptr(),
                        buffer.len(),
                        result,
                    ),
                }
            }
        },
        |found| {
            // SAFETY: the C library filled the entry, whose name ends with a zero and lies in the buffer, which still lives.
            unsafe { ((*found).pw_uid, (*found).pw_gid, CStr::from_ptr((*found).pw_name).to_owned()) }
        },
    )?;
    match (found, number) {
        (Some((user, group, name)), _) => Ok(Identity { user, group, groups: groups_of(&name, group) }),
        // A number needs no entry: containers run as numbers that have none.
        (None, Some(number)) => Ok(Identity { user: number, group: number, groups: Vec::new() }),
        (None, None) => Err(missing()),
    }
}

fn find_group(text: &str) -> Result<u32, IdentityError> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let missing = || IdentityError::NoGroup(text.into());
    let name = CString::new(text).map_err(|_| missing())?;
    let mut found: libc::group = empty_group();
    let found = look_up(
        text,
        |buffer, result: &mut *mut libc::group| {
            // SAFETY: as for users.
            unsafe {
                libc::getgrnam_r(name.as_ptr(), &raw mut found, buffer.as_mut_ptr(), buffer.len(), result)
            }
        },
        |found| {
            // SAFETY: the C library filled the entry.
            unsafe { (*found).gr_gid }
        },
    )?;
    found.ok_or_else(missing)
}

/// Asks with a buffer that grows until the entry fits.
fn look_up<E, T>(
    text: &str,
    mut ask: impl FnMut(&mut [libc::c_char], &mut *mut E) -> i32,
    read: impl FnOnce(*const E) -> T,
) -> Result<Option<T>, IdentityError> {
    let mut buffer: Vec<libc::c_char> = vec![0; 1024];
    loop {
        let mut result = ptr::null_mut();
        match ask(&mut buffer, &mut result) {
            0 if result.is_null() => return Ok(None),
            0 => return Ok(Some(read(result))),
            libc::ERANGE if buffer.len() < ENTRY_BYTES => buffer.resize(buffer.len() * 4, 0),
            libc::EINTR => {}
            // What C libraries say instead of "there is none" (getpwnam(3)).
            libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM => return Ok(None),
            error => return Err(IdentityError::Unknown(text.into(), io::Error::from_raw_os_error(error))),
        }
    }
}

/// All groups of a user, `group` among them.
fn groups_of(name: &CStr, group: u32) -> Vec<u32> {
    let mut groups = vec![0; 64];
    loop {
        let mut count = libc::c_int::try_from(groups.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY: `count` says how many numbers `groups` has room for; the name ends with a zero.
        let fits = unsafe { libc::getgrouplist(name.as_ptr(), group, groups.as_mut_ptr(), &raw mut count) };
        let count = usize::try_from(count).unwrap_or_default();
        if fits >= 0 {
            groups.truncate(count);
            return groups;
        }
        if groups.len() >= GROUPS {
            return vec![group];
        }
        groups.resize((groups.len() * 2).max(count).min(GROUPS), 0);
    }
}

fn empty_user() -> libc::passwd {
    // SAFETY: numbers and pointers, for which zero is a value; nothing reads them before the C library has filled them.
    unsafe { std::mem::zeroed() }
}

fn empty_group() -> libc::group {
    // SAFETY: as for users.
    unsafe { std::mem::zeroed() }
}
