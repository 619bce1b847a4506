//! What is read.

use super::{Api, Call, Outcome, in_time};
use crate::explaining::{pump, read_ask};
use crate::model::{
    ActionKind, CauseState, Causes, CertificateState, Certificates, Configuration, Endpoints, ListenerState,
    Listeners, PoolEndpoint, PoolState, Pools, RouteState, Routes, Share, Status, Upstreams, Version,
    WorkerState, Workers,
};
use crate::moment::{rfc3339, seconds_until};
use crate::operations::{InForce, Phase, Process};
use crate::problem::{Cause, Problem};
use crate::{reply, threads};
use narrows_control::{EndpointState, OrderError, UpstreamState};
use narrows_plan::{Action, Listener, Plan, Protocol, RouteTable, UpstreamId};
use narrows_tls::{CertificateFacts, CertificateUse};
use serde_json::{Map, Value};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

pub(super) async fn version(api: Rc<Api>, _: Call) -> Outcome {
    Ok(reply::ok(&program(&api.process().process())))
}

fn program(process: &Process) -> Version {
    Version {
        version: process.version.to_owned(),
        commit: process.commit.map(str::to_owned),
        platform: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
    }
}

pub(super) async fn status(api: Rc<Api>, _: Call) -> Outcome {
    let process = api.process().process();
    let InForce { generation, plan, .. } = api.process().in_force();
    let upstreams = in_time(api.process().operator().states()).await?;
    let endpoints = || upstreams.iter().flat_map(|upstream| &upstream.endpoints);
    Ok(reply::ok(&Status {
        version: program(&process),
        pid: std::process::id(),
        phase: process.phase,
        ready: process.phase == Phase::Running,
        started: rfc3339(process.started),
        uptime_seconds: process.started.elapsed().unwrap_or_default().as_secs(),
        generation,
        trial_seconds: process.trial.map(|left| left.as_secs()),
        workers: process.workers,
        listeners: plan.listeners.len(),
        upstreams: upstreams.len(),
        endpoints: endpoints().count(),
        endpoints_up: endpoints().filter(|endpoint| endpoint.state == "up").count(),
    }))
}

pub(super) async fn config(api: Rc<Api>, _: Call) -> Outcome {
    let InForce { generation, plan, .. } = api.process().in_force();
    let mut described = narrows_plan::describe(&plan);
    let mut list = |key: &str| match described[key].take() {
        Value::Array(list) => list.into_iter().filter_map(object).collect(),
        _ => Vec::new(),
    };
    let (listeners, upstreams) = (list("listeners"), list("upstreams"));
    let settings = object(described["settings"].take()).unwrap_or_default();
    Ok(reply::ok(&Configuration { generation, files: plan.files.clone(), settings, listeners, upstreams }))
}

fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

pub(super) async fn listeners(api: Rc<Api>, _: Call) -> Outcome {
    let InForce { plan, .. } = api.process().in_force();
    let bound = api.process().bound();
    let one = |listener: &Listener| ListenerState {
        listener: listener.name.to_string(),
        protocol: listener.protocol.name().to_owned(),
        addresses: bound
            .iter()
            .filter(|socket| *socket.listener == *listener.name)
            .map(|socket| socket.address.clone())
            .collect(),
        tls: listener.tls.is_some(),
        routes: match &listener.protocol {
            Protocol::Http(http) => http.routes.len(),
            Protocol::Tcp(tcp) => tcp.routes.len(),
            Protocol::Udp(udp) => udp.routes.len(),
        },
        origin: plan.locate(listener.origin),
    };
    Ok(reply::ok(&Listeners { listeners: plan.listeners.iter().map(one).collect() }))
}

pub(super) async fn routes(api: Rc<Api>, _: Call) -> Outcome {
    let InForce { plan, .. } = api.process().in_force();
    let mut routes: Vec<RouteState> =
        plan.listeners.iter().flat_map(|listener| routes_of(&plan, listener)).collect();
    if let Some(mut hits) = api.process().hits() {
        for route in &mut routes {
            let key = (route.listener.clone(), route.route.clone());
            route.hits_total = Some(hits.remove(&key).unwrap_or(0));
        }
    }
    Ok(reply::ok(&Routes { routes }))
}

/// The routes of a listener in the order in which they are looked at; what takes the rest comes last.
fn routes_of(plan: &Plan, listener: &Listener) -> Vec<RouteState> {
    let share = |id: UpstreamId, weight| Share { upstream: plan.upstream(id).name.to_string(), weight };
    let route = |name: &str, origin, action, upstreams| RouteState {
        listener: listener.name.to_string(),
        route: name.to_owned(),
        hosts: Vec::new(),
        paths: Vec::new(),
        conditions: Vec::new(),
        action,
        upstreams,
        origin: plan.locate(origin),
        hits_total: None,
    };
    let http = |of: &narrows_plan::Route| {
        let (action, upstreams) = match &of.action {
            Action::Upstream(id) => (ActionKind::Upstream, vec![share(*id, 1)]),
            Action::Split(split) => {
                let shares = split.shares.iter().map(|&(id, weight)| share(id, weight));
                (ActionKind::Split, shares.collect())
            }
            Action::Respond(_) => (ActionKind::Respond, Vec::new()),
            Action::Redirect(_) => (ActionKind::Redirect, Vec::new()),
            Action::Status => (ActionKind::Status, Vec::new()),
        };
        route(&of.name, of.origin, action, upstreams)
    };
    let flow = |of: &narrows_plan::TcpRoute| {
        route(&of.name, of.origin, ActionKind::Upstream, vec![share(of.upstream, 1)])
    };
    let rest = |id: Option<UpstreamId>| {
        id.map(|id| route("default", listener.origin, ActionKind::Upstream, vec![share(id, 1)]))
    };
    match &listener.protocol {
        Protocol::Http(of) => {
            let routes = of.routes.iter().map(http).collect();
            with_rules(routes, &of.table, of.fallback.as_deref().map(http))
        }
        Protocol::Tcp(of) => with_rules(of.routes.iter().map(flow).collect(), &of.table, rest(of.fallback)),
        Protocol::Udp(of) => with_rules(of.routes.iter().map(flow).collect(), &of.table, rest(of.fallback)),
    }
}

/// Adds when each route matches, and puts them into the order in which they win.
fn with_rules(mut routes: Vec<RouteState>, table: &RouteTable, rest: Option<RouteState>) -> Vec<RouteState> {
    for (route, rule) in routes.iter_mut().zip(table.rules()) {
        route.hosts = rule.hosts.iter().map(ToString::to_string).collect();
        route.paths = rule.paths.iter().map(ToString::to_string).collect();
        route.conditions = rule.conditions.iter().map(|condition| condition.written.to_string()).collect();
    }
    let mut ranked: Vec<(u32, RouteState)> = table.rules().iter().map(|rule| rule.rank).zip(routes).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, route)| route).chain(rest).collect()
}

pub(super) async fn upstreams(api: Rc<Api>, _: Call) -> Outcome {
    Ok(reply::ok(&Upstreams { upstreams: in_time(api.process().operator().states()).await? }))
}

pub(super) async fn upstream(api: Rc<Api>, call: Call) -> Outcome {
    Ok(reply::ok(&in_time(api.process().operator().state(call.name(0))).await?))
}

pub(super) async fn endpoints(api: Rc<Api>, call: Call) -> Outcome {
    let UpstreamState { endpoints, .. } = in_time(api.process().operator().state(call.name(0))).await?;
    Ok(reply::ok(&Endpoints { endpoints }))
}

pub(super) async fn endpoint(api: Rc<Api>, call: Call) -> Outcome {
    let upstream = in_time(api.process().operator().state(call.name(0))).await?;
    let found = upstream.endpoints.iter().find(|endpoint| endpoint.endpoint == call.name(1));
    let label = |endpoint: &EndpointState| endpoint.endpoint.as_str().into();
    let unknown = || OrderError::UnknownEndpoint {
        upstream: call.name(0).into(),
        name: call.name(1).into(),
        known: upstream.endpoints.iter().map(label).collect(),
    };
    Ok(reply::ok(found.ok_or_else(unknown).map_err(Problem::from)?))
}

pub(super) async fn pools(api: Rc<Api>, _: Call) -> Outcome {
    let InForce { plan, .. } = api.process().in_force();
    let states = in_time(api.process().operator().states()).await?;
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    let pools = states.iter().filter_map(|state| {
        let upstream = plan.upstreams.iter().find(|upstream| *upstream.name == *state.upstream)?;
        let endpoint = |endpoint: &EndpointState| PoolEndpoint {
            endpoint: endpoint.endpoint.clone(),
            connections_open: endpoint.connections_open,
            requests_running: endpoint.requests_running,
        };
        Some(PoolState {
            upstream: state.upstream.clone(),
            idle_limit: upstream.pool.idle,
            idle_timeout_seconds: seconds(upstream.pool.idle_timeout),
            requests_limit: upstream.pool.requests,
            age_limit_seconds: seconds(upstream.pool.age),
            endpoints: state.endpoints.iter().map(endpoint).collect(),
        })
    });
    Ok(reply::ok(&Pools { pools: pools.collect() }))
}

pub(super) async fn certificates(api: Rc<Api>, _: Call) -> Outcome {
    let InForce { plan, tls, .. } = api.process().in_force();
    let now = SystemTime::now();
    let mut certificates = Vec::new();
    for (shown_by, facts) in tls.certificates(&plan) {
        let (shown_by, name) = match &shown_by {
            CertificateUse::Listener(name) => ("listener", Some(name.to_string())),
            CertificateUse::Upstream(name) => ("upstream", Some(name.to_string())),
            CertificateUse::Admin => ("admin", None),
        };
        certificates.extend(facts.iter().map(|facts: &CertificateFacts| CertificateState {
            shown_by: shown_by.to_owned(),
            name: name.clone(),
            dns_names: facts.names.clone(),
            subject: facts.subject.clone(),
            issuer: facts.issuer.clone(),
            serial: facts.serial.clone(),
            not_before: rfc3339(facts.not_before),
            not_after: rfc3339(facts.not_after),
            valid_seconds: seconds_until(facts.not_after, now),
            file: facts.file.as_ref().map(|file| file.display().to_string()),
        }));
    }
    Ok(reply::ok(&Certificates { certificates }))
}

pub(super) async fn workers(api: Rc<Api>, _: Call) -> Outcome {
    let Process { phase, workers, .. } = api.process().process();
    let cpu = threads::cpu_seconds();
    let one =
        |worker| WorkerState { worker, phase, cpu_seconds: cpu.get(&format!("worker-{worker}")).copied() };
    Ok(reply::ok(&Workers { workers: (0..workers).map(one).collect() }))
}

pub(super) async fn causes(_: Rc<Api>, _: Call) -> Outcome {
    let one = |cause: &Cause| CauseState {
        cause: cause.word().to_owned(),
        status: cause.status(),
        meaning: cause.title().to_owned(),
    };
    Ok(reply::ok(&Causes { problems: Cause::ALL.iter().map(one).collect() }))
}

/// Explanations that wait for a reader, lines.
const WAITING: usize = 64;

pub(super) async fn explain(api: Rc<Api>, call: Call) -> Outcome {
    let ask = read_ask(&call.query).map_err(|why| Problem::new(Cause::BadParameter, why))?;
    let listening =
        api.process().explain(ask).map_err(|error| Problem::new(Cause::TooMany, error.to_string()))?;
    let (sender, lines) = tokio::sync::mpsc::channel(WAITING);
    tokio::task::spawn_local(pump(listening, sender));
    Ok(reply::lines(lines))
}
