use super::*;
use crate::Cluster;
use narrows_plan::{Address, Endpoint, Origin, PoolLimits};

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
    (0..count).map(|_| cluster.pick(&Tried::default()).unwrap()).collect()
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
        let pick = cluster.pick(&Tried::default()).unwrap();
        running.push(cluster.endpoint(pick).begin());
    }
    assert_eq!((cluster.endpoint(0).running(), cluster.endpoint(1).running()), (10, 30));
    drop(running);
    assert_eq!(cluster.endpoint(1).running(), 0);
}

#[test]
fn a_tried_endpoint_is_not_picked_again() {
    for balance in [Balance::RoundRobin, Balance::LeastRequest] {
        for weights in [&[1, 1, 1][..], &[5, 1, 1], &[1]] {
            let cluster = cluster(balance, weights);
            let mut tried = Tried::default();
            let mut seen = Vec::new();
            while let Some(pick) = cluster.pick(&tried) {
                assert!(!seen.contains(&pick));
                seen.push(pick);
                tried.add(pick);
            }
            assert_eq!(seen.len(), weights.len());
        }
    }
}
