//! Endpoints without room.

use super::*;
use crate::Candidate;

fn pick(site: &Site, tried: &[u64]) -> Result<u64, Unavailable> {
    let mut were_tried = Tried::default();
    tried.iter().for_each(|id| were_tried.add(EndpointId(*id)));
    site.pick_for(&Wanted::new(CLIENT, &were_tried))
}

#[test]
fn a_full_endpoint_is_passed_over_and_when_all_are_full_that_is_said() {
    for method in ALL {
        for weights in [&[1; 4][..], &[3, 1, 2, 9], &[2; 60]] {
            let mut site = Site::new(method, weights);
            let length = weights.len() as u64;
            site.fill(0..length - 1);
            assert_eq!(pick(&site, &[]), Ok(length - 1), "{method:?}");
            site.fill(0..length);
            assert_eq!(pick(&site, &[]), Err(Unavailable::Full), "{method:?}");
            site.fill(1..length);
            assert_eq!(pick(&site, &[0]), Err(Unavailable::Full), "{method:?}: it is worth waiting");
            (0..length).for_each(|id| site.change(id, |member| member.condition = Condition::Down));
            site.publish();
            assert_eq!(pick(&site, &[]), Err(Unavailable::Down), "{method:?}: it is not");
            site.fill([]);
        }
    }
}

#[test]
fn a_backup_helps_when_the_first_tier_is_full_but_an_ejected_endpoint_does_not() {
    for method in ALL {
        let mut site = Site::new(method, &[1; 3]);
        site.change(1, |member| member.priority = 1);
        site.change(2, |member| member.condition = Condition::Ejected);
        site.publish();
        site.fill([0]);
        assert_eq!(pick(&site, &[]), Ok(1), "{method:?}");
        site.fill([0, 1]);
        assert_eq!(pick(&site, &[]), Err(Unavailable::Full), "{method:?}");
        site.fill([]);
    }
}

#[test]
fn only_the_keys_of_a_full_endpoint_move() {
    for method in [Balance::Hash, Balance::ConsistentHash, Balance::Ketama, Balance::Maglev] {
        let mut site = Site::new(method, &[1, 2, 3, 1]);
        let before = site.owners(2000);
        site.fill([2]);
        let meanwhile = site.owners(2000);
        assert!(
            before.iter().zip(&meanwhile).all(|(before, now)| *now != 2 && (before == now || *before == 2))
        );
        site.fill([]);
        assert_eq!(before, site.owners(2000), "{method:?}");
    }
}

#[test]
fn an_endpoint_that_was_full_does_not_get_all_the_turns_that_it_missed() {
    let mut site = Site::new(Balance::RoundRobin, &[1, 1, 2]);
    site.fill([2]);
    assert_eq!(counts(&site.picks(400), 3), [200, 200, 0]);
    site.fill([]);
    let counted = counts(&site.picks(400), 3);
    assert!((195..=210).contains(&counted[2]), "{counted:?}");
}

#[test]
fn candidates_say_who_is_full() {
    let mut site = Site::new(Balance::RoundRobin, &[1, 1]);
    site.fill([0]);
    let tried = Tried::default();
    let told = site.cluster.candidates(&Wanted::new(CLIENT, &tried));
    let seen: Vec<_> =
        told.iter().map(|Candidate { is_full, is_chosen, .. }| (*is_full, *is_chosen)).collect();
    assert_eq!(seen, [(true, false), (false, true)]);
    site.fill([]);
}
