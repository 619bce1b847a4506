//! Which endpoints there are: those with an address at once, names and services as DNS says, files as they
//! are written.
//!
//! A source is a written endpoint or a file. What it found last stays until something else is found: an
//! answer that is empty, or that never comes, removes nothing.

mod answer;
mod collector;
mod file;
mod looker;
mod name;
mod news;
mod place;
mod service;
mod source;
mod stamp;
mod stub;
mod system;
mod transport;

#[cfg(test)]
mod dns_server;
#[cfg(test)]
mod tests;

use crate::keeper::Keeper;
use collector::Collector;
use file::Load;
use looker::Awaited;
use narrows_plan::Address;
pub(crate) use place::written as found_at;
use source::Source;
use std::rc::Rc;
use std::time::Duration;
use stub::StubResolver;
use system::System;
use tokio::task::spawn_local;
use tokio::time::{MissedTickBehavior, interval};

/// Between two looks at the system's files.
const LOOK: Duration = Duration::from_secs(1);

/// Begins to look for the endpoints of all upstreams, and returns when each source has answered once. It goes
/// on looking, also when this is dropped before.
pub(crate) async fn begin(keeper: &Rc<Keeper>) {
    look_for_endpoints(keeper, System::new(), narrows_config::load_endpoints).await;
}

async fn look_for_endpoints(keeper: &Rc<Keeper>, system: Rc<System>, load: Load) {
    let collector = Collector::new(keeper);
    let mut stubs: Vec<Rc<StubResolver>> = Vec::new();
    let mut asks_the_system = false;
    for (id, upstream) in keeper.upstreams() {
        let stub = stubs.iter().find(|stub| stub.settings == upstream.resolver).cloned();
        let stub = stub.unwrap_or_else(|| {
            let stub = StubResolver::new(upstream.resolver.clone(), Rc::clone(&system));
            stubs.push(Rc::clone(&stub));
            stub
        });
        let is_name = |address: &Address| matches!(address, Address::Name(..) | Address::Service(_));
        let has_names = upstream.endpoints.iter().any(|endpoint| is_name(&endpoint.address));
        asks_the_system |= stub.system().is_some() && (has_names || upstream.endpoint_file.is_some());
        for (index, endpoint) in upstream.endpoints.iter().enumerate() {
            let source = Source::new(id, index, &stub, &collector);
            source.write(vec![endpoint.clone()]);
            if is_name(&endpoint.address) {
                collector.keep(source);
            }
        }
        if let Some(path) = &upstream.endpoint_file {
            let source = Source::new(id, upstream.endpoints.len(), &stub, &collector);
            spawn_local(file::life(path.clone(), load, source, Awaited::new(&collector)));
        }
    }
    collector.pass_on();
    spawn_local(Rc::clone(&collector).life());
    if asks_the_system {
        spawn_local(watch(system));
    }
    collector.all_heard().await;
    collector.pass_on();
}

/// Looks at the system's files from time to time, for ever.
async fn watch(system: Rc<System>) {
    let mut looking = interval(LOOK);
    looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looking.tick().await;
        system.look();
    }
}
