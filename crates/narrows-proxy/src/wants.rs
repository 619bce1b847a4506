//! What the attempts of a request, a flow or a session want of an endpoint: which key is hashed, which labels it must have, and where the client has been
//! before. Costs nothing for upstreams that ask for none of it.

mod preview;

pub use preview::{Choice, ChoicePreview, StickyChoice};

use crate::request::{Request, Response};
use crate::sticky::cookie::CookieOnTheWay;
use crate::sticky::{Sticky, Store};
use narrows_plan::{Facts, StickBy, Stickiness, Template, Upstream};
use narrows_upstream::{
    Cluster, EndpointId, EndpointState, StickKey, StickPlace, StickTable, StickyEndpoint, Stuck, Tried,
    Wanted,
};
use narrows_wire::http1::ResponseHead;
use std::borrow::Cow;
use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Instant;

/// What all attempts want. Borrows from the route and the upstream.
#[derive(Debug)]
pub(crate) struct Wants<'a> {
    client: IpAddr,
    key: Option<Cow<'a, str>>,
    labels: Vec<(&'a str, &'a str)>,
    endpoint: Option<StickyEndpoint>,
    /// Where the client is meanwhile, when `endpoint` cannot be reached after all.
    meanwhile: Option<StickyEndpoint>,
    memory: Memory,
}

/// Memory for the values of labels while [`Wants`] borrows them.
#[derive(Debug, Default)]
pub(crate) struct LabelTexts(Vec<String>);

/// Where it is remembered which endpoint served the client.
#[derive(Debug)]
enum Memory {
    /// Nowhere.
    None,
    /// With the client.
    Cookie(CookieOnTheWay),
    /// In a table, under a key of the request or flow; `None` when it brought none.
    Table { sticky: Rc<Sticky>, key: Option<StickKey>, seen: Cell<Option<Stuck>> },
}

impl<'a> Wants<'a> {
    /// What `request` wants of `cluster`: an endpoint with the labels of `subset`, and the one that its client sticks to by `sticky`. `texts` is empty.
    pub(crate) fn of_request(
        request: &Request<'_>,
        subset: &'a [(Box<str>, Template)],
        cluster: &'a Cluster,
        sticky: Option<&Rc<Sticky>>,
        texts: &'a mut LabelTexts,
    ) -> Self {
        let facts = request.facts(None);
        let mut wants = Wants::new(&facts, &cluster.upstream);
        if !subset.is_empty() {
            texts.0.extend(subset.iter().map(|(_, value)| match value.as_literal() {
                Some(_) => String::new(),
                None => rendered(value, &facts),
            }));
            let pairs = subset.iter().zip(&texts.0);
            let label = |((name, value), text): (&'a (Box<str>, Template), &'a String)| {
                (&**name, value.as_literal().unwrap_or(text))
            };
            wants.labels = pairs.map(label).collect();
        }
        let Some((sticky, rules)) = sticky.and_then(|sticky| Some((sticky, sticky.rules()?))) else {
            return wants;
        };
        match (&rules.by, sticky.store()) {
            (StickBy::Cookie(_), Store::Names(_)) => {
                let cookie = CookieOnTheWay::of(request, sticky);
                wants.stick_to(cookie.brought(), rules);
                wants.memory = Memory::Cookie(cookie);
            }
            _ => wants.look_up(&facts, cluster, sticky, rules),
        }
        wants
    }

    /// What a flow or a session wants of `cluster`, whose clients stick by `sticky`.
    pub(crate) fn of_flow<F: Facts>(facts: &F, cluster: &'a Cluster, sticky: Option<&Rc<Sticky>>) -> Self {
        let mut wants = Wants::new(facts, &cluster.upstream);
        if let Some((sticky, rules)) = sticky.and_then(|sticky| Some((sticky, sticky.rules()?))) {
            wants.look_up(facts, cluster, sticky, rules);
        }
        wants
    }

    fn new<F: Facts>(facts: &F, upstream: &'a Upstream) -> Self {
        let is_hashed = upstream.balancing.method.is_hash();
        let key = upstream.balancing.key.as_ref().filter(|_| is_hashed);
        Wants {
            client: facts.source(),
            key: key.map(|key| match key.as_literal() {
                Some(text) => Cow::Borrowed(text),
                None => Cow::Owned(rendered(key, facts)),
            }),
            labels: Vec::new(),
            endpoint: None,
            meanwhile: None,
            memory: Memory::None,
        }
    }

    /// Looks into the table for where the client has been.
    fn look_up<F: Facts>(&mut self, facts: &F, cluster: &Cluster, sticky: &Rc<Sticky>, rules: &Stickiness) {
        let Store::Table(table) = sticky.store() else { return };
        let text = match &rules.by {
            StickBy::Key { key: Some(key), .. } | StickBy::Learned { request: key, .. } => {
                rendered(key, facts)
            }
            StickBy::Key { key: None, .. } => facts.source().to_canonical().to_string(),
            StickBy::Cookie(_) => return,
        };
        let key = (!text.is_empty()).then(|| table.key(text.as_bytes()));
        let seen = key.and_then(|key| table.find(key, Instant::now()));
        if let Some(Stuck { first, last }) = seen {
            let is_well = |id: &EndpointId| {
                cluster.endpoint(*id).is_some_and(|endpoint| endpoint.condition().takes_sticky())
            };
            let last = sticky.placed(last);
            self.stick_to(last, rules);
            let first = sticky.placed(first).filter(|first| rules.returns && is_well(first));
            if first.is_some() && first != last {
                self.meanwhile = self.endpoint;
                self.stick_to(first, rules);
            }
        }
        self.memory = Memory::Table { sticky: Rc::clone(sticky), key, seen: Cell::new(seen) };
    }
}

impl Wants<'_> {
    /// The same, of whatever lives as long as it: a session outlives what it was made of. Labels are not asked for by flows.
    pub(crate) fn into_owned(self) -> Wants<'static> {
        Wants {
            client: self.client,
            key: self.key.map(|key| Cow::Owned(key.into_owned())),
            labels: Vec::new(),
            endpoint: self.endpoint,
            meanwhile: self.meanwhile,
            memory: self.memory,
        }
    }

    /// Whether nothing but the client's address is wanted.
    pub(crate) fn is_plain(&self) -> bool {
        self.key.is_none() && self.labels.is_empty() && matches!(self.memory, Memory::None)
    }

    /// Whether the client has a place already, where it shall be served.
    pub(crate) fn sticks(&self) -> bool {
        self.endpoint.is_some()
    }

    /// The endpoint that the client sticks to.
    pub(crate) fn sticky_endpoint(&self) -> Option<EndpointId> {
        self.endpoint.map(|sticky| sticky.endpoint)
    }

    /// What a hash method hashes, where that is configured.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// What the next attempt wants.
    pub(crate) fn wanted<'w>(&'w self, tried: &'w Tried) -> Wanted<'w> {
        let was_tried = self.endpoint.is_some_and(|sticky| tried.contains(sticky.endpoint));
        let sticky = if was_tried { self.meanwhile.or(self.endpoint) } else { self.endpoint };
        let wanted = Wanted::new(self.client, tried).with_key(self.key.as_deref());
        wanted.with_subset(&self.labels).with_sticky(sticky)
    }

    /// The sticky cookie that comes and goes with the request.
    pub(crate) fn cookie(&self) -> Option<&CookieOnTheWay> {
        match &self.memory {
            Memory::Cookie(cookie) => Some(cookie),
            _ => None,
        }
    }

    /// An endpoint took the flow or the session, or answered the request: the client stays there.
    pub(crate) fn reached(&self, endpoint: &EndpointState) {
        match &self.memory {
            Memory::None => {}
            Memory::Cookie(cookie) => cookie.answer(endpoint),
            Memory::Table { sticky, key, seen } => {
                if let (Store::Table(table), Some(key), Some(rules)) = (sticky.store(), key, sticky.rules()) {
                    // What is learned comes with answers; a key that none has told means nothing.
                    let is_known = seen.get().is_some() || matches!(rules.by, StickBy::Key { .. });
                    if is_known {
                        // Kept for the case that a session moves on.
                        seen.set(remember(table, *key, seen.get(), endpoint, rules.returns));
                    }
                }
            }
        }
    }

    /// An endpoint answered the request with this head, whose bytes are `bytes`: the client stays there.
    pub(crate) fn answered(
        &self,
        endpoint: &EndpointState,
        request: &Request<'_>,
        bytes: &[u8],
        head: &ResponseHead,
    ) {
        self.reached(endpoint);
        let Memory::Table { sticky, key: brought, seen } = &self.memory else { return };
        let (Store::Table(table), Some(rules)) = (sticky.store(), sticky.rules()) else { return };
        let StickBy::Learned { response, .. } = &rules.by else { return };
        let answer = Response { status: head.status, bytes, head: Some(head) };
        let text = rendered(response, &request.facts(Some(answer)));
        if text.is_empty() {
            return;
        }
        let key = table.key(text.as_bytes());
        if Some(key) != *brought || seen.get().is_none() {
            let seen = table.find(key, Instant::now());
            // The server has made this session now: wherever an older one of that name was, it is here.
            remember(table, key, seen, endpoint, false);
        }
    }

    fn stick_to(&mut self, endpoint: Option<EndpointId>, rules: &Stickiness) {
        let fails_over = rules.fails_over;
        self.endpoint = endpoint.map(|endpoint| StickyEndpoint { endpoint, fails_over });
    }
}

/// Writes down that a key was served by `endpoint`, where that is news, and returns what the key sticks to as far as is known.
fn remember(
    table: &StickTable,
    key: StickKey,
    seen: Option<Stuck>,
    endpoint: &EndpointState,
    returns: bool,
) -> Option<Stuck> {
    let last = StickPlace { id: endpoint.id(), label: table.label(&endpoint.label) };
    let first = seen.map_or(last, |seen| if returns { seen.first } else { last });
    let stuck = Stuck { first, last };
    let is_news = seen != Some(stuck);
    if is_news && !table.remember(key, seen, stuck, Instant::now()) { seen } else { Some(stuck) }
}

fn rendered<F: Facts>(template: &Template, facts: &F) -> String {
    let mut text = String::new();
    template.render(facts, &mut text);
    text
}
