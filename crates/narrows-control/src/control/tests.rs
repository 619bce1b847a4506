//! The whole control plane on its thread, with checks against listeners of the test.

mod cost;

use super::*;
use crate::orders::{Order, OrderError};
use narrows_plan::{
    Address, AdminState, AgentCheck, CheckKind, Endpoint, HealthCheck, Origin, StartState, Upstream,
};
use narrows_upstream::UpstreamKey;
use narrows_upstream::{AttemptFailure, EndpointId};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};

const LONG: Duration = Duration::from_secs(20);

fn check(start: StartState) -> Box<HealthCheck> {
    Box::new(HealthCheck {
        kind: CheckKind::Tcp { send: Box::default(), expect: None },
        interval: Duration::from_millis(20),
        fast_interval: None,
        slow_interval: None,
        jitter: 10,
        timeout: LONG,
        rise: 2,
        fall: 2,
        port: None,
        address: None,
        tls: true,
        start,
    })
}

fn start(endpoints: &[SocketAddr], change: impl FnOnce(&mut Upstream)) -> Control {
    let mut upstream = Upstream::new("app", Origin::default());
    let endpoint = |address: &SocketAddr| Endpoint::new(Address::Socket(*address), Origin::default());
    upstream.endpoints = endpoints.iter().map(endpoint).collect();
    change(&mut upstream);
    let plan = Plan { upstreams: vec![Arc::new(upstream)], ..Plan::default() };
    let (tls, _) = TlsContexts::load(&plan);
    let control = Control::start(|_| {}).unwrap();
    control.prepare(Arc::new(plan), tls.unwrap()).unwrap();
    control
}

fn shown(control: &Control) -> Vec<String> {
    let memberships = control.link().memberships;
    let members = memberships.borrow()[0].1.members.clone();
    members.iter().map(|member| format!("{} ({})", member.condition, member.reason)).collect()
}

#[track_caller]
fn until(control: &Control, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "never {what}: {:?}", shown(control));
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// What becomes of an order.
fn obeyed(control: &Control, order: Order) -> crate::orders::Obeyed {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(control.operator().order(order))
}

/// Accepts and closes until the test is over.
fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn failed(endpoint: EndpointId) -> Report {
    Report::Failed { upstream: UpstreamKey(0), endpoint, failure: AttemptFailure::Connect }
}

/// What the tasks of the control plane share, without its thread.
fn keeper(tell: watch::Sender<Arc<str>>) -> Rc<Keeper> {
    let (publish, _) = watch::channel(Memberships::default());
    Keeper::new(|_| {}, publish, tell)
}

#[test]
fn a_status_that_takes_long_to_describe_is_renewed_less_often() {
    let (tell, mut told) = watch::channel(Arc::from(""));
    let keeper = keeper(tell);
    keeper.tell_status();
    for (took, is_renewed) in [(Duration::ZERO, true), (LONG, false), (Duration::ZERO, true)] {
        keeper.status_took(took);
        told.mark_unchanged();
        (0..10).for_each(|_| keeper.tick());
        assert_eq!(told.has_changed().unwrap(), is_renewed, "the last one took {took:?}");
    }
}

#[test]
fn a_flood_of_reports_is_heard_in_bounded_steps() {
    let keeper = keeper(watch::channel(Arc::from("")).0);
    let (reporter, mut reports) = Reporter::new();
    (0..2 * HEARD_AT_ONCE as u64 + 10).for_each(|id| reporter.report(failed(EndpointId(id))));
    for (left, is_more) in [(HEARD_AT_ONCE + 10, true), (10, true), (0, false)] {
        let first = reports.try_recv().unwrap();
        assert_eq!((hear(&keeper, first, &mut reports), reports.len()), (is_more, left));
    }
}

#[test]
fn thousands_that_refuse_under_load_are_ejected_and_hold_up_neither_checks_nor_the_end() {
    const COUNT: usize = 8000;
    let address = |port| SocketAddr::from(([10, 0, 0, 1], port));
    let endpoints: Vec<_> = (1..=COUNT as u16).map(address).collect();
    let (checked, place) = listening();
    let control = start(&endpoints, |upstream| {
        upstream.passive.as_mut().unwrap().failures = Some(2);
        let mut check = check(StartState::Up);
        (check.address, check.port) = (Some(place.ip()), Some(place.port()));
        (check.interval, check.fall) = (LONG, 1000);
        upstream.health = Some(check);
    });
    let link = control.link();
    let members = link.memberships.borrow()[0].1.members.clone();
    let is_over = Arc::new(AtomicBool::new(false));
    let flood = std::thread::spawn({
        let is_over = Arc::clone(&is_over);
        move || {
            while !is_over.load(Ordering::Relaxed) {
                for member in &members {
                    member.load.failed();
                    link.reporter.report(failed(member.id));
                }
            }
        }
    });
    let ejected = || shown(&control).iter().filter(|one| one.starts_with("ejected")).count();
    until(&control, "half of them ejected", || ejected() == COUNT / 2);
    checked.accept().unwrap();
    drop(control);
    is_over.store(true, Ordering::Relaxed);
    flood.join().unwrap();
}

#[test]
fn the_start_waits_for_first_checks_that_decide() {
    let (_listener, here) = listening();
    let (gone, nowhere) = listening();
    drop(gone);
    let control = start(&[here, nowhere], |upstream| upstream.health = Some(check(StartState::Checked)));
    assert_eq!(shown(&control), ["up (1 check passed)", "down (1 check failed: connection refused)"]);
}

#[test]
fn an_endpoint_goes_down_and_comes_back() {
    let (listener, address) = listening();
    let control = start(&[address], |upstream| upstream.health = Some(check(StartState::Up)));
    assert_eq!(shown(&control), ["up ()"]);
    drop(listener);
    until(&control, "down", || shown(&control) == ["down (2 checks failed: connection refused)"]);
    let _listener = TcpListener::bind(address).unwrap();
    until(&control, "up", || shown(&control) == ["up (2 checks passed)"]);
}

#[test]
fn an_endpoint_in_maintenance_is_not_checked_and_keeps_its_verdict() {
    let ((listener, address), (other, elsewhere)) = (listening(), listening());
    listener.set_nonblocking(true).unwrap();
    let order = |control: &Control, state| {
        let (upstream, endpoint) = ("app".into(), address.to_string().into());
        let order = Order::Change { upstream, endpoint, state: Some(Some(state)), weight: None };
        obeyed(control, order).unwrap();
    };
    let control = start(&[address, elsewhere], |upstream| upstream.health = Some(check(StartState::Up)));
    until(&control, "checked", || listener.accept().is_ok());
    order(&control, AdminState::Maintenance);
    until(&control, "in maintenance", || shown(&control)[0] == "maintenance (ordered)");
    while listener.accept().is_ok() {}
    // Who is asked again and again meanwhile is the other one, once its waiting connections are taken.
    for _ in 0..200 {
        other.accept().unwrap();
    }
    assert!(listener.accept().is_err(), "nobody is asked in maintenance");
    drop(listener);
    (0..5).for_each(|_| drop(other.accept().unwrap()));
    order(&control, AdminState::Ready);
    until(&control, "up until checks say otherwise, then down", || {
        shown(&control)[0] == "down (2 checks failed: connection refused)"
    });
}

#[test]
fn an_agent_drains_and_weighs_its_endpoint() {
    let (agent, place) = listening();
    let (line, lines) = std::sync::mpsc::channel::<&str>();
    let script = std::thread::spawn(move || {
        let mut saying = "up";
        while let Ok((mut stream, _)) = agent.accept() {
            match lines.try_recv() {
                Ok(line) => saying = line,
                Err(std::sync::mpsc::TryRecvError::Empty) => {}
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
            }
            let _ = stream.write_all(format!("{saying}\n").as_bytes());
        }
    });
    let control = start(&[([127, 0, 0, 1], 1).into()], |upstream| {
        upstream.endpoints[0].weight = 10;
        upstream.agent = Some(Box::new(AgentCheck {
            port: place.port(),
            address: None,
            send: "".into(),
            interval: Duration::from_millis(20),
            timeout: LONG,
        }));
    });
    for (said, expected) in [
        ("drain 50% maxconn:9 # later", "drain (agent: drain 50% maxconn:9 (later)) 5 Some(9)"),
        ("up ready", "up () 5 Some(9)"),
        ("down", "down (agent: down) 5 Some(9)"),
        ("up 100%", "up () 10 Some(9)"),
        ("maint", "maintenance (agent: maint) 10 Some(9)"),
        ("ready", "up () 10 Some(9)"),
    ] {
        line.send(said).unwrap();
        until(&control, said, || {
            let member = control.link().memberships.borrow()[0].1.members[0].clone();
            let (weight, connections) = (member.weight, member.limits.connections);
            format!("{} {weight} {connections:?}", shown(&control)[0]) == expected
        });
    }
    drop(line);
    script.join().unwrap();
}

#[test]
fn the_operator_hears_what_became_of_an_order() {
    let (_listener, address) = listening();
    let control = start(&[address], |_| {});
    let label: Box<str> = address.to_string().into();
    let change = |endpoint: &str, state| Order::Change {
        upstream: "app".into(),
        endpoint: endpoint.into(),
        state: Some(state),
        weight: Some(Some(7)),
    };
    let now = obeyed(&control, change(&label, Some(AdminState::Drain))).unwrap();
    assert_eq!((&*now.state, now.weight, now.ordered.weight), ("drain", 7, Some(7)));
    until(&control, "drained", || shown(&control) == ["drain (ordered)"]);
    let back = obeyed(&control, change(&label, None)).unwrap();
    assert_eq!((&*back.state, back.ordered.state), ("up", None));
    let wrong = obeyed(&control, change("10.0.0.9:1", None)).unwrap_err();
    assert_eq!(
        wrong,
        OrderError::UnknownEndpoint { upstream: "app".into(), name: "10.0.0.9:1".into(), known: vec![label] }
    );
    let remove = Order::Remove { upstream: "ap".into(), endpoint: "x".into() };
    assert!(matches!(obeyed(&control, remove), Err(OrderError::UnknownUpstream { .. })));
}

#[test]
fn what_the_operator_added_serves_and_leaves_and_nothing_else_can_be_removed() {
    let (_listener, address) = listening();
    let control = start(&[address], |_| {});
    let another = Address::Socket(SocketAddr::from(([127, 0, 0, 1], 1)));
    let add = || Order::Add {
        upstream: "app".into(),
        endpoint: Box::new(Endpoint::new(another.clone(), Origin::default())),
    };
    let remove = |endpoint: String| Order::Remove { upstream: "app".into(), endpoint: endpoint.into() };
    assert!(obeyed(&control, add()).unwrap().added);
    until(&control, "both serve", || shown(&control).len() == 2);
    assert!(matches!(obeyed(&control, add()), Err(OrderError::Exists { .. })));
    assert!(matches!(obeyed(&control, remove(address.to_string())), Err(OrderError::Configured { .. })));
    obeyed(&control, remove(another.to_string())).unwrap();
    until(&control, "one serves", || shown(&control).len() == 1);
}
