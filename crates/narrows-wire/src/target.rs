//! Request targets taken apart and normalised.
//!
//! # How a path is normalised for matching
//!
//! The rule, in this order; `decode` and `merge_slashes` are the listener's `path_matching`:
//!
//! 1. The path is what stands before the first `?`. It starts with `/`; an empty one (absolute form) is `/`.
//! 2. A `%` that is not followed by two hexadecimal digits is an error, and so is `%00`.
//! 3. With `decode`, each percent-encoded byte is decoded, except those whose decoding would change what the path
//!    means: `/` `\` `?` `#` `%` `;`, controls, and bytes that are not part of well-formed UTF-8. These stay encoded,
//!    with upper-case digits. So a decoded path is UTF-8, each `%` in it starts an encoding, and it is decoded once
//!    and never twice. Without `decode`, encodings stay as they were received.
//! 4. With `merge_slashes`, a run of `/` is one `/`.
//! 5. A `.` segment is removed, and a `..` segment with the one before it (RFC 3986 section 5.2.4), also when their
//!    dots are percent-encoded. A `..` above the root is an error. A path that ends in one of them ends in `/`.
//! 6. A backslash is a byte like any other, and so are path parameters: `/a/..;/b` keeps its three segments.

mod authority;
mod path;
mod query;

pub use authority::{is_valid_authority, split_host_port};
pub use path::{Normalized, PathRules, TargetError, encode_path, normalize};
pub use query::{query_parameter, split_query};

#[cfg(test)]
mod tests;
