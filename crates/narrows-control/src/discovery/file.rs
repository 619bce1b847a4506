//! A watched file of endpoints.

use super::looker::Awaited;
use super::source::Source;
use super::stamp::Stamp;
use narrows_plan::Endpoint;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// Between two looks at the file.
const LOOK: Duration = Duration::from_secs(1);
/// A file that changes is looked at again after this time, until it stays as it is: half of a list is a list
/// as well.
const SETTLE: Duration = Duration::from_millis(100);
/// Between two lines that say that the file was read.
const PAUSE: Duration = Duration::from_secs(10);
/// Looks at a file that never stays as it is, before it is read all the same.
const LOOKS: usize = 20;

/// Reads a list of endpoints, or says what is wrong with it.
pub(super) type Load = fn(&Path) -> Result<Vec<Endpoint>, String>;

/// Watches a file for `source`, for ever. A file that is missing or wrong changes nothing, and the operator
/// is told why. `awaited` has answered after the first look.
pub(super) async fn life(path: PathBuf, load: Load, source: Rc<Source>, awaited: Awaited) {
    let shown = path.display().to_string();
    let mut seen: Option<Option<Stamp>> = None;
    let mut list = List::default();
    loop {
        let stamp = settled(&path).await;
        if seen != Some(stamp) {
            let loaded = match stamp {
                Some(stamp) if !stamp.is_regular => Err(format!("{shown}: it is not a regular file")),
                Some(_) => read(&path, load).await,
                None => Err(format!("{shown}: there is no such file")),
            };
            // A file that has just been written may be written again within the resolution of its time.
            seen = (!stamp.is_some_and(|stamp| stamp.is_young())).then_some(stamp);
            match loaded {
                Ok(endpoints) => list.take(endpoints, &shown, &source),
                Err(trouble) => list.fail(trouble),
            }
        }
        if let Some(line) = list.news() {
            source.say(&line);
        }
        awaited.heard();
        sleep(LOOK).await;
    }
}

/// What is known of the file's content, and what the operator is to be told of it.
#[derive(Debug, Default)]
struct List {
    /// The last good one.
    present: Option<Vec<Endpoint>>,
    trouble: Option<String>,
    unsaid: Option<String>,
    /// When it was said that the file was read.
    said: Option<Instant>,
}

impl List {
    fn take(&mut self, endpoints: Vec<Endpoint>, shown: &str, source: &Rc<Source>) {
        let was_wrong = self.trouble.take().is_some();
        if self.present.as_ref() == Some(&endpoints) {
            if was_wrong {
                self.unsaid = Some(format!("the endpoint file is as it was before: {shown}"));
            }
            return;
        }
        let counted = if endpoints.len() == 1 { "entry" } else { "entries" };
        let line = format!("read {shown}: {} {counted}", endpoints.len());
        source.write(endpoints.clone());
        let is_first = self.present.replace(endpoints).is_none();
        self.unsaid = (!is_first || was_wrong).then_some(line);
    }

    fn fail(&mut self, trouble: String) {
        if self.trouble.as_ref() != Some(&trouble) {
            let stays = if self.present.is_some() { "the last list stays" } else { "it gives no endpoint" };
            self.unsaid = Some(format!("{}; {stays}", trouble.trim_end()));
            self.trouble = Some(trouble);
        }
    }

    /// The line to say now. Trouble is said at once; a program that writes the file all the time is worth a
    /// line from time to time.
    fn news(&mut self) -> Option<String> {
        let is_pause = self.trouble.is_none() && self.said.is_some_and(|said| said.elapsed() < PAUSE);
        let line = if is_pause { None } else { self.unsaid.take() };
        if line.is_some() {
            self.said = Some(Instant::now());
        }
        line
    }
}

/// The stamp of the file once it stays the same for a moment.
async fn settled(path: &Path) -> Option<Stamp> {
    let mut stamp = look(path).await;
    for _ in 0..LOOKS {
        if !stamp.is_some_and(|stamp| stamp.is_young()) {
            break;
        }
        sleep(SETTLE).await;
        let now = look(path).await;
        if now == stamp {
            break;
        }
        stamp = now;
    }
    stamp
}

// A disk may be slow, and health checks run on this thread.
async fn look(path: &Path) -> Option<Stamp> {
    let path = path.to_owned();
    spawn_blocking(move || Stamp::of(&path)).await.ok().flatten()
}

async fn read(path: &Path, load: Load) -> Result<Vec<Endpoint>, String> {
    let owned = path.to_owned();
    let read = spawn_blocking(move || load(&owned)).await;
    read.unwrap_or_else(|_| Err(format!("{}: it cannot be read", path.display())))
}
