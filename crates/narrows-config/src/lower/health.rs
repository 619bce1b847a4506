//! Health checks and agents: when and where they ask. What they ask stands in `check_kinds`.

use super::Lowering;
use super::upstream::short;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::model;
use crate::shape::{Percent, TextOr};
use narrows_plan::{Address, AgentCheck, CheckKind, Endpoint, HealthCheck, StartState, Upstream, defaults};

impl Lowering<'_> {
    pub(super) fn health(
        &mut self,
        written: &TextOr<model::HealthCheck>,
        upstream: &Upstream,
    ) -> Option<HealthCheck> {
        match written {
            TextOr::Short(word) => self.kind_of_word(word).map(check),
            TextOr::Long(table) => self.health_table(table, upstream),
        }
    }

    fn health_table(&mut self, table: &model::HealthCheck, upstream: &Upstream) -> Option<HealthCheck> {
        let kind = self.kind(table);
        let bare = check(CheckKind::Tls);
        let mut times = HealthCheck {
            interval: self.some_time(table.interval, table.key("interval"), bare.interval),
            timeout: self.some_time(table.timeout, table.key("timeout"), bare.timeout),
            jitter: table.jitter.map_or(bare.jitter, |Percent(percent)| percent),
            rise: table.rise.map_or(bare.rise, short),
            fall: table.fall.map_or(bare.fall, short),
            port: table.port.and_then(|port| u16::try_from(port.number).ok()),
            address: table.address.as_ref().and_then(|address| self.ip_address(address)),
            tls: table.tls.is_none_or(|flag| flag.0),
            start: match table.start {
                None | Some(model::StartState::Up) => StartState::Up,
                Some(model::StartState::Down) => StartState::Down,
                Some(model::StartState::Checked) => StartState::Checked,
            },
            ..bare
        };
        if table.fast_interval.is_some() {
            let place = table.key("fast_interval");
            times.fast_interval = Some(self.some_time(table.fast_interval, place, times.interval));
        }
        if table.slow_interval.is_some() {
            let place = table.key("slow_interval");
            times.slow_interval = Some(self.some_time(table.slow_interval, place, times.interval));
        }
        let kind = kind?;
        self.check_tls(table, &kind, upstream);
        Some(HealthCheck { kind, ..times })
    }

    /// `tls` of a check means something where the upstream has TLS and the check makes a connection.
    fn check_tls(&mut self, table: &model::HealthCheck, kind: &CheckKind, upstream: &Upstream) {
        if !table.has("tls") {
            return;
        }
        let place = table.key("tls");
        match kind {
            CheckKind::Tls => self.refuse_useless(place, "`handshake` always speaks TLS", "remove `tls`"),
            CheckKind::Udp { .. } | CheckKind::Command { .. } => {
                let message =
                    format!("`tls` has no effect: a check by `{}` makes no connection", kind.name());
                self.refuse_useless(place, message, "remove `tls`");
            }
            _ if upstream.tls.is_none() => {
                let message = "`tls` has no effect: the upstream itself has no TLS";
                self.refuse_useless(place, message, "give the upstream `tls`, or remove this");
            }
            _ => {}
        }
    }

    pub(super) fn agent(&mut self, written: &model::AgentCheck, upstream: &Upstream) -> Option<AgentCheck> {
        let is_unix = |endpoint: &Endpoint| matches!(endpoint.address, Address::Unix(_));
        if !written.has("address") && upstream.endpoints.iter().any(is_unix) {
            let message =
                "there is an endpoint at a Unix socket, and beside it no port where an agent could be";
            let help = "write the `address` of the agent; without one such endpoints have none";
            self.reporter.defer(Finding::warning(Code::NoEffect, written.place, message).help(help));
        }
        let interval = self.some_time(written.interval, written.key("interval"), defaults::CHECK_INTERVAL);
        let timeout = self.some_time(written.timeout, written.key("timeout"), defaults::CHECK_TIMEOUT);
        let address = written.address.as_ref().and_then(|address| self.ip_address(address));
        let port = written.port.and_then(|port| u16::try_from(port.number).ok())?;
        let send = written.send.as_ref().map_or("", |send| &send.text).into();
        Some(AgentCheck { port, address, send, interval, timeout })
    }
}

/// A check of which only the kind is said.
fn check(kind: CheckKind) -> HealthCheck {
    HealthCheck {
        kind,
        interval: defaults::CHECK_INTERVAL,
        fast_interval: None,
        slow_interval: None,
        jitter: defaults::CHECK_JITTER,
        timeout: defaults::CHECK_TIMEOUT,
        rise: defaults::CHECK_RISE,
        fall: defaults::CHECK_FALL,
        port: None,
        address: None,
        tls: true,
        start: StartState::default(),
    }
}
