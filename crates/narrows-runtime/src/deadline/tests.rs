use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn advance(deadlines: &Deadlines, ticks: u32) {
    deadlines.now.set(deadlines.now.get() + ticks);
    let now = deadlines.now.get();
    deadlines.wake(|deadline| deadline <= now);
}

#[test]
fn a_deadline_never_expires_early_and_wakes_its_task_once() {
    let deadlines = Deadlines::new();
    let watch = deadlines.watch();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut context = Context::from_waker(&waker);
    watch.set(Some(Duration::from_millis(150)));
    assert!(watch.poll_expired(&mut context).is_pending());
    advance(&deadlines, 2);
    assert!(watch.poll_expired(&mut context).is_pending());
    advance(&deadlines, 1);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert!(watch.poll_expired(&mut context).is_ready());
}

#[test]
fn a_watch_without_a_deadline_waits_for_ever() {
    let deadlines = Deadlines::new();
    let watch = deadlines.watch();
    let mut context = Context::from_waker(Waker::noop());
    watch.set(None);
    advance(&deadlines, 1_000_000);
    assert!(watch.poll_expired(&mut context).is_pending());
}

#[test]
fn a_slot_is_used_again_without_its_old_deadline() {
    let deadlines = Deadlines::new();
    let first = deadlines.watch();
    first.set(Some(Duration::ZERO));
    advance(&deadlines, 5);
    drop(first);
    let second = deadlines.watch();
    assert_eq!(deadlines.slots.borrow().deadlines.len(), 1);
    assert!(second.poll_expired(&mut Context::from_waker(Waker::noop())).is_pending());
}
