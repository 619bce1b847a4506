//! Addresses to listen on, addresses of endpoints and blocks of addresses.

use super::Lowering;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::tree::Text;
use narrows_plan::{Address, Bind, Network};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// What is wrong with an address: code, sentence, help.
pub(super) type Wrong = (Code, String, Option<String>);

impl Lowering<'_> {
    pub(super) fn bind_address(&mut self, text: &Text) -> Option<Bind> {
        let bind = read_bind(&text.text);
        self.reported(text, bind)
    }

    pub(super) fn endpoint_address(&mut self, text: &Text) -> Option<Address> {
        let address = read_endpoint(&text.text);
        self.reported(text, address)
    }

    /// The name of a service, in lower case.
    pub(super) fn service_name(&mut self, text: &Text) -> Option<Box<str>> {
        let name = read_service(&text.text);
        self.reported(text, name)
    }

    pub(super) fn networks(&mut self, texts: &[Text]) -> Option<Vec<Network>> {
        let networks = texts.iter().map(|text| {
            let network = text.text.parse::<Network>().map_err(|message| {
                let help = "write a block like `10.0.0.0/8` or `2001:db8::/32`, or a single address";
                (Code::BadNetwork, message, Some(help.to_owned()))
            });
            self.reported(text, network)
        });
        // All are looked at, so that all errors are told.
        networks.collect::<Vec<_>>().into_iter().collect()
    }

    fn reported<T>(&mut self, text: &Text, read: Result<T, Wrong>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err((code, message, help)) => {
                self.reporter.report(Finding::error(code, text.place, message).maybe_help(help));
                None
            }
        }
    }
}

fn read_bind(text: &str) -> Result<Bind, Wrong> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix_path(path).map(Bind::Unix);
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(Bind::Socket(address));
    }
    let (host, port) = split_port(text, ":8080")?;
    let port = read_port(port)?;
    match host {
        "" => Ok(Bind::Socket(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port))),
        "*" => Err(bad(text, format!("write `:{port}` for every address"))),
        "localhost" => {
            Err(bad(text, format!("names cannot be listened on, write `127.0.0.1:{port}` or `[::1]:{port}`")))
        }
        _ => Err(bad(
            text,
            format!("write an IP address and a port: `127.0.0.1:{port}`, `[::1]:{port}` or `:{port}`"),
        )),
    }
}

pub(super) fn read_endpoint(text: &str) -> Result<Address, Wrong> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix_path(path).map(Address::Unix);
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        let rest = rest.split('/').next().unwrap_or_default();
        return Err(bad(text, format!("endpoints have no scheme: without `{scheme}://` this is `{rest}`")));
    }
    if text.starts_with('_') && is_name(text) && text.contains('.') {
        let help = format!("for a service, which knows its ports, write `{{ service: {text} }}`");
        return Err((Code::MissingPort, format!("`{text}` has no port"), Some(help)));
    }
    let (host, port) = split_port(text, "10.0.0.1:8080")?;
    let port = read_port(port)?;
    if port == 0 {
        let message = format!("`{text}` has port 0, which nothing can be sent to");
        return Err((Code::BadPort, message, None));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(Address::Socket(address));
    }
    if host.is_empty() {
        return Err(bad(text, format!("say which host: `127.0.0.1:{port}`")));
    }
    let looks_numeric = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if looks_numeric || !is_name(host) {
        return Err(bad(text, "write `address:port`, `[IPv6 address]:port`, `name:port` or `unix:/path`"));
    }
    Ok(Address::Name(host.to_ascii_lowercase().into(), port))
}

/// Whether DNS can be asked for it.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= 253 && name.strip_suffix('.').unwrap_or(name).split('.').all(is_label)
}

/// A service's name; `_service._protocol.` in front is usual, but some registries do without it.
fn read_service(text: &str) -> Result<Box<str>, Wrong> {
    if is_name(text) && text.contains('.') {
        return Ok(text.to_ascii_lowercase().into());
    }
    let message = format!("`{text}` is not the name of a service");
    let help = match text.rsplit_once(':') {
        Some((name, port)) if is_name(name) && port.parse::<u16>().is_ok() => {
            format!("without the port, which its records say: `{name}`")
        }
        _ => "write `_service._protocol.name`, `_http._tcp.app.internal` for instance".into(),
    };
    Err((Code::BadAddress, message, Some(help)))
}

fn unix_path(path: &str) -> Result<PathBuf, Wrong> {
    // sun_path holds 108 bytes, the closing zero included (unix(7)).
    if path.is_empty() || path.len() > 107 || path.contains('\0') {
        let message = format!("`unix:{path}` is not the path of a socket");
        return Err((Code::BadAddress, message, Some("write 1 to 107 bytes after `unix:`".into())));
    }
    Ok(PathBuf::from(path))
}

fn split_port<'t>(text: &'t str, example: &str) -> Result<(&'t str, &'t str), Wrong> {
    let missing = |help: String| (Code::MissingPort, format!("`{text}` has no port"), Some(help));
    if text.parse::<u16>().is_ok() {
        return Err(bad(text, format!("for port {text} write `{}`", example.replace("8080", text))));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(IpAddr::V6(address)) = bare.parse() {
        return Err(missing(format!("write `[{address}]:8080`")));
    }
    match text.rsplit_once(':') {
        Some((_, "")) | None => Err(missing(format!("write `{}:8080`", text.trim_end_matches(':')))),
        Some(parts) => Ok(parts),
    }
}

fn read_port(port: &str) -> Result<u16, Wrong> {
    let number = port.parse::<u16>().ok().filter(|_| port.bytes().all(|byte| byte.is_ascii_digit()));
    number.ok_or_else(|| {
        let help = "ports are numbers from 1 to 65535";
        (Code::BadPort, format!("`{port}` is not a port"), Some(help.into()))
    })
}

fn bad(text: &str, help: impl Into<String>) -> Wrong {
    (Code::BadAddress, format!("`{text}` is not an address"), Some(help.into()))
}
