//! Endpoints.

use super::Lowering;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::model;
use crate::shape::TextOr;
use crate::tree::Text;
use narrows_plan::{Address, AdminState, Endpoint, EndpointLimits};
use std::collections::HashMap;

impl Lowering<'_> {
    pub(super) fn endpoints(&mut self, written: &[TextOr<model::Endpoint>]) -> Vec<Endpoint> {
        let mut endpoints = Vec::new();
        let mut seen = HashMap::new();
        for endpoint in written {
            let (text, lowered) = match endpoint {
                TextOr::Short(text) => (text, self.address(text)),
                TextOr::Long(table) => {
                    let Some((text, lowered)) = self.place_of_endpoint(table) else { continue };
                    (text, lowered.map(|bare| self.described(table, bare)))
                }
            };
            let Some(endpoint) = lowered else { continue };
            if let Some(first) = seen.insert(endpoint.address.clone(), text.place) {
                let message = format!("the endpoint `{}` stands twice here", endpoint.address);
                let finding =
                    Finding::warning(Code::BoundTwice, text.place, message).label(first, "first here");
                self.reporter
                    .report(finding.help("to give it a larger share, write it once with a `weight`"));
            }
            endpoints.push(endpoint);
        }
        endpoints
    }

    fn address(&mut self, text: &Text) -> Option<Endpoint> {
        let address = self.endpoint_address(text)?;
        Some(Endpoint::new(address, self.reporter.sources.origin(text.place)))
    }

    /// The address or service of a table, with its text.
    fn place_of_endpoint<'t>(&mut self, table: &'t model::Endpoint) -> Option<(&'t Text, Option<Endpoint>)> {
        if table.has("address") && table.has("service") {
            let message = "an endpoint has either `address` or `service`";
            let finding = Finding::error(Code::NotExactlyOne, table.key("service"), message);
            self.reporter.report(finding.label(table.key("address"), "and here is `address`"));
            return None;
        }
        if let Some(text) = &table.address {
            return Some((text, self.address(text)));
        }
        if let Some(text) = &table.service {
            let name = self.service_name(text);
            let origin = self.reporter.sources.origin(text.place);
            return Some((text, name.map(|name| Endpoint::new(Address::Service(name), origin))));
        }
        if !table.has("address") && !table.has("service") {
            let place = table.place.first_line(&self.reporter.sources);
            let message = "an endpoint needs `address` or `service`";
            let help = "write `address: 10.0.0.1:8080`, or `service: _http._tcp.app.internal` for DNS SRV";
            self.reporter.report(Finding::error(Code::MissingKey, place, message).help(help));
        }
        None
    }

    fn described(&mut self, table: &model::Endpoint, bare: Endpoint) -> Endpoint {
        let short = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        if table.has("backup") && table.has("priority") {
            let message = "`backup` and `priority` both say the tier of an endpoint";
            let finding = Finding::error(Code::NotExactlyOne, table.key("priority"), message);
            let finding = finding.label(table.key("backup"), "`backup: true` is `priority: 1`");
            self.reporter.report(finding.help("keep one of them"));
        }
        let backup = u32::from(table.backup.is_some_and(|flag| flag.0));
        let mut labels: Vec<(Box<str>, Box<str>)> = Vec::new();
        for (name, value) in table.labels.iter().flat_map(|labels| &labels.entries) {
            labels.push((name.text.as_str().into(), value.text.as_str().into()));
        }
        labels.sort();
        Endpoint {
            weight: table.weight.map_or(1, |weight| short(weight.number)),
            priority: table.priority.map_or(backup, |priority| short(priority.number)),
            zone: table.zone.as_ref().map(|zone| zone.text.as_str().into()),
            labels: labels.into(),
            state: match table.state {
                None | Some(model::AdminState::Ready) => AdminState::Ready,
                Some(model::AdminState::Drain) => AdminState::Drain,
                Some(model::AdminState::Maintenance) => AdminState::Maintenance,
            },
            limits: EndpointLimits {
                connections: table.connections.map(|limit| short(limit.number)),
                requests: table.requests.map(|limit| short(limit.number)),
            },
            ..bare
        }
    }
}
