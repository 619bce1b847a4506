//! What a copy says of its endpoint when there is no connection.

use super::*;
use narrows_plan::{Address, Endpoint, Origin};
use narrows_runtime::Deadlines;
use narrows_upstream::UpstreamKey;
use narrows_upstream::{Cluster, Member, Membership, Need, Report, Reporter, Tried, Wanted};
use std::net::{Ipv4Addr, TcpListener};
use tokio::runtime::{Builder, LocalOptions};

/// Sends a copy to a port where nobody listens, with a limit of connections that came after it was chosen; how its failure was reported.
fn reported(limit: Option<u32>) -> Option<AttemptFailure> {
    let nowhere = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let mut upstream = Upstream::new("app", Origin::default());
    upstream.endpoints = vec![Endpoint::new(Address::Socket(nowhere), Origin::default())];
    let upstream = Arc::new(upstream);
    let (reporter, mut reports) = Reporter::new();
    let cluster = Cluster::new(Arc::clone(&upstream), UpstreamKey(0), 0, None, reporter, None);
    let membership = Membership::configured(&upstream);
    let mut member = Member::clone(&membership.members[0]);
    cluster.update(&Arc::new(membership));
    let tried = Tried::default();
    let wanted = Wanted::new(Ipv4Addr::LOCALHOST.into(), &tried);
    let (endpoint, running) = cluster.reserve(&wanted, Need::Request).unwrap();
    member.limits.connections = limit;
    cluster.update(&Arc::new(Membership::new(vec![Arc::new(member)])));
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    let is_answered = runtime.block_on(async {
        let copy = Copy {
            upstream,
            endpoint,
            running,
            preface: Vec::new(),
            out: b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            method: Method::Get,
            watch: Deadlines::new().watch(),
            buffers: Buffers::new(),
            limits: HeadLimits { head_bytes: 16 << 10, fields: 20, target_bytes: 100 },
            timeout: Duration::from_secs(20),
        };
        copy.life().await
    });
    assert!(!is_answered);
    reports.try_recv().ok().map(|report| match report {
        Report::Failed { failure, .. } => failure,
        other => panic!("{other:?}"),
    })
}

#[test]
fn a_refused_connection_is_the_endpoints_failure_and_a_limit_is_not() {
    assert_eq!(reported(None), Some(AttemptFailure::Connect));
    assert_eq!(reported(Some(0)), None, "the limit is ours");
}
