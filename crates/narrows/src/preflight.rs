//! What has to be right about this machine before any socket is taken; it joins the other diagnostics.

use crate::load::{Files, Found, complete};
use crate::pid_file::PidFile;
use narrows_config::{Code, Severity};
use narrows_plan::{Account, Bind, File, Origin, Plan, Settings};
use narrows_runtime::{Identity, IdentityError, low_ports_begin, read_as};

/// Who the process becomes once its sockets are bound.
#[derive(Debug, Clone)]
pub(crate) struct Becoming {
    /// The identity.
    pub(crate) identity: Identity,
    /// Whether ports below 1024 can be bound later, by a reload or by the process that takes over.
    pub(crate) keeps_low_ports: bool,
}

/// Looks at the users, groups and files that the plan names. `None` when the process stays who it is. `files` is what the plan was read from, where that can be
/// read again.
pub(crate) fn look(plan: &Plan, files: Option<&Files>) -> (Option<Becoming>, Vec<Found>) {
    let mut found = Vec::new();
    let Settings { user, group, pid_file, .. } = &plan.settings;
    let identity = match find(user.as_ref(), group.as_ref()) {
        Ok(identity) => identity,
        Err(problem) => {
            found.push(problem);
            None
        }
    };
    let name = user.as_ref().map_or("the group", |user| &*user.name);
    if let Some(file) = pid_file {
        found.extend(look_at_pid_file(file, identity.as_ref(), name));
    }
    if let (Some(identity), Some(files)) = (&identity, files) {
        found.extend(unreadable_files(files, identity, name));
    }
    let becoming = identity.map(|identity| Becoming { identity, keeps_low_ports: binds_low_ports(plan) });
    (becoming, found)
}

fn look_at_pid_file(file: &File, identity: Option<&Identity>, name: &str) -> Option<Found> {
    let try_to_write = || PidFile::try_to_write(&file.path);
    let tried = match identity {
        Some(identity) => read_as(identity, try_to_write).and_then(|tried| tried),
        None => try_to_write(),
    };
    let who = identity.map_or("this process".to_owned(), |_| format!("`{name}`"));
    Some(Found {
        origin: file.origin,
        severity: Severity::Error,
        code: Code::UnwritableFile,
        message: format!("the file of the process number cannot be written: {}", tried.err()?),
        help: Some(format!("its folder has to exist, and {who} has to be able to write there")),
    })
}

/// The identity that the settings name, unless that is who the process is already.
fn find(user: Option<&Account>, group: Option<&Account>) -> Result<Option<Identity>, Found> {
    let Some(named) = user.or(group) else { return Ok(None) };
    let wrong = |origin, message, help: &str| Found {
        origin,
        severity: Severity::Error,
        code: Code::NoSuchAccount,
        message,
        help: Some(help.to_owned()),
    };
    let name = |account: Option<&Account>| account.map(|account| account.name.to_string());
    let identity = Identity::find(name(user).as_deref(), name(group).as_deref()).map_err(|error| {
        let missing =
            if matches!(&error, IdentityError::NoGroup(_)) { group.unwrap_or(named) } else { named };
        let help = "accounts are names or numbers; `useradd --system narrows` makes one";
        wrong(missing.origin, error.to_string(), help)
    })?;
    let present = Identity::present();
    if (present.user, present.group) == (identity.user, identity.group) {
        return Ok(None);
    }
    if present.user != 0 {
        let message =
            format!("only root can become `{}`, and this process runs as user {}", named.name, present.user);
        return Err(wrong(named.origin, message, "start it as root, or leave `user` and `group` away"));
    }
    Ok(Some(identity))
}

/// Whether the plan listens on a port that not everybody may bind.
fn binds_low_ports(plan: &Plan) -> bool {
    let begin = low_ports_begin();
    let binds = plan.listeners.iter().flat_map(|listener| &listener.binds);
    binds.into_iter().any(|(bind, _)| match bind {
        Bind::Socket(address) => address.port() != 0 && address.port() < begin,
        Bind::Unix(_) => false,
    })
}

/// Reads everything once more as the other user: what cannot be read then cannot be read by a reload or by a process that takes over.
fn unreadable_files(files: &Files, identity: &Identity, name: &str) -> Vec<Found> {
    let again = read_as(identity, || {
        let mut again = files.load().ok()?;
        // What it finds is in the diagnostics.
        let _ = complete(&mut again);
        Some(again.diagnostics.list)
    });
    let Ok(Some(list)) = again else { return Vec::new() };
    let errors = list.into_iter().filter(|one| one.severity == Severity::Error);
    let short = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let found = errors.map(|one| Found {
        origin: Origin { file: one.file, line: short(one.line), column: short(one.column) },
        severity: Severity::Warning,
        code: Code::UnreadableLater,
        message: format!("a reload or an upgrade will fail, as `{name}`: {}", one.message),
        help: Some(format!("let `{name}` read it")),
    });
    found.collect()
}
