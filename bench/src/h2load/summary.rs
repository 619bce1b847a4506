//! What h2load prints at its end.

use anyhow::Context;

/// The counts of one run of h2load, and what the TLS handshake agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) tls: String,
    pub(super) cipher: String,
    pub(super) key_exchange: String,
    pub(super) application: String,
    pub(super) done: u64,
    pub(super) succeeded: u64,
    pub(super) ok: u64,
    /// Bytes of all bodies.
    pub(super) data: u64,
}

impl Summary {
    /// Reads the lines; fails when one is missing.
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let word = |name| after(text, name).map(str::to_owned);
        let requests = after(text, "requests: ")?;
        Ok(Self {
            tls: word("TLS Protocol: ")?,
            cipher: word("Cipher: ")?,
            key_exchange: word("Server Temp Key: ")?,
            application: word("Application protocol: ")?,
            done: count(requests, " done")?,
            succeeded: count(requests, " succeeded")?,
            ok: count(after(text, "status codes: ")?, " 2xx")?,
            data: bytes_of_data(after(text, "traffic: ")?)?,
        })
    }

    /// Whether `requests` were answered, all with status 2xx and `body` bytes each, over what was offered.
    pub(super) fn check(&self, requests: u64, body: u64) -> Result<(), String> {
        if self.application != "h2" || self.tls != "TLSv1.3" || self.cipher != "TLS_AES_128_GCM_SHA256" {
            return Err(format!("h2load spoke {} over {}, {}", self.application, self.tls, self.cipher));
        }
        if !self.key_exchange.starts_with("X25519 ") {
            return Err(format!("h2load's key exchange was {}", self.key_exchange));
        }
        if self.done != requests || self.succeeded != requests || self.ok != requests {
            return Err(format!(
                "of {requests} requests {} are done, {} succeeded, {} have status 2xx",
                self.done, self.succeeded, self.ok
            ));
        }
        let expected = requests * body;
        if self.data != expected {
            return Err(format!("the bodies have {} bytes, not {expected}", self.data));
        }
        Ok(())
    }
}

/// The rest of the first line that begins with `name`.
fn after<'text>(text: &'text str, name: &str) -> anyhow::Result<&'text str> {
    let found = text.lines().find_map(|line| line.strip_prefix(name));
    found.map(str::trim).with_context(|| format!("h2load did not print `{}`: {text}", name.trim()))
}

/// The number before `unit` in a list like `10 total, 9 done`.
fn count(list: &str, unit: &str) -> anyhow::Result<u64> {
    let item = list.split(", ").find_map(|item| item.strip_suffix(unit));
    item.and_then(|number| number.parse().ok()).with_context(|| format!("no `{unit}` in `{list}`"))
}

/// The number in parentheses of `..., 10.00KB (10240) data`.
fn bytes_of_data(list: &str) -> anyhow::Result<u64> {
    let number = list.strip_suffix(") data").and_then(|rest| rest.rsplit_once('('));
    number.and_then(|(_, number)| number.parse().ok()).with_context(|| format!("no data in `{list}`"))
}

#[cfg(test)]
mod tests;
