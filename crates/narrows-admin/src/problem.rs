//! What went wrong with a request, as its sender is told (RFC 9457).

use crate::operations::{Refusal, RefusalCause};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Makes the enum, its words, statuses and titles from one table.
macro_rules! causes {
    ($($(#[doc = $doc:literal])+ $name:ident $word:literal $status:literal $title:literal,)+) => {
        /// Why a request was not carried out. Programs may rely on the words.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum Cause { $($(#[doc = $doc])+ #[serde(rename = $word)] $name,)+ }

        impl Cause {
            /// Every cause.
            pub const ALL: &[Cause] = &[$(Cause::$name,)+];

            /// The stable word.
            pub fn word(self) -> &'static str {
                match self { $(Cause::$name => $word,)+ }
            }

            /// The status of the answer.
            pub fn status(self) -> u16 {
                match self { $(Cause::$name => $status,)+ }
            }

            /// What it means, in a sentence.
            pub fn title(self) -> &'static str {
                match self { $(Cause::$name => $title,)+ }
            }
        }
    };
}

causes! {
    /// The body is not what the operation needs.
    BadBody "bad_body" 400 "The body of the request is not what this operation needs.",
    /// A parameter in the path or the query cannot be read.
    BadParameter "bad_parameter" 400 "A parameter of the request cannot be read.",
    /// Nobody has said who asks.
    Unauthorized "unauthorized" 401 "The request has no valid token.",
    /// A page in a browser asks.
    ForeignOrigin "foreign_origin" 403 "Requests from web pages are refused.",
    /// There is no such path.
    UnknownPath "unknown_path" 404 "There is nothing at this path.",
    /// There is no such upstream.
    UnknownUpstream "unknown_upstream" 404 "There is no such upstream.",
    /// There is no such endpoint.
    UnknownEndpoint "unknown_endpoint" 404 "The upstream has no such endpoint.",
    /// The path has no such method.
    WrongMethod "wrong_method" 405 "This path has no such method.",
    /// The body did not come in time.
    SlowBody "slow_body" 408 "The body of the request did not arrive in time.",
    /// The order does not fit what the process is doing.
    WrongMoment "wrong_moment" 409 "The order does not fit what the process is doing.",
    /// The endpoint is there already.
    EndpointExists "endpoint_exists" 409 "The upstream has this endpoint already.",
    /// The endpoint stands in the configuration.
    ConfiguredEndpoint "configured_endpoint" 409 "The endpoint stands in the configuration, only a reload removes it.",
    /// The process cannot do it.
    Impossible "impossible" 409 "This process cannot do that.",
    /// The body is too large.
    LargeBody "large_body" 413 "The body of the request is too large.",
    /// The body is not JSON.
    NotJson "not_json" 415 "The body has to be JSON: Content-Type: application/json.",
    /// Something of the process has reached its limit.
    TooMany "too_many" 422 "A limit is reached.",
    /// The configuration cannot be served.
    BadConfiguration "bad_configuration" 422 "The configuration cannot be served, the old one stays.",
    /// It was tried and failed.
    Failed "failed" 502 "It was tried and failed.",
    /// The part of the process that knows does not answer.
    Busy "busy" 503 "The process does not answer now.",
    /// The process is not ready for traffic.
    NotReady "not_ready" 503 "The process takes no traffic.",
}

/// Why a request was not carried out (RFC 9457). Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// `urn:narrows:problem:` and the cause.
    pub r#type: String,
    /// The cause, in a sentence.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What it is about, in a sentence.
    pub detail: String,
    /// The cause, as a word that does not change.
    pub cause: Cause,
    /// The known name that an unknown one was probably meant to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Box<str>>,
    /// What is wrong with a configuration, as `narrows check --format json` prints it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<serde_json::Value>,
}

impl Problem {
    /// A problem of that cause; `detail` is a sentence about this request.
    pub(crate) fn new(cause: Cause, detail: impl Into<String>) -> Self {
        Problem {
            r#type: format!("urn:narrows:problem:{}", cause.word()),
            title: cause.title().to_owned(),
            status: cause.status(),
            detail: detail.into(),
            cause,
            nearest: None,
            diagnostics: Vec::new(),
        }
    }

    /// The name that was probably meant, among the known ones.
    pub(crate) fn near(mut self, written: &str, known: &[&str]) -> Self {
        self.nearest = narrows_config::nearest(written, known).map(Box::from);
        if let Some(near) = &self.nearest {
            self.detail.push_str(&format!("; did you mean `{near}`?"));
        }
        self
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let cause = match refusal.cause {
            RefusalCause::BadConfiguration => Cause::BadConfiguration,
            RefusalCause::Impossible => Cause::Impossible,
            RefusalCause::WrongMoment => Cause::WrongMoment,
            RefusalCause::Failed => Cause::Failed,
        };
        Problem { diagnostics: refusal.diagnostics, ..Problem::new(cause, refusal.detail) }
    }
}
