use super::*;

#[test]
fn every_value_is_in_the_bucket_with_the_lowest_bound_that_is_not_below_it() {
    for scale in [Scale::SECONDS, Scale::BYTES] {
        let mut value = power(scale.first);
        while value < power(scale.last) {
            let bucket = scale.bucket(value);
            assert!(value <= scale.bound(bucket) * (1.0 + 1e-12), "{value} is not above its bound");
            if bucket > 0 {
                let below = scale.bound(bucket - 1);
                assert!(value > below * (1.0 - 1e-12), "{value} is above the bound {below} before");
            }
            value *= 1.000_7;
        }
    }
}

#[test]
fn powers_of_two_are_bounds_themselves() {
    for exponent in Scale::SECONDS.first..=Scale::SECONDS.last {
        let value = power(exponent);
        assert_eq!(Scale::SECONDS.bound(Scale::SECONDS.bucket(value)), value);
    }
}

#[test]
fn strange_values_have_a_bucket_too() {
    let scale = Scale::SECONDS;
    for value in [0.0, -1.0, f64::NAN, 1e-30] {
        assert_eq!(scale.bucket(value), 0);
    }
    for value in [1e9, f64::INFINITY] {
        assert_eq!(scale.bucket(value), scale.buckets() - 1);
    }
}

#[test]
fn histograms_of_several_workers_are_added_up() {
    let workers = [Histogram::new(Scale::SECONDS), Histogram::new(Scale::SECONDS)];
    (1..=100).for_each(|number| workers[number % 2].observe(number as f64 / 1000.0));
    let mut all = Distribution::new(Scale::SECONDS);
    workers.iter().for_each(|worker| all.add(worker));
    assert_eq!(all.count(), 100);
    assert!((all.sum - 5.05).abs() < 1e-9);
    let median = all.quantile(0.5).unwrap();
    assert!((0.050..0.055).contains(&median), "{median}");
    let classic = all.classic();
    assert_eq!(classic.iter().find(|(bound, _)| *bound == 0.062_5).unwrap().1, 62);
    assert_eq!(classic.last().unwrap(), &(1024.0, 100));
    assert_eq!(all.native().iter().map(|(_, number)| number).sum::<u64>(), 100);
}

#[test]
fn without_values_there_is_no_quantile_and_every_bound_is_there() {
    let none = Distribution::new(Scale::BYTES);
    assert_eq!((none.quantile(0.5), none.count()), (None, 0));
    assert_eq!(none.classic().len(), 37);
}
