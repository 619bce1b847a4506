//! What happens to a request that a rule took.

use crate::{ErrorPages, HttpTimeouts, Origin, Pattern, RetryPolicy, Template, UpstreamId};
use serde::Serialize;
use std::time::Duration;

/// One route of an HTTP listener: conditions stand in the listener's [`RouteTable`](crate::RouteTable) under the same
/// index, this is what is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Stable name.
    pub name: Box<str>,
    /// Where it was written.
    pub origin: Origin,
    /// The end of the way.
    pub action: Action,
    /// Applied to the request head before it is sent upstream, in order.
    pub request_edits: Vec<HeaderEdit>,
    /// Applied to the response head before it is sent downstream, in order.
    pub response_edits: Vec<HeaderEdit>,
    /// New path for the upstream.
    pub path_rewrite: Option<PathRewrite>,
    /// New `Host` for the upstream.
    pub host_rewrite: Option<Template>,
    /// The pattern whose groups `captures` reads: the rule's regular expression on the path.
    pub captures: Option<Pattern>,
    /// Pages for errors, the listener's included.
    pub error_pages: ErrorPages,
    /// Deadlines, the listener's where the route names none.
    pub timeouts: HttpTimeouts,
    /// Largest request body, bytes; `None` is unlimited.
    pub body_limit: Option<u64>,
    /// When a request is sent again, in place of the upstream's rules.
    pub retry: Option<Box<RetryPolicy>>,
    /// Labels that the endpoint must have, and the values that it must have there. Empty asks for none.
    pub subset: Vec<(Box<str>, Template)>,
    /// What goes before in a queue: lower first, 0 is usual.
    pub queue_priority: i32,
    /// Upstreams that get a copy of requests.
    pub mirrors: Vec<Mirror>,
}

/// An upstream that gets a copy of requests; its answers are thrown away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mirror {
    /// The upstream.
    pub upstream: UpstreamId,
    /// How many requests are copied, of 10,000.
    pub share: u32,
    /// A request with a larger body is not copied, bytes.
    pub body: usize,
    /// Copies that run at one time, per worker; what is over that is not copied.
    pub running: u32,
    /// How long the answer is waited for.
    pub timeout: Duration,
}

/// The end of a route.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Forward to an upstream.
    Upstream(UpstreamId),
    /// Forward to one of several, by weight.
    Split(Split),
    /// Answer.
    Respond(FixedResponse),
    /// Send the client elsewhere.
    Redirect(Redirect),
    /// Tell the state of all upstreams, in JSON.
    Status,
}

/// Upstreams that share a route by weight.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Split {
    /// Upstream and weight; at least one weight is above 0.
    pub shares: Vec<(UpstreamId, u32)>,
    /// Sum of the weights.
    pub total: u32,
}

impl Split {
    /// The upstream for `point`, any number; equal points go to the same upstream.
    pub fn choose(&self, point: u32) -> UpstreamId {
        let mut rest = point % self.total.max(1);
        for &(upstream, weight) in &self.shares {
            if rest < weight {
                return upstream;
            }
            rest -= weight;
        }
        self.shares[0].0
    }
}

/// An answer that the proxy gives itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FixedResponse {
    /// Status code, 200 to 599.
    pub status: u16,
    /// The body.
    pub body: Template,
    /// Its type.
    pub content_type: Box<str>,
}

/// A redirection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Redirect {
    /// Value of `Location`.
    pub to: Template,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// One change of a head.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeaderEdit {
    /// Replaces all fields of that name by one.
    Set(Box<str>, Template),
    /// Appends one more field.
    Add(Box<str>, Template),
    /// Removes all fields of that name.
    Remove(Box<str>),
}

impl HeaderEdit {
    /// The field's name, as written.
    pub fn name(&self) -> &str {
        match self {
            HeaderEdit::Set(name, _) | HeaderEdit::Add(name, _) | HeaderEdit::Remove(name) => name,
        }
    }
}

/// How the path changes on its way upstream. The query stays.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathRewrite {
    /// The whole path.
    Whole(Template),
    /// Only the prefix that the rule matched; what follows it stays.
    Prefix(Box<str>),
}
