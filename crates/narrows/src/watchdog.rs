//! Telling the service manager that the process lives, as long as every worker does.

use crate::notify::Manager;
use narrows_proxy::Pulse;
use std::io;
use std::sync::Arc;
use std::thread::{Builder, park_timeout};
use std::time::{Duration, Instant};

/// The shortest time between two looks: workers beat every 100 ms, and must not be called dead in between.
const SHORTEST: Duration = Duration::from_millis(500);

/// Tells `manager` in good time before `interval` is over, and keeps silent while a worker stands still: the manager restarts the process then. Runs until
/// the process ends.
///
/// # Errors
/// The system gives no thread.
pub(crate) fn start(manager: Arc<Manager>, mut pulse: Pulse, interval: Duration) -> io::Result<()> {
    let pause = (interval / 3).max(SHORTEST);
    Builder::new().name("watchdog".into()).spawn(move || {
        loop {
            if pulse.is_steady() {
                manager.alive();
            }
            let next = Instant::now() + pause;
            while let Some(left) = next.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            {
                park_timeout(left);
            }
        }
    })?;
    Ok(())
}
