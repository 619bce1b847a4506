//! How clients stay where they are: what all workers share of it, and what each keeps beside it.

pub(crate) mod cookie;
mod naming;

pub(crate) use naming::Naming;

use crate::sticky::naming::Unusable;
use narrows_plan::{CookieValue, Origin, Plan, StickBy, Stickiness, StickyCookie, Upstream, UpstreamId};
use narrows_upstream::{EndpointId, EndpointState, Member, Membership, StickPlace, StickTable};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// What all workers share: the keys of cookies, and the tables; one for each upstream whose clients stick.
#[derive(Debug, Clone)]
pub(crate) struct StickyStores(Arc<[Option<Arc<Store>>]>);

/// By what the clients of an upstream are known again.
#[derive(Debug)]
pub(crate) enum Store {
    /// By a name in a cookie.
    Names(Naming),
    /// By a key in a table.
    Table(StickTable),
}

/// A key of signed cookies that cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("upstream {upstream}: the secret of its cookies{}: {why}", file.as_ref().map_or(String::new(), |file| format!(" in {}", file.display())))]
pub struct BadSecret {
    /// Where its upstream was written.
    pub origin: Origin,
    upstream: Box<str>,
    file: Option<PathBuf>,
    why: Unusable,
}

/// Reads every file with a key of signed cookies, for `narrows check`: those that cannot be used.
pub fn check_secrets(plan: &Plan) -> Vec<BadSecret> {
    plan.upstreams.iter().filter_map(|upstream| Store::new(upstream).err()).collect()
}

impl StickyStores {
    /// Reads the keys and makes empty tables. Tables and drawn keys of upstreams whose clients stuck in the same way `before` are taken over.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub(crate) fn new(plan: &Plan, before: Option<(&Plan, &StickyStores)>) -> Result<Self, BadSecret> {
        let known: HashMap<&str, (&Upstream, &Option<Arc<Store>>)> = before
            .into_iter()
            .flat_map(|(plan, stores)| plan.upstreams.iter().zip(&*stores.0))
            .map(|(upstream, store)| (&*upstream.name, (&**upstream, store)))
            .collect();
        let store = |upstream: &Arc<Upstream>| {
            let made = Store::new(upstream)?.map(Arc::new);
            let kept =
                known.get(&*upstream.name).filter(|(before, _)| before.stickiness == upstream.stickiness);
            let kept = kept.and_then(|(_, store)| (*store).clone());
            Ok(match (made, kept) {
                // A file is read again: its content may be another.
                (Some(_), Some(kept)) if !is_from_file(upstream) => Some(kept),
                (made, _) => made,
            })
        };
        Ok(StickyStores(plan.upstreams.iter().map(store).collect::<Result<_, BadSecret>>()?))
    }

    /// Whether the clients of two upstreams are known by the same keys and tables.
    pub(crate) fn are_same(&self, id: UpstreamId, other: &StickyStores, other_id: UpstreamId) -> bool {
        match (self.0.get(id.0 as usize), other.0.get(other_id.0 as usize)) {
            (Some(Some(one)), Some(Some(other))) => Arc::ptr_eq(one, other),
            (Some(None), Some(None)) => true,
            _ => false,
        }
    }

    /// The same for who only asks what would be: upstreams whose key cannot be had are told apart, and no cookie is known there.
    pub(crate) fn for_preview(plan: &Plan) -> (Self, Vec<UpstreamId>) {
        let mut keyless = Vec::new();
        let stores = (0..).map(UpstreamId).zip(&plan.upstreams).map(|(id, upstream)| {
            let store = Store::new(upstream).unwrap_or_else(|_| {
                keyless.push(id);
                Some(Store::Names(Naming::Clear))
            });
            store.map(Arc::new)
        });
        let stores = stores.collect();
        (StickyStores(stores), keyless)
    }

    /// A worker's part of an upstream; `None` when its clients do not stick.
    pub(crate) fn of_worker(&self, id: UpstreamId, upstream: &Arc<Upstream>) -> Option<Rc<Sticky>> {
        let store = self.0.get(id.0 as usize)?.clone()?;
        Some(Rc::new(Sticky { upstream: Arc::clone(upstream), store, members: RefCell::default() }))
    }
}

/// Whether the key of its cookies is the content of a file.
fn is_from_file(upstream: &Upstream) -> bool {
    matches!(
        upstream.stickiness.as_deref().map(|stickiness| &stickiness.by),
        Some(StickBy::Cookie(StickyCookie { value: CookieValue::Signed { secret: Some(_) }, .. }))
    )
}

impl Store {
    fn new(upstream: &Upstream) -> Result<Option<Store>, BadSecret> {
        let Some(stickiness) = upstream.stickiness.as_deref() else { return Ok(None) };
        Ok(Some(match &stickiness.by {
            StickBy::Cookie(cookie) => {
                let (naming, file) = match &cookie.value {
                    CookieValue::Address => (Ok(Naming::Clear), None),
                    CookieValue::Signed { secret: None } => (Naming::with_chance(), None),
                    CookieValue::Signed { secret: Some(path) } => (Naming::with_secret(path), Some(path)),
                };
                Store::Names(naming.map_err(|why| BadSecret {
                    origin: upstream.origin,
                    upstream: upstream.name.clone(),
                    file: file.cloned(),
                    why,
                })?)
            }
            StickBy::Key { table, .. } | StickBy::Learned { table, .. } => {
                Store::Table(StickTable::new(table.size, table.expire, Instant::now()))
            }
        }))
    }
}

/// How the clients of an upstream stay where they are, as one worker knows it.
#[derive(Debug)]
pub(crate) struct Sticky {
    upstream: Arc<Upstream>,
    store: Arc<Store>,
    members: RefCell<Members>,
}

/// The endpoints, and how they are called in cookies or in the table.
#[derive(Debug, Default)]
struct Members {
    ids: Vec<EndpointId>,
    names: HashMap<EndpointId, Rc<str>>,
    by_name: HashMap<Rc<str>, EndpointId>,
    by_label: HashMap<u64, EndpointId>,
}

impl Sticky {
    /// What is configured.
    pub(crate) fn rules(&self) -> Option<&Stickiness> {
        self.upstream.stickiness.as_deref()
    }

    /// The cookie, where there is one.
    pub(crate) fn cookie(&self) -> Option<&StickyCookie> {
        match &self.rules()?.by {
            StickBy::Cookie(cookie) => Some(cookie),
            _ => None,
        }
    }

    /// What all workers share of it.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// How cookies name endpoints.
    pub(crate) fn naming(&self) -> Option<&Naming> {
        match &*self.store {
            Store::Names(naming) => Some(naming),
            Store::Table(_) => None,
        }
    }

    /// Takes over who the endpoints are. How they are does not matter here.
    pub(crate) fn update(&self, membership: &Membership) {
        let ids = || membership.members.iter().map(|member| member.id);
        let mut members = self.members.borrow_mut();
        if !members.ids.iter().copied().eq(ids()) {
            let known = std::mem::take(&mut *members).names;
            members.ids = ids().collect();
            for member in &membership.members {
                members.add(member, &self.store, &self.upstream.name, &known);
            }
        }
    }

    /// How a cookie names an endpoint.
    pub(crate) fn name(&self, endpoint: &EndpointState) -> Option<Rc<str>> {
        let naming = self.naming()?;
        let known = self.members.borrow().names.get(&endpoint.id()).cloned();
        // One that left while it answered has none any more.
        Some(known.unwrap_or_else(|| naming.name(&self.upstream.name, &endpoint.label).into()))
    }

    /// The endpoint that a cookie names.
    pub(crate) fn named(&self, name: &[u8]) -> Option<EndpointId> {
        let name = std::str::from_utf8(name).ok()?;
        self.members.borrow().by_name.get(name).copied()
    }

    /// The endpoint that an entry of the table means: the same one, or another at the same address when that has left.
    pub(crate) fn placed(&self, place: StickPlace) -> Option<EndpointId> {
        let members = self.members.borrow();
        let is_member = members.names.contains_key(&place.id);
        if is_member { Some(place.id) } else { members.by_label.get(&place.label).copied() }
    }
}

impl Members {
    fn add(&mut self, member: &Member, store: &Store, upstream: &str, known: &HashMap<EndpointId, Rc<str>>) {
        let name = match store {
            Store::Names(naming) => {
                let known = known.get(&member.id).cloned();
                let name = known.unwrap_or_else(|| naming.name(upstream, &member.label).into());
                // Of two endpoints with one address the first is meant.
                self.by_name.entry(Rc::clone(&name)).or_insert(member.id);
                name
            }
            Store::Table(table) => {
                self.by_label.entry(table.label(&member.label)).or_insert(member.id);
                Rc::from("")
            }
        };
        self.names.insert(member.id, name);
    }
}

#[cfg(test)]
mod tests;
