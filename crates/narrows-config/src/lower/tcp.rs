//! Tcp listeners, and the routes of layer 4.

use super::Lowering;
use super::listener::override_with;
use super::route::Matched;
use crate::code::Code;
use crate::model::{self, Protocol};
use crate::tree::Text;
use narrows_plan::{Expression, Fact, RouteTable, TcpListener, TcpRoute};

/// Keys of a route that layer 4 knows.
const FLOW_KEYS: [&str; 6] = ["name", "sni", "alpn", "source", "when", "upstream"];

/// The routes of a listener of layer 4.
pub(super) struct FlowRoutes {
    pub(super) table: RouteTable,
    pub(super) routes: Vec<TcpRoute>,
    /// Whether one of them asks for what only a client hello says.
    pub(super) peeks: bool,
}

impl Lowering<'_> {
    pub(super) fn tcp(&mut self, name: &Text, written: &model::Listener) -> TcpListener {
        let mut listener = TcpListener::default();
        if let Some(timeouts) = &written.timeouts {
            override_with(&mut listener.timeouts.connect, timeouts.connect);
            override_with(&mut listener.timeouts.idle, timeouts.idle);
            override_with(&mut listener.timeouts.peek, timeouts.peek);
        }
        let FlowRoutes { table, routes, peeks } = self.flow_routes(name, written, Protocol::Tcp);
        (listener.table, listener.routes, listener.peeks) = (table, routes, peeks);
        listener.fallback = written.upstream.as_ref().and_then(|upstream| self.upstream_named(upstream));
        listener
    }

    pub(super) fn flow_routes(
        &mut self,
        name: &Text,
        written: &model::Listener,
        protocol: Protocol,
    ) -> FlowRoutes {
        let (mut matched, mut routes) = (Vec::new(), Vec::new());
        for (index, route) in written.routes.iter().flat_map(|routes| &routes.0).enumerate() {
            for (key, place) in route.keys.iter().filter(|(key, _)| !FLOW_KEYS.contains(key)) {
                self.refuse_key(key, *place, &[Protocol::Http], protocol);
            }
            let names = route.sni.iter().flat_map(|names| &names.0);
            let hosts = names.filter_map(|name| self.host_pattern(name, Code::BadServerName)).collect();
            let conditions = self.conditions(route, true);
            if self.one_action(&route.keys, route.place, protocol).is_none() {
                continue;
            }
            let Some(upstream) = route.upstream.as_ref().and_then(|name| self.upstream_named(name)) else {
                continue;
            };
            let route_name = match &route.name {
                Some(name) => name.text.as_str().into(),
                None => format!("{}[{index}]", name.text).into(),
            };
            let origin = self.reporter.sources.origin(route.place);
            let place = route.place.first_line(&self.reporter.sources);
            matched.push(Matched { hosts, paths: Vec::new(), conditions, place });
            routes.push(TcpRoute { name: route_name, origin, upstream });
        }
        let (rules, owners) = self.ranked(matched);
        let asks_hello =
            |expression: &Expression| matches!(expression, Expression::Fact(Fact::ServerName | Fact::Alpn));
        let peeks = rules.iter().any(|rule| {
            !rule.hosts.is_empty() || rule.conditions.iter().any(|one| one.expression.any(&asks_hello))
        });
        let routes = owners.iter().map(|owner| routes[*owner].clone()).collect();
        FlowRoutes { table: self.table(name, rules), routes, peeks }
    }
}
