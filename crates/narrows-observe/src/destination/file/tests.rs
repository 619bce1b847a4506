use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("narrows-log-file-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.0.join(name)).ok()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn batch(records: &[&str]) -> Batch {
    let mut batch = Batch::default();
    for record in records {
        batch.bytes.extend_from_slice(record.as_bytes());
        batch.bytes.push(b'\n');
        batch.end_record();
    }
    batch
}

#[test]
fn a_file_that_would_become_too_large_is_put_aside_and_some_are_kept() {
    let folder = Folder::new();
    let rotation = Rotation { size: Some(8), every: None, keep: 2 };
    let mut log = LogFile::open(&folder.0.join("log"), rotation).unwrap();
    for record in ["one", "two", "three", "four", "five"] {
        assert_eq!(log.deliver(&batch(&[record])).records, 1);
    }
    let read = ["log", "log.1", "log.2", "log.3"].map(|name| folder.read(name));
    let expected =
        [Some("five\n"), Some("four\n"), Some("three\n"), None].map(|text| text.map(str::to_owned));
    assert_eq!(read, expected, "one and two were together in the oldest, which is gone");
}

#[test]
fn records_that_come_together_are_divided_between_files() {
    let folder = Folder::new();
    let rotation = Rotation { size: Some(8), every: None, keep: 2 };
    let mut log = LogFile::open(&folder.0.join("log"), rotation).unwrap();
    let delivered = log.deliver(&batch(&["one", "two", "much longer", "three"]));
    assert_eq!(delivered.records, 4);
    let read = ["log", "log.1", "log.2"].map(|name| folder.read(name).unwrap());
    assert_eq!(read, ["three\n", "much longer\n", "one\ntwo\n"]);
}

#[test]
fn without_any_to_keep_a_full_file_is_removed() {
    let folder = Folder::new();
    let rotation = Rotation { size: Some(4), every: None, keep: 0 };
    let mut log = LogFile::open(&folder.0.join("log"), rotation).unwrap();
    log.deliver(&batch(&["one"]));
    log.deliver(&batch(&["two"]));
    assert_eq!(folder.read("log").as_deref(), Some("two\n"));
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn a_file_of_an_earlier_time_is_put_aside_also_by_a_process_that_finds_it() {
    let folder = Folder::new();
    let path = folder.0.join("log");
    fs::write(&path, "old\n").unwrap();
    let yesterday = SystemTime::now() - Duration::from_secs(2 * 86_400);
    File::options().write(true).open(&path).unwrap().set_modified(yesterday).unwrap();
    let rotation = Rotation { size: None, every: Some(Duration::from_secs(86_400)), keep: 7 };
    let mut log = LogFile::open(&path, rotation).unwrap();
    log.deliver(&batch(&["new"]));
    assert_eq!(folder.read("log.1").as_deref(), Some("old\n"));
    assert_eq!(folder.read("log").as_deref(), Some("new\n"));
}

#[test]
fn a_file_that_was_moved_away_is_left_when_it_is_opened_anew() {
    let folder = Folder::new();
    let path = folder.0.join("log");
    let mut log = LogFile::open(&path, Rotation::NEVER).unwrap();
    log.deliver(&batch(&["one"]));
    fs::rename(&path, folder.0.join("moved")).unwrap();
    log.deliver(&batch(&["two"]));
    log.reopen().unwrap();
    log.deliver(&batch(&["three"]));
    assert_eq!(folder.read("moved").as_deref(), Some("one\ntwo\n"));
    assert_eq!(folder.read("log").as_deref(), Some("three\n"));
}

#[test]
fn a_full_disk_loses_what_does_not_fit_and_says_so() {
    let mut log = LogFile::open(Path::new("/dev/full"), Rotation::NEVER).unwrap();
    let delivered = log.deliver(&batch(&["one", "two"]));
    assert_eq!(delivered.records, 0);
    assert_eq!(delivered.error.unwrap().kind(), io::ErrorKind::StorageFull);
}
