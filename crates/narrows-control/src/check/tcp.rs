//! A connection can be made; what is sent, and what comes back.

use super::dialogue::{Dialogue, LIMIT};
use super::expect::is_met;
use super::failure::Failure;
use narrows_plan::Expect;

/// Sends, and waits until what is expected has come.
pub(super) async fn ask(
    dialogue: &mut Dialogue,
    send: &[u8],
    expect: Option<&Expect>,
) -> Result<(), Failure> {
    dialogue.send(send).await?;
    let Some(expect) = expect else { return Ok(()) };
    dialogue
        .until(|answer, is_over| match is_met(expect, &answer[..answer.len().min(LIMIT)]) {
            true => Ok(Some(())),
            false if is_over || answer.len() >= LIMIT => Err(Failure::Unexpected),
            false => Ok(None),
        })
        .await
}
