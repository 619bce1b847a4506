//! Explanations of single requests as they are written.

use crate::shape::{REQUIRED, table};
use crate::tree::Text;

table! {
    /// Requests that show a header signed with the key are answered with a short explanation.
    Explain {
        /// A file with the key, at least 16 bytes. `narrows explain --sign` makes headers with it.
        secret: Text = REQUIRED,
    }
}
