//! What would be chosen, for `explain`: by what chooses for live traffic, among the endpoints as they are configured.

use super::{LabelTexts, Wants, rendered};
use crate::outgoing::write_request_head;
use crate::request::Request;
use crate::sticky::{Sticky, StickyStores};
use narrows_plan::{CookieValue, Facts, HttpListener, Plan, Route, StickBy, Template, UpstreamId};
use narrows_upstream::{Candidate, Cluster, Membership, Reporter, Tried, UpstreamKey};
use std::rc::Rc;
use std::sync::Arc;

/// What one worker that begins now would choose by. One for each plan.
#[derive(Debug)]
pub struct ChoicePreview<'a> {
    plan: &'a Plan,
    stores: StickyStores,
    /// Upstreams whose key of signed cookies cannot be read here.
    keyless: Vec<UpstreamId>,
}

/// The choice among the endpoints of an upstream.
#[derive(Debug)]
pub struct Choice {
    /// What a hash method hashes, as rendered; the client's address where nothing else is configured. `None` for the other methods.
    pub key: Option<String>,
    /// Labels and values that an endpoint must have.
    pub labels: Vec<(String, String)>,
    /// How the client is known again; `None` when it is not.
    pub sticky: Option<StickyChoice>,
    /// The endpoints that are written with their addresses, in their order; the identity of each is its position, counted from 1.
    pub candidates: Vec<Candidate>,
    /// Whether the same request gets the same endpoint whatever was before, as far as that is configured.
    pub is_certain: bool,
}

/// How a client is known again.
#[derive(Debug)]
pub struct StickyChoice {
    /// What the request or flow brings: a cookie, a key as rendered.
    pub brought: Option<String>,
    /// Whether an endpoint is found with it; `None` when only the running process knows.
    pub is_known: Option<bool>,
}

impl<'a> ChoicePreview<'a> {
    /// Reads the keys of signed cookies; without one, the cookies that it signs mean nothing here.
    pub fn new(plan: &'a Plan) -> Self {
        let (stores, keyless) = StickyStores::for_preview(plan);
        ChoicePreview { plan, stores, keyless }
    }

    /// The choice for a request by a route with this `subset`.
    pub fn of_request(
        &self,
        request: &Request<'_>,
        subset: &[(Box<str>, Template)],
        id: UpstreamId,
    ) -> Choice {
        let (cluster, sticky) = self.worker(id);
        let mut texts = LabelTexts::default();
        let wants = Wants::of_request(request, subset, &cluster, sticky.as_ref(), &mut texts);
        choice(&wants, &request.facts(None), &cluster, self.keyless.contains(&id))
    }

    /// The head that an endpoint whose address reads `endpoint` would get.
    pub fn request_head(
        &self,
        request: &Request<'_>,
        listener: &HttpListener,
        route: &Route,
        matched_prefix: Option<&str>,
        id: UpstreamId,
        endpoint: &str,
    ) -> Vec<u8> {
        let (cluster, sticky) = self.worker(id);
        let mut texts = LabelTexts::default();
        let wants = Wants::of_request(request, &route.subset, &cluster, sticky.as_ref(), &mut texts);
        let mut out = Vec::new();
        write_request_head(request, listener, route, matched_prefix, wants.cookie(), endpoint, &mut out);
        out
    }

    /// The choice for a flow or a session.
    pub fn of_flow<F: Facts>(&self, facts: &F, id: UpstreamId) -> Choice {
        let (cluster, sticky) = self.worker(id);
        let wants = Wants::of_flow(facts, &cluster, sticky.as_ref());
        choice(&wants, facts, &cluster, self.keyless.contains(&id))
    }

    /// An upstream as a worker has it that begins now.
    fn worker(&self, id: UpstreamId) -> (Cluster, Option<Rc<Sticky>>) {
        let upstream = &self.plan.upstreams[id.0 as usize];
        let zone = self.plan.settings.zone.as_deref();
        let cluster = Cluster::new(Arc::clone(upstream), UpstreamKey(id.0), 0, None, Reporter::new().0, zone);
        let membership = Arc::new(Membership::configured(upstream));
        cluster.update(&membership);
        let sticky = self.stores.of_worker(id, upstream);
        if let Some(sticky) = &sticky {
            sticky.update(&membership);
        }
        (cluster, sticky)
    }
}

fn choice<F: Facts>(wants: &Wants<'_>, facts: &F, cluster: &Cluster, is_keyless: bool) -> Choice {
    let upstream = &cluster.upstream;
    let key = upstream.balancing.method.is_hash().then(|| match &wants.key {
        Some(key) => key.to_string(),
        None => wants.client.to_string(),
    });
    let rules = upstream.stickiness.as_deref();
    let sticky = rules.map(|rules| sticky_choice(&rules.by, facts, wants.endpoint.is_some(), is_keyless));
    let candidates = cluster.candidates(&wants.wanted(&Tried::default()));
    let are_written = candidates.len() == upstream.endpoints.len() && upstream.endpoint_file.is_none();
    let is_stuck = wants.endpoint.is_some_and(|sticky| {
        candidates.iter().any(|candidate| candidate.is_chosen && candidate.id == sticky.endpoint)
    });
    let is_hashed = key.as_ref().is_some_and(|key| !key.is_empty())
        && are_written
        && sticky.as_ref().is_none_or(|sticky| sticky.is_known == Some(false));
    Choice {
        key,
        labels: wants.labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        sticky,
        is_certain: is_stuck || is_hashed || candidates.len() == 1 && are_written,
        candidates,
    }
}

fn sticky_choice<F: Facts>(by: &StickBy, facts: &F, is_found: bool, is_keyless: bool) -> StickyChoice {
    let (brought, is_known) = match by {
        StickBy::Cookie(cookie) => {
            let is_secret = is_keyless || matches!(cookie.value, CookieValue::Signed { secret: None });
            let brought = facts.cookie(&cookie.name).map(|value| value.into_owned());
            let is_known = if is_secret && brought.is_some() { None } else { Some(is_found) };
            (brought, is_known)
        }
        StickBy::Key { key: None, .. } => (Some(facts.source().to_canonical().to_string()), None),
        StickBy::Key { key: Some(key), .. } | StickBy::Learned { request: key, .. } => {
            let text = rendered(key, facts);
            if text.is_empty() { (None, Some(false)) } else { (Some(text), None) }
        }
    };
    StickyChoice { brought, is_known }
}
