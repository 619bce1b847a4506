//! Who gets single requests explained.

use super::Lowering;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::model::Configuration;
use crate::source::Place;
use narrows_plan::Explain;
use std::path::PathBuf;

impl Lowering<'_> {
    /// The key of all files together: one of them may name it.
    pub(super) fn explain(&mut self, files: &[(Configuration, PathBuf)]) -> Option<Explain> {
        let mut first: Option<Place> = None;
        let mut explain = None;
        for (file, folder) in files {
            let Some(written) = &file.explain else { continue };
            let place = file.key("explain");
            if let Some(first) = first {
                let message = "`explain` is written in two files";
                let finding = Finding::error(Code::DuplicateName, place, message);
                self.reporter.report(finding.label(first, "first here"));
                continue;
            }
            first = Some(place);
            self.folder.clone_from(folder);
            let Some(secret) = &written.secret else { continue };
            explain = Some(Explain { secret: self.file(secret) });
        }
        explain
    }
}
