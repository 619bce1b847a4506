use super::*;

#[test]
fn what_stays_in_order_is_the_longest_row() {
    assert_eq!(stays(&[1, 2, 3]), [true, true, true]);
    assert_eq!(stays(&[3, 1, 2]), [false, true, true]);
    assert_eq!(stays(&[2, 3, 1]), [true, true, false]);
    assert_eq!(stays(&[]), [false; 0]);
}

#[test]
fn a_summary_counts_things_and_not_their_keys() {
    let changed = |key: &str| Change {
        kind: Kind::Upstream,
        name: "app".into(),
        what: What::Changed { key: key.into(), old: "1".into(), new: "2".into() },
        place: String::new(),
    };
    let added = Change {
        kind: Kind::Route,
        name: "web/a".into(),
        what: What::Added { does: "/a -> upstream app".into() },
        place: String::new(),
    };
    let changes = Changes { changes: vec![changed("a"), changed("b"), added], effects: Vec::new() };
    assert_eq!(changes.summary(), "1 upstream changed, 1 route added");
    assert_eq!(Changes::default().summary(), "nothing changed");
}
