use super::*;
use crate::chance::Chance;
use crate::load::{give_back, take};
use crate::seeds::for_each_seed;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::task::Wake;

fn queue(length: u32) -> Arc<Queue> {
    Queue::new(QueueLimits { length, timeout: Duration::from_secs(5) })
}

fn is_called(ticket: &mut Ticket) -> bool {
    ticket.poll_called(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn the_first_who_came_is_called_first_and_lower_priorities_before_all() {
    let queue = queue(10);
    let mut tickets: Vec<_> = [0, 0, 5, -5].map(|priority| queue.enter(priority, 0).unwrap()).into();
    // The first who comes looks once for a place that became free just before.
    assert!(is_called(&mut tickets[0]));
    tickets[0].passed();
    // So does everybody, one after the other.
    while let Some(ticket) = tickets.iter_mut().find_map(|one| is_called(one).then_some(one)) {
        ticket.passed();
    }
    let place = EndpointId(1);
    let mut order = Vec::new();
    let mut left: Vec<_> = tickets.into_iter().enumerate().collect();
    while !left.is_empty() {
        queue.freed(place);
        let called: Vec<_> =
            left.iter_mut().enumerate().filter_map(|(at, (_, one))| is_called(one).then_some(at)).collect();
        assert_eq!(called.len(), 1, "one place calls one");
        let (number, ticket) = left.remove(called[0]);
        order.push(number);
        ticket.served(place);
    }
    assert_eq!(order, [3, 0, 1, 2]);
    assert_eq!(queue.waiting(), 0);
}

#[test]
fn no_more_wait_than_may() {
    let queue = queue(2);
    let kept = [queue.enter(0, 0).unwrap(), queue.enter(0, 0).unwrap()];
    assert_eq!(queue.enter(-1, 0).err(), Some(QueueIsFull));
    drop(kept);
    assert!(queue.enter(0, 0).is_ok());
    assert_eq!(queue.totals(), (3, 1, 0));
}

#[test]
fn who_leaves_while_it_is_called_passes_the_call_on() {
    let queue = queue(2);
    let mut first = queue.enter(0, 0).unwrap();
    let mut second = queue.enter(0, 0).unwrap();
    assert!(is_called(&mut first));
    assert!(!is_called(&mut second));
    drop(first);
    assert!(is_called(&mut second));
}

/// Places of endpoints, and who may use which.
struct Places {
    free: Vec<u32>,
}

/// Somebody who waits in the simulation.
struct Waiting {
    ticket: Ticket,
    priority: i32,
    arrived: u64,
    /// Endpoints that it may use, by bit.
    may_use: u32,
    /// What its try came to, as long as the queue does not know. Between the two, other threads do what they do.
    tried: Option<Option<usize>>,
}

impl Places {
    fn take(&mut self, may_use: u32) -> Option<usize> {
        let found = (0..self.free.len()).find(|at| may_use & (1 << at) != 0 && self.free[*at] > 0)?;
        self.free[found] -= 1;
        Some(found)
    }
}

/// One step of a waiter that may be called: it tries to take a place, or tells the queue what came of it. Says who was served, and where.
fn run(waiting: &mut Vec<Waiting>, at: usize, places: &mut Places, way: Way) -> Option<(Waiting, usize)> {
    let one = &mut waiting[at];
    if way.is_single_threaded && is_called(&mut one.ticket) {
        one.tried = Some(places.take(one.may_use));
    }
    match one.tried.take() {
        None if is_called(&mut one.ticket) => one.tried = Some(places.take(one.may_use)),
        None => {}
        Some(None) => one.ticket.passed(),
        Some(Some(place)) => return Some((waiting.remove(at), place)),
    }
    None
}

/// How a simulation differs from others.
#[derive(Clone, Copy)]
struct Way {
    /// Everybody may use every endpoint.
    is_uniform: bool,
    /// A try and what comes of it are one step, as on one thread.
    is_single_threaded: bool,
}

fn simulate(seed: u64, way: Way) {
    let random = Chance::new(seed);
    let endpoints = random.below(3) as usize + 1;
    let limit = random.below(3) as u32 + 1;
    let length = random.below(20) as u32 + 1;
    let queue = queue(length);
    let mut places = Places { free: vec![limit; endpoints] };
    let mut running: Vec<usize> = Vec::new();
    let mut waiting: Vec<Waiting> = Vec::new();
    let everything = (1 << endpoints) - 1;
    for step in 0..400 {
        match random.below(10) {
            // Somebody comes.
            0..4 => {
                let may_use = if way.is_uniform { everything } else { random.below(1 << endpoints) as u32 };
                let priority = random.below(3) as i32 - 1;
                let at_once = (queue.waiting() == 0).then(|| places.take(may_use)).flatten();
                match at_once {
                    Some(place) => running.push(place),
                    None => match queue.enter(priority, 0) {
                        Ok(ticket) => {
                            waiting.push(Waiting { ticket, priority, arrived: step, may_use, tried: None });
                        }
                        Err(QueueIsFull) => assert_eq!(waiting.len(), length as usize),
                    },
                }
            }
            // Something that runs ends.
            4..7 if !running.is_empty() => {
                let place = running.swap_remove(random.below(running.len() as u64) as usize);
                places.free[place] += 1;
                queue.freed(EndpointId(place as u64));
            }
            // A client gives up.
            7 if !waiting.is_empty() => {
                let at = random.below(waiting.len() as u64) as usize;
                if waiting[at].tried.is_none() {
                    drop(waiting.swap_remove(at));
                }
            }
            // Some worker runs one of its tasks.
            _ if !waiting.is_empty() => {
                let at = random.below(waiting.len() as u64) as usize;
                if let Some((one, place)) = run(&mut waiting, at, &mut places, way) {
                    one.ticket.served(EndpointId(place as u64));
                    running.push(place);
                }
            }
            _ => {}
        }
        assert!(queue.waiting() <= length as usize);
        assert_eq!(queue.waiting(), waiting.len());
        if random.below(8) == 0 {
            settle(&queue, &mut waiting, &mut places, &mut running, way);
        }
    }
    drop(waiting);
    assert_eq!(queue.waiting(), 0);
    assert!(queue.lock().calls == 0 && queue.lock().untried.is_empty());
}

/// Everybody who is called runs, in any order, until nobody is. Then nothing is free that somebody who waits could use.
fn settle(
    queue: &Arc<Queue>,
    waiting: &mut Vec<Waiting>,
    places: &mut Places,
    running: &mut Vec<usize>,
    way: Way,
) {
    let mut at = 0;
    let mut quiet = 0;
    while quiet <= waiting.len() && !waiting.is_empty() {
        at %= waiting.len();
        let priority = waiting[at].priority;
        let equals = waiting.iter().filter(|one| one.priority == priority);
        let first = equals.map(|one| one.arrived).min();
        let was_called = is_called(&mut waiting[at].ticket);
        let only_one = queue.lock().calls == 1;
        match run(waiting, at, places, way) {
            Some((one, place)) => {
                if way.is_uniform && way.is_single_threaded && only_one {
                    // One that is more important may have come after this one was called.
                    assert_eq!(Some(one.arrived), first, "of equals, the first is served first");
                }
                one.ticket.served(EndpointId(place as u64));
                running.push(place);
                quiet = 0;
            }
            None => {
                quiet = if was_called { 0 } else { quiet + 1 };
                at += 1;
            }
        }
    }
    for one in waiting.iter() {
        let usable = (0..places.free.len()).find(|at| one.may_use & (1 << at) != 0 && places.free[*at] > 0);
        assert_eq!(usable, None, "a place is free while somebody waits for it");
    }
}

#[test]
fn of_equals_the_first_is_served_first_and_no_place_stays_free() {
    for_each_seed(500, |seed| simulate(seed, Way { is_uniform: true, is_single_threaded: true }));
    for_each_seed(500, |seed| simulate(seed, Way { is_uniform: false, is_single_threaded: true }));
}

#[test]
fn no_place_stays_free_while_somebody_waits_for_it_whatever_other_threads_do_meanwhile() {
    for_each_seed(500, |seed| simulate(seed, Way { is_uniform: true, is_single_threaded: false }));
}

#[test]
fn nobody_blocks_those_behind_who_want_something_else() {
    for_each_seed(500, |seed| simulate(seed, Way { is_uniform: false, is_single_threaded: false }));
}

/// Wakes a thread.
struct Parked(std::thread::Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn threads_that_compete_for_few_places_all_get_one_in_the_end() {
    const THREADS: usize = 8;
    const ROUNDS: usize = 1_000;
    const PLACES: u32 = 2;
    let queue = queue(THREADS as u32);
    let taken = Arc::new(AtomicU32::new(0));
    let exceeded = Arc::new(AtomicBool::new(false));
    let start = Arc::new(Barrier::new(THREADS));
    let life = |worker: usize| {
        let (queue, taken) = (Arc::clone(&queue), Arc::clone(&taken));
        let (exceeded, start) = (Arc::clone(&exceeded), Arc::clone(&start));
        move || {
            let waker = Waker::from(Arc::new(Parked(std::thread::current())));
            let mut context = Context::from_waker(&waker);
            start.wait();
            for round in 0..ROUNDS {
                let at_once = queue.waiting() == 0 && take(&taken, PLACES);
                if !at_once {
                    let mut ticket = queue.enter((round % 3) as i32, worker).expect("there is room for all");
                    loop {
                        while ticket.poll_called(&mut context).is_pending() {
                            // A lost wake-up would be a thread that never comes back from here.
                            let before = std::time::Instant::now();
                            std::thread::park_timeout(Duration::from_secs(20));
                            assert!(before.elapsed() < Duration::from_secs(20), "nobody was woken");
                        }
                        if take(&taken, PLACES) {
                            ticket.served(EndpointId(1));
                            break;
                        }
                        ticket.passed();
                    }
                }
                if taken.load(Ordering::SeqCst) > PLACES {
                    exceeded.store(true, Ordering::Relaxed);
                }
                if round % 7 == worker % 7 {
                    std::thread::yield_now();
                }
                give_back(&taken);
                queue.freed(EndpointId(1));
            }
        }
    };
    let threads: Vec<_> = (0..THREADS).map(|worker| std::thread::spawn(life(worker))).collect();
    threads.into_iter().for_each(|thread| thread.join().expect("nobody was forgotten"));
    assert!(!exceeded.load(Ordering::Relaxed));
    assert_eq!((queue.waiting(), taken.load(Ordering::SeqCst)), (0, 0));
}
