//! Trying again when something is locked. Nobody ever waits in a lock queue for long, so whoever needs a lock tries for it, with
//! growing and jittered pauses, until the patience is used up.

use std::time::Duration;

use tokio::time::Instant;

use crate::database::Database;
use crate::error::{Error, ErrorKind, Result};

/// How long a lock is tried for unless the builder says otherwise. Each attempt waits a tenth of a second at most (two seconds
/// for tables of lfk's own), so the application never queues behind us for longer.
pub(crate) const DEFAULT_PATIENCE: Duration = Duration::from_secs(30);

/// Trying again until the patience is used up.
pub(crate) struct Patience {
    limit: Duration,
    until: Instant,
    pause: Duration,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, until: Instant::now() + limit, pause: Duration::from_millis(25) }
    }

    /// As at the beginning: something was achieved.
    pub(crate) fn renew(&mut self) {
        *self = Self::new(self.limit);
    }

    /// Pauses, or says that it is enough: `what` is locked.
    pub(crate) async fn wait(&mut self, database: &Database, what: &str) -> Result<()> {
        if Instant::now() + self.pause > self.until {
            let message = format!("{what} stayed locked for {} s", self.limit.as_secs_f64());
            return Err(Error::new(ErrorKind::TimedOut, message).in_database(database.name()).with_hint(
                "run the same command again when no long transaction holds it; what is done so far is kept",
            ));
        }
        tokio::time::sleep(self.pause.mul_f64(rand::random_range(0.5..1.5))).await;
        self.pause = (self.pause * 2).min(Duration::from_secs(1));
        Ok(())
    }

    /// Lets an attempt that met a lock be tried again, and hands on every other error.
    pub(crate) async fn after(&mut self, error: Error, database: &Database, what: &str) -> Result<()> {
        match error.sqlstate().as_deref() {
            // lock_not_available, deadlock_detected; and two installations that met.
            Some("55P03" | "40P01") => self.wait(database, what).await,
            _ => Err(error),
        }
    }
}
