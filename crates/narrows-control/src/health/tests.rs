use super::*;
use narrows_plan::CheckKind;

const SECOND: Duration = Duration::from_secs(1);

fn check(rise: u32, fall: u32) -> HealthCheck {
    HealthCheck {
        kind: CheckKind::Tls,
        interval: 2 * SECOND,
        fast_interval: None,
        slow_interval: None,
        jitter: 0,
        timeout: SECOND,
        rise,
        fall,
        port: None,
        address: None,
        tls: true,
        start: StartState::Up,
    }
}

/// Plays results, `+` passed and `-` failed; the verdict after each as `U`, `D` or `?`.
fn play(health: &mut Health, check: &HealthCheck, results: &str) -> String {
    let play = |result| {
        let result = if result == '+' { Ok(()) } else { Err("refused".into()) };
        let before = health.verdict();
        let changed = health.record(check, result, SECOND);
        assert_eq!(changed, before != health.verdict());
        match health.verdict() {
            Verdict::Unknown => '?',
            Verdict::Up => 'U',
            Verdict::Down => 'D',
        }
    };
    results.chars().map(play).collect()
}

#[test]
fn it_falls_and_rises_after_as_many_results_in_a_row_as_are_asked_for() {
    let check = check(2, 3);
    let mut health = Health::new(StartState::Up);
    assert_eq!(play(&mut health, &check, "--+---+-++-"), "UUUUUDDDDUU");
    assert_eq!(&**health.reason(), "2 checks passed");
    assert_eq!(play(&mut health, &check, "--"), "UD");
    assert_eq!(&**health.reason(), "3 checks failed: refused");
    assert_eq!((health.passed, health.failed), (4, 9));
}

#[test]
fn the_start_is_as_configured() {
    let check = check(2, 3);
    assert_eq!(play(&mut Health::new(StartState::Up), &check, "---"), "UUD");
    assert_eq!(play(&mut Health::new(StartState::Down), &check, "++"), "DU");
    assert_eq!(play(&mut Health::new(StartState::Checked), &check, "+--"), "UUU");
    let mut health = Health::new(StartState::Checked);
    assert_eq!((health.verdict(), &**health.reason()), (Verdict::Unknown, "not checked yet"));
    assert_eq!(play(&mut health, &check, "-++"), "DDU");
    assert_eq!(&**Health::new(StartState::Up).reason(), "");
}

#[test]
fn a_rest_keeps_the_verdict_and_breaks_the_row() {
    let check = check(2, 3);
    let mut health = Health::new(StartState::Up);
    play(&mut health, &check, "--");
    health.rest();
    assert_eq!(play(&mut health, &check, "-"), "U");
    assert_eq!(play(&mut health, &check, "--"), "UD");
}

#[test]
fn a_state_that_is_about_to_change_is_checked_fast_and_one_that_is_down_slowly() {
    let mut check = check(2, 2);
    (check.fast_interval, check.slow_interval) = (Some(SECOND / 2), Some(30 * SECOND));
    let chance = Chance::new(1);
    let mut health = Health::new(StartState::Up);
    let mut next = |results: &str| {
        play(&mut health, &check, results);
        health.next(&check, &chance)
    };
    assert_eq!(next("+"), 2 * SECOND);
    assert_eq!(next("-"), SECOND / 2);
    assert_eq!(next("-"), 30 * SECOND);
    assert_eq!(next("+"), SECOND / 2);
    assert_eq!(next("-"), 30 * SECOND);
    assert_eq!(next("++"), 2 * SECOND);
}

#[test]
fn jitter_stays_within_its_share_and_uses_it() {
    let mut check = check(1, 1);
    check.jitter = 10;
    let health = Health::new(StartState::Up);
    let chance = Chance::new(7);
    let intervals: Vec<_> = (0..1000).map(|_| health.next(&check, &chance)).collect();
    let (least, most) = (Duration::from_millis(1800), Duration::from_millis(2200));
    assert!(intervals.iter().all(|interval| (least..=most).contains(interval)), "{intervals:?}");
    let (shortest, longest) = (*intervals.iter().min().unwrap(), *intervals.iter().max().unwrap());
    assert!(shortest < least + SECOND / 50 && longest > most - SECOND / 50, "{shortest:?} {longest:?}");
}

#[test]
fn first_checks_spread_over_an_interval_unless_they_decide() {
    let check = check(1, 1);
    let chance = Chance::new(3);
    assert_eq!(Health::new(StartState::Down).first(&check, &chance), Duration::ZERO);
    assert_eq!(Health::new(StartState::Checked).first(&check, &chance), Duration::ZERO);
    let health = Health::new(StartState::Up);
    let mut quarters = [0; 4];
    for _ in 0..1000 {
        quarters[(health.first(&check, &chance).as_millis() / 500) as usize] += 1;
    }
    assert!(quarters.iter().all(|count| (150..350).contains(count)), "{quarters:?}");
}

#[test]
fn extreme_settings_do_not_panic() {
    let mut check = check(0, 0);
    check.jitter = u32::MAX;
    let chance = Chance::new(5);
    for interval in [Duration::ZERO, Duration::MAX] {
        check.interval = interval;
        let mut health = Health::new(StartState::Up);
        assert!(health.next(&check, &chance) >= CLOSEST);
        let _ = health.first(&check, &chance);
        assert_eq!(play(&mut health, &check, "-+"), "DU");
    }
}

/// Whatever results come, the verdict is the one that a plain count of the whole history gives.
#[test]
fn any_history_gives_the_verdict_that_counting_gives() {
    for seed in 0..500 {
        let chance = Chance::new(seed);
        let (rise, fall) = (1 + chance.below(4) as u32, 1 + chance.below(4) as u32);
        let check = check(rise, fall);
        let start = [StartState::Up, StartState::Down, StartState::Checked][chance.below(3) as usize];
        let mut health = Health::new(start);
        let mut expected = health.verdict();
        let mut history = Vec::new();
        // Long runs of one kind are likely, so that every threshold is met.
        let bias = chance.below(100);
        for step in 0..200 {
            let passes = chance.below(100) < if step / 20 % 2 == 0 { bias } else { 100 - bias };
            history.push(passes);
            let row = history.iter().rev().take_while(|result| **result == passes).count() as u32;
            expected = match expected {
                Verdict::Unknown if passes => Verdict::Up,
                Verdict::Unknown => Verdict::Down,
                Verdict::Up if !passes && row >= fall => Verdict::Down,
                Verdict::Down if passes && row >= rise => Verdict::Up,
                same => same,
            };
            let result = if passes { Ok(()) } else { Err("no".into()) };
            health.record(&check, result, SECOND);
            assert_eq!(health.verdict(), expected, "seed {seed}, step {step}, rise {rise}, fall {fall}");
            assert_eq!(health.streak, row, "seed {seed}, step {step}");
            let next = health.next(&check, &chance);
            assert!(next >= CLOSEST && next <= 2 * SECOND, "seed {seed}: {next:?}");
        }
        assert_eq!(health.passed + health.failed, 200, "seed {seed}");
    }
}
