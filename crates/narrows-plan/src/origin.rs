//! Where a part of the plan was written.

/// Index into [`Plan::files`](crate::Plan::files).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct FileId(pub u16);

/// A place in a configuration file. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The file.
    pub file: FileId,
    /// Line, from 1; 0 means that the part was made by a default and written nowhere.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}
