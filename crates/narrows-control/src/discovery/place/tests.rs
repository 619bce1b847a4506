use super::*;
use narrows_plan::Origin;
use proptest::prelude::*;

fn service(weight: u32, priority: u32) -> Endpoint {
    let address = Address::Service("_http._tcp.app.test".into());
    Endpoint { weight, priority, ..Endpoint::new(address, Origin::default()) }
}

fn place(last: u8, priority: u32, weight: u32) -> Place {
    Place { priority, address: ([10, 0, 0, last], 80).into(), weight }
}

#[test]
fn weights_are_multiplied_and_priorities_added() {
    let found = at_places(&service(10, 2), &[place(1, 0, 3), place(2, 1, 1)]);
    let seen: Vec<_> = found.iter().map(|one| (one.weight, one.priority)).collect();
    assert_eq!(seen, [(30, 2), (10, 3)]);
}

#[test]
fn a_weight_of_nothing_stays_nothing() {
    assert_eq!(at_places(&service(0, 0), &[place(1, 0, 3)])[0].weight, 0);
}

#[test]
fn the_server_name_of_a_service_is_its_domain() {
    assert_eq!(&*at_places(&service(1, 0), &[place(1, 0, 1)])[0].server_name, "app.test");
    for (service, name) in [("_x._y", "_y"), ("plain.test", "plain.test"), ("_x", "_x"), ("_x.", "_x.")] {
        assert_eq!(domain(service), name);
    }
}

proptest! {
    #[test]
    fn weights_never_exceed_the_largest_and_keep_their_order(written in 0u32..=65_535, weights in prop::collection::vec(1u32..=65_535, 1..20)) {
        let places: Vec<_> = (0..).zip(&weights).map(|(last, weight)| place(last, 0, *weight)).collect();
        let found = at_places(&service(written, 0), &places);
        for (one, place) in found.iter().zip(&places) {
            prop_assert!(one.weight <= 65_535);
            prop_assert_eq!(one.weight == 0, written == 0);
            for (other, that) in found.iter().zip(&places) {
                prop_assert!(place.weight < that.weight || one.weight >= other.weight);
            }
        }
    }
}
