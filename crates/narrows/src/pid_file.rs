//! The file that holds the number of the process while it serves.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file, with this process' number in it. Dropping it removes it, unless another process has written its own meanwhile.
#[derive(Debug)]
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    /// Writes the file beside its place and moves it there: who reads it sees a whole number.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn write(path: &Path) -> io::Result<PidFile> {
        let process = std::process::id();
        let beside = beside(path, process);
        let written = std::fs::File::create(&beside)
            .and_then(|mut file| file.write_all(format!("{process}\n").as_bytes()))
            .and_then(|()| std::fs::rename(&beside, path));
        if let Err(error) = written {
            let _ = std::fs::remove_file(&beside);
            return Err(error);
        }
        Ok(PidFile(path.to_owned()))
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
