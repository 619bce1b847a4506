use super::*;
use narrows_plan::{AgentCheck, CheckKind, HealthCheck, Origin, StartState, Upstream};
use narrows_upstream::AttemptFailure;
use narrows_upstream::UpstreamKey;
use std::time::Duration;

fn check(start: StartState) -> HealthCheck {
    HealthCheck {
        kind: CheckKind::Ldap,
        interval: Duration::from_secs(2),
        fast_interval: None,
        slow_interval: None,
        jitter: 0,
        timeout: Duration::from_secs(2),
        rise: 2,
        fall: 3,
        port: None,
        address: None,
        tls: true,
        start,
    }
}

fn upstream(start: Option<StartState>, agent: bool) -> Upstream {
    let mut upstream = Upstream::new("app", Origin::default());
    upstream.health = start.map(|start| Box::new(check(start)));
    upstream.agent = agent.then(|| {
        Box::new(AgentCheck {
            port: 1,
            address: None,
            send: "".into(),
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(2),
        })
    });
    upstream
}

fn found(port: u16) -> Found {
    Found {
        address: Address::Socket(([10, 0, 0, 1], port).into()),
        server_name: "10.0.0.1".into(),
        weight: 10,
        priority: 0,
        zone: None,
        labels: Box::default(),
        state: AdminState::Ready,
        limits: EndpointLimits::default(),
        is_added: false,
    }
}

fn roster(start: Option<StartState>, agent: bool) -> Roster {
    let mut roster = Roster::new(&upstream(start, agent));
    let mut next = 0;
    roster.set_source(0, vec![found(1), found(2)], || {
        next += 1;
        EndpointId(next)
    });
    roster
}

fn passes(roster: &mut Roster, id: u64, result: Result<(), &str>) {
    let health = roster.entry(EndpointId(id)).unwrap().health.as_mut().unwrap();
    health.record(&check(StartState::Up), result.map_err(Into::into), Duration::from_secs(1));
    roster.refresh_one(EndpointId(id), Instant::now());
}

fn says(roster: &mut Roster, id: u64, line: &str) {
    roster.entry(EndpointId(id)).unwrap().agent.as_mut().unwrap().hear(Ok(line));
    roster.refresh_one(EndpointId(id), Instant::now());
}

fn shown(roster: &mut Roster, id: u64) -> String {
    let member = &roster.entry(EndpointId(id)).unwrap().member;
    format!("{} ({})", member.condition, member.reason)
}

fn order(roster: &mut Roster, state: AdminState) {
    roster.order("10.0.0.1:1", Some(Some(state)), None, Instant::now());
}

#[test]
fn an_endpoint_whose_checks_fail_goes_down_and_comes_back_with_news() {
    let mut roster = roster(Some(StartState::Up), false);
    roster.renewed();
    for _ in 0..2 {
        passes(&mut roster, 1, Err("connection refused"));
    }
    assert!(roster.renewed().is_none() && roster.news().is_empty(), "two failures of three are no news");
    passes(&mut roster, 1, Err("timed out"));
    assert_eq!(roster.news(), ["endpoint 10.0.0.1:1 is down (3 checks failed: timed out)"]);
    let membership = roster.renewed().expect("the workers are told");
    assert_eq!(membership.members[0].condition, Condition::Down);
    assert_eq!((membership.members[1].condition, membership.members[0].returned), (Condition::Up, None));
    passes(&mut roster, 1, Err("connection refused"));
    assert!(roster.renewed().is_none(), "a further failure is none either");
    passes(&mut roster, 1, Ok(()));
    passes(&mut roster, 1, Ok(()));
    assert_eq!(roster.news(), ["endpoint 10.0.0.1:1 is up (2 checks passed)"]);
    assert!(roster.renewed().unwrap().members[0].returned.is_some(), "slow start begins");
}

#[test]
fn an_endpoint_that_is_to_be_checked_first_is_down_until_then() {
    let mut roster = roster(Some(StartState::Checked), false);
    assert_eq!(shown(&mut roster, 1), "down (not checked yet)");
    passes(&mut roster, 1, Ok(()));
    passes(&mut roster, 2, Err("status 500"));
    assert_eq!(shown(&mut roster, 1), "up (1 check passed)");
    assert_eq!(
        roster.news(),
        [
            "endpoint 10.0.0.1:1 is up (1 check passed)",
            "endpoint 10.0.0.1:2 is down (1 check failed: status 500)"
        ]
    );
}

#[test]
fn the_operator_and_the_agent_and_the_checks_meet_in_one_condition() {
    let mut roster = roster(Some(StartState::Up), true);
    says(&mut roster, 1, "drain # backup runs");
    assert_eq!(shown(&mut roster, 1), "drain (agent: drain (backup runs))");
    for _ in 0..3 {
        passes(&mut roster, 1, Err("timed out"));
    }
    assert_eq!(shown(&mut roster, 1), "down (3 checks failed: timed out)", "what is dead serves nobody");
    says(&mut roster, 1, "maint");
    assert_eq!(shown(&mut roster, 1), "maintenance (agent: maint)");
    assert!(roster.entry(EndpointId(1)).unwrap().is_resting());
    order(&mut roster, AdminState::Ready);
    assert_eq!(shown(&mut roster, 1), "down (3 checks failed: timed out)");
    order(&mut roster, AdminState::Maintenance);
    says(&mut roster, 1, "ready");
    assert_eq!(shown(&mut roster, 1), "maintenance (ordered)");
    order(&mut roster, AdminState::Ready);
    passes(&mut roster, 1, Ok(()));
    passes(&mut roster, 1, Ok(()));
    assert_eq!(shown(&mut roster, 1), "up (2 checks passed)");
    says(&mut roster, 1, "down");
    assert_eq!(shown(&mut roster, 1), "down (agent: down)");
    says(&mut roster, 1, "up");
    assert_eq!(shown(&mut roster, 1), "up (2 checks passed)");
}

#[test]
fn an_agent_sets_weight_and_connections_below_the_operator() {
    let mut roster = roster(None, true);
    let seen = |line: &str, roster: &mut Roster| {
        says(roster, 1, line);
        let member = &roster.entry(EndpointId(1)).unwrap().member;
        (member.weight, member.limits.connections)
    };
    assert_eq!(seen("up", &mut roster), (10, None));
    assert_eq!(
        seen("maxconn:0", &mut roster),
        (10, Some(u32::MAX)),
        "no limit, also where one is configured"
    );
    assert_eq!(seen("25% maxconn:7", &mut roster), (3, Some(7)));
    roster.order("10.0.0.1:1", None, Some(Some(50)), Instant::now());
    assert_eq!(seen("30%", &mut roster), (50, Some(7)));
    roster.order("10.0.0.1:1", None, Some(None), Instant::now());
    assert_eq!(seen("up", &mut roster), (3, Some(7)));
}

#[test]
fn what_is_known_of_an_endpoint_survives_a_new_answer_of_discovery() {
    let mut roster = roster(Some(StartState::Up), false);
    for _ in 0..3 {
        passes(&mut roster, 2, Err("timed out"));
    }
    let change = roster.set_source(0, vec![found(2), found(3)], || EndpointId(9));
    assert_eq!(change, Change { added: vec![EndpointId(9)], removed: vec![EndpointId(1)] });
    assert_eq!(shown(&mut roster, 2), "down (3 checks failed: timed out)");
    assert_eq!(shown(&mut roster, 9), "up ()");
    assert!(roster.entry(EndpointId(1)).is_none());
}

#[test]
fn thousands_that_fail_are_heard_without_a_judgement_and_judged_at_once() {
    const COUNT: u16 = 8000;
    let mut roster = Roster::new(&Upstream::new("app", Origin::default()));
    let mut ids = (1..).map(EndpointId);
    roster.set_source(0, (1..=COUNT).map(found).collect(), || ids.next().unwrap());
    let ejected = |roster: &Roster| {
        roster.entries.iter().filter(|entry| entry.member.condition == Condition::Ejected).count()
    };
    roster.renewed();
    let now = Instant::now();
    for times in 1..=10 {
        for id in (1..=u64::from(COUNT)).map(EndpointId) {
            roster.entry(id).unwrap().member.load.failed();
            let failure = AttemptFailure::Connect;
            roster.hear(Report::Failed { upstream: UpstreamKey(0), endpoint: id, failure });
        }
        assert!(roster.renewed().is_none(), "{times} failures are heard, not judged");
        assert_eq!(roster.is_due, times >= 5, "{times} failures in a row");
    }
    roster.judge_if_due(now);
    assert_eq!(ejected(&roster), usize::from(COUNT) / 2);
    assert!(roster.renewed().is_some() && !roster.is_due);
    // Without a further report there is no further judgement, until time asks for it.
    let later = now + Duration::from_secs(60);
    roster.judge_if_due(later);
    assert!(roster.renewed().is_none());
    roster.tick(later);
    assert!(roster.renewed().is_some(), "the first half is back, and the other one goes");
}
