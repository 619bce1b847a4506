//! What all sources of an upstream have, and what that is together.

use super::{Entry, Found};
use narrows_plan::Address;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What each source has, also what another one has as well: when one loses it, the other still has it.
#[derive(Debug, Default)]
pub(super) struct Sources(BTreeMap<usize, Vec<Found>>);

impl Sources {
    /// Takes over what some of them have now; says whether anything is different.
    pub(super) fn take(&mut self, renewed: impl IntoIterator<Item = (usize, Vec<Found>)>) -> bool {
        let mut is_different = false;
        for (source, found) in renewed {
            let is_same = match self.0.get(&source) {
                Some(before) => *before == found,
                None => found.is_empty(),
            };
            if is_same {
                continue;
            }
            match found.is_empty() {
                true => drop(self.0.remove(&source)),
                false => drop(self.0.insert(source, found)),
            }
            is_different = true;
        }
        is_different
    }

    /// What one of them has.
    pub(super) fn of(&self, source: usize) -> &[Found] {
        self.0.get(&source).map_or(&[], Vec::as_slice)
    }

    /// Every endpoint once, in the order of the sources: what the first source that has it says of it, and
    /// where it stands in `before`.
    pub(super) fn merge(&self, before: &[Entry]) -> Vec<(&Found, Option<usize>)> {
        let known: HashMap<(&Address, &str), usize> =
            before.iter().map(|entry| entry.found.place()).zip(0..).collect();
        let mut seen = HashSet::new();
        self.0
            .values()
            .flatten()
            .filter(|found| seen.insert(found.place()))
            .map(|found| (found, known.get(&found.place()).copied()))
            .collect()
    }
}

#[cfg(test)]
mod tests;
