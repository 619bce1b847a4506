//! Explanations of single requests, for who has the key.

use crate::File;

/// Requests that show a header signed with the key are answered with a short explanation.
#[derive(Debug, Clone, PartialEq)]
pub struct Explain {
    /// The file with the key.
    pub secret: File,
}
