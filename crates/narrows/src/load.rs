//! From the files that a command names to a plan.

use crate::{fail, misused};
use narrows_config::{Code, Diagnostics, Loaded, Severity};
use narrows_plan::{Origin, Plan};
use narrows_proxy::ExplainKey;
use narrows_tls::{Problem, ProblemKind, TlsContexts};
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Most that is read from standard input, bytes: one more than the largest configuration, which then is refused as too large.
const STDIN_BYTES: u64 = (16 << 20) + 1;

/// Where configuration is read from.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Files {
    /// Configuration files; several are united. `-` alone is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

impl Files {
    /// The same, to be read again later; `None` for standard input, which is read once.
    pub(crate) fn again(&self) -> Option<Files> {
        (!self.files.iter().any(|path| path.as_os_str() == "-")).then(|| self.clone())
    }

    /// Reads the files, with every diagnostic.
    ///
    /// # Errors
    /// The status to end with, when standard input is named together with files or cannot be read; it was said why.
    pub(crate) fn load(&self) -> Result<Loaded, ExitCode> {
        load(&self.files)
    }
}

/// Reads files, or standard input for `-`, in which relative file names are meant from the current folder.
///
/// # Errors
/// As for [`Files::load`].
pub(crate) fn load(files: &[PathBuf]) -> Result<Loaded, ExitCode> {
    let is_stdin = |path: &PathBuf| path.as_os_str() == "-";
    match files {
        [only] if is_stdin(only) => {
            let mut bytes = Vec::new();
            std::io::stdin()
                .take(STDIN_BYTES)
                .read_to_end(&mut bytes)
                .map_err(|error| fail(&format!("cannot read standard input: {error}")))?;
            let text = String::from_utf8(bytes).map_err(|_| fail("standard input is not UTF-8 text"))?;
            Ok(narrows_config::load_text("<stdin>", &text, Path::new("")))
        }
        files if files.iter().any(is_stdin) => Err(misused("`-` (standard input) stands alone")),
        files => Ok(narrows_config::load(files)),
    }
}

/// A plan with what its TLS needs, read from the files that it names.
pub(crate) struct Ready {
    /// The plan.
    pub(crate) plan: Plan,
    /// Its certificates and keys.
    pub(crate) tls: TlsContexts,
}

/// Something about the plan that was found elsewhere than in its text.
pub(crate) struct Found {
    /// Where the plan says it.
    pub(crate) origin: Origin,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// What it is about.
    pub(crate) code: Code,
    /// What is wrong, in a sentence.
    pub(crate) message: String,
    /// What to do.
    pub(crate) help: Option<String>,
}

/// Reads the files that the plan names; what is wrong with them joins the other diagnostics. `None` when anything keeps the plan from being run.
pub(crate) fn complete(loaded: &mut Loaded) -> Option<Ready> {
    complete_with(loaded, Vec::new())
}

/// The same, with what was found meanwhile.
pub(crate) fn complete_with(loaded: &mut Loaded, mut found: Vec<Found>) -> Option<Ready> {
    let plan = loaded.plan.as_ref()?;
    let (tls, problems) = TlsContexts::load(plan);
    for secret in narrows_proxy::check_secrets(plan) {
        let help = "write at least 16 bytes that nobody can guess: `openssl rand -hex 32 > cookie.key`";
        found.push(Found {
            origin: secret.origin,
            severity: Severity::Error,
            code: Code::BadSecret,
            message: secret.to_string(),
            help: Some(help.into()),
        });
    }
    for Problem { origin, kind, message, help } in problems {
        let (severity, code) = match kind {
            ProblemKind::Unreadable => (Severity::Error, Code::BadCertificate),
            ProblemKind::Mismatch => (Severity::Error, Code::WrongKey),
            ProblemKind::Expired => (Severity::Warning, Code::ExpiredCertificate),
        };
        found.push(Found { origin, severity, code, message, help });
    }
    for Found { origin, severity, code, message, help } in found {
        loaded.add(origin, severity, code, message, help);
    }
    if let Some((origin, message)) = bad_explain_key(loaded.plan.as_ref()?) {
        let help = "write at least 16 bytes that nobody can guess: `openssl rand -hex 32 > explain.key`";
        loaded.add(origin, Severity::Error, Code::BadSecret, message, Some(help.into()));
    }
    Some(Ready { plan: loaded.plan.take()?, tls: tls? })
}

/// What is wrong with the key of headers that let a request be explained.
fn bad_explain_key(plan: &Plan) -> Option<(Origin, String)> {
    let secret = &plan.explain.as_ref()?.secret;
    let bad = ExplainKey::read(&secret.path).err()?;
    Some((secret.origin, format!("`{}` cannot be a key: {bad}", secret.path.display())))
}

/// Prints diagnostics on standard error, in colour where somebody looks.
pub(crate) fn show(diagnostics: &Diagnostics) {
    if !diagnostics.is_empty() {
        let text = diagnostics.render(std::io::stderr().is_terminal());
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}
