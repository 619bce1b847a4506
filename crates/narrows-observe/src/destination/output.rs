//! Standard output and standard error.

use super::{Delivered, Destination};
use crate::Batch;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::Duration;

/// How long is waited for one that others have made non-blocking, at a time and altogether.
const PAUSE: Duration = Duration::from_millis(5);
const PAUSES: usize = 200;

/// An output of the process. The descriptor is a copy, without the buffer of the standard library: what cannot be written must not stay there.
pub(crate) struct Output {
    file: File,
    /// Whether the last record got there in part.
    is_torn: bool,
}

impl Output {
    /// Standard output.
    ///
    /// # Errors
    /// When it is closed.
    pub(crate) fn stdout() -> io::Result<Self> {
        Ok(Output::new(File::from(io::stdout().as_fd().try_clone_to_owned()?)))
    }

    /// Standard error.
    ///
    /// # Errors
    /// When it is closed.
    pub(crate) fn stderr() -> io::Result<Self> {
        Ok(Output::new(File::from(io::stderr().as_fd().try_clone_to_owned()?)))
    }

    pub(super) fn new(file: File) -> Self {
        Output { file, is_torn: false }
    }

    /// Writes records; a line that an earlier one left torn is ended before.
    ///
    /// # Errors
    /// What the system says, with the number of bytes that were written.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        if self.is_torn {
            write(&mut self.file, b"\n").map_err(|(_, error)| (0, error))?;
            self.is_torn = false;
        }
        let written = write(&mut self.file, bytes);
        if let Err((count @ 1.., _)) = &written {
            self.is_torn = bytes[count - 1] != b'\n';
        }
        written
    }
}

impl Destination for Output {
    fn deliver(&mut self, batch: &Batch) -> Delivered {
        match self.write(&batch.bytes) {
            Ok(()) => Delivered::all(batch),
            Err((written, error)) => Delivered::up_to(written, batch, error),
        }
    }
}

/// Writes everything; what was written before an error is told with it.
fn write(file: &mut File, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let (mut written, mut pauses) = (0, 0);
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && pauses < PAUSES => {
                pauses += 1;
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}
