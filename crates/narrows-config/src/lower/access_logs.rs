//! Access logs: where they go, formats compiled, conditions checked.

use super::Lowering;
use super::addresses::read_endpoint;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::expression::{Problem, Scope};
use crate::log_format::{self, COMBINED, COMMON, HAPROXY_HTTP, HAPROXY_HTTPS, HAPROXY_TCP};
use crate::model::{self, Escape, FormatTable, LogDestination};
use crate::shape::{OneOrMany, OrTable, TextOr};
use crate::tree::Text;
use narrows_plan::{AccessLog, LogEscape, LogFormat, LogParts, LogTarget, Rotation, Syslog, SyslogAddress};
use std::path::PathBuf;

/// What a log is told in, as it is written.
type Written = OrTable<model::LogFormat, FormatTable>;

impl Lowering<'_> {
    /// The access logs, each in its own format or in the usual one.
    pub(super) fn access_logs(
        &mut self,
        written: &OneOrMany<TextOr<model::AccessLog>>,
        usual: Option<&Written>,
    ) -> Vec<AccessLog> {
        let usual = usual.map_or(Some(LogFormat::Text), |format| self.log_format(format));
        let is_one = written.0.len() == 1;
        let mut logs = Vec::new();
        for log in &written.0 {
            let (target, format, when, sample) = match log {
                TextOr::Short(word) if word.text == "off" && is_one => continue,
                TextOr::Short(word) if word.text == "off" => {
                    let message = "`off` stands alone";
                    self.reporter.report(Finding::error(Code::UnknownValue, word.place, message));
                    continue;
                }
                TextOr::Short(word) => (self.log_target(word), usual.clone(), None, AccessLog::ALL),
                TextOr::Long(table) => {
                    let target = match &table.to {
                        Some(TextOr::Short(word)) => self.log_target(word),
                        Some(TextOr::Long(table)) => self.log_destination(table),
                        None => None,
                    };
                    let format = match &table.format {
                        Some(format) => self.log_format(format),
                        None => usual.clone(),
                    };
                    let scope =
                        Scope { tcp: false, response: true, record: true, condition: true, captures: None };
                    let when = table.when.as_ref().and_then(|when| self.condition_text(when, scope));
                    let sample = table.sample.map_or(AccessLog::ALL, |portion| portion.hundredths);
                    (target, format, when, sample)
                }
            };
            if let (Some(to), Some(format)) = (target, format) {
                logs.push(AccessLog { to, format, when, sample });
            }
        }
        logs
    }

    /// A destination that is one word.
    fn log_target(&mut self, word: &Text) -> Option<LogTarget> {
        Some(match word.text.as_str() {
            "stdout" => LogTarget::Stdout,
            "stderr" => LogTarget::Stderr,
            "otlp" => LogTarget::Otlp,
            text if text.starts_with("udp://") || text.starts_with("tcp://") || text.starts_with("unix:") => {
                let message = "a syslog server is written in a table";
                let help = format!("write `to: {{ syslog: \"{text}\" }}`");
                self.reporter.report(Finding::error(Code::WrongKind, word.place, message).help(help));
                return None;
            }
            "" => {
                self.reporter.report(Finding::error(
                    Code::UnknownValue,
                    word.place,
                    "this is no destination",
                ));
                return None;
            }
            path => LogTarget::File { path: PathBuf::from(path), rotation: Rotation::NEVER },
        })
    }

    fn log_destination(&mut self, table: &LogDestination) -> Option<LogTarget> {
        let kinds: Vec<_> =
            table.keys.iter().copied().filter(|(key, _)| matches!(*key, "file" | "syslog")).collect();
        self.exactly_one(&kinds, table.place, "a destination")?;
        let (of_file, of_syslog) = (["rotate"], ["facility", "severity", "app"]);
        let useless: &[&str] = if table.file.is_some() { &of_syslog } else { &of_file };
        for (key, place) in table.keys.iter().filter(|(key, _)| useless.contains(key)) {
            let message = format!("`{key}` has no effect here");
            self.reporter.report(Finding::warning(Code::NoEffect, *place, message));
        }
        if let Some(file) = &table.file {
            let mut rotation = Rotation::NEVER;
            if let Some(rotate) = &table.rotate {
                rotation.size = rotate.size.map(|size| size.bytes.max(1));
                rotation.every = rotate.every.map(|every| every.0).filter(|every| every.as_secs() > 0);
                rotation.keep = rotate.keep.map_or(rotation.keep, |keep| keep.number as u32);
                if rotation.size.is_none() && rotation.every.is_none() {
                    let message = "this never rotates: neither `size` nor `every` is there";
                    let place = rotate.place.first_line(&self.reporter.sources);
                    self.reporter.report(Finding::warning(Code::NoEffect, place, message));
                }
            }
            return Some(LogTarget::File { path: PathBuf::from(&file.text), rotation });
        }
        let app = table.app.as_ref().map_or("narrows", |app| &app.text);
        if let Some(written) = &table.app
            && (app.is_empty() || app.len() > 48 || !app.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            let message = "a name in syslog has 1 to 48 visible ASCII letters";
            self.reporter.report(Finding::error(Code::BadName, written.place, message));
        }
        Some(LogTarget::Syslog(Syslog {
            to: self.syslog_address(table.syslog.as_ref()?)?,
            facility: table.facility.map_or(16, |facility| facility as u8),
            severity: table.severity.map_or(6, |severity| severity as u8),
            app: app.into(),
        }))
    }

    fn syslog_address(&mut self, written: &Text) -> Option<SyslogAddress> {
        let text = written.text.as_str();
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Some(SyslogAddress::Unix(PathBuf::from(path)));
        }
        let (make, rest): (fn(Box<str>) -> SyslogAddress, &str) = match text.split_once("://") {
            Some(("udp", rest)) => (SyslogAddress::Udp, rest),
            Some(("tcp", rest)) => (SyslogAddress::Tcp, rest),
            _ => {
                let message = format!("`{text}` is not the address of a syslog server");
                let help = "write `udp://HOST:514`, `tcp://HOST:514` or `unix:/dev/log`";
                self.reporter.report(Finding::error(Code::BadAddress, written.place, message).help(help));
                return None;
            }
        };
        match !rest.starts_with("unix:") && read_endpoint(rest).is_ok() {
            true => Some(make(rest.into())),
            false => {
                let message = format!("`{rest}` is not a host with its port");
                let help = "the usual port is 514";
                self.reporter.report(Finding::error(Code::BadAddress, written.place, message).help(help));
                None
            }
        }
    }

    fn log_format(&mut self, written: &Written) -> Option<LogFormat> {
        let table = match written {
            OrTable::Short(word) => return Some(named(*word)),
            OrTable::Long(table) => table,
        };
        let kinds: Vec<_> = table.keys.iter().copied().filter(|(key, _)| *key != "escape").collect();
        self.exactly_one(&kinds, table.place, "a format")?;
        if table.nginx.is_none() && table.escape.is_some() {
            let message = "`escape` belongs to nginx's formats";
            self.reporter.report(Finding::warning(Code::NoEffect, table.key("escape"), message));
        }
        let escape = match table.escape.unwrap_or(Escape::Default) {
            Escape::Default => LogEscape::Backslash,
            Escape::Json => LogEscape::Json,
            Escape::None => LogEscape::None,
        };
        if let Some(text) = &table.nginx {
            return self.compiled(text, |text| log_format::nginx(text, escape));
        }
        match (&table.haproxy, &table.template) {
            (Some(text), _) => self.compiled(text, log_format::haproxy),
            (_, Some(text)) => self.compiled(text, log_format::template),
            (None, None) => None,
        }
    }

    fn compiled(
        &mut self,
        text: &Text,
        compile: impl FnOnce(&str) -> Result<LogParts, Vec<Problem>>,
    ) -> Option<LogFormat> {
        match compile(&text.text) {
            Ok(parts) => Some(LogFormat::Parts(parts)),
            Err(problems) => {
                self.report_problems(text, problems);
                None
            }
        }
    }
}

/// A format that has a name.
fn named(word: model::LogFormat) -> LogFormat {
    let parts = match word {
        model::LogFormat::Text => return LogFormat::Text,
        model::LogFormat::Json => return LogFormat::Json,
        model::LogFormat::Logfmt => return LogFormat::Logfmt,
        model::LogFormat::Combined => log_format::nginx(COMBINED, LogEscape::Backslash),
        model::LogFormat::Common => log_format::nginx(COMMON, LogEscape::Backslash),
        model::LogFormat::HaproxyHttp => log_format::haproxy(HAPROXY_HTTP),
        model::LogFormat::HaproxyHttps => log_format::haproxy(HAPROXY_HTTPS),
        model::LogFormat::HaproxyTcp => log_format::haproxy(HAPROXY_TCP),
    };
    // They are texts of ours, which a test compiles.
    parts.map_or(LogFormat::Text, LogFormat::Parts)
}
