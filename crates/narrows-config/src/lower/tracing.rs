//! Which requests are traced, the collector, and the names of requests.

use super::{Lowering, addresses};
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::expression::Scope;
use crate::model::{self, Configuration, is_token};
use crate::shape::{OneOrMany, TextOr};
use crate::source::Place;
use crate::tree::Text;
use narrows_plan::{
    Address, Condition, Otlp, OtlpProtocol, Propagation, RequestIds, SampleRule, Tracing, Trust, defaults,
};
use std::path::PathBuf;

/// Most rules of `tracing.when`: each is asked for each request.
const RULES: usize = 100;

/// What a listener says of itself (RFC 9110): a request id in one of these fields would change the message.
const TAKEN: [&str; 8] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "cookie",
    "set-cookie",
    "authorization",
];

/// The parts of a collector's address.
struct Url<'t> {
    is_https: bool,
    authority: &'t str,
    path: &'t str,
}

impl Lowering<'_> {
    /// The collector of all files together: one of them may say which it is.
    pub(super) fn otlp(&mut self, files: &[(Configuration, PathBuf)]) -> Option<Box<Otlp>> {
        let (file, folder, place) = self.only(files, "telemetry")?;
        self.folder.clone_from(folder);
        match file.telemetry.as_ref()?.otlp.as_ref()? {
            TextOr::Short(endpoint) => self.collector(endpoint, None, place),
            TextOr::Long(table) => self.collector(table.endpoint.as_ref()?, Some(table), place),
        }
    }

    fn collector(&mut self, endpoint: &Text, table: Option<&model::Otlp>, place: Place) -> Option<Box<Otlp>> {
        let protocol = match table.and_then(|table| table.protocol) {
            None | Some(model::OtlpProtocol::Grpc) => OtlpProtocol::Grpc,
            Some(model::OtlpProtocol::Http) => OtlpProtocol::Http,
        };
        let written = table.and_then(|table| table.tls.as_ref());
        let url = self.url(endpoint)?;
        let port = match protocol {
            OtlpProtocol::Grpc => 4317,
            OtlpProtocol::Http => 4318,
        };
        let (host, port) = self.collector_address(endpoint, url.authority, port)?;
        if protocol == OtlpProtocol::Grpc && !url.path.is_empty() {
            let message = format!("with gRPC the path `{}` has no effect", url.path);
            self.reporter.report(Finding::warning(Code::NoEffect, endpoint.place, message));
        }
        if let (Some(written), false) = (written, url.is_https) {
            let message = "`tls` has no effect: the address begins with `http://`";
            let help = "write `https://` there";
            self.reporter.report(Finding::warning(Code::NoEffect, written.place, message).help(help));
        }
        let tls = url.is_https.then(|| Box::new(self.client_tls(written, place)));
        Some(Box::new(Otlp {
            origin: self.reporter.sources.origin(endpoint.place),
            host,
            port,
            path: if protocol == OtlpProtocol::Http { url.path.into() } else { "".into() },
            protocol,
            tls,
            headers: table.map(|table| self.plain_fields(table)).unwrap_or_default(),
            timeout: self.some_time(
                table.and_then(|table| table.timeout),
                table.map_or(place, |table| table.key("timeout")),
                defaults::OTLP_TIMEOUT,
            ),
            service: table
                .and_then(|table| table.service.as_ref())
                .map_or("narrows", |service| service.text.as_str())
                .into(),
            resource: table
                .and_then(|table| table.resource.as_ref())
                .map(|written| {
                    let pairs = written.entries.iter();
                    pairs.map(|(key, value)| (key.text.as_str().into(), value.text.as_str().into())).collect()
                })
                .unwrap_or_default(),
        }))
    }

    fn url<'t>(&mut self, endpoint: &'t Text) -> Option<Url<'t>> {
        let (scheme, rest) = endpoint.text.split_once("://").unwrap_or(("", &endpoint.text));
        let is_https = match scheme {
            "http" => false,
            "https" => true,
            _ => {
                let message = format!("`{}` does not begin with `http://` or `https://`", endpoint.text);
                let help =
                    format!("write `http://{rest}`, or `https://{rest}` for a collector that speaks TLS");
                self.reporter.report(Finding::error(Code::BadAddress, endpoint.place, message).help(help));
                return None;
            }
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = path.trim_end_matches('/');
        if path.bytes().any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'?' | b'#')) {
            let message = format!("`{path}` is not the path of a collector");
            let help = "write what stands before `/v1/traces`, without query and spaces";
            self.reporter.report(Finding::error(Code::BadAddress, endpoint.place, message).help(help));
            return None;
        }
        Some(Url { is_https, authority, path })
    }

    fn collector_address(&mut self, endpoint: &Text, authority: &str, usual: u16) -> Option<(Box<str>, u16)> {
        let has_port = authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
        let whole = if has_port { authority.to_owned() } else { format!("{authority}:{usual}") };
        match addresses::read_endpoint(&whole) {
            Ok(Address::Socket(address)) => Some((address.ip().to_string().into(), address.port())),
            Ok(Address::Name(name, port)) => Some((name, port)),
            Ok(_) => None,
            Err((code, message, help)) => {
                self.reporter.report(Finding::error(code, endpoint.place, message).maybe_help(help));
                None
            }
        }
    }

    fn plain_fields(&mut self, table: &model::Otlp) -> Vec<(Box<str>, Box<str>)> {
        let mut fields = Vec::new();
        for (name, value) in table.headers.iter().flat_map(|headers| &headers.entries) {
            if value.text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                fields.push((name.text.to_ascii_lowercase().into(), value.text.as_str().into()));
            } else {
                let message = format!("the value of `{}` is not plain text", name.text);
                self.reporter.report(Finding::error(Code::UnknownValue, value.place, message));
            }
        }
        fields
    }

    /// What is said of tracing in all files together.
    pub(super) fn tracing(&mut self, files: &[(Configuration, PathBuf)]) -> Option<Box<Tracing>> {
        let (file, _, place) = self.only(files, "tracing")?;
        let written = file.tracing.as_ref()?;
        let rules = written.when.as_ref().map_or(&[][..], |rules| &rules.0);
        if rules.len() > RULES {
            let message = format!("{} rules; each is asked for each request", rules.len());
            let help = format!("{RULES} are the most; join conditions with `||`");
            self.reporter
                .report(Finding::error(Code::NumberOutOfRange, written.key("when"), message).help(help));
        }
        let spans = |kind| written.spans.as_ref().is_none_or(|spans| spans.0.contains(&kind));
        let propagate = match &written.propagate {
            Some(forms) => forms.0.iter().map(|form| propagation(*form)).collect(),
            None => vec![Propagation::W3c],
        };
        if !spans(model::SpanOf::Request) {
            let message = "without `request` there is nothing that the other spans belong to";
            let help = "write `spans: [request]` for these alone";
            self.reporter
                .report(Finding::error(Code::NotExactlyOne, written.key("spans"), message).help(help));
        }
        Some(Box::new(Tracing {
            origin: self.reporter.sources.origin(place),
            sample: written.sample.map_or(100, |sample| sample.hundredths),
            rules: rules.iter().take(RULES).filter_map(|rule| self.sample_rule(rule)).collect(),
            errors: written.errors != Some(model::TracedErrors::Sampled),
            propagate,
            respects_parent: written.parent != Some(model::TraceParent::Ignore),
            attempts: spans(model::SpanOf::Attempt),
            handshakes: spans(model::SpanOf::Tls),
        }))
    }

    fn sample_rule(&mut self, written: &model::SampleRule) -> Option<SampleRule> {
        let when = written.when.as_ref()?;
        let scope = Scope { tcp: false, response: false, condition: true, captures: None, record: false };
        let expression = self.condition_text(when, scope)?;
        let origin = self.reporter.sources.origin(when.place);
        let condition = Condition { expression, written: when.text.trim().into(), origin };
        Some(SampleRule { condition, share: written.sample?.hundredths })
    }

    /// How requests get names, in all files together.
    pub(super) fn request_ids(&mut self, files: &[(Configuration, PathBuf)]) -> Option<Box<RequestIds>> {
        let (file, _, place) = self.only(files, "request_id")?;
        let written = file.request_id.as_ref()?;
        let header = match &written.header {
            None => "x-request-id".into(),
            Some(name) if is_token(&name.text) && !is_taken(&name.text) => {
                name.text.to_ascii_lowercase().into()
            }
            Some(name) => {
                let message = format!("`{}` is no field for a request id", name.text);
                let help = "`x-request-id` is what most programs know";
                self.reporter.report(Finding::error(Code::UnknownValue, name.place, message).help(help));
                return None;
            }
        };
        let trust = match &written.trust {
            None => Trust::Proxies,
            Some(OneOrMany(words)) => self.trust(words.as_slice())?,
        };
        Some(Box::new(RequestIds {
            origin: self.reporter.sources.origin(place),
            header,
            trust,
            respond: written.respond.is_none_or(|flag| flag.0),
        }))
    }

    fn trust(&mut self, words: &[Text]) -> Option<Trust> {
        match words {
            [word] if word.text == "true" => Some(Trust::Everybody),
            [word] if word.text == "false" => Some(Trust::Nobody),
            words => self.networks(words).map(Trust::Networks),
        }
    }

    /// The one file that has a key of the whole configuration; a second one is reported.
    fn only<'f>(
        &mut self,
        files: &'f [(Configuration, PathBuf)],
        key: &str,
    ) -> Option<(&'f Configuration, &'f PathBuf, Place)> {
        let mut having = files.iter().filter(|(file, _)| file.has(key));
        let (first, folder) = having.next()?;
        for (file, _) in having {
            let message = format!("`{key}` is written in two files");
            let finding = Finding::error(Code::DuplicateName, file.key(key), message);
            self.reporter.report(finding.label(first.key(key), "first here"));
        }
        Some((first, folder, first.key(key)))
    }
}

fn propagation(written: model::Propagation) -> Propagation {
    match written {
        model::Propagation::W3c => Propagation::W3c,
        model::Propagation::B3 => Propagation::B3,
        model::Propagation::B3Multi => Propagation::B3Multi,
    }
}

fn is_taken(name: &str) -> bool {
    TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(name))
}
