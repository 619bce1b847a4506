use super::*;
use narrows_plan::NoFacts;

fn all(limit: u64, every: u64) -> Ask {
    Ask { when: None, limit, period: Duration::from_secs(60), every, shows_secrets: false }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

fn present(taps: &Taps) -> Arc<[Arc<Tap>]> {
    Arc::clone(&taps.follow().borrow())
}

#[test]
fn who_asks_for_two_is_told_two_and_then_it_is_over() {
    run(async {
        let taps = Taps::default();
        let mut listening = taps.ask(all(2, 1)).expect("room");
        let tap = Arc::clone(&present(&taps)[0]);
        let wanted =
            (0..5).filter(|_| tap.wants(&NoFacts)).inspect(|_| tap.tell(&Explanation::default())).count();
        assert_eq!(wanted, 2);
        assert!(matches!(listening.next().await, Some(Heard::Explained(_))));
        assert!(matches!(listening.next().await, Some(Heard::Explained(_))));
        assert!(listening.next().await.is_none());
    });
}

#[test]
fn one_of_ten_is_told_where_that_is_asked() {
    run(async {
        let taps = Taps::default();
        let _listening = taps.ask(all(0, 10)).expect("room");
        let tap = Arc::clone(&present(&taps)[0]);
        assert_eq!((0..100).filter(|_| tap.wants(&NoFacts)).count(), 10);
    });
}

#[test]
fn a_reader_that_is_too_slow_is_told_how_many_it_lost() {
    run(async {
        let taps = Taps::default();
        let mut listening = taps.ask(all(0, 1)).expect("room");
        let tap = Arc::clone(&present(&taps)[0]);
        (0..WAITING + 7).for_each(|_| tap.tell(&Explanation::default()));
        assert!(matches!(listening.next().await, Some(Heard::Lost(7))));
        for _ in 0..WAITING {
            assert!(matches!(listening.next().await, Some(Heard::Explained(_))));
        }
    });
}

#[test]
fn who_goes_away_is_off_the_list_and_too_many_are_refused() {
    run(async {
        let taps = Taps::default();
        let mut all_of_them: Vec<_> = (0..TAPS).map(|_| taps.ask(all(0, 1)).expect("room")).collect();
        assert_eq!(taps.ask(all(0, 1)).expect_err("no room"), TooManyTaps);
        all_of_them.pop();
        assert_eq!(present(&taps).len(), TAPS - 1);
        assert!(taps.ask(all(0, 1)).is_ok());
        drop(all_of_them);
        assert!(present(&taps).is_empty());
    });
}
