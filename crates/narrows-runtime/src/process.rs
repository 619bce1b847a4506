//! What passes from one process to the next, and as whom a process runs.
//!
//! Descriptors are closed in every program that this process starts, unless it is one that takes over ([`start_successor`]). A new process
//! takes what it was passed with [`take_inheritance`], before it does anything else.

mod description;
mod identity;
mod inherit;
mod pass;
mod privileges;

pub use description::{Passing, Transport};
pub use identity::{Identity, IdentityError};
pub use inherit::{Guardian, InheritError, Inheritance, Passed, Reporter, Shared, take_inheritance};
pub use pass::{Successor, start_successor, start_ward};
pub use privileges::{drop_privileges, give_socket, low_ports_begin, read_as};

#[cfg(test)]
mod tests;
