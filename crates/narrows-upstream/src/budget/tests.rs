//! Which retries the budget allows.

use super::{ALWAYS, Again, Budget, ROOM};

/// Asks for retries that all stay running; how many were allowed of `count`.
fn allowed(budget: &Budget, share: Option<u32>, what: Again, count: usize) -> usize {
    let guards: Vec<_> = (0..count).map(|_| budget.again(share, what)).collect();
    guards.iter().filter(|guard| guard.is_some()).count()
}

#[test]
fn what_runs_at_once_may_break_at_once_and_be_repeated() {
    let budget = Budget::default();
    for _ in 0..5000 {
        drop(budget.begin(Some(20)));
    }
    let running: Vec<_> = (0..600).map(|_| budget.begin(Some(20))).collect();
    assert!(allowed(&budget, Some(20), Again::Failed, 200) == 200, "a third of what runs");
    drop(running);
}

#[test]
fn a_failure_that_lasts_is_not_multiplied() {
    let budget = Budget::default();
    let held: Vec<_> = (0..ALWAYS).map(|_| budget.again(None, Again::Failed)).collect();
    let mut repeated = 0;
    for _ in 0..10_000 {
        let _request = budget.begin(Some(20));
        repeated += allowed(&budget, Some(20), Again::Failed, 1);
    }
    assert!(repeated <= 2000 + ROOM as usize, "{repeated} of 10,000");
    assert!(repeated >= 2000, "{repeated} of 10,000");
    drop(held);
}

#[test]
fn three_may_always() {
    let budget = Budget::default();
    allowed(&budget, Some(20), Again::Failed, ROOM as usize);
    assert_eq!(allowed(&budget, Some(0), Again::Failed, 10), 3);
    assert_eq!(allowed(&budget, Some(0), Again::Hedge, 10), 3);
    assert_eq!(budget.retrying(), 0, "all have ended");
}

#[test]
fn no_limit_is_no_limit() {
    let budget = Budget::default();
    assert_eq!(allowed(&budget, None, Again::Failed, 1000), 1000);
}

#[test]
fn what_no_endpoint_has_seen_is_always_repeated() {
    let budget = Budget::default();
    assert_eq!(allowed(&budget, Some(0), Again::Unseen, 1000), 1000);
}

#[test]
fn everything_is_counted() {
    let budget = Budget::default();
    assert_eq!(allowed(&budget, Some(0), Again::Failed, 110), ROOM as usize);
    assert_eq!(allowed(&budget, Some(0), Again::Hedge, 1), 1);
    budget.hedge_won();
    let counts = budget.counts();
    assert_eq!((counts.retries, counts.denied, counts.hedges, counts.hedges_won), (100, 10, 1, 1));
}
