//! Seeded lives of clusters: endpoints come, leave, go down, are ejected and change while requests run.

use super::*;
use crate::chance::Chance;
use std::collections::HashMap;

/// How many lives, and how many steps each has. `NARROWS_SEED` repeats one.
const LIVES: u64 = 45;
const STEPS: usize = 250;

struct Life {
    site: Site,
    chance: Chance,
    running: Vec<(u64, Running)>,
    counted: HashMap<u64, u32>,
    balancing: Balancing,
    /// Whether time has no part in the choice.
    is_steady: bool,
}

#[test]
fn whatever_happens_only_what_may_be_taken_is_and_somebody_is_while_anybody_may() {
    let seeds = match std::env::var("NARROWS_SEED") {
        Ok(seed) => vec![seed.parse().expect("a number")],
        Err(_) => (0..LIVES).collect(),
    };
    for seed in seeds {
        let lived = std::panic::catch_unwind(|| Life::new(seed).live());
        assert!(lived.is_ok(), "repeat it with NARROWS_SEED={seed}");
    }
}

fn is_full(member: &Member) -> bool {
    member.limits.requests == Some(0)
}

impl Life {
    fn new(seed: u64) -> Self {
        let chance = Chance::new(seed);
        let balancing = Balancing {
            method: ALL[chance.below(9) as usize],
            bound: (chance.below(2) == 0).then_some(125),
            overflow: (chance.below(3) == 0).then_some(140),
            panic: if chance.below(3) == 0 { 40 } else { 0 },
            prefers_zone: chance.below(2) == 0,
            ..Balancing::default()
        };
        let slow_start = (chance.below(2) == 0).then_some(std::time::Duration::from_secs(20));
        let upstream = Upstream { slow_start, ..upstream(balancing.clone()) };
        let mut life = Life {
            site: Site::made(upstream, seed as usize % 4, &[]),
            chance,
            running: Vec::new(),
            counted: HashMap::new(),
            is_steady: slow_start.is_none() && balancing.method != Balance::PeakEwma,
            balancing,
        };
        for _ in 0..life.chance.below(40) {
            life.add();
        }
        life.site.publish();
        life
    }

    fn live(mut self) {
        for _ in 0..STEPS {
            match self.chance.below(13) {
                0 => self.happen(),
                1 => self.fill_some(),
                2..5 => self.end(),
                _ => self.request(),
            }
            self.check_counts();
        }
        self.running.clear();
        self.counted.clear();
        self.check_counts();
    }

    fn add(&mut self) {
        let weight = [0, 1, 1, 1, 2, 5, 40][self.chance.below(7) as usize];
        self.site.add(weight);
        let id = self.site.next_id - 1;
        let (priority, near, version) =
            (self.chance.below(3) as u32, self.chance.below(2), self.chance.below(3));
        self.site.change(id, |member| {
            member.priority = priority.saturating_sub(1);
            member.zone = (near == 0).then(|| "here".into());
            member.labels = Box::new([("version".into(), format!("v{version}").into())]);
        });
    }

    /// Something happens to an endpoint.
    fn happen(&mut self) {
        let length = self.site.members.len() as u64;
        if length == 0 || self.chance.below(10) == 0 {
            self.add();
            return self.site.publish();
        }
        let id = self.site.members[self.chance.below(length) as usize].id.0;
        if self.chance.below(10) == 0 {
            return self.site.remove(id);
        }
        use Condition::*;
        let condition = [Up, Up, Up, Drain, Ejected, Down, Down, Maintenance][self.chance.below(8) as usize];
        let (weight, reweigh) = (self.chance.below(6) as u32, self.chance.below(5) == 0);
        self.site.change(id, |member| {
            let was_away = member.condition != Up;
            member.condition = condition;
            member.returned = (was_away && condition == Up).then(Instant::now);
            if reweigh {
                member.weight = weight;
            }
        });
        self.site.publish();
    }

    /// Some endpoints have no room from now on, often none.
    fn fill_some(&mut self) {
        let share = [0, 2, 4][self.chance.below(3) as usize];
        let ids = self.site.members.iter().map(|member| member.id.0);
        let full: Vec<u64> = ids.filter(|_| self.chance.below(5) < share).collect();
        self.site.fill(full);
    }

    fn end(&mut self) {
        let length = self.running.len() as u64;
        if length > 0 {
            let (id, guard) = self.running.swap_remove(self.chance.below(length) as usize);
            drop(guard);
            *self.counted.get_mut(&id).expect("counted") -= 1;
            if let Some(endpoint) = self.site.cluster.endpoint(EndpointId(id)) {
                endpoint.succeeded(Some(std::time::Duration::from_millis(self.chance.below(50))));
            }
        }
    }

    /// A request that is tried on one endpoint after another until one takes it.
    fn request(&mut self) {
        let key = self.chance.below(50).to_string();
        let version = format!("v{}", self.chance.below(4));
        let asked = [("version", &*version)];
        let subset: &[(&str, &str)] = if self.chance.below(3) == 0 { &asked } else { &[] };
        let mut tried = Tried::default();
        loop {
            let wanted = Wanted::new(CLIENT, &tried).with_key(Some(&key)).with_subset(subset);
            // What peak EWMA was told, and the part of what starts slowly, changes from one moment to the next.
            let told =
                (self.chance.below(5) == 0 && self.is_steady).then(|| self.site.cluster.candidates(&wanted));
            let picked = self.site.pick_for(&wanted);
            if let Some(told) = told {
                let chosen =
                    told.iter().find(|candidate| candidate.is_chosen).map(|candidate| candidate.id.0);
                assert_eq!(chosen, picked.ok());
            }
            self.check(&wanted, picked);
            let Ok(id) = picked else { return };
            if self.chance.below(4) > 0 {
                *self.counted.entry(id).or_default() += 1;
                self.running.push((id, self.site.endpoint(id).begin()));
                return;
            }
            self.site.endpoint(id).failed(crate::AttemptFailure::Connect);
            tried.add(EndpointId(id));
        }
    }

    fn check(&self, wanted: &Wanted<'_>, picked: Result<u64, Unavailable>) {
        let has_labels = |member: &Member| {
            wanted.subset.iter().all(|(name, value)| {
                member.labels.iter().any(|(other, theirs)| **other == **name && **theirs == **value)
            })
        };
        let could = |condition: Condition| {
            self.site.members.iter().any(|member| {
                member.condition == condition
                    && member.weight > 0
                    && !wanted.tried.contains(member.id)
                    && has_labels(member)
                    && !is_full(member)
            })
        };
        let Ok(id) = picked else {
            // One that is ejected is left alone while it is worth waiting for others.
            let waits = picked == Err(Unavailable::Full);
            let none_could = !could(Condition::Up) && (waits || !could(Condition::Ejected));
            assert!(none_could, "{picked:?} although somebody could");
            return;
        };
        let member = self.site.members.iter().find(|member| member.id == EndpointId(id)).expect("a member");
        assert!(!is_full(member), "{member:?}");
        assert!(member.weight > 0 && has_labels(member) && !wanted.tried.contains(member.id), "{member:?}");
        match member.condition {
            Condition::Up => {}
            Condition::Ejected => assert!(!could(Condition::Up) || self.balancing.panic > 0, "{member:?}"),
            Condition::Down => assert!(self.balancing.panic > 0, "{member:?}"),
            Condition::Drain | Condition::Maintenance => panic!("{member:?}"),
        }
    }

    fn check_counts(&self) {
        for member in &self.site.members {
            let counted = self.counted.get(&member.id.0).copied().unwrap_or_default();
            assert_eq!(self.site.endpoint(member.id.0).running(), counted);
        }
    }
}
