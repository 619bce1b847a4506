use super::*;
use crate::{AccessRecord, Batch, Delivered};
use narrows_plan::{Comparison, Expression, Fact, Literal, LogFormat, NoFacts};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

fn record(status: u16) -> AccessRecord<'static> {
    let peer = [127, 0, 0, 1].into();
    AccessRecord { status, ..AccessRecord::blank(Duration::from_secs(1), peer, "web", b"GET", &NoFacts) }
}

/// A collector that gives what it is delivered to a test, and goes on when that says so.
struct Collector {
    delivered: Sender<Vec<String>>,
    go_on: Mutex<Option<Receiver<()>>>,
}

impl OtlpLogs for Collector {
    fn open(&self) -> io::Result<Box<dyn Destination>> {
        let go_on = self.go_on.lock().unwrap().take();
        Ok(Box::new(Collecting { delivered: self.delivered.clone(), go_on }))
    }
}

struct Collecting {
    delivered: Sender<Vec<String>>,
    go_on: Option<Receiver<()>>,
}

impl Destination for Collecting {
    fn deliver(&mut self, batch: &Batch) -> Delivered {
        if let Some(go_on) = &self.go_on {
            let _ = go_on.recv();
        }
        let texts = batch.records().map(|record| String::from_utf8_lossy(record).into_owned()).collect();
        let _ = self.delivered.send(texts);
        Delivered::all(batch)
    }
}

fn settings(logs: &[AccessLog]) -> Settings {
    Settings { access_logs: logs.to_vec(), ..Settings::default() }
}

fn otlp() -> AccessLog {
    AccessLog::of_everything(LogTarget::Otlp, LogFormat::Json)
}

#[test]
fn a_log_takes_the_records_that_its_condition_holds_for() {
    let (delivered, received) = channel();
    let collector = Collector { delivered, go_on: Mutex::default() };
    let status = Box::new(Expression::Fact(Fact::ResponseStatus));
    let number = Box::new(Expression::Literal(Literal::Int(500)));
    let when = Expression::Compare(Comparison::GreaterOrEqual, status, number);
    let log = AccessLog { when: Some(when), ..otlp() };
    let sinks = LogSinks::open(&settings(&[log]), Some(&collector)).unwrap();
    let logs = sinks.worker_logs();
    [200, 503, 404, 500].into_iter().for_each(|status| logs.add(&record(status)));
    drop(logs);
    let texts = received.recv().unwrap();
    assert_eq!(texts.len(), 2);
    assert!(texts[0].contains("\"status\":503") && texts[1].contains("\"status\":500"), "{texts:?}");
}

#[test]
fn a_sample_takes_its_part_evenly() {
    let (delivered, received) = channel();
    let collector = Collector { delivered, go_on: Mutex::default() };
    let sinks =
        LogSinks::open(&settings(&[AccessLog { sample: 1_000, ..otlp() }]), Some(&collector)).unwrap();
    let logs = sinks.worker_logs();
    (0..1_000).for_each(|_| logs.add(&record(200)));
    drop(logs);
    assert!((99..=101).contains(&received.recv().unwrap().len()));
}

#[test]
fn a_slow_destination_costs_records_which_are_counted_and_nobody_waits() {
    let (delivered, received) = channel();
    let (go, go_on) = channel();
    let collector = Collector { delivered, go_on: Mutex::new(Some(go_on)) };
    let sinks = LogSinks::open(&settings(&[otlp()]), Some(&collector)).unwrap();
    let logs = sinks.worker_logs();
    for _ in 0..1_000 {
        logs.add(&record(200));
        logs.flush();
    }
    let lost = sinks.losses()[0].lost;
    assert!((700..1_000).contains(&lost), "{lost}");
    drop(go);
    drop(logs);
    drop((sinks, collector));
    assert_eq!(received.iter().map(|texts| texts.len() as u64).sum::<u64>() + lost, 1_000);
}

#[test]
fn destinations_that_stay_are_the_same_over_a_renewal_and_the_others_end_with_what_they_had() {
    let folder = std::env::temp_dir().join(format!("narrows-sinks-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str| {
        let (path, rotation) = (folder.join(name), narrows_plan::Rotation::NEVER);
        AccessLog::of_everything(LogTarget::File { path, rotation }, LogFormat::Text)
    };
    let first = LogSinks::open(&settings(&[file("a"), file("b")]), None).unwrap();
    let old = first.worker_logs();
    let second =
        first.renew(&settings(&[AccessLog { sample: 9_000, ..file("b") }, file("c")]), None).unwrap();
    assert!(Arc::ptr_eq(&first.logs[1].sink, &second.logs[0].sink));
    assert!(!Arc::ptr_eq(&first.logs[1].settings, &second.logs[0].settings));
    // What is still running on the old logs is written there all the same.
    old.add(&record(200));
    drop((old, first));
    let new = second.worker_logs();
    new.add(&record(200));
    drop((new, second));
    let lines = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap().lines().count();
    assert_eq!((lines("b"), lines("c")), (2, 1));
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while lines("a") < 1 {
        assert!(std::time::Instant::now() < deadline, "one that nobody waits for still writes what it has");
        std::thread::yield_now();
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn when_one_cannot_be_opened_nothing_has_changed() {
    let first = LogSinks::open(&settings(&[]), None).unwrap();
    let path = std::path::PathBuf::from("/nowhere/at/all");
    let rotation = narrows_plan::Rotation::NEVER;
    let log = AccessLog::of_everything(LogTarget::File { path, rotation }, LogFormat::Text);
    let error = first.renew(&settings(&[log]), None).unwrap_err();
    assert_eq!((error.target.as_str(), error.source.kind()), ("/nowhere/at/all", io::ErrorKind::NotFound));
    assert_eq!(first.losses(), []);
}
