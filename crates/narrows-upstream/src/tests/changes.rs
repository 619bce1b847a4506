//! A cluster after any changes chooses as one that was made like that.

use super::*;
use std::time::Duration;

#[test]
fn a_change_of_a_condition_touches_nobody_else() {
    let mut site = Site::new(Balance::RoundRobin, &[1; 4]);
    assert_eq!(site.picks(2), [0, 1]);
    site.set(2, Condition::Down);
    assert_eq!(site.picks(3), [3, 0, 1], "the rotation goes on where it was");
    site.set(2, Condition::Up);
    assert_eq!(site.picks(2), [2, 3]);
}

#[test]
fn an_endpoint_is_found_by_its_identity_while_it_is_a_member() {
    let mut site = Site::new(Balance::RoundRobin, &[1; 300]);
    assert_eq!(site.endpoint(299).id(), EndpointId(299));
    site.remove(7);
    assert!(site.cluster.endpoint(EndpointId(7)).is_none());
    assert_eq!(site.endpoint(8).id(), EndpointId(8));
    assert_eq!(site.cluster.size(), 299);
}

#[test]
fn what_is_known_of_an_endpoint_survives_every_change_of_others() {
    let mut site = Site::new(Balance::LeastRequest, &[1, 1]);
    let _running = site.endpoint(0).begin();
    site.add(1);
    site.publish();
    assert_eq!(site.endpoint(0).running(), 1);
    assert_eq!(counts(&site.picks(20), 3), [0, 10, 10]);
}

#[test]
fn endpoints_that_come_and_go_do_not_favour_the_first_ones() {
    let mut site = Site::new(Balance::RoundRobin, &[1; 5]);
    let mut picks = Vec::new();
    for _ in 0..500 {
        let new = site.next_id;
        site.add(0);
        site.publish();
        picks.push(site.pick());
        site.remove(new);
    }
    assert!(counts(&picks, 5).iter().all(|count| (50..150).contains(count)), "{:?}", counts(&picks, 5));
}

/// A generous deadline: in an optimised build it takes 10 microseconds, in this one some hundred.
#[test]
fn one_change_among_ten_thousand_does_not_cost_a_pass_over_their_balancers() {
    for method in ALL {
        let balancing = Balancing { method, ..Balancing::default() };
        let mut site = Site::with(balancing, &vec![2; 10_000]);
        let begun = Instant::now();
        let memberships: Vec<_> = (0..10)
            .map(|number| {
                let condition = if number % 2 == 0 { Condition::Down } else { Condition::Up };
                site.change(5000, |member| member.condition = condition);
                let membership = Membership::new(site.members.clone());
                Arc::new(membership)
            })
            .collect();
        memberships.iter().for_each(|membership| site.cluster.update(membership));
        assert!(begun.elapsed() < Duration::from_secs(30), "{method:?}");
        assert_eq!(site.endpoint(5000).condition(), Condition::Up);
    }
}
