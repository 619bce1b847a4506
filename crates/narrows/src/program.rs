//! The program of this process, to be started once more.

use std::ffi::{OsStr, OsString};
use std::fs::metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How this process was started.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    path: PathBuf,
    name: OsString,
    arguments: Vec<OsString>,
    folder: Option<PathBuf>,
}

impl Program {
    /// The program of this process; to be asked for at its beginning, while its file is still there.
    ///
    /// The path is the one that it was started by, not the one that it was found at: a symbolic link that leads to another version meanwhile is followed anew.
    /// `None` when the system does not tell.
    pub(crate) fn present() -> Option<Program> {
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_default();
        let folder = std::env::current_dir().ok();
        let running = std::env::current_exe().ok();
        let path = named(&name, folder.as_deref())
            .filter(|path| is_same(path, Path::new("/proc/self/exe")))
            .or(running)?;
        Some(Program { path, name, arguments: arguments.collect(), folder })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Starts whatever program is there now, with the same arguments, from the same folder.
    pub(crate) fn command(&self) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(&self.path);
        command.arg0(&self.name).args(&self.arguments);
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }
}

/// Where a program of this name is: as a shell looks for it.
fn named(name: &OsStr, folder: Option<&Path>) -> Option<PathBuf> {
    let path = Path::new(name);
    if path.components().count() > 1 || path.is_absolute() {
        return Some(folder?.join(path));
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(path)).find(|path| path.is_file())
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (metadata(one), metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}
