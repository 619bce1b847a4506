//! How the proxy says its endpoints are.

use std::fmt::Display;

use serde_json::Value;

use crate::deadline::{DEADLINE, holds_within, until};
use crate::narrows::Narrows;
use crate::setup::Setup;

/// A listener `status` that tells the state of all upstreams.
pub const STATUS: &str = "routes:\n  - { path: /, status: upstreams }";

impl Setup {
    /// The upstream `app` with these endpoints, checked as `health` says (the value of that key) with short times, a listener
    /// `status`, and a listener in front of it that is called like its protocol (`web` for HTTP).
    pub fn checked(protocol: &str, endpoints: &[&dyn Display], health: &str, keys: &str) -> Setup {
        let times = "interval: 100ms, timeout: 2s, rise: 2, fall: 3";
        let keys = format!("health: {{ {health}, {times} }}\n{keys}");
        let name = if protocol == "http" { "web" } else { protocol };
        Setup::new()
            .upstream_with("app", endpoints, &keys)
            .listener(name, &format!("protocol: {protocol}\nupstream: app"))
            .listener("status", STATUS)
    }
}

impl Narrows {
    /// What the listener `status` tells of an endpoint of the upstream `app`.
    #[track_caller]
    pub fn endpoint(&self, endpoint: &dyn Display) -> Value {
        let mut status = Value::Null;
        until("the status is there", || {
            let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            let answer = self.connect("status").exchange(request);
            assert_eq!(answer.status(), 200, "{}", answer.text());
            status = serde_json::from_str(&answer.text()).expect("the status is JSON");
            status["upstreams"].is_array()
        });
        let upstreams = status["upstreams"].as_array().expect("upstreams are listed");
        let app = upstreams.iter().find(|upstream| upstream["upstream"] == "app").expect("there is one");
        let endpoints = app["endpoints"].as_array().expect("endpoints are listed");
        let label = endpoint.to_string();
        let found = endpoints.iter().find(|endpoint| endpoint["endpoint"] == label.as_str());
        found.unwrap_or_else(|| panic!("{label} is not in {status:#}")).clone()
    }

    /// Waits until an endpoint of the upstream `app` is in this state, for a reason that has `reason` in it.
    #[track_caller]
    pub fn until_endpoint(&self, endpoint: &dyn Display, state: &str, reason: &str) -> Value {
        let mut seen = Value::Null;
        let comes = holds_within(2 * DEADLINE, || {
            seen = self.endpoint(endpoint);
            seen["state"] == state && seen["reason"].as_str().is_some_and(|text| text.contains(reason))
        });
        assert!(comes, "{endpoint} is never {state} ({reason}): {seen:#}\n{}", self.output());
        seen
    }

    /// Waits until an endpoint of the upstream `app` was checked this many times more.
    #[track_caller]
    pub fn until_checked(&self, endpoint: &dyn Display, times: u64) -> Value {
        let count = |seen: &Value| {
            let health = &seen["health"];
            health["passed_total"].as_u64().unwrap_or(0) + health["failed_total"].as_u64().unwrap_or(0)
        };
        let mut seen = self.endpoint(endpoint);
        let before = count(&seen);
        let comes = holds_within(2 * DEADLINE, || {
            seen = self.endpoint(endpoint);
            count(&seen) >= before + times
        });
        assert!(comes, "{endpoint} is not checked: {seen:#}\n{}", self.output());
        seen
    }

    /// How often it has said that an endpoint is in this state.
    pub fn said(&self, endpoint: &dyn Display, state: &str) -> usize {
        let line = format!("endpoint {endpoint} is {state}");
        self.output().lines().filter(|said| said.contains(&line)).count()
    }
}
