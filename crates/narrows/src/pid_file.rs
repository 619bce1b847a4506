//! The file that holds the number of the process while it serves.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file, with this process' number in it. Dropping it removes it, unless another process has written its own meanwhile.
#[derive(Debug)]
pub(crate) struct PidFile(PathBuf);

/// The file beside its place. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Prepared {
    beside: PathBuf,
    path: PathBuf,
}

impl Prepared {
    /// Moves the file to its place: who reads it there sees a whole number.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn place(self) -> io::Result<PidFile> {
        std::fs::rename(&self.beside, &self.path)?;
        Ok(PidFile(self.path.clone()))
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // Gone, where it was placed.
        let _ = std::fs::remove_file(&self.beside);
    }
}

impl PidFile {
    /// Writes the file beside its place, where a process that this one takes over from may have its own.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn prepare(path: &Path) -> io::Result<Prepared> {
        let process = std::process::id();
        let prepared = Prepared { beside: beside(path, process), path: path.to_owned() };
        let mut file = std::fs::File::create(&prepared.beside)?;
        file.write_all(format!("{process}\n").as_bytes())?;
        Ok(prepared)
    }

    /// Tries whether the file could be written; changes nothing.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn try_to_write(path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let beside = beside(path, std::process::id());
        std::fs::File::create(&beside)?;
        std::fs::remove_file(&beside)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let is_ours =
            std::fs::read_to_string(&self.0).is_ok_and(|text| text.trim().parse() == Ok(std::process::id()));
        if is_ours {
            let _ = std::fs::remove_file(&self.0);
        }
    }
}

fn beside(path: &Path, process: u32) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{process}"));
    path.with_file_name(name)
}
