//! Routes as they are written.

use super::keys::{Any, HeaderName, Label, StatusKey};
use super::listener::ErrorPage;
use super::retries::Retries;
use crate::code::Code;
use crate::diagnostic::{Finding, Reporter};
use crate::shape::{
    Duration, Flag, Integer, Map, Number, OPTIONAL, OneOrMany, OrOff, OrTable, Plain, Portion, REQUIRED,
    Shape, Size, TextOr, inline_name, otherwise, table, wrong_kind,
};
use crate::tree::{Node, Text};
use narrows_plan::defaults;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

table! {
    /// A rule: conditions that must all hold, and one action. The keys `sni` and `alpn` are for tcp listeners and for udp
    /// listeners with `quic`, which know only them, `name`, `source`, `when` and `upstream`.
    Route {
        /// A name for logs, metrics and `narrows explain`.
        name: Text = otherwise("`<listener>[<index>]`"),
        /// Condition, http: the host of the request: `api.example.com`, or `*.example.com` for every host below.
        host: OneOrMany<Text> = otherwise("any host"),
        /// Condition, http: the path: `/a` is exact, `/a/*` is a prefix at segment borders (`/a`, `/a/`, `/a/b`); any
        /// other `*`, `**` or `?` makes a glob (`*` and `?` within a segment, `**` across segments).
        path: OneOrMany<TextOr<PathTable>> = otherwise("any path"),
        /// Condition, http: one of these methods.
        method: OneOrMany<Text> = otherwise("any method"),
        /// Condition, http: request headers by name. A text must be equal.
        headers: Map<HeaderName, TextOr<Matcher>> = OPTIONAL,
        /// Condition, http: cookies by name.
        cookies: Map<Any, TextOr<Matcher>> = OPTIONAL,
        /// Condition, http: query parameters by name, decoded.
        query: Map<Any, TextOr<Matcher>> = OPTIONAL,
        /// Condition, tcp and quic: the TLS server name: `db.example.com` or `*.example.com`.
        sni: OneOrMany<Text> = OPTIONAL,
        /// Condition, tcp and quic: one of these application protocols is offered in the TLS client hello.
        alpn: OneOrMany<Text> = OPTIONAL,
        /// Condition: the client's address lies in one of these blocks (CIDR), for http after `trusted_proxies`.
        source: OneOrMany<Text> = OPTIONAL,
        /// Condition: an expression that must be true, see routing.md.
        when: Text = OPTIONAL,
        /// Action: forward to this upstream.
        upstream: Text = OPTIONAL,
        /// Action, http: forward to one of several upstreams, by weight.
        split: Plain<Share> = OPTIONAL,
        /// Action, http: answer.
        respond: Respond = OPTIONAL,
        /// Action, http: send the client elsewhere.
        redirect: Redirect = OPTIONAL,
        /// Action, http: tell the state of all `upstreams`, in JSON.
        status: StatusOf = OPTIONAL,
        /// http: another path or host for the upstream.
        rewrite: Rewrite = OPTIONAL,
        /// http: header changes on the way to the upstream.
        request_headers: HeaderEdits = OPTIONAL,
        /// http: header changes on the way to the client.
        response_headers: HeaderEdits = OPTIONAL,
        /// http: pages for errors that the proxy makes, asked before the listener's.
        error_pages: Map<StatusKey, ErrorPage> = OPTIONAL,
        /// http: deadlines in place of the listener's.
        timeouts: RouteTimeouts = otherwise("the listener's"),
        /// http: limits in place of the listener's.
        limits: RouteLimits = otherwise("the listener's"),
        /// http: when a request is sent again: a number of further attempts, or a table. It takes the place of the upstream's as a whole.
        retries: OrTable<OrOff<Number<0, 100>>, Retries> = otherwise("the upstream's"),
        /// http: labels that the endpoint must have, and the values that it must have there; the values are templates. When no
        /// endpoint has them, the answer is 503.
        subset: Map<Label, Text> = OPTIONAL,
        /// http: what goes first in a queue of the upstream: lower first.
        priority: Integer<-100, 100> = "0",
        /// http: upstreams that get a copy of requests; their answers are thrown away.
        mirror: OneOrMany<TextOr<Mirror>> = OPTIONAL,
    }
}

table! {
    /// An upstream that gets a copy of requests.
    Mirror {
        /// Its name.
        upstream: Text = REQUIRED,
        /// How many requests are copied.
        share: Portion = "100%",
        /// A request with a larger body is not copied. At most 16 MiB.
        body: Size = super::size(defaults::MIRROR_BYTES as u64),
        /// Copies that run at one time, for each worker; what is over that is not copied.
        running: Number<1, 1_000_000> = defaults::MIRROR_RUNNING.to_string(),
        /// How long the answer is waited for.
        timeout: Duration = super::time(defaults::MIRROR_TIMEOUT),
    }
}

/// What a status page tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StatusOf;

impl Shape for StatusOf {
    fn decode(node: &Node, reporter: &mut Reporter) -> Option<Self> {
        let Some(text) = node.as_text() else {
            wrong_kind(node, "the word `upstreams`", reporter);
            return None;
        };
        if text.text == "upstreams" {
            return Some(StatusOf);
        }
        let help = match text.text.parse::<u16>() {
            Ok(status) => format!("to answer with a status, write `respond: {{ status: {status} }}`"),
            Err(_) => "write `status: upstreams`".to_owned(),
        };
        let message = format!("`{}` may not stand here", text.text);
        reporter.report(Finding::error(Code::UnknownValue, node.place, message).help(help));
        None
    }

    fn written() -> String {
        "`upstreams`".into()
    }
}

impl JsonSchema for StatusOf {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        inline_name("StatusOf")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "const": "upstreams" })
    }
}

table! {
    /// A path pattern of a kind that is said: exactly one key.
    PathTable {
        /// This path.
        exact: Text = OPTIONAL,
        /// This path and everything below it.
        prefix: Text = OPTIONAL,
        /// A glob.
        glob: Text = OPTIONAL,
        /// A regular expression, found anywhere unless it has `^` and `$`. Its groups can be used as `captures`.
        regex: Text = OPTIONAL,
    }
}

table! {
    /// A test of a header, cookie or query parameter: exactly one key.
    Matcher {
        /// Equal.
        exact: Text = OPTIONAL,
        /// Begins with.
        prefix: Text = OPTIONAL,
        /// Contains.
        contains: Text = OPTIONAL,
        /// A regular expression, found anywhere unless it has `^` and `$`.
        regex: Text = OPTIONAL,
        /// Whether it is there at all.
        present: Flag = OPTIONAL,
    }
}

table! {
    /// One upstream of a split.
    Share {
        /// Its name.
        upstream: Text = REQUIRED,
        /// Its share relative to the others; 0 takes nothing.
        weight: Number<0, 1_000_000> = "1",
    }
}

table! {
    /// An answer that the proxy gives itself.
    Respond {
        /// The status, from 200 to 599.
        status: Number<200, 599> = "200",
        /// A template for the body.
        body: Text = otherwise("nothing"),
        /// The type of the body.
        content_type: Text = "text/plain; charset=utf-8",
    }
}

table! {
    /// A redirection.
    Redirect {
        /// A template for the `Location` header.
        to: Text = REQUIRED,
        /// 301, 302, 303, 307 or 308.
        status: Number<301, 308> = "308",
    }
}

table! {
    /// What the upstream sees instead of what the client asked for.
    Rewrite {
        /// A template for the whole path; the query stays.
        path: Text = OPTIONAL,
        /// A path that takes the place of the matched prefix; what follows it stays.
        prefix: Text = OPTIONAL,
        /// A template for the `Host` header.
        host: Text = OPTIONAL,
    }
}

table! {
    /// Header changes. First `remove`, then `set`, then `add`.
    HeaderEdits {
        /// Replaces all fields of a name by one; the value is a template.
        set: Map<HeaderName, Text> = OPTIONAL,
        /// Appends a field; the value is a template.
        add: Map<HeaderName, Text> = OPTIONAL,
        /// Removes all fields of a name.
        remove: OneOrMany<Text> = OPTIONAL,
    }
}

table! {
    /// Deadlines of a route; each is the listener's when it is absent.
    RouteTimeouts {
        /// To connect to an endpoint.
        connect: OrOff<Duration> = OPTIONAL,
        /// From the end of a request to the head of its response.
        response_head: OrOff<Duration> = OPTIONAL,
        /// Between two reads of a response body.
        response_idle: OrOff<Duration> = OPTIONAL,
        /// From the request head to the last byte of the answer.
        request: OrOff<Duration> = OPTIONAL,
        /// A tunnel (an upgraded connection) on which nothing moves.
        tunnel_idle: OrOff<Duration> = OPTIONAL,
    }
}

table! {
    /// Limits of a route.
    RouteLimits {
        /// Bytes of a request body.
        body: OrOff<Size> = OPTIONAL,
    }
}
