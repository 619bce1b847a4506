//! How an upstream chooses among its endpoints.

use super::Lowering;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::expression::Scope;
use crate::model::{self, Upstream};
use crate::shape::{OrOff, Percent};
use crate::template;
use crate::tree::Text;
use narrows_plan::{Address, Balance, Balancing, Template};

/// An upstream does not know which route was taken, and chooses before there is an answer.
pub(super) const REQUEST: Scope<'static> =
    Scope { tcp: false, response: false, record: false, condition: false, captures: None };

/// The methods that take the same endpoint for the same key.
const HASH_METHODS: &str = "`hash`, `consistent-hash`, `ketama` or `maglev`";

impl Lowering<'_> {
    pub(super) fn balancing(&mut self, written: &Upstream, upstream: &narrows_plan::Upstream) -> Balancing {
        let method = match written.balance {
            None | Some(model::Balance::RoundRobin) => Balance::RoundRobin,
            Some(model::Balance::LeastRequest) => Balance::LeastRequest,
            Some(model::Balance::LeastConnections) => Balance::LeastConnections,
            Some(model::Balance::Random) => Balance::Random,
            Some(model::Balance::PeakEwma) => Balance::PeakEwma,
            Some(model::Balance::Hash) => Balance::Hash,
            Some(model::Balance::ConsistentHash) => Balance::ConsistentHash,
            Some(model::Balance::Ketama) => Balance::Ketama,
            Some(model::Balance::Maglev) => Balance::Maglev,
        };
        let is_known = written.balance.is_some() || !written.has("balance");
        if is_known && !method.is_hash() {
            for key in ["hash_key", "hash_bound"].into_iter().filter(|key| written.has(key)) {
                let message = format!("`{key}` has no effect: `{}` does not hash", method.name());
                let mut finding = Finding::error(Code::NoEffect, written.key(key), message);
                if written.has("balance") {
                    finding = finding.label(written.key("balance"), "the method is here");
                }
                self.reporter.report(
                    finding.help(format!("write `balance: consistent-hash`; {HASH_METHODS} take a key")),
                );
            }
        }
        if method.is_hash() && matches!(written.slow_start, Some(OrOff::On(_))) {
            let message = format!("`slow_start` has no effect: with `{}` the key decides", method.name());
            let finding = Finding::error(Code::NoEffect, written.key("slow_start"), message);
            self.reporter
                .report(finding.label(written.key("balance"), "the method is here").help("remove it"));
        }
        let key = written.hash_key.as_ref().and_then(|key| self.client_key(key));
        self.warn_single_tier(written, upstream);
        let percent = |written: Option<OrOff<Percent<100, 1000>>>| {
            written.and_then(OrOff::on).map(|Percent(percent)| percent)
        };
        Balancing {
            method,
            key,
            bound: percent(written.hash_bound),
            overflow: percent(written.overflow),
            panic: written.panic.and_then(OrOff::on).map_or(0, |Percent(percent)| percent),
            prefers_zone: written.prefer_zone.is_some_and(|flag| flag.0),
        }
    }

    /// `overflow` goes from tier to tier, and there may be only one.
    fn warn_single_tier(&mut self, written: &Upstream, upstream: &narrows_plan::Upstream) {
        let endpoints = &upstream.endpoints;
        let is_open = written.has("endpoint_file")
            || endpoints.iter().any(|endpoint| matches!(endpoint.address, Address::Service(_)));
        let Some(first) = endpoints.first() else { return };
        if !is_open
            && matches!(written.overflow, Some(OrOff::On(_)))
            && endpoints.iter().all(|endpoint| endpoint.priority == first.priority)
        {
            let message = "there is no other tier that anything could go to";
            let help = "give an endpoint `backup: true` or a `priority`";
            let finding = Finding::warning(Code::NoEffect, written.key("overflow"), message);
            self.reporter.defer(finding.help(help));
        }
    }

    /// A template that tells clients apart; `source`, the client's address, is none.
    pub(super) fn client_key(&mut self, text: &Text) -> Option<Template> {
        if text.text == "source" {
            return None;
        }
        let template = self.upstream_template(text, REQUEST)?;
        self.refuse_constant(text, &template).then_some(template)
    }

    /// Refuses a key that is the same for everybody.
    pub(super) fn refuse_constant(&mut self, text: &Text, template: &Template) -> bool {
        if template.as_literal().is_none() {
            return true;
        }
        let message = "this text is the same for all clients";
        let is_name = ["request.", "response.", "connection.", "tls.", "proxy_protocol."]
            .iter()
            .any(|space| text.text.starts_with(space));
        let help = if is_name {
            format!("expressions stand in braces: `${{{}}}`", text.text)
        } else {
            "write a template: `${request.headers[\"x-user\"]}`, `${request.cookies[\"session\"]}`".to_owned()
        };
        let place = text.place.first_line(&self.reporter.sources);
        self.reporter.report(Finding::error(Code::ConstantKey, place, message).help(help));
        false
    }

    /// A template of an upstream.
    pub(super) fn upstream_template(&mut self, text: &Text, scope: Scope<'_>) -> Option<Template> {
        match template::parse(&text.text, scope) {
            Ok(template) => Some(template),
            Err(mut problems) => {
                for problem in problems.iter_mut().filter(|problem| problem.code == Code::NoSuchCapture) {
                    problem.message = "an upstream has no `captures`: it does not know the route".into();
                    problem.help = Some("ask for the path itself: `request.path`".into());
                }
                self.report_problems(text, problems);
                None
            }
        }
    }
}
