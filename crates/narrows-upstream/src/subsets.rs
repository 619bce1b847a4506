//! Endpoints by label, for routes that ask for some of them.

use crate::chance::{hash_text, mix};
use crate::endpoint::EndpointState;
use crate::tiers::{Ground, Place, Rules, Tiers};
use std::collections::HashMap;
use std::rc::Rc;

/// Combinations of labels that are kept; of more, the one that was not asked for longest is made again when it is needed.
const KEPT: usize = 64;

/// The tiers of the combinations of labels that were asked for. Values may come from requests: what no endpoint has costs a look and keeps nothing.
#[derive(Debug, Default)]
pub(crate) struct Subsets {
    /// `None` until somebody asks.
    places: Option<Labelled>,
    kept: Vec<Kept>,
    asked: u64,
}

/// Where the endpoints with a label stand, ascending, by its name and its value.
type Labelled = HashMap<Box<str>, HashMap<Box<str>, Vec<Place>>>;

#[derive(Debug)]
struct Kept {
    hash: u64,
    labels: Box<[(Box<str>, Box<str>)]>,
    /// When it was asked for last.
    asked: u64,
    tiers: Tiers,
}

impl Subsets {
    /// The tiers of the endpoints that have all these labels; `None` when nobody has.
    pub(crate) fn of(
        &mut self,
        subset: &[(&str, &str)],
        rules: &Rc<Rules>,
        ground: &Ground,
    ) -> Option<&Tiers> {
        let hash =
            subset.iter().fold(0, |hash, (name, value)| mix(mix(hash ^ hash_text(name)) ^ hash_text(value)));
        self.asked += 1;
        let is_asked = |kept: &Kept| {
            let labels = kept.labels.iter().map(|(name, value)| (&**name, &**value));
            kept.hash == hash && labels.eq(subset.iter().copied())
        };
        let position = match self.kept.iter().position(is_asked) {
            Some(position) => position,
            None => {
                let places = self.places(subset, ground);
                if places.is_empty() {
                    return None;
                }
                let labels = subset.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
                let tiers = Tiers::new(rules, ground, &places, false);
                self.keep(Kept { hash, labels, asked: 0, tiers })
            }
        };
        let kept = &mut self.kept[position];
        kept.asked = self.asked;
        Some(&kept.tiers)
    }

    fn keep(&mut self, kept: Kept) -> usize {
        if self.kept.len() < KEPT {
            self.kept.push(kept);
            return self.kept.len() - 1;
        }
        let oldest = (0..self.kept.len()).min_by_key(|position| self.kept[*position].asked).unwrap_or(0);
        self.kept[oldest] = kept;
        oldest
    }

    /// Where the endpoints with all these labels stand.
    pub(crate) fn places(&mut self, subset: &[(&str, &str)], ground: &Ground) -> Vec<Place> {
        let by_label = self.places.get_or_insert_with(|| index(ground));
        let mut lists = Vec::with_capacity(subset.len());
        for (name, value) in subset {
            match by_label.get(*name).and_then(|values| values.get(*value)) {
                Some(places) => lists.push(places),
                None => return Vec::new(),
            }
        }
        lists.sort_by_key(|list| list.len());
        let Some((shortest, others)) = lists.split_first() else { return Vec::new() };
        let in_all = |place: &&Place| others.iter().all(|list| list.binary_search(place).is_ok());
        shortest.iter().filter(in_all).copied().collect()
    }

    /// An endpoint has another condition or weight.
    pub(crate) fn changed(&mut self, place: Place) {
        self.kept.iter_mut().for_each(|kept| kept.tiers.changed(place));
    }
}

fn index(ground: &Ground) -> Labelled {
    let mut index = Labelled::new();
    let mut add = |place: Place, endpoint: &EndpointState| {
        for (name, value) in &endpoint.member().labels {
            let places = index.entry(name.clone()).or_default().entry(value.clone()).or_default();
            // A label that is there twice counts once.
            if places.last() != Some(&place) {
                places.push(place);
            }
        }
    };
    for (priority, on) in (0..).zip(&ground.priorities) {
        for (origin, endpoint) in (0..).zip(&on.endpoints) {
            add(Place { priority, origin }, endpoint);
        }
    }
    index
}
