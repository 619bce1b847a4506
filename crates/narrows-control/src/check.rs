//! Asking one endpoint once whether it is well. One file for each protocol.
//!
//! A check has one deadline, reads not more than 64 KiB and leaves no connection behind. Nothing that an endpoint says makes it panic.

mod command;
mod dialogue;
mod expect;
mod failure;
mod grpc;
mod http;
mod ldap;
mod mysql;
mod postgresql;
mod redis;
mod smtp;
mod subject;
mod tcp;
mod udp;

pub(crate) use command::PROGRAMS;
pub(crate) use failure::Failure;
pub(crate) use subject::Subject;

use dialogue::{Dialogue, Speech, within};
use narrows_plan::{AgentCheck, CheckKind, HealthCheck};
use narrows_runtime::Watch;
use tokio::sync::Semaphore;

/// Asks the endpoint once; `watch` is this check's alone, and `turns` are those of all programs. Cancel safe: connection and program are
/// gone then.
///
/// # Errors
/// What is wrong with the endpoint, or that this process [could not ask](Failure::Exhausted).
pub(crate) async fn check(
    subject: &Subject,
    check: &HealthCheck,
    watch: &Watch,
    turns: &Semaphore,
) -> Result<(), Failure> {
    watch.set(Some(check.timeout));
    match &check.kind {
        CheckKind::Udp { send, expect } => return udp::ask(subject, send, expect.as_ref(), watch).await,
        CheckKind::Command { command } => {
            return command::ask(subject, command, check.timeout, watch, turns).await;
        }
        CheckKind::Tls if subject.connector.is_none() => return Err(Failure::NoTls),
        _ => {}
    }
    let speech = match &check.kind {
        CheckKind::Http(_) => Speech::Http,
        CheckKind::Grpc { .. } => Speech::Http2,
        _ => Speech::Bytes,
    };
    let mut dialogue = within(watch, Dialogue::open(subject, speech, watch)).await?;
    within(watch, ask(&mut dialogue, &check.kind, subject)).await?;
    dialogue.end(watch).await;
    Ok(())
}

/// The line that an agent says, without its end. Cancel safe.
///
/// # Errors
/// Why there is none.
pub(crate) async fn agent_line(
    subject: &Subject,
    agent: &AgentCheck,
    watch: &Watch,
) -> Result<String, Failure> {
    watch.set(Some(agent.timeout));
    within(watch, async {
        let mut dialogue = Dialogue::open(subject, Speech::Bytes, watch).await?;
        dialogue.send(agent.send.as_bytes()).await?;
        dialogue
            .until(|received, is_over| {
                let end = received.iter().position(|byte| *byte == b'\n');
                // An agent that closes has said everything.
                let end = end.or((is_over && !received.is_empty()).then_some(received.len()));
                Ok(end.map(|end| String::from_utf8_lossy(&received[..end]).into_owned()))
            })
            .await
    })
    .await
}

async fn ask(dialogue: &mut Dialogue, kind: &CheckKind, subject: &Subject) -> Result<(), Failure> {
    match kind {
        CheckKind::Tcp { send, expect } => tcp::ask(dialogue, send, expect.as_ref()).await,
        CheckKind::Http(check) => http::ask(dialogue, check, subject).await,
        CheckKind::Grpc { service } => grpc::ask(dialogue, service, subject).await,
        CheckKind::PostgreSql { user, database } => postgresql::ask(dialogue, user, database).await,
        CheckKind::MySql { user } => mysql::ask(dialogue, user).await,
        CheckKind::Redis { password } => redis::ask(dialogue, password).await,
        CheckKind::Smtp { hello } => smtp::ask(dialogue, hello).await,
        CheckKind::Ldap => ldap::ask(dialogue).await,
        // The handshake was all, or the check has no dialogue.
        CheckKind::Tls | CheckKind::Udp { .. } | CheckKind::Command { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests;
