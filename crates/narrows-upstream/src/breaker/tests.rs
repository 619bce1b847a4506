use super::*;
use crate::chance::Chance;
use crate::seeds::for_each_seed;
use narrows_plan::defaults;

const RULES: Rules = Rules {
    failure_rate: 50,
    requests: 20,
    window: Duration::from_secs(10),
    open: Duration::from_secs(5),
    probes: 3,
};

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn run(breaker: &Breaker, now: Duration, verdict: Verdict) -> Option<BreakerChange> {
    let (pass, _) = breaker.enter(now);
    breaker.ended(pass.expect("it is let through"), verdict, now)
}

#[test]
fn it_opens_at_the_rate_and_not_before_there_are_enough_requests() {
    let breaker = Breaker::new(RULES);
    for _ in 0..19 {
        assert_eq!(run(&breaker, at(100), Verdict::Failed), None);
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
    let opened = BreakerChange::Opened { failures: 20, requests: 20 };
    assert_eq!(run(&breaker, at(200), Verdict::Failed), Some(opened));
    assert_eq!(breaker.enter(at(1200)).0, Err(at(4000)), "what is left of five seconds");
}

#[test]
fn what_failed_before_the_window_does_not_count() {
    let breaker = Breaker::new(RULES);
    for _ in 0..15 {
        assert_eq!(run(&breaker, at(0), Verdict::Failed), None);
    }
    for _ in 0..15 {
        assert_eq!(run(&breaker, at(10_500), Verdict::Failed), None);
    }
}

#[test]
fn half_of_them_failing_is_enough_and_less_is_not() {
    for (successes, opens) in [(20, true), (21, false)] {
        let breaker = Breaker::new(RULES);
        (0..successes)
            .for_each(|_| assert_ne!(run(&breaker, at(0), Verdict::Succeeded), Some(BreakerChange::Closed)));
        let changes: Vec<_> = (0..20).filter_map(|_| run(&breaker, at(0), Verdict::Failed)).collect();
        assert_eq!(!changes.is_empty(), opens, "{successes} succeeded");
    }
}

fn opened() -> Breaker {
    let breaker = Breaker::new(RULES);
    (0..20).for_each(|_| assert_ne!(run(&breaker, at(0), Verdict::Failed), Some(BreakerChange::Closed)));
    assert_eq!(breaker.state(), BreakerState::Open);
    breaker
}

#[test]
fn probes_that_succeed_close_it_and_its_window_is_empty_then() {
    let breaker = opened();
    let (first, change) = breaker.enter(at(5000));
    assert_eq!(change, Some(BreakerChange::HalfOpened));
    let passes: Vec<_> =
        std::iter::once(first).chain((0..2).map(|_| breaker.enter(at(5001)).0)).map(Result::unwrap).collect();
    assert!(breaker.enter(at(5002)).0.is_err(), "three are enough");
    let changes: Vec<_> =
        passes.iter().map(|pass| breaker.ended(*pass, Verdict::Succeeded, at(5100))).collect();
    assert_eq!(changes, [None, None, Some(BreakerChange::Closed)]);
    for _ in 0..19 {
        assert_eq!(run(&breaker, at(5200), Verdict::Failed), None);
    }
    assert!(run(&breaker, at(5200), Verdict::Failed).is_some());
    assert_eq!(breaker.opened(), 2);
}

#[test]
fn a_probe_that_fails_opens_it_again_and_one_that_is_called_off_makes_room_for_another() {
    let breaker = opened();
    let passes: Vec<_> = (0..3).map(|_| breaker.enter(at(6000)).0.unwrap()).collect();
    assert_eq!(breaker.ended(passes[0], Verdict::Unknown, at(6001)), None);
    assert!(breaker.enter(at(6001)).0.is_ok());
    assert_eq!(breaker.ended(passes[1], Verdict::Failed, at(6002)), Some(BreakerChange::Reopened));
    assert_eq!(breaker.ended(passes[2], Verdict::Failed, at(6003)), None, "it is open already");
    assert_eq!(breaker.enter(at(7002)).0, Err(at(4000)));
}

#[test]
fn what_began_before_it_opened_does_not_close_or_open_it() {
    let breaker = Breaker::new(RULES);
    let early: Vec<_> = (0..30).map(|_| breaker.enter(at(0)).0.unwrap()).collect();
    (0..20).for_each(|_| assert_ne!(run(&breaker, at(0), Verdict::Failed), Some(BreakerChange::Closed)));
    let _probing = breaker.enter(at(5000)).0.unwrap();
    for pass in early {
        assert_eq!(breaker.ended(pass, Verdict::Failed, at(5001)), None);
    }
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
}

/// An upstream that fails at times, requests that take their time, and clients that leave.
fn simulate(seed: u64) {
    let random = Chance::new(seed);
    let rules = Rules {
        failure_rate: 1 + random.below(100) as u32,
        requests: 1 + random.below(30) as u32,
        window: at(500 + random.below(20_000)),
        open: at(100 + random.below(10_000)),
        probes: 1 + random.below(5) as u32,
    };
    let breaker = Breaker::new(rules);
    let mut now = at(random.below(100_000));
    let mut running: Vec<Pass> = Vec::new();
    let mut open_since: Option<Duration> = None;
    let mut is_failing = false;
    let mut openings = 0;
    for _ in 0..2_000 {
        now += at(random.below(200));
        if random.below(200) == 0 {
            is_failing = !is_failing;
        }
        let change = if random.below(2) == 0 || running.is_empty() {
            let (entered, change) = breaker.enter(now);
            match entered {
                Ok(pass) => running.push(pass),
                Err(rest) => {
                    assert!(rest > Duration::ZERO && rest <= rules.open.max(PROBING));
                    assert_ne!(breaker.state(), BreakerState::Closed);
                }
            }
            change
        } else {
            let pass = running.swap_remove(random.below(running.len() as u64) as usize);
            let verdict = match random.below(20) {
                0 => Verdict::Unknown,
                1..18 if is_failing => Verdict::Failed,
                _ => Verdict::Succeeded,
            };
            breaker.ended(pass, verdict, now)
        };
        match change {
            Some(BreakerChange::Opened { failures, requests }) => {
                assert!(requests >= rules.requests && failures * 100 >= requests * rules.failure_rate);
                assert_eq!(open_since.replace(now), None);
                openings += 1;
            }
            Some(BreakerChange::Reopened) => {
                assert_eq!(open_since.replace(now), None);
                openings += 1;
            }
            Some(BreakerChange::HalfOpened) => {
                let since = open_since.take().expect("it was open");
                assert!(now - since + at(1) >= rules.open, "open for {:?}", now - since);
            }
            Some(BreakerChange::Closed) => assert_eq!(open_since, None),
            None => {}
        }
        assert_eq!(breaker.state() == BreakerState::Open, open_since.is_some());
        let State { begun, succeeded, kind, .. } = breaker.now();
        assert!(succeeded <= begun && u32::from(begun) <= rules.probes);
        assert!(kind == BreakerState::HalfOpen || begun == 0);
    }
    assert_eq!(breaker.opened(), openings);
    // An upstream that is well again gets its requests back.
    now += rules.open + rules.window + at(1000);
    for pass in running {
        breaker.ended(pass, Verdict::Succeeded, now);
    }
    for _ in 0..=rules.probes {
        now += rules.open;
        if let (Ok(pass), _) = breaker.enter(now) {
            breaker.ended(pass, Verdict::Succeeded, now);
        }
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn it_is_open_as_long_as_configured_and_closes_once_all_is_well() {
    for_each_seed(500, simulate);
}

#[test]
fn states_and_pieces_keep_what_is_packed_into_them() {
    let state =
        State { kind: BreakerState::HalfOpen, generation: State::GENERATIONS, begun: 65_535, succeeded: 7 };
    assert_eq!(State::unpack(state.pack()), state);
    assert_eq!(state.next(BreakerState::Open).generation, 0);
    let piece = Piece { number: Piece::NUMBERS, failures: 3, requests: Piece::MOST };
    assert_eq!(Piece::unpack(piece.pack()), piece);
    assert!(u64::from(defaults::BREAKER_REQUESTS) < Piece::MOST);
}
