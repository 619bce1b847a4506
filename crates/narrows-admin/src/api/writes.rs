//! What is ordered.

use super::{Api, Call, Outcome, in_time};
use crate::model::{Done, EndpointChange, EndpointOrder, NewEndpoint, ReloadRequest};
use crate::operations::ReloadOptions;
use crate::problem::{Cause, Problem};
use crate::reply;
use narrows_control::Order;
use narrows_plan::{Address, AdminState, Endpoint, Origin};
use std::rc::Rc;
use std::time::Duration;

/// The largest weight.
const MOST_WEIGHT: u32 = 65_535;
/// The largest priority.
const MOST_PRIORITY: u32 = 1000;
/// The longest trial, seconds.
const MOST_TRIAL: u32 = 86_400;

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(Cause::BadBody, detail)
}

fn done(text: &str) -> Outcome {
    Ok(reply::ok(&Done { done: text.to_owned() }))
}

pub(super) async fn change_endpoint(api: Rc<Api>, call: Call) -> Outcome {
    let change: EndpointChange = call.value()?;
    let EndpointChange { state, weight } = change;
    if change == EndpointChange::default() {
        return Err(bad("say what to change: `state`, `weight`, or both"));
    }
    if weight.flatten().is_some_and(|weight| weight > MOST_WEIGHT) {
        return Err(bad(format!("a weight is {MOST_WEIGHT} at most")));
    }
    let state = state.map(|state| state.map(meant));
    let order = Order::Change { upstream: call.name(0).into(), endpoint: call.name(1).into(), state, weight };
    Ok(reply::ok(&in_time(api.process().operator().order(order)).await?))
}

fn meant(order: EndpointOrder) -> AdminState {
    match order {
        EndpointOrder::Ready => AdminState::Ready,
        EndpointOrder::Drain => AdminState::Drain,
        EndpointOrder::Maintenance => AdminState::Maintenance,
    }
}

pub(super) async fn add_endpoint(api: Rc<Api>, call: Call) -> Outcome {
    let NewEndpoint { address, weight, priority } = call.value()?;
    if weight > MOST_WEIGHT || priority > MOST_PRIORITY {
        return Err(bad(format!("a weight is {MOST_WEIGHT} at most, a priority {MOST_PRIORITY}")));
    }
    let address = match address.strip_prefix("unix:") {
        Some(path) if is_socket_path(path) => Some(Address::Unix(path.into())),
        Some(_) => None,
        None => address.parse().ok().map(Address::Socket),
    };
    let address = address.filter(|address| !matches!(address, Address::Socket(socket) if socket.port() == 0));
    let address = address.ok_or_else(|| {
        bad("`address` is an IP address with a port, `10.0.0.1:8080` or `[2001:db8::1]:8080`, or `unix:/path`")
    })?;
    let endpoint = Box::new(Endpoint { weight, priority, ..Endpoint::new(address, Origin::default()) });
    let order = Order::Add { upstream: call.name(0).into(), endpoint };
    let added = in_time(api.process().operator().order(order)).await?;
    let at = format!("/v1/upstreams/{}/endpoints/{}", call.name(0), encoded(&added.endpoint));
    Ok(reply::created(&added, &at))
}

/// An absolute path that fits a socket's address with what is put beside it, without blanks.
fn is_socket_path(path: &str) -> bool {
    path.starts_with('/')
        && (2..=101).contains(&path.len())
        && path.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A label as a segment of a path.
fn encoded(label: &str) -> String {
    crate::client::encoded(label)
}

pub(super) async fn remove_endpoint(api: Rc<Api>, call: Call) -> Outcome {
    let order = Order::Remove { upstream: call.name(0).into(), endpoint: call.name(1).into() };
    in_time(api.process().operator().order(order)).await?;
    Ok(reply::nothing())
}

pub(super) async fn reopen_logs(api: Rc<Api>, _: Call) -> Outcome {
    api.process().reopen_logs().await.map_err(Problem::from)?;
    done("the log files were opened anew")
}

pub(super) async fn reload(api: Rc<Api>, call: Call) -> Outcome {
    let ReloadRequest { confirm_within_seconds } = call.value()?;
    if confirm_within_seconds.is_some_and(|seconds| !(1..=MOST_TRIAL).contains(&seconds)) {
        return Err(bad(format!("`confirm_within_seconds` is from 1 to {MOST_TRIAL}")));
    }
    let confirm_within = confirm_within_seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let report = api.process().reload(ReloadOptions { confirm_within }).await.map_err(Problem::from)?;
    Ok(reply::ok(&report))
}

pub(super) async fn confirm(api: Rc<Api>, _: Call) -> Outcome {
    api.process().confirm().await.map_err(Problem::from)?;
    done("the configuration stays")
}

pub(super) async fn drain(api: Rc<Api>, _: Call) -> Outcome {
    api.process().drain().await.map_err(Problem::from)?;
    done("the process drains")
}

pub(super) async fn upgrade(api: Rc<Api>, _: Call) -> Outcome {
    let text = api.process().upgrade().await.map_err(Problem::from)?;
    done(&text)
}
