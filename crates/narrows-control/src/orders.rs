//! What the operator asks of the control plane while it runs, and what it answers.

use crate::charge::Charge;
use crate::discovery::found_at;
use crate::keeper::Keeper;
use crate::roster::Found;
use crate::state::{self, EndpointState, UpstreamState};
use narrows_plan::{AdminState, Endpoint};
use std::rc::Rc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// What the operator has added is the last source of an upstream: a configured endpoint goes before.
const ADDED: usize = usize::MAX;
/// Most endpoints that are added to an upstream.
const MOST_ADDED: usize = 1000;
/// Questions and orders that wait at most; who asks more waits.
const WAITING: usize = 64;

/// What the operator orders. Endpoints are named by their label, `10.0.0.1:8080`.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// An endpoint shall have another state or weight, whatever the configuration says. `Some(None)` takes an earlier order back.
    Change {
        /// Name of the upstream.
        upstream: Box<str>,
        /// Label of the endpoint.
        endpoint: Box<str>,
        /// The state; `None` leaves it as it is.
        state: Option<Option<AdminState>>,
        /// The weight; `None` leaves it as it is.
        weight: Option<Option<u32>>,
    },
    /// The upstream shall have one more endpoint, until it is removed or the process ends. Its address is a socket's.
    Add {
        /// Name of the upstream.
        upstream: Box<str>,
        /// The endpoint.
        endpoint: Box<Endpoint>,
    },
    /// An endpoint that was added shall leave.
    Remove {
        /// Name of the upstream.
        upstream: Box<str>,
        /// Label of the endpoint.
        endpoint: Box<str>,
    },
}

/// Why an order was not carried out. Nothing has changed then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The configuration has no such upstream.
    #[error("there is no upstream `{name}`")]
    UnknownUpstream {
        /// What was asked for.
        name: Box<str>,
        /// Those that there are.
        known: Vec<Box<str>>,
    },
    /// The upstream has no such endpoint.
    #[error("the upstream `{upstream}` has no endpoint `{name}`")]
    UnknownEndpoint {
        /// The upstream.
        upstream: Box<str>,
        /// What was asked for.
        name: Box<str>,
        /// Those that there are.
        known: Vec<Box<str>>,
    },
    /// The endpoint is there already.
    #[error("the upstream `{upstream}` has the endpoint `{name}` already")]
    Exists {
        /// The upstream.
        upstream: Box<str>,
        /// The endpoint.
        name: Box<str>,
    },
    /// The endpoint was not added: the configuration, or what it names, has it.
    #[error("the endpoint `{name}` of `{upstream}` was not added here, it comes from the configuration")]
    Configured {
        /// The upstream.
        upstream: Box<str>,
        /// The endpoint.
        name: Box<str>,
    },
    /// So many were added that no more is.
    #[error("{MOST_ADDED} endpoints were added to `{upstream}`, which is the most")]
    TooMany {
        /// The upstream.
        upstream: Box<str>,
    },
    /// The control plane has ended.
    #[error("the control plane has ended")]
    Ended,
}

/// What became of an order: the endpoint as it is now, or as it left.
pub type Obeyed = Result<EndpointState, OrderError>;

/// A question or an order, and where the answer goes.
#[derive(Debug)]
pub(crate) enum Asked {
    /// How all upstreams are.
    States(oneshot::Sender<Vec<UpstreamState>>),
    /// How one upstream is.
    State(Box<str>, oneshot::Sender<Result<UpstreamState, OrderError>>),
    /// Carry out an order.
    Obey(Order, oneshot::Sender<Obeyed>),
}

/// The operator's way to the control plane. What was ordered is done even when a future is dropped.
#[derive(Debug, Clone)]
pub struct Operator(mpsc::Sender<Asked>);

impl Operator {
    /// The way, and the end of it that the control plane listens at.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Asked>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Operator(sender), receiver)
    }

    /// How all upstreams are, in the order of the configuration.
    ///
    /// # Errors
    /// When the control plane has ended.
    pub async fn states(&self) -> Result<Vec<UpstreamState>, OrderError> {
        self.ask(Asked::States).await
    }

    /// How one upstream is.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn state(&self, upstream: &str) -> Result<UpstreamState, OrderError> {
        self.ask(|answer| Asked::State(upstream.into(), answer)).await?
    }

    /// Gives an order and says what became of it. Workers know it some milliseconds later.
    ///
    /// # Errors
    /// Why it was not carried out.
    pub async fn order(&self, order: Order) -> Obeyed {
        self.ask(|answer| Asked::Obey(order, answer)).await?
    }

    async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Asked) -> Result<T, OrderError> {
        let (sender, answer) = oneshot::channel();
        self.0.send(make(sender)).await.map_err(|_| OrderError::Ended)?;
        answer.await.map_err(|_| OrderError::Ended)
    }
}

/// Answers a question, or carries out an order and says what became of it. Who asked may have gone.
pub(crate) fn answer(keeper: &Rc<Keeper>, asked: Asked) {
    match asked {
        Asked::States(sender) => {
            let _ = sender.send(keeper.order().iter().map(|charge| state_of(charge)).collect());
        }
        Asked::State(name, sender) => {
            let _ = sender.send(named(keeper, &name).map(|charge| state_of(&charge)));
        }
        Asked::Obey(order, sender) => {
            let _ = sender.send(obey(keeper, order));
        }
    }
}

fn state_of(charge: &Charge) -> UpstreamState {
    state::of_upstream(&charge.upstream(), &charge.roster.borrow(), &charge.load())
}

fn endpoint_of(charge: &Charge, label: &str) -> Result<EndpointState, OrderError> {
    let upstream = charge.upstream();
    let roster = charge.roster.borrow();
    let found = roster.entries.iter().find(|entry| *entry.member.label == *label);
    found.map(|entry| state::of_endpoint(&upstream, entry)).ok_or_else(|| OrderError::UnknownEndpoint {
        upstream: upstream.name.clone(),
        name: label.into(),
        known: roster.entries.iter().map(|entry| entry.member.label.clone()).collect(),
    })
}

fn named(keeper: &Keeper, name: &str) -> Result<Rc<Charge>, OrderError> {
    let mut order = keeper.order();
    match order.iter().position(|charge| *charge.upstream().name == *name) {
        Some(place) => Ok(order.swap_remove(place)),
        None => Err(OrderError::UnknownUpstream {
            name: name.into(),
            known: order.iter().map(|charge| charge.upstream().name.clone()).collect(),
        }),
    }
}

fn obey(keeper: &Rc<Keeper>, order: Order) -> Obeyed {
    match order {
        Order::Change { upstream, endpoint, state, weight } => {
            let charge = named(keeper, &upstream)?;
            endpoint_of(&charge, &endpoint)?;
            charge.roster.borrow_mut().order(&endpoint, state, weight, Instant::now());
            keeper.touch();
            endpoint_of(&charge, &endpoint)
        }
        Order::Add { upstream, endpoint } => {
            let charge = named(keeper, &upstream)?;
            let found = Found { is_added: true, ..found_at(&endpoint) };
            let label = found.address.to_string();
            if endpoint_of(&charge, &label).is_ok() {
                return Err(OrderError::Exists { upstream, name: label.into() });
            }
            let mut added = charge.roster.borrow().source(ADDED).to_vec();
            if added.len() >= MOST_ADDED {
                return Err(OrderError::TooMany { upstream });
            }
            added.push(found);
            keeper.found(charge.key, vec![(ADDED, added)]);
            endpoint_of(&charge, &label)
        }
        Order::Remove { upstream, endpoint } => {
            let charge = named(keeper, &upstream)?;
            let left = endpoint_of(&charge, &endpoint)?;
            let mut added = charge.roster.borrow().source(ADDED).to_vec();
            let before = added.len();
            added.retain(|found| found.address.to_string() != *endpoint);
            // What the configuration has too stays when it is no longer added; that would be no removal.
            if added.len() == before || !left.added {
                return Err(OrderError::Configured { upstream, name: endpoint });
            }
            keeper.found(charge.key, vec![(ADDED, added)]);
            Ok(left)
        }
    }
}
