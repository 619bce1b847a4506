//! Which endpoints there are.

use crate::keeper::Keeper;
use crate::roster::Found;
use narrows_plan::{Address, Endpoint};
use std::rc::Rc;

/// Begins to look for the endpoints of all upstreams, and returns when each source has answered once.
pub(crate) async fn begin(keeper: &Rc<Keeper>) {
    let plan = Rc::clone(keeper).plan.clone();
    for (id, upstream) in keeper.upstreams() {
        for (source, endpoint) in plan.upstreams[id.0 as usize].endpoints.iter().enumerate() {
            match &endpoint.address {
                Address::Socket(_) | Address::Unix(_) => {
                    keeper.found(id, source, vec![found(endpoint, endpoint.address.clone())]);
                }
                Address::Name(host, port) => match tokio::net::lookup_host((&**host, *port)).await {
                    Ok(mut addresses) => {
                        let first = addresses.next().map(|address| found(endpoint, Address::Socket(address)));
                        keeper.found(id, source, first.into_iter().collect());
                    }
                    Err(error) => {
                        keeper.say(&format!("upstream {}: cannot look up {host}: {error}", upstream.name));
                    }
                },
                Address::Service(_) => {}
            }
        }
    }
}

/// The endpoint that is found where a written one says, at `address`.
pub(crate) fn found(written: &Endpoint, address: Address) -> Found {
    let server_name = match &written.address {
        Address::Name(name, _) => name.clone(),
        Address::Socket(address) => address.ip().to_string().into(),
        Address::Service(name) => name.clone(),
        Address::Unix(_) => "localhost".into(),
    };
    Found {
        address,
        server_name,
        weight: written.weight,
        priority: written.priority,
        zone: written.zone.clone(),
        labels: written.labels.clone(),
        state: written.state,
        limits: written.limits,
    }
}
