//! The limits of one process for one database: token buckets for rows changed and for statements that write, and the duty cycle.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::DefaultClock;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio_util::sync::CancellationToken;

use crate::database::{Database, Limits};
use crate::duty::{Duty, Room};

type Bucket = RateLimiter<NotKeyed, InMemoryState, DefaultClock>;

/// The limits of one database, shared by every consumer of this process that writes there.
#[derive(Debug)]
pub struct Limiter {
    rows: Option<(Bucket, NonZeroU32)>,
    statements: Option<(Bucket, NonZeroU32)>,
    duty: Duty,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        let bucket = |per_second: Option<u32>| {
            let n = NonZeroU32::new(per_second?)?;
            Some((RateLimiter::direct(Quota::per_second(n)), n))
        };
        Self {
            rows: bucket(limits.rows_per_second),
            statements: bucket(limits.statements_per_second),
            duty: Duty::new(limits.duty_percent),
        }
    }

    /// Whether others are at work in the server of this database, which these limits are for.
    pub(crate) async fn room(&self, database: &Database) -> Room {
        self.duty.room(database).await
    }

    /// A statement that writes took so long, without its way: the next one is sent after a rest, where others are at work.
    pub(crate) fn worked(&self, took: Duration) {
        self.duty.worked(took);
    }

    /// Rests after the last statement for as long as the duty cycle says. Called with no transaction open.
    pub(crate) async fn rest(&self, stop: &CancellationToken) {
        self.duty.rest(stop).await;
    }

    /// Waits for the right to send one writing statement. Called with no transaction open.
    pub async fn statement(&self, stop: &CancellationToken) {
        if let Some((bucket, _)) = &self.statements {
            tokio::select! {
                () = bucket.until_ready() => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Rows that one statement may touch so that paying for them takes about a second.
    #[must_use]
    pub fn most_rows(&self) -> usize {
        self.rows.as_ref().map_or(usize::MAX, |(_, per_second)| usize::try_from(per_second.get()).unwrap_or(usize::MAX))
    }

    /// Pays for rows that were changed, after the fact and with no transaction open: how many there are is known only then.
    pub async fn rows(&self, rows: u64, stop: &CancellationToken) {
        let Some((bucket, burst)) = &self.rows else { return };
        let mut owed = rows;
        while owed > 0 {
            // The bucket refuses more than its burst at once.
            let part = u32::try_from(owed).unwrap_or(u32::MAX).min(burst.get());
            if let Some(part) = NonZeroU32::new(part) {
                tokio::select! {
                    _ = bucket.until_n_ready(part) => {}
                    () = stop.cancelled() => return,
                }
            }
            owed -= u64::from(part);
        }
    }
}
