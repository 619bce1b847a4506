//! Which requests are copied.

use super::Mirrors;

#[test]
fn a_share_is_spread_evenly() {
    for share in [0, 1, 100, 1000, 3333, 5000, 9999, 10_000] {
        let mirrors = Mirrors::new(7);
        let chosen: Vec<bool> = (0..20_000).map(|_| mirrors.is_chosen(share)).collect();
        let count = chosen.iter().filter(|chosen| **chosen).count();
        let expected = 2 * share as usize;
        assert!(count.abs_diff(expected) <= 3, "{count} of 20,000 for {share}");
        if share >= 1000 {
            let longest = chosen.split(|chosen| *chosen).map(<[bool]>::len).max().unwrap_or_default();
            assert!(longest <= 2 * 10_000 / share as usize, "{longest} in a row are not copied for {share}");
        }
    }
}

#[test]
fn routes_that_take_turns_get_their_shares() {
    let mirrors = Mirrors::new(3);
    let mut counts = [0_usize; 2];
    for number in 0..20_000 {
        counts[number % 2] += usize::from(mirrors.is_chosen(5000));
    }
    for count in counts {
        assert!(count.abs_diff(5000) <= 10, "{counts:?}");
    }
}
