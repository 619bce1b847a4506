//! The state of all upstreams, for people and programs.

use crate::roster::Roster;
use narrows_plan::Plan;
use serde_json::json;
use std::cell::RefCell;
use std::sync::Arc;

/// The state of all upstreams as JSON.
pub(crate) fn describe(plan: &Plan, rosters: &[RefCell<Roster>]) -> Arc<str> {
    let upstreams = plan.upstreams.iter().zip(rosters).map(|(upstream, roster)| {
        let roster = roster.borrow();
        let endpoints: Vec<_> = roster
            .entries
            .iter()
            .map(|entry| {
                let member = &entry.member;
                let mut described = json!({
                    "endpoint": member.label,
                    "state": member.condition.name(),
                    "reason": &*member.reason,
                    "for_seconds": member.since.elapsed().as_secs(),
                    "weight": member.weight,
                    "priority": member.priority,
                });
                if let (Some(health), Some(check)) = (&entry.health, &upstream.health) {
                    described["health"] = health.describe(check.kind.name());
                }
                if let Some(agent) = &entry.agent {
                    described["agent"] = agent.describe();
                }
                described
            })
            .collect();
        json!({ "upstream": upstream.name, "endpoints": endpoints })
    });
    format!("{:#}\n", json!({ "upstreams": upstreams.collect::<Vec<_>>() })).into()
}
