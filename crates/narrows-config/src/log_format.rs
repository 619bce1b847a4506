//! Formats of access logs to their compiled form: those of nginx and HAProxy, and the ones that have a name.
//!
//! Pure functions from text to parts, for the native language and for the dialects.

mod haproxy;
mod nginx;

use crate::expression::{Problem, Scope};
use crate::template;
use narrows_plan::{LogEscape, LogField, LogPart, LogParts, Part};

pub(crate) use haproxy::haproxy;
pub(crate) use nginx::nginx;

/// The combined format of Apache and nginx.
pub(crate) const COMBINED: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status \
     $body_bytes_sent \"$http_referer\" \"$http_user_agent\"";
/// The common format.
pub(crate) const COMMON: &str =
    "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent";
/// `option httplog`.
pub(crate) const HAPROXY_HTTP: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc \
     %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r";
/// `option httpslog`.
pub(crate) const HAPROXY_HTTPS: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc \
     %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/\
     %[ssl_fc_is_resumed] %[ssl_fc_sni]/%sslv/%sslc";
/// `option tcplog`.
pub(crate) const HAPROXY_TCP: &str = "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq";

/// Names that are followed by another name, and the field that this one makes.
type Family = (&'static str, fn(&str) -> LogField);

/// Most pieces of a format.
const MAXIMUM_PARTS: usize = 4096;

/// What a format of our own builds: texts with expressions of the record inside.
pub(crate) fn template(text: &str) -> Result<LogParts, Vec<Problem>> {
    let scope = Scope { tcp: false, response: true, record: true, condition: false, captures: None };
    let parts = template::parse(text, scope)?.parts.into_iter().map(|part| match part {
        Part::Text(text) => LogPart::Text(one_line(&text)),
        Part::Expression(expression) => LogPart::Field(LogField::Expression(expression)),
    });
    Ok(LogParts { parts: parts.collect(), escape: LogEscape::Template })
}

/// A record is one line: breaks that the operator wrote become spaces.
fn one_line(text: &str) -> Box<str> {
    text.replace(['\n', '\r'], " ").into()
}

/// Collects the pieces of a format.
#[derive(Default)]
struct Pieces {
    parts: Vec<LogPart>,
    text: String,
    problems: Vec<Problem>,
}

impl Pieces {
    fn push(&mut self, part: LogPart) {
        if !self.text.is_empty() {
            self.parts.push(LogPart::Text(one_line(&std::mem::take(&mut self.text))));
        }
        self.parts.push(part);
    }

    fn finish(mut self, escape: LogEscape) -> Result<LogParts, Vec<Problem>> {
        if !self.text.is_empty() {
            self.parts.push(LogPart::Text(one_line(&self.text)));
        }
        if self.parts.len() > MAXIMUM_PARTS {
            let message = format!("this format holds more than {MAXIMUM_PARTS} parts");
            self.problems.push(Problem::new(crate::code::Code::ExpressionTooLarge, 0..0, message));
        }
        match self.problems.is_empty() {
            true => Ok(LogParts { parts: self.parts.into(), escape }),
            false => Err(self.problems),
        }
    }
}

#[cfg(test)]
mod tests;
