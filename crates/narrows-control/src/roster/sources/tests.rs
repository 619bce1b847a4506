use super::*;
use crate::roster::{Change, Roster};
use narrows_plan::{AdminState, EndpointLimits, Origin, Upstream};
use narrows_upstream::EndpointId;
use proptest::prelude::*;
use std::sync::Arc;

fn found(last: u8) -> Found {
    Found {
        address: Address::Socket(([10, 0, 0, last], 80).into()),
        server_name: "app.test".into(),
        weight: 1,
        priority: 0,
        zone: None,
        labels: Box::default(),
        state: AdminState::Ready,
        limits: EndpointLimits::default(),
        is_added: false,
    }
}

/// A roster, and the ids that it gives.
struct Book {
    roster: Roster,
    next: u64,
}

impl Book {
    fn new() -> Self {
        Book { roster: Roster::new(&Upstream::new("app", Origin::default())), next: 0 }
    }

    fn set(&mut self, sources: &[(usize, &[u8])]) -> Change {
        let sources =
            sources.iter().map(|(source, list)| (*source, list.iter().copied().map(found).collect()));
        let next = &mut self.next;
        self.roster.set_sources(sources, || {
            *next += 1;
            EndpointId(*next)
        })
    }

    fn lasts(&self) -> Vec<u8> {
        let last = |entry: &Entry| match entry.found.address {
            Address::Socket(std::net::SocketAddr::V4(address)) => address.ip().octets()[3],
            _ => panic!("all addresses are of one kind"),
        };
        self.roster.entries.iter().map(last).collect()
    }

    fn id(&self, of: u8) -> EndpointId {
        let entry = self.roster.entries.iter().find(|entry| entry.found.address == found(of).address);
        entry.expect("it is there").id
    }
}

#[test]
fn endpoints_stand_in_the_order_of_their_sources() {
    let mut book = Book::new();
    book.set(&[(2, &[5, 4])]);
    book.set(&[(0, &[1]), (1, &[3, 2])]);
    assert_eq!(book.lasts(), [1, 3, 2, 5, 4]);
}

#[test]
fn an_answer_in_another_order_changes_the_order_and_nobody() {
    let mut book = Book::new();
    book.set(&[(0, &[1, 2, 3])]);
    let before = [1, 2, 3].map(|last| book.id(last));
    assert!(book.roster.renewed().is_some());
    assert_eq!(book.set(&[(0, &[3, 1, 2])]), Change::default());
    assert_eq!([1, 2, 3].map(|last| book.id(last)), before);
    assert!(book.roster.renewed().is_some());
    book.set(&[(0, &[3, 1, 2])]);
    assert!(book.roster.renewed().is_none());
}

#[test]
fn what_two_sources_have_is_one_endpoint_until_both_have_lost_it() {
    let mut book = Book::new();
    assert_eq!(book.set(&[(0, &[1, 2]), (1, &[2, 3])]).added.len(), 3);
    let shared = book.id(2);
    assert_eq!(book.set(&[(0, &[1])]), Change::default());
    assert_eq!(book.id(2), shared);
    assert_eq!(book.lasts(), [1, 2, 3]);
    assert_eq!(book.set(&[(1, &[3])]).removed, [shared]);
}

#[test]
fn an_endpoint_that_moves_to_another_source_stays_who_it_is() {
    let mut book = Book::new();
    book.set(&[(0, &[1, 2]), (1, &[3])]);
    let moving = book.id(2);
    book.roster.entry(moving).expect("it is there").ordered.weight = Some(7);
    assert_eq!(book.set(&[(0, &[1]), (1, &[3, 2])]), Change::default());
    assert_eq!(book.id(2), moving);
    assert_eq!(book.lasts(), [1, 3, 2]);
    let entry = book.roster.entry(moving).expect("it is there");
    assert_eq!(entry.member.weight, 7);
}

#[test]
fn an_endpoint_with_another_weight_is_the_same_one_with_a_new_member() {
    let mut book = Book::new();
    book.set(&[(0, &[1])]);
    let (id, before) = (book.id(1), Arc::clone(&book.roster.entries[0].member));
    book.roster.renewed();
    book.roster.set_sources([(0, vec![Found { weight: 9, ..found(1) }])], || panic!("nobody is new"));
    assert_eq!(book.id(1), id);
    assert_eq!((before.weight, book.roster.entries[0].member.weight), (1, 9));
    assert!(book.roster.renewed().is_some());
}

#[test]
fn an_endpoint_that_comes_back_is_another_one() {
    let mut book = Book::new();
    book.set(&[(0, &[1, 2])]);
    let before = book.id(2);
    assert_eq!(book.set(&[(0, &[1])]).removed, [before]);
    assert_ne!(book.set(&[(0, &[1, 2])]).added, [before]);
}

#[test]
fn one_address_under_two_names_is_two_endpoints() {
    let mut book = Book::new();
    let named = |name: &str| Found { server_name: name.into(), ..found(1) };
    let change = book.roster.set_sources([(0, vec![named("a.test"), named("b.test"), named("a.test")])], {
        let mut next = 0;
        move || {
            next += 1;
            EndpointId(next)
        }
    });
    assert_eq!(change.added.len(), 2);
}

#[test]
fn ten_thousand_sources_are_taken_over_in_one_go() {
    let mut roster = Roster::new(&Upstream::new("app", Origin::default()));
    let list = |source: usize| {
        let [.., high, low] = source.to_be_bytes();
        vec![Found { address: Address::Socket(([10, 0, high, low], 80).into()), ..found(0) }]
    };
    let mut next = 0;
    let change = roster.set_sources((0..10_000).map(|source| (source, list(source))), || {
        next += 1;
        EndpointId(next)
    });
    assert_eq!(change.added.len(), 10_000);
}

proptest! {
    /// Whatever the sources say one after another: each endpoint is there once, exactly when a source has it;
    /// identities stay as long as it is there and are never given twice; the change tells the difference.
    #[test]
    fn the_roster_is_what_the_sources_have(steps in prop::collection::vec((0usize..4, prop::collection::vec(0u8..8, 0..8)), 1..30)) {
        let mut book = Book::new();
        let mut sources = BTreeMap::<usize, Vec<u8>>::new();
        let mut ever = HashSet::new();
        for (source, list) in steps {
            let before: HashMap<u8, EndpointId> = book.lasts().into_iter().map(|last| (last, book.id(last))).collect();
            book.roster.renewed();
            let change = book.set(&[(source, &list)]);
            sources.insert(source, list);
            let mut seen = HashSet::new();
            let expected: Vec<u8> = sources.values().flatten().copied().filter(|last| seen.insert(*last)).collect();
            prop_assert_eq!(book.lasts(), expected.clone());
            let mut removed: Vec<_> = before.iter().filter(|(last, _)| !expected.contains(last)).map(|(_, id)| *id).collect();
            let mut told = change.removed.clone();
            removed.sort();
            told.sort();
            prop_assert_eq!(told, removed);
            for last in &expected {
                let id = book.id(*last);
                prop_assert_eq!(book.roster.entry(id).map(|entry| entry.id), Some(id));
                match before.get(last) {
                    Some(id) => prop_assert_eq!(book.id(*last), *id),
                    None => {
                        prop_assert!(ever.insert(book.id(*last)));
                        prop_assert!(change.added.contains(&book.id(*last)));
                    }
                }
            }
            if let Some(membership) = book.roster.renewed() {
                prop_assert_eq!(membership.members.len(), expected.len());
            } else {
                prop_assert!(change == Change::default());
            }
        }
    }
}
