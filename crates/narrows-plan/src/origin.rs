//! Where a part of the plan was written.

/// Index into [`Plan::files`](crate::Plan::files).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct FileId(pub u16);

/// A place in a configuration file. Lines and columns count from 1, columns in characters.
///
/// Any two are equal: where something was written is no part of what it means, so that plans can be compared. [`Origin::is_at`] compares places.
#[derive(Debug, Clone, Copy, Default)]
pub struct Origin {
    /// The file.
    pub file: FileId,
    /// Line, from 1; 0 means that the part was made by a default and written nowhere.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

impl Origin {
    /// Whether it is the same place.
    pub fn is_at(self, other: Origin) -> bool {
        (self.file, self.line, self.column) == (other.file, other.line, other.column)
    }
}

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Origin {}
