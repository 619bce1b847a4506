//! Endpoints as they are written, in an upstream or in a file of their own.

use super::keys::Label;
use crate::shape::{Flag, Map, Number, OPTIONAL, OneOrMany, TextOr, choice, otherwise, table};
use crate::tree::Text;

/// The endpoints of an upstream.
pub(crate) type Endpoints = OneOrMany<TextOr<Endpoint>>;

table! {
    /// A server, or the servers of a name or a service, with what is known of them. Exactly one of `address` and `service`.
    Endpoint {
        /// `address:port`, `name:port` or `unix:/path`. The addresses of a name are endpoints of their own.
        address: Text = OPTIONAL,
        /// The name of a service (DNS SRV, RFC 2782), `_http._tcp.app.internal`: its records say hosts, ports, weights and
        /// priorities.
        service: Text = OPTIONAL,
        /// Share of the traffic relative to the others; 0 gets only what sticks to it. For a service, in proportion to the
        /// weights of its records.
        weight: Number<0, 65_535> = "1",
        /// Whether the others go first: the same as `priority: 1`.
        backup: Flag = "false",
        /// The tier: endpoints of the next one are used when those of the one before are unavailable. For a service, added to
        /// the priorities of its records, which are counted from 0 in their order.
        priority: Number<0, 255> = "0",
        /// Where it stands; see `prefer_zone`.
        zone: Text = OPTIONAL,
        /// What routes may ask for with `subset`, by name.
        labels: Map<Label, Text> = OPTIONAL,
        /// What it is meant to do: `ready` serves, `drain` serves only what sticks to it or runs there, `maintenance` serves
        /// nothing new and is not checked.
        state: AdminState = "ready",
        /// Most open connections, over all workers.
        connections: Number<1, 4_294_967_295> = otherwise("the upstream's `limits.connections`"),
        /// Most running requests (tcp: flows, udp: sessions), over all workers.
        requests: Number<1, 4_294_967_295> = otherwise("the upstream's `limits.requests`"),
    }
}

choice! {
    /// What an endpoint is meant to do, whatever its health.
    AdminState {
        /// To serve.
        Ready = "ready",
        /// To serve what is there already.
        Drain = "drain",
        /// To serve nothing new.
        Maintenance = "maintenance",
    }
}
