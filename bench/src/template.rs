//! Fills a configuration in: `@NAMES@`, and the lines for an access log that is on or off.

use anyhow::bail;

/// Keeps the tails of lines marked `#log-on: ` (or `#log-off: `, as `log` says), drops those marked with the other,
/// and replaces every `@NAME@` of `names`. Fails when a name in capitals stays unreplaced.
pub(crate) fn fill(template: &str, log: bool, names: &[(String, String)]) -> anyhow::Result<String> {
    let (kept, dropped) = if log { ("#log-on: ", "#log-off: ") } else { ("#log-off: ", "#log-on: ") };
    let mut text = String::with_capacity(template.len());
    for line in template.lines() {
        let content = line.trim_start();
        if content.starts_with(dropped) {
            continue;
        }
        match content.strip_prefix(kept) {
            Some(tail) => {
                text.push_str(&line[..line.len() - content.len()]);
                text.push_str(tail);
            }
            None => text.push_str(line),
        }
        text.push('\n');
    }
    for (name, value) in names {
        text = text.replace(&format!("@{name}@"), value);
    }
    if let Some(name) = left_over(&text) {
        bail!("nothing to put in the place of @{name}@");
    }
    Ok(text)
}

fn left_over(text: &str) -> Option<&str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    code.flat_map(|line| line.split('@').skip(1).step_by(2)).find(|name| {
        !name.is_empty()
            && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_uppercase() || byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests;
