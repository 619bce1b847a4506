use super::*;
use crate::Cluster;
use narrows_plan::{Address, Endpoint, Origin, PoolLimits};

/// A client, for balancers that do not care.
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn cluster(balance: Balance, weights: &[u32]) -> Cluster {
    let endpoint = |(index, weight): (usize, &u32)| Endpoint {
        name: None,
        address: Address::Socket(([127, 0, 0, 1], 1000 + index as u16).into()),
        weight: *weight,
        origin: Origin::default(),
    };
    let upstream = Upstream {
        name: "test".into(),
        origin: Origin::default(),
        endpoints: weights.iter().enumerate().map(endpoint).collect(),
        balance,
        pool: PoolLimits::default(),
        retries: 0,
        proxy_protocol: None,
        protocol: Default::default(),
        tls: None,
        grpc_web: false,
    };
    Cluster::new(&upstream, 0, None)
}

fn picks(cluster: &Cluster, count: usize) -> Vec<usize> {
    (0..count).map(|_| cluster.pick(&Tried::default(), CLIENT).unwrap()).collect()
}

#[test]
fn equal_endpoints_take_turns() {
    assert_eq!(picks(&cluster(Balance::RoundRobin, &[1, 1, 1]), 6), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn weights_are_kept_exactly_and_spread_smoothly() {
    let picks = picks(&cluster(Balance::RoundRobin, &[5, 1, 1]), 700);
    for (endpoint, share) in [(0, 500), (1, 100), (2, 100)] {
        assert_eq!(picks.iter().filter(|pick| **pick == endpoint).count(), share);
    }
    let longest_run = picks.chunk_by(|a, b| a == b).map(<[usize]>::len).max();
    assert!(longest_run <= Some(4), "{longest_run:?}");
}

#[test]
fn least_request_fills_in_proportion_to_the_weights() {
    let cluster = cluster(Balance::LeastRequest, &[1, 3]);
    let mut running = Vec::new();
    for _ in 0..40 {
        let pick = cluster.pick(&Tried::default(), CLIENT).unwrap();
        running.push(cluster.endpoint(pick).begin());
    }
    assert_eq!((cluster.endpoint(0).running(), cluster.endpoint(1).running()), (10, 30));
    drop(running);
    assert_eq!(cluster.endpoint(1).running(), 0);
}

#[test]
fn a_tried_endpoint_is_not_picked_again() {
    for balance in [Balance::RoundRobin, Balance::LeastRequest, Balance::SourceHash, Balance::ConsistentHash]
    {
        for weights in [&[1, 1, 1][..], &[5, 1, 1], &[1]] {
            let cluster = cluster(balance, weights);
            let mut tried = Tried::default();
            let mut seen = Vec::new();
            while let Some(pick) = cluster.pick(&tried, CLIENT) {
                assert!(!seen.contains(&pick));
                seen.push(pick);
                tried.add(pick);
            }
            assert_eq!(seen.len(), weights.len());
        }
    }
}

fn clients() -> impl Iterator<Item = IpAddr> {
    (0..20_000_u32).map(|number| std::net::Ipv4Addr::from(0x0a00_0000 + number).into())
}

fn owners(cluster: &Cluster) -> Vec<usize> {
    clients().map(|client| cluster.pick(&Tried::default(), client).unwrap()).collect()
}

#[test]
fn hashing_gives_each_client_one_endpoint_and_each_endpoint_its_share() {
    for balance in [Balance::SourceHash, Balance::ConsistentHash] {
        for weights in [&[1, 1, 1, 1][..], &[1, 2, 5]] {
            let (one, two) = (owners(&cluster(balance, weights)), owners(&cluster(balance, weights)));
            assert_eq!(one, two, "the same at every look and in every process");
            let total: u32 = weights.iter().sum();
            for (endpoint, weight) in weights.iter().enumerate() {
                let share = one.iter().filter(|owner| **owner == endpoint).count() as f64 / 20_000.0;
                let expected = f64::from(*weight) / f64::from(total);
                assert!((share - expected).abs() < 0.02, "{balance:?} {weights:?}: {share} for {expected}");
            }
        }
    }
}

#[test]
fn consistent_hashing_moves_clients_only_to_the_endpoint_that_is_new() {
    for (before, after) in [(&[1, 1, 1][..], &[1, 1, 1, 1][..]), (&[2, 3], &[2, 3, 5])] {
        let (old, new) = (
            owners(&cluster(Balance::ConsistentHash, before)),
            owners(&cluster(Balance::ConsistentHash, after)),
        );
        let moved = old.iter().zip(&new).filter(|(old, new)| old != new);
        assert!(moved.clone().all(|(_, new)| *new == after.len() - 1));
        let share = moved.count() as f64 / 20_000.0;
        let expected = f64::from(after[after.len() - 1]) / f64::from(after.iter().sum::<u32>());
        assert!((share - expected).abs() < 0.02, "{share} for {expected}");
    }
}

#[test]
fn consistent_hashing_spreads_the_clients_of_a_tried_endpoint_and_moves_no_others() {
    let cluster = cluster(Balance::ConsistentHash, &[1, 1, 1, 1]);
    let mut tried = Tried::default();
    tried.add(2);
    let mut heirs = [0; 4];
    for client in clients() {
        let (owner, heir) =
            (cluster.pick(&Tried::default(), client).unwrap(), cluster.pick(&tried, client).unwrap());
        if owner == 2 { heirs[heir] += 1 } else { assert_eq!(owner, heir) }
    }
    assert!(heirs[2] == 0 && [0, 1, 3].iter().all(|heir| heirs[*heir] > 1400), "{heirs:?}");
}

#[test]
fn a_mapped_address_is_the_same_client() {
    let (plain, mapped): (IpAddr, IpAddr) =
        ("192.0.2.7".parse().unwrap(), "::ffff:192.0.2.7".parse().unwrap());
    for balance in [Balance::SourceHash, Balance::ConsistentHash] {
        let cluster = cluster(balance, &[1; 16]);
        assert_eq!(cluster.pick(&Tried::default(), plain), cluster.pick(&Tried::default(), mapped));
    }
}
