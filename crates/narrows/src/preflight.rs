//! What has to be right about this machine before any socket is taken; it joins the other diagnostics.

use crate::load::{Files, complete};
use crate::pid_file::PidFile;
use narrows_config::{Code, Loaded, Severity};
use narrows_plan::{Account, Bind, Origin, Plan};
use narrows_runtime::{Identity, IdentityError, low_ports_begin, read_as};

/// Who the process becomes once its sockets are bound.
#[derive(Debug, Clone)]
pub(crate) struct Becoming {
    /// The identity.
    pub(crate) identity: Identity,
    /// Whether ports below 1024 can be bound later, by a reload or by the process that takes over.
    pub(crate) keeps_low_ports: bool,
}

/// Looks at the users, groups and files that the plan names. `None` when the process stays who it is, and when there is no plan, maybe because of
/// what was found here. `files` is what the plan was read from, where that can be read again.
pub(crate) fn look(loaded: &mut Loaded, files: Option<&Files>) -> Option<Becoming> {
    let plan = loaded.plan.as_ref()?;
    let (user, group, pid_file) = {
        let settings = &plan.settings;
        (settings.user.clone(), settings.group.clone(), settings.pid_file.clone())
    };
    let keeps_low_ports = binds_low_ports(plan);
    let becoming = find(loaded, user.as_ref(), group.as_ref());
    if let Some(file) = pid_file {
        let try_to_write = || PidFile::try_to_write(&file.path);
        let tried = match &becoming {
            Some(identity) => read_as(identity, try_to_write).and_then(|tried| tried),
            None => try_to_write(),
        };
        if let Err(error) = tried {
            let who = becoming.as_ref().and(user.as_ref()).map_or("it".to_owned(), |user| {
                format!("user `{}`", user.name)
            });
            let message = format!("the file of the process number cannot be written: {error}");
            let help = format!("its folder has to exist, and {who} has to be able to write there");
            loaded.add(file.origin, Severity::Error, Code::UnwritableFile, message, Some(help));
        }
    }
    let identity = becoming?;
    if let Some(files) = files {
        warn_of_unreadable_files(loaded, files, &identity, user.as_ref());
    }
    Some(Becoming { identity, keeps_low_ports })
}

/// The identity that the settings name, unless that is who the process is already.
fn find(loaded: &mut Loaded, user: Option<&Account>, group: Option<&Account>) -> Option<Identity> {
    let named = user.or(group)?;
    let name = |account: Option<&Account>| account.map(|account| account.name.to_string());
    let (user_name, group_name) = (name(user), name(group));
    let identity = match Identity::find(user_name.as_deref(), group_name.as_deref()) {
        Ok(identity) => identity,
        Err(error) => {
            let missing_group = matches!(&error, IdentityError::NoGroup(_));
            let origin = if missing_group { group.unwrap_or(named).origin } else { named.origin };
            let help = "accounts are names or numbers; `useradd --system narrows` makes one".to_owned();
            loaded.add(origin, Severity::Error, Code::NoSuchAccount, error.to_string(), Some(help));
            return None;
        }
    };
    let present = Identity::present();
    if (present.user, present.group) == (identity.user, identity.group) && present.user != 0 {
        return None;
    }
    if present.user != 0 {
        let message = format!("only root can become `{}`, and this process runs as user {}", named.name, present.user);
        let help = "start it as root, or leave `user` and `group` away".to_owned();
        loaded.add(named.origin, Severity::Error, Code::NoSuchAccount, message, Some(help));
        return None;
    }
    (present.user != identity.user || present.group != identity.group).then_some(identity)
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
fn warn_of_unreadable_files(loaded: &mut Loaded, files: &Files, identity: &Identity, user: Option<&Account>) {
    let again = read_as(identity, || {
        let mut again = files.load().ok()?;
        // What it finds is in the diagnostics.
        let _ = complete(&mut again);
        Some(again.diagnostics)
    });
    let Ok(Some(diagnostics)) = again else { return };
    let who = user.map_or_else(|| format!("user {}", identity.user), |user| format!("user `{}`", user.name));
    for one in diagnostics.list.iter().filter(|one| one.severity == Severity::Error) {
        let short = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let origin = Origin { file: one.file, line: short(one.line), column: short(one.column) };
        let message = format!("a reload or an upgrade will fail, as {who}: {}", one.message);
        let help = format!("let {who} read it");
        loaded.add(origin, Severity::Warning, Code::UnreadableLater, message, Some(help));
    }
}
