//! What tells writers to wait: signals of health of the database that they write to.
//!
//! A signal is read before a turn cleans anything. When one says "not now", the turn ends, the definition is *held* with the
//! signal as its note, and it is tried again within seconds: nothing waits inside a transaction or with a lease. What a role
//! may not look at is unknown, and shown as unknown: it neither stops work nor counts as healthy. A further signal is one
//! more variant here and one more statement in `sql/pacing/`.

use std::convert::Infallible;
use std::time::Duration;

use lfk_sql::statements;
use sqlx::Row as _;

use crate::database::{Database, Pooler, Purpose, Tx};
use crate::duty::Others;
use crate::error::{Error, ErrorKind, Result};
use crate::report::SignalStatus;

/// WAL that a standby may have yet to replay, in bytes, whatever the time says: a standby that has stopped replaying reports
/// the lag of what it replayed last.
const MOST_LAG_BYTES: f64 = 256.0 * 1024.0 * 1024.0;

/// How far the standbys of a database are behind.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StandbyLag {
    /// There is none.
    NoStandby,
    /// This role may not look at them: it needs `pg_monitor`.
    Unknown {
        /// The role, quoted where SQL needs it.
        role: String,
    },
    /// The largest.
    Behind {
        /// In seconds of replay.
        seconds: f64,
        /// In bytes of WAL that is not replayed.
        bytes: f64,
        /// The one that is most seconds behind: the name it gives itself, and where it is.
        latest: String,
        /// The one with the most bytes.
        largest: String,
    },
}

impl StandbyLag {
    /// Asks the primary.
    pub(crate) async fn read(database: &Database) -> Result<Self> {
        let mut tx = database.begin(Purpose::Recheck).await?;
        let row = tx.query(statements::STANDBY_LAG).fetch_one(tx.conn()).await.map_err(|e| database.error(e))?;
        tx.commit().await?;
        let (standbys, hidden): (i64, i64) = (row.get("standbys"), row.get("hidden"));
        Ok(match (standbys, hidden) {
            (0, _) => Self::NoStandby,
            (all, hidden) if hidden == all => Self::Unknown { role: row.get("role") },
            _ => Self::Behind {
                seconds: row.get("lag_seconds"),
                bytes: row.get("lag_bytes"),
                latest: row.get("latest"),
                largest: row.get("largest"),
            },
        })
    }

    /// Why writers should wait, if they should.
    fn objection(&self, most: Duration) -> Option<String> {
        match self {
            Self::Behind { seconds, latest, .. } if *seconds > most.as_secs_f64() => {
                Some(format!("the standby {latest} is {seconds:.0} s behind, more than {} s", most.as_secs()))
            }
            Self::Behind { bytes, largest, .. } if *bytes > MOST_LAG_BYTES => {
                Some(format!("the standby {largest} has {:.0} MB of WAL to replay", bytes / 1024.0 / 1024.0))
            }
            _ => None,
        }
    }
}

/// How the signals of a database stand, for people.
pub(crate) async fn look(database: &Database) -> [SignalStatus; 2] {
    let (standby_lag, others) = tokio::join!(look_at_standbys(database), look_at_others(database));
    [standby_lag, others]
}

async fn look_at_others(database: &Database) -> SignalStatus {
    let percent = database.limits().duty_percent;
    let (condition, note) = match Others::look(database).await {
        Ok(Others::Nobody) => ("none", None),
        Ok(_) if percent.get() >= 100 => ("ok", None),
        Ok(Others::Somebody) => {
            ("rests", Some(format!("others are at work: lfk writes for {percent} % of the time (duty_percent)")))
        }
        Ok(Others::Hidden { role }) => {
            let remedy = format!(
                "{role} may not look at other sessions, so lfk writes for {percent} % of the time: GRANT pg_monitor TO {role}; -- in database {}",
                database.name()
            );
            ("unknown", Some(remedy))
        }
        Err(error) => ("unknown", Some(error.message)),
    };
    SignalStatus { database: database.name().to_owned(), signal: "others_at_work", condition, note }
}

async fn look_at_standbys(database: &Database) -> SignalStatus {
    let (condition, note) = match StandbyLag::read(database).await {
        Ok(StandbyLag::NoStandby) => ("none", None),
        Ok(StandbyLag::Unknown { role }) => {
            let remedy = format!(
                "{role} may not look at the standbys: GRANT pg_monitor TO {role}; -- in database {}",
                database.name()
            );
            ("unknown", Some(remedy))
        }
        Ok(lag) => match lag.objection(database.limits().max_standby_lag) {
            None => ("ok", None),
            Some(objection) => ("waits", Some(objection)),
        },
        Err(error) => ("unknown", Some(error.message)),
    };
    SignalStatus { database: database.name().to_owned(), signal: "standby_lag", condition, note }
}

/// Asks every signal of a database whether its writers may go on.
///
/// # Errors
/// Held, with the signal that objects; or when the database cannot be asked.
pub(crate) async fn may_write(database: &Database) -> Result<()> {
    let lag = StandbyLag::read(database).await?;
    match lag.objection(database.limits().max_standby_lag) {
        None => Ok(()),
        Some(objection) => {
            metrics::counter!("lfk_held_total", "database" => database.name().to_owned(), "signal" => "standby_lag")
                .increment(1);
            Err(Error::new(ErrorKind::Held, objection).in_database(database.name()))
        }
    }
}

/// How long a statement runs before anybody asks whether others wait for it, and how often afterwards. With a lock that is
/// noticed at the latest so much later, the application waits no longer than this and the end of one statement.
const WATCH: Duration = Duration::from_millis(100);
/// What the application names of lfk's own connections begin with: lfk waiting for lfk is no reason to give way.
pub(crate) const OWN: &str = "lfk/";

/// A transaction of ours, as other sessions see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ours {
    pid: i32,
    /// When it began, in microseconds since 1970: the next transaction of the same backend is another one.
    xact_start: i64,
}

impl Ours {
    pub(crate) async fn of(tx: &mut Tx, database: &Database) -> Result<Self> {
        let row = tx.query(statements::BACKEND_PID).fetch_one(tx.conn()).await.map_err(|e| database.error(e))?;
        Ok(Self { pid: row.get("pid"), xact_start: row.get("xact_start") })
    }
}

/// Watches over a statement of ours on another connection, and cancels it when somebody waits for what it has locked. The
/// statement then counts as timed out and is never repeated at that size. Never returns; dropped with the statement.
pub(crate) async fn never_block_others(database: &Database, ours: Ours) -> Infallible {
    if database.pooler() == Pooler::Transaction {
        // When the cancel arrives, the pooler may have given this backend to another client, whose statement it would hit.
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(WATCH).await;
        match cancel_if_blocking(database, ours).await {
            Ok(false) => {}
            Ok(true) => {
                metrics::counter!("lfk_gave_way_total", "database" => database.name().to_owned()).increment(1);
                tracing::info!(database = database.name(), "a statement gave way: somebody waited for its locks");
            }
            Err(error) => {
                tracing::debug!(database = database.name(), error = %error, "waiting sessions cannot be looked at");
            }
        }
    }
}

async fn cancel_if_blocking(database: &Database, ours: Ours) -> Result<bool> {
    let mut tx = database.begin(Purpose::Recheck).await?;
    let cancelled = tx
        .query_scalar(statements::CANCEL_IF_BLOCKING)
        .bind(ours.pid)
        .bind(ours.xact_start)
        .bind(OWN)
        .fetch_one(tx.conn())
        .await
        .map_err(|e| database.error(e))?;
    tx.commit().await?;
    Ok(cancelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_secs(10);

    fn behind(seconds: f64, bytes: f64) -> Option<String> {
        let (latest, largest) = ("\"a\" at 10.0.0.1".to_owned(), "\"b\" at 10.0.0.2".to_owned());
        StandbyLag::Behind { seconds, bytes, latest, largest }.objection(MOST)
    }

    #[test]
    fn a_standby_that_is_behind_in_time_or_in_bytes_objects_and_is_named() {
        assert_eq!(behind(11.0, 0.0).as_deref(), Some("the standby \"a\" at 10.0.0.1 is 11 s behind, more than 10 s"));
        assert_eq!(behind(0.0, 1e9).as_deref(), Some("the standby \"b\" at 10.0.0.2 has 954 MB of WAL to replay"));
        assert_eq!(behind(9.0, 1e6), None);
    }

    #[test]
    fn what_is_unknown_or_absent_does_not_object() {
        assert_eq!(StandbyLag::Unknown { role: "lfk".to_owned() }.objection(MOST), None);
        assert_eq!(StandbyLag::NoStandby.objection(MOST), None);
    }
}
