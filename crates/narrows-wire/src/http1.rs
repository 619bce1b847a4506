//! HTTP/1.1 messages as they stand on the wire (RFC 9112), read strictly: what two parsers could read differently
//! is an error.
//!
//! A head is parsed where it was received: [`parse_request`] and [`parse_response`] fill a reusable head with
//! [`Span`]s into the caller's bytes. [`BodyReader`] then says which of the following bytes belong to the body.

mod body;
pub(crate) mod bytes;
mod cookie;
mod error;
mod field;
mod head;
mod list;
mod request;
mod response;
mod section;

pub use body::{BodyError, BodyReader, Step, chunk_header};
pub use cookie::{SetCookie, cookies, edit_cookies, set_cookie};
pub use error::HeadError;
pub use field::{Field, FieldName};
pub use head::{BodyFraming, HeadLimits, Method, Progress, Span, Version};
pub use list::{BodyKind, cookie, list_members, prefers};
pub use request::{RequestHead, TargetForm, parse_request};
pub use response::{ResponseHead, parse_response};
