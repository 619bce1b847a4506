//! Priorities, overflow, panic, zones, subsets and what is taken when little is left.

use super::*;
use proptest::prelude::*;

/// A site of tiers: for each endpoint its priority.
fn tiered(balancing: Balancing, priorities: &[u32]) -> Site {
    let mut site = Site::with(balancing, &vec![1; priorities.len()]);
    for (id, priority) in (0..).zip(priorities) {
        site.change(id, |member| member.priority = *priority);
    }
    site.publish();
    site
}

fn put_down(site: &mut Site, ids: impl IntoIterator<Item = u64>) {
    ids.into_iter().for_each(|id| site.change(id, |member| member.condition = Condition::Down));
    site.publish();
}

/// The share of all picks that goes to some endpoints.
fn share(site: &Site, ids: std::ops::Range<u64>) -> f64 {
    const COUNT: usize = 2000;
    let keys = (0..COUNT).map(|key| site.owner(&format!("{key}")));
    keys.filter(|id| ids.contains(id)).count() as f64 / COUNT as f64
}

#[test]
fn a_backup_is_taken_only_when_nothing_before_it_is_available() {
    for method in ALL {
        let mut site = tiered(Balancing { method, ..Balancing::default() }, &[0, 0, 1, 7]);
        assert_eq!(share(&site, 0..2), 1.0, "{method:?}");
        put_down(&mut site, [0]);
        assert_eq!(share(&site, 1..2), 1.0, "{method:?}");
        put_down(&mut site, [1]);
        assert_eq!(share(&site, 2..3), 1.0, "{method:?}");
        put_down(&mut site, [2]);
        assert_eq!(share(&site, 3..4), 1.0, "{method:?}");
        site.set(0, Condition::Up);
        assert_eq!(share(&site, 0..1), 1.0, "{method:?}");
    }
}

#[test]
fn a_retry_goes_to_the_backup_after_the_others_were_tried() {
    let site = tiered(Balancing::default(), &[0, 1]);
    let mut tried = Tried::default();
    tried.add(EndpointId(0));
    assert_eq!(site.pick_for(&Wanted::new(CLIENT, &tried)), Ok(1));
}

#[test]
fn what_a_tier_cannot_carry_goes_to_the_next_one() {
    for method in ALL {
        let balancing = Balancing { method, overflow: Some(140), ..Balancing::default() };
        let mut site = tiered(balancing, &[0; 14].map(|_| 0).into_iter().chain([1; 4]).collect::<Vec<_>>());
        assert_eq!(share(&site, 0..14), 1.0);
        put_down(&mut site, 0..4);
        assert_eq!(share(&site, 0..14), 1.0, "10 of 14 are 71 %, times 1.4 all");
        put_down(&mut site, 4..7);
        let got = share(&site, 0..14);
        assert!((got - 0.7).abs() < 0.03, "{method:?}: half of it, times 1.4: {got}");
        put_down(&mut site, 14..16);
        put_down(&mut site, 7..13);
        // 10 % and 70 %, which together are less than all: in proportion.
        let got = share(&site, 0..14);
        assert!((got - 0.125).abs() < 0.03, "{method:?}: {got}");
    }
}

#[test]
fn the_same_key_overflows_to_the_same_tier() {
    let balancing = Balancing { method: Balance::Maglev, overflow: Some(100), ..Balancing::default() };
    let mut site = tiered(balancing, &[0, 0, 1, 1]);
    put_down(&mut site, [0]);
    assert_eq!(site.owners(500), site.owners(500));
}

#[test]
fn in_panic_health_is_not_believed_but_the_operator_is() {
    for method in ALL {
        let mut site = tiered(Balancing { method, panic: 50, ..Balancing::default() }, &[0; 8]);
        site.change(6, |member| member.condition = Condition::Maintenance);
        site.change(7, |member| member.condition = Condition::Drain);
        put_down(&mut site, 0..3);
        assert_eq!(share(&site, 3..6), 1.0, "{method:?}: half of those that are judged is enough");
        site.change(3, |member| member.condition = Condition::Ejected);
        site.publish();
        assert!(share(&site, 0..4) > 0.4, "{method:?}");
        assert_eq!(share(&site, 6..8), 0.0, "{method:?}");
        put_down(&mut site, 4..6);
        assert!(share(&site, 0..6) == 1.0, "{method:?}: none is well, all are taken");
        site.set(0, Condition::Up);
        site.set(1, Condition::Up);
        site.set(2, Condition::Up);
        assert_eq!(share(&site, 0..3), 1.0, "{method:?}: enough are back");
    }
}

#[test]
fn nobody_panics_while_the_next_tier_can_help() {
    let mut site = tiered(Balancing { panic: 50, ..Balancing::default() }, &[0, 0, 0, 0, 1]);
    put_down(&mut site, 0..3);
    assert_eq!(share(&site, 3..4), 1.0);
    put_down(&mut site, 4..5);
    assert!(share(&site, 0..3) > 0.5, "now it does");
}

#[test]
fn ejected_endpoints_are_taken_when_nothing_else_is_left() {
    for method in ALL {
        let mut site = tiered(Balancing { method, ..Balancing::default() }, &[0, 0, 1, 1]);
        site.change(0, |member| member.condition = Condition::Ejected);
        site.change(2, |member| member.condition = Condition::Ejected);
        site.publish();
        assert_eq!(share(&site, 1..2), 1.0, "{method:?}");
        put_down(&mut site, [1]);
        assert_eq!(share(&site, 3..4), 1.0, "{method:?}");
        put_down(&mut site, [3]);
        assert_eq!(share(&site, 0..1), 1.0, "{method:?}: in the order of the tiers");
        put_down(&mut site, [0]);
        assert_eq!(share(&site, 2..3), 1.0, "{method:?}");
        put_down(&mut site, [2]);
        assert_eq!(site.pick_for(&Wanted::new(CLIENT, &Tried::default())), Err(Unavailable::Down));
    }
}

#[test]
fn endpoints_of_the_own_zone_go_first_when_that_is_wanted() {
    for method in ALL {
        for (prefers_zone, expected) in [(true, 1.0), (false, 0.5)] {
            let mut site = Site::with(Balancing { method, prefers_zone, ..Balancing::default() }, &[1; 8]);
            for id in 0..8 {
                let zone = if id < 4 {
                    Some("here".into())
                } else if id < 6 {
                    Some("there".into())
                } else {
                    None
                };
                site.change(id, |member| member.zone = zone);
            }
            site.publish();
            assert!((share(&site, 0..4) - expected).abs() < 0.13, "{method:?}");
            put_down(&mut site, 0..4);
            assert_eq!(share(&site, 4..8), 1.0, "{method:?}");
            site.set(1, Condition::Up);
            assert!((share(&site, 1..2) - if prefers_zone { 1.0 } else { 0.2 }).abs() < 0.13, "{method:?}");
        }
    }
}

/// Endpoint `id` has the version `id % 3`, and every second one is big.
fn labelled(balancing: Balancing, length: usize) -> Site {
    let mut site = Site::with(balancing, &vec![1; length]);
    for id in 0..length as u64 {
        let version = format!("v{}", id % 3);
        let size = if id % 2 == 0 { "big" } else { "small" };
        let labels = [("version".into(), version.into()), ("size".into(), size.into())];
        site.change(id, |member| member.labels = Box::new(labels));
    }
    site.publish();
    site
}

#[test]
fn a_subset_is_what_has_all_the_labels_and_follows_every_change() {
    for method in ALL {
        let mut site = labelled(Balancing { method, ..Balancing::default() }, 12);
        let tried = Tried::default();
        let subset = [("version", "v1"), ("size", "big")];
        let picked = |site: &Site, subset: &[(&str, &str)]| {
            let keys = (0..200).map(|key| key.to_string());
            let picks = keys.map(|key| {
                site.pick_for(&Wanted::new(CLIENT, &tried).with_key(Some(&key)).with_subset(subset))
            });
            let mut picks: Vec<_> = picks.filter_map(Result::ok).collect();
            picks.sort_unstable();
            picks.dedup();
            picks
        };
        assert_eq!(picked(&site, &subset), [4, 10], "{method:?}");
        assert_eq!(picked(&site, &[subset[1], subset[0]]), [4, 10], "{method:?}: in any order");
        assert_eq!(picked(&site, &[("version", "v2")]), [2, 5, 8, 11], "{method:?}");
        site.set(4, Condition::Down);
        assert_eq!(picked(&site, &subset), [10], "{method:?}");
        site.change(6, |member| member.labels[0].1 = "v1".into());
        site.publish();
        assert_eq!(picked(&site, &subset), [6, 10], "{method:?}");
        site.remove(10);
        assert_eq!(picked(&site, &subset), [6], "{method:?}");
        let wanted = Wanted::new(CLIENT, &tried).with_subset(&[("version", "v9")]);
        assert_eq!(site.pick_for(&wanted), Err(Unavailable::Down));
        let wanted = Wanted::new(CLIENT, &tried).with_subset(&[("colour", "red")]);
        assert_eq!(site.pick_for(&wanted), Err(Unavailable::Down));
    }
}

#[test]
fn more_combinations_than_are_kept_are_served_all_the_same() {
    let mut site = Site::new(Balance::RoundRobin, &[1; 300]);
    for id in 0..300 {
        site.change(id, |member| member.labels = Box::new([("shard".into(), id.to_string().into())]));
    }
    site.publish();
    let tried = Tried::default();
    for round in 0..3 {
        for id in 0..300 {
            let value = id.to_string();
            let subset = [("shard", &*value)];
            let picked = site.pick_for(&Wanted::new(CLIENT, &tried).with_subset(&subset));
            assert_eq!(picked, Ok(id), "round {round}");
        }
    }
}

#[test]
fn the_keys_of_a_ring_are_the_same_in_a_subset_as_on_a_ring_of_the_subset_alone() {
    let site = labelled(Balancing { method: Balance::Ketama, ..Balancing::default() }, 12);
    let mut alone = labelled(Balancing { method: Balance::Ketama, ..Balancing::default() }, 12);
    (0..12).filter(|id| id % 3 != 1).for_each(|id| alone.remove(id));
    let tried = Tried::default();
    for key in 0..500 {
        let key = key.to_string();
        let wanted = Wanted::new(CLIENT, &tried).with_key(Some(&key));
        assert_eq!(site.pick_for(&wanted.with_subset(&[("version", "v1")])), alone.pick_for(&wanted));
    }
}

fn condition() -> impl Strategy<Value = Condition> {
    use Condition::*;
    prop_oneof![4 => Just(Up), 1 => Just(Drain), 1 => Just(Ejected), 2 => Just(Down), 1 => Just(Maintenance)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// What is picked never has a condition that it must not have, and is in the first tier that may serve when there is no overflow.
    #[test]
    fn the_choice_is_in_the_first_tier_that_has_anybody(
        endpoints in proptest::collection::vec((condition(), 0..3_u32, 0..4_u32, any::<bool>()), 1..30),
        method in 0..ALL.len(),
        overflow in proptest::option::of(100..300_u32),
        prefers_zone in any::<bool>(),
    ) {
        let balancing = Balancing { method: ALL[method], overflow, prefers_zone, ..Balancing::default() };
        let mut site = Site::with(balancing, &vec![1; endpoints.len()]);
        for (id, (condition, priority, weight, is_near)) in (0..).zip(&endpoints) {
            site.change(id, |member| {
                (member.condition, member.priority, member.weight) = (*condition, *priority, *weight);
                member.zone = is_near.then(|| "here".into());
            });
        }
        site.publish();
        let tier = |id: u64| {
            let (_, priority, _, is_near) = endpoints[id as usize];
            (priority, prefers_zone && !is_near)
        };
        let with = |condition: Condition| (0..).zip(&endpoints).filter(move |(_, one)| one.0 == condition && one.2 > 0).map(|(id, _)| id);
        let first = with(Condition::Up).map(tier).min();
        let ejected = with(Condition::Ejected).map(tier).min();
        for key in 0..40 {
            let key = key.to_string();
            let tried = Tried::default();
            let picked = site.pick_for(&Wanted::new(CLIENT, &tried).with_key(Some(&key)));
            match (first, ejected, picked) {
                (Some(first), _, Ok(id)) => {
                    prop_assert_eq!(endpoints[id as usize].0, Condition::Up);
                    prop_assert!(endpoints[id as usize].2 > 0);
                    prop_assert!(overflow.is_some() || tier(id) == first);
                }
                (None, Some(first), Ok(id)) => {
                    prop_assert_eq!(endpoints[id as usize].0, Condition::Ejected);
                    prop_assert_eq!(tier(id), first);
                }
                (None, None, picked) => prop_assert_eq!(picked, Err(Unavailable::Down)),
                (_, _, picked) => prop_assert!(false, "{:?} although somebody is available", picked),
            }
        }
    }
}
