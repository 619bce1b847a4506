//! What it costs to choose an endpoint, without a network: nanoseconds of one core for each balancer and size of the upstream.

use narrows_upstream::UpstreamKey;
use std::collections::HashSet;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use narrows_plan::{Address, Balance, Balancing, Origin, Upstream};
use narrows_upstream::{
    Cluster, Condition, EndpointId, Member, Membership, Reporter, Running, Tried, Wanted,
};
use nix::time::{ClockId, clock_gettime};

const SIZES: [usize; 3] = [2, 100, 10_000];
/// Requests that run meanwhile, so that there is a load to compare.
const RUNNING: usize = 64;
/// Different keys.
const KEYS: usize = 4096;
/// Measurements of which the median is told.
const ROUNDS: usize = 5;

/// One row of the table.
struct Row {
    name: &'static str,
    method: Balance,
    /// Weight of each endpoint by its place, repeated.
    weights: &'static [u32],
    bound: Option<u32>,
}

const ROWS: [Row; 13] = [
    Row::even("round-robin", Balance::RoundRobin),
    Row::uneven("round-robin, weights 1 to 5", Balance::RoundRobin),
    Row::even("least-request", Balance::LeastRequest),
    Row::uneven("least-request, weights 1 to 5", Balance::LeastRequest),
    Row::even("least-connections", Balance::LeastConnections),
    Row::even("random", Balance::Random),
    Row::even("peak-ewma", Balance::PeakEwma),
    Row::even("hash", Balance::Hash),
    Row::even("consistent-hash", Balance::ConsistentHash),
    Row::uneven("consistent-hash, weights 1 to 5", Balance::ConsistentHash),
    Row::even("ketama", Balance::Ketama),
    Row::even("maglev", Balance::Maglev),
    Row { bound: Some(125), ..Row::even("maglev, bound 125 %", Balance::Maglev) },
];

/// Prints the tables.
pub(crate) fn report(quick: bool) -> Result<()> {
    let span = Duration::from_millis(if quick { 40 } else { 400 });
    println!("Nanoseconds for a choice, with the begin and the end of a request:\n");
    println!("| balancer | {} endpoints | {} | {} |", SIZES[0], SIZES[1], SIZES[2]);
    println!("|---|---:|---:|---:|");
    for row in &ROWS {
        let cells = SIZES.map(|size| row.choice(size, span).map(|cost| format!("{cost:.0}")));
        let [few, some, many] = cells;
        println!("| {} | {} | {} | {} |", row.name, few?, some?, many?);
    }
    println!("\nMicroseconds to take over a change of one endpoint's condition:\n");
    println!("| balancer | {} endpoints | {} | {} |", SIZES[0], SIZES[1], SIZES[2]);
    println!("|---|---:|---:|---:|");
    for row in &ROWS {
        let cells = SIZES.map(|size| row.change(size, span).map(|cost| format!("{:.2}", cost / 1000.0)));
        let [few, some, many] = cells;
        println!("| {} | {} | {} | {} |", row.name, few?, some?, many?);
    }
    println!("\nMilliseconds for {} endpoints that are all new:\n", SIZES[2]);
    println!("| balancer | tables, once in the process | each worker |");
    println!("|---|---:|---:|");
    for row in &ROWS {
        let (tables, worker) = row.beginning(SIZES[2])?;
        println!("| {} | {:.1} | {:.1} |", row.name, tables / 1e6, worker / 1e6);
    }
    Ok(())
}

impl Row {
    const fn even(name: &'static str, method: Balance) -> Row {
        Row { name, method, weights: &[1], bound: None }
    }

    const fn uneven(name: &'static str, method: Balance) -> Row {
        Row { name, method, weights: &[1, 2, 3, 4, 5], bound: None }
    }

    fn members(&self, size: usize) -> Vec<Arc<Member>> {
        let member = |number: usize| {
            let ip = Ipv4Addr::from(0x0a00_0000 + number as u32);
            let made = Member::new(EndpointId(number as u64), Address::Socket((ip, 8080).into()));
            Arc::new(Member { weight: self.weights[number % self.weights.len()], ..made })
        };
        (0..size).map(member).collect()
    }

    fn empty(&self) -> Cluster {
        let balancing = Balancing { method: self.method, bound: self.bound, ..Balancing::default() };
        let upstream = Upstream { balancing, ..Upstream::new("bench", Origin::default()) };
        let (reporter, _) = Reporter::new();
        Cluster::new(Arc::new(upstream), UpstreamKey(0), 0, None, reporter, None)
    }

    fn cluster(&self, members: &[Arc<Member>]) -> Cluster {
        let cluster = self.empty();
        cluster.update(&Arc::new(Membership::new(members.to_vec())));
        cluster
    }

    /// Nanoseconds for a choice.
    fn choice(&self, size: usize, span: Duration) -> Result<f64> {
        let cluster = self.cluster(&self.members(size));
        let keys: Vec<String> = (0..KEYS).map(|key| format!("user-{key}")).collect();
        let tried = Tried::default();
        let wanted = Wanted::new(IpAddr::V4(Ipv4Addr::LOCALHOST), &tried);
        let mut running: Vec<Option<Running>> = (0..RUNNING).map(|_| None).collect();
        let mut chosen = HashSet::new();
        let mut number = 0_usize;
        let mut choose = |seen: &mut HashSet<EndpointId>, look: bool| {
            let key = &*keys[number % KEYS];
            let endpoint = cluster.pick(&wanted.with_key(Some(key)));
            if let Ok(endpoint) = black_box(endpoint) {
                if look {
                    endpoint.succeeded(Some(Duration::from_micros(500 + number as u64 % 1000)));
                    seen.insert(endpoint.id());
                }
                running[number % RUNNING] = Some(endpoint.begin());
            }
            number += 1;
        };
        (0..20_000).for_each(|_| choose(&mut chosen, true));
        // Wrong answers would be measured for nothing: with 20,000 choices everybody has come, or most of very many.
        ensure!(chosen.len() * 10 >= size.min(KEYS) * 4, "{} chose {} of {size}", self.name, chosen.len());
        median(span, 200, || (0..200).for_each(|_| choose(&mut chosen, false)))
    }

    /// Nanoseconds to make the tables of a membership, and to take it over.
    fn beginning(&self, size: usize) -> Result<(f64, f64)> {
        let members = self.members(size);
        let span = Duration::from_millis(1);
        let tables = median(span, 1, || {
            Membership::new(members.clone()).prepare(self.method, &Membership::default());
        });
        let membership = Arc::new(Membership::new(members.clone()));
        membership.prepare(self.method, &Membership::default());
        Ok((tables?, median(span, 1, || self.empty().update(&membership))?))
    }

    /// Nanoseconds to take over a change of one condition.
    fn change(&self, size: usize, span: Duration) -> Result<f64> {
        let up = self.members(size);
        let mut down = up.clone();
        down[size / 2] = Arc::new(Member { condition: Condition::Down, ..(*up[size / 2]).clone() });
        let cluster = self.cluster(&up);
        let memberships = [down, up].map(|members| Arc::new(Membership::new(members)));
        median(span, 20, || {
            let both = (0..10).flat_map(|_| &memberships);
            both.for_each(|membership| cluster.update(black_box(membership)));
        })
    }
}

/// Nanoseconds of this thread for each of the `count` things that `work` does, repeated for a span of time: the median of some measurements.
fn median(span: Duration, count: u32, mut work: impl FnMut()) -> Result<f64> {
    let clock = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
    let mut measured = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let (begun, started) = (Instant::now(), clock()?);
        let mut done = 0;
        while begun.elapsed() < span {
            work();
            done += count;
        }
        measured.push((clock()? - started).as_nanos() as f64 / f64::from(done));
    }
    measured.sort_by(f64::total_cmp);
    Ok(measured[ROUNDS / 2])
}
