//! What stays the same over all attempts of a request.

use crate::downstream::Timing;
use crate::explain::Trail;
use crate::flow::Recode;
use crate::generation::Generation;
use crate::outgoing::{ResponseHeadOptions, write_response_head};
use crate::request::Request;
use crate::wants::Wants;
use crate::worker::Worker;
use narrows_plan::{HttpListener, RetryPolicy, Route};
use narrows_upstream::Cluster;
use narrows_wire::http1::ResponseHead;

/// What stays the same over all attempts.
pub(crate) struct Forwarding<'a, 'r> {
    /// Where somebody wants it explained.
    pub(crate) trail: Option<&'r Trail>,
    pub(crate) worker: &'a Worker,
    /// The configuration that the request began with.
    pub(crate) generation: &'a Generation,
    pub(crate) listener: &'a HttpListener,
    pub(crate) route: &'a Route,
    /// Length of the path prefix that the rule matched.
    pub(crate) matched_prefix: Option<usize>,
    pub(crate) request: &'r Request<'r>,
    pub(crate) cluster: &'a Cluster,
    /// What every attempt wants of its endpoint.
    pub(crate) wants: &'r Wants<'r>,
    /// When it is sent again.
    pub(crate) policy: &'a RetryPolicy,
    pub(crate) timing: &'r Timing,
    /// Whether the connection ends behind this exchange in any case.
    pub(crate) last: bool,
}

impl Forwarding<'_, '_> {
    /// Appends the head of a response, whose bytes are `bytes`, as it goes to the client.
    pub(super) fn write_head(
        &self,
        bytes: &[u8],
        response: &ResponseHead,
        recode: Recode,
        keep_alive: bool,
        out: &mut Vec<u8>,
    ) {
        let from = out.len();
        let date = self.worker.date();
        let options = ResponseHeadOptions {
            recode,
            keep_alive,
            date: &date,
            edits: &self.route.response_edits,
            cookie: self.wants.cookie(),
        };
        write_response_head(self.request, bytes, response, self.listener, &options, out);
        if let Some(trail) = self.trail.filter(|_| response.status >= 200 || response.upgrade) {
            trail.answers(&bytes[..response.length], out, from);
        }
    }
}
