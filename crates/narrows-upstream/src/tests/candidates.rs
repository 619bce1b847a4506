//! What is told of a choice is what is chosen, and telling changes nothing.

use super::*;
use crate::{Candidate, Score};

fn chosen(candidates: &[Candidate]) -> Option<u64> {
    let mut chosen = candidates.iter().filter(|candidate| candidate.is_chosen);
    let first = chosen.next().map(|candidate| candidate.id.0);
    assert!(chosen.next().is_none(), "one at most");
    first
}

#[test]
fn the_chosen_candidate_is_the_next_choice_however_often_it_is_told() {
    for method in ALL {
        for weights in [&[1; 5][..], &[1, 5, 2], &[3; 60]] {
            let site = Site::with(Balancing { method, ..Balancing::default() }, weights);
            for key in 0..30 {
                let (key, tried) = (key.to_string(), Tried::default());
                let wanted = Wanted::new(CLIENT, &tried).with_key(Some(&key));
                let told = site.cluster.candidates(&wanted);
                assert_eq!(told, site.cluster.candidates(&wanted), "{method:?}");
                assert_eq!(chosen(&told), site.pick_for(&wanted).ok(), "{method:?}");
                assert_eq!(told.len(), weights.len());
            }
        }
    }
}

#[test]
fn every_candidate_says_why_it_is_or_is_not_taken() {
    let balancing = Balancing { method: Balance::ConsistentHash, prefers_zone: true, ..Balancing::default() };
    let mut site = Site::with(balancing, &[1, 1, 2, 0]);
    site.change(0, |member| (member.condition, member.reason) = (Condition::Down, "3 checks failed".into()));
    site.change(1, |member| member.zone = Some("here".into()));
    site.publish();
    let tried = Tried::default();
    let told = site.cluster.candidates(&Wanted::new(CLIENT, &tried));
    assert_eq!(told[0].condition, Condition::Down);
    assert_eq!(&*told[0].reason, "3 checks failed");
    assert_eq!((told[0].score, told[0].tier), (None, Some(1)));
    assert_eq!((told[1].tier, told[1].portion, told[1].is_chosen), (Some(0), 100, true));
    assert_eq!(told[1].score, Some(Score::Rank(0)));
    assert_eq!((told[2].tier, told[2].portion, told[2].is_chosen), (Some(1), 0, false));
    assert_eq!(told[3].score, None, "weight 0");
}

#[test]
fn who_has_not_the_labels_is_in_no_tier() {
    let mut site = Site::new(Balance::LeastRequest, &[1, 1]);
    site.change(1, |member| member.labels = Box::new([("version".into(), "v2".into())]));
    site.publish();
    let tried = Tried::default();
    let told = site.cluster.candidates(&Wanted::new(CLIENT, &tried).with_subset(&[("version", "v2")]));
    assert_eq!((told[0].tier, told[0].is_chosen), (None, false));
    assert_eq!((told[1].tier, told[1].is_chosen, told[1].score), (Some(0), true, Some(Score::Load(0.0))));
}

#[test]
fn an_ejected_endpoint_that_is_the_last_resort_is_told() {
    let mut site = Site::new(Balance::Maglev, &[1, 1]);
    site.change(0, |member| member.condition = Condition::Ejected);
    site.change(1, |member| member.condition = Condition::Down);
    site.publish();
    let tried = Tried::default();
    let told = site.cluster.candidates(&Wanted::new(CLIENT, &tried));
    assert!(told[0].is_chosen && told[0].score.is_some());
    assert!(!told[1].is_chosen && told[1].score.is_none());
}
