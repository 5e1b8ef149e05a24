//! Token buckets of one process for one database: rows changed and writing statements.

use std::num::NonZeroU32;

use governor::clock::DefaultClock;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio_util::sync::CancellationToken;

use crate::database::Limits;

type Bucket = RateLimiter<NotKeyed, InMemoryState, DefaultClock>;

/// The limits of one database, shared by every consumer of this process that writes there.
#[derive(Debug)]
pub struct Limiter {
    rows: Option<(Bucket, NonZeroU32)>,
    statements: Option<(Bucket, NonZeroU32)>,
}

impl Limiter {
    pub(crate) fn new(limits: Limits) -> Self {
        let bucket = |per_second: Option<u32>| {
            let n = NonZeroU32::new(per_second?)?;
            Some((RateLimiter::direct(Quota::per_second(n)), n))
        };
        Self { rows: bucket(limits.rows_per_second), statements: bucket(limits.statements_per_second) }
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
