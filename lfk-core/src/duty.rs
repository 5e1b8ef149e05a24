//! How much of the time lfk writes to a database, beside others who are at work there.
//!
//! While nobody else is, it writes as fast as it can. While somebody is, each statement is aimed to be short, and lfk rests
//! after it in proportion to the time that it took: so the statements of others seldom meet one of ours, and a long one hardly ever.
//! What is known of the others lives in memory only; who has just started takes it that there are some. The rest is that of
//! one process, over all its definitions.

use std::num::NonZeroU8;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lfk_sql::statements;
use sqlx::Row as _;
use tokio_util::sync::CancellationToken;

use crate::database::{Database, Purpose};
use crate::error::Result;
use crate::signals::OWN;

/// How old a look at the others may be while lfk writes.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A session that ended its last statement so long ago, in seconds, is not at work any more.
const A_MOMENT: f64 = 0.1;
/// Once seen, others count as being at work for so long: who sends a few statements a second is met by a few looks only.
const STAY: Duration = Duration::from_secs(1);
/// Rest at most, however long a statement took.
const LONGEST: Duration = Duration::from_secs(1);

/// Who else is at work in the server of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Others {
    /// Nobody.
    Nobody,
    /// Somebody.
    Somebody,
    /// There are sessions, and this role may not know what they do: it needs `pg_monitor`.
    Hidden {
        /// The role, quoted where SQL needs it.
        role: String,
    },
}

impl Others {
    /// Asks the server.
    pub(crate) async fn look(database: &Database) -> Result<Self> {
        let mut tx = database.begin(Purpose::Recheck).await?;
        let query = tx.query(statements::OTHERS_AT_WORK).bind(A_MOMENT).bind(OWN);
        let row = query.fetch_one(tx.conn()).await.map_err(|e| database.error(e))?;
        tx.commit().await?;
        let (at_work, hidden): (i64, i64) = (row.get("at_work"), row.get("hidden"));
        Ok(match (at_work, hidden) {
            (0, 0) => Self::Nobody,
            (0, _) => Self::Hidden { role: row.get("role") },
            _ => Self::Somebody,
        })
    }
}

/// How much of a server lfk may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// Nobody else is at work.
    Alone,
    /// Somebody is, or it is not known.
    Shared,
}

/// The duty cycle of one process in one database.
#[derive(Debug)]
pub(crate) struct Duty {
    percent: u32,
    known: Mutex<Known>,
}

/// What is known of a database.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    looked: Option<Instant>,
    /// When others were at work, or may have been.
    seen: Option<Instant>,
    /// No statement that writes is sent before.
    rest_until: Option<Instant>,
}

impl Known {
    /// Who has not looked for a while takes it that there are others.
    fn room(&self, now: Instant) -> Room {
        let is_past = |at: Instant| now.saturating_duration_since(at) >= STAY;
        let unknown = self.looked.is_none_or(is_past);
        if unknown || !self.seen.is_none_or(is_past) { Room::Shared } else { Room::Alone }
    }

    fn look_is_due(&self, now: Instant) -> bool {
        self.looked.is_none_or(|looked| now.saturating_duration_since(looked) >= LOOK_EVERY)
    }

    /// A statement took so long. Definitions that work at the same time rest for each other, too.
    fn worked(&mut self, now: Instant, took: Duration, percent: u32) {
        if self.room(now) == Room::Shared {
            let rest = took * (100 - percent) / percent;
            let begins = self.rest_until.unwrap_or(now).max(now);
            self.rest_until = Some((begins + rest).min(now + LONGEST));
        }
    }
}

impl Duty {
    /// To write for about so many percent of the time while others are at work; for more, where a rest would be longer than [`LONGEST`].
    pub(crate) fn new(percent: NonZeroU8) -> Self {
        Self { percent: u32::from(percent.get()).min(100), known: Mutex::default() }
    }

    /// Whether others are at work, as of a moment ago. Where that cannot be asked, they are taken to be.
    pub(crate) async fn room(&self, database: &Database) -> Room {
        if self.percent == 100 {
            return Room::Alone;
        }
        if self.known().look_is_due(Instant::now()) {
            let nobody = matches!(Others::look(database).await, Ok(Others::Nobody));
            let now = Instant::now();
            let mut known = self.known();
            known.looked = Some(now);
            if !nobody {
                known.seen = Some(now);
            }
        }
        self.known().room(Instant::now())
    }

    /// A statement that writes took so long, without its way.
    pub(crate) fn worked(&self, took: Duration) {
        if self.percent < 100 {
            self.known().worked(Instant::now(), took, self.percent);
        }
    }

    /// Waits until the next statement that writes may be sent. Called with no transaction open.
    pub(crate) async fn rest(&self, stop: &CancellationToken) {
        let Some(until) = self.known().rest_until else { return };
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            () = stop.cancelled() => {}
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn who_has_not_looked_for_a_while_takes_it_that_there_are_others() {
        let now = Instant::now();
        let mut known = Known::default();
        assert!(known.look_is_due(now));
        assert_eq!(known.room(now), Room::Shared);
        known.looked = Some(now);
        assert_eq!(known.room(now), Room::Alone);
        assert!(!known.look_is_due(now + 249 * MS) && known.look_is_due(now + 250 * MS));
        assert_eq!(known.room(now + STAY), Room::Shared);
    }

    #[test]
    fn others_stay_for_a_second_after_they_were_seen() {
        let now = Instant::now();
        let known = Known { looked: Some(now), seen: Some(now), rest_until: None };
        assert_eq!(known.room(now + 999 * MS), Room::Shared);
        let known = Known { looked: Some(now + 1000 * MS), ..known };
        assert_eq!(known.room(now + 1000 * MS), Room::Alone);
    }

    #[test]
    fn beside_others_the_rest_is_as_long_as_the_share_says() {
        let now = Instant::now();
        let mut known = Known { looked: Some(now), seen: Some(now), rest_until: None };
        known.worked(now, 10 * MS, 20);
        assert_eq!(known.rest_until, Some(now + 40 * MS));
        // Another definition, at the same time.
        known.worked(now, 10 * MS, 20);
        assert_eq!(known.rest_until, Some(now + 80 * MS));
        known.worked(now, 5000 * MS, 20);
        assert_eq!(known.rest_until, Some(now + LONGEST));
        let mut alone = Known { looked: Some(now), ..Known::default() };
        alone.worked(now, 10 * MS, 20);
        assert_eq!(alone.rest_until, None);
    }
}
