//! Sending the cursors of a definition back to a time, so that what was cleaned since is cleaned again.
//!
//! The cursor rows are authoritative, and go back in one transaction: both lanes or neither. It holds the ring, so that no
//! leaf is retired between the check that the log has everything (`sql/replay/find_start.sql`) and the commit after which
//! the cursors hold it; and the cursor rows, so that no worker moves one in between. A crash before the commit leaves everything as
//! it was. The higher token fences whoever was in the middle of a window.
//!
//! Both cursors go back, and by `settle_after` further than was asked for: a late child that the second visit had removed is
//! back as well, and its key was committed that much before its last visit. What a sweep led to is back too, so markers
//! that are read again are swept again.

use std::time::{Duration, SystemTime};

use lfk_sql::statements;
use sqlx::Row as _;
use uuid::Uuid;

use crate::database::{Database, Purpose, Tx};
use crate::declaration::Declaration;
use crate::definition::State;
use crate::error::{Error, ErrorKind, Result};
use crate::pair;
use crate::patience::Patience;
use crate::report::Replayed;
use crate::states::LOCKED;

/// Log rows counted for "keys that are looked at again".
const COUNT_ROWS: i64 = 1_000_000;
/// How often the child's side is looked at until its nonce stays what it was.
const COMPARISONS: u32 = 3;

/// From when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// A time.
    Time(SystemTime),
    /// So long ago, by the clock of the parents' database.
    Ago(Duration),
}

/// A replay that was looked at, and not refused.
pub(crate) struct Replay<'a> {
    definition: &'a Declaration,
    home: &'a Database,
    /// Only where its state shall be accepted.
    away: Option<&'a Database>,
    since: Since,
}

/// Where the cursors have to go.
struct Start {
    state: State,
    /// What was asked for, in seconds since 1970.
    since: f64,
    /// The time before which a tick is looked for.
    at: f64,
    tick: Option<String>,
}

/// Keys and markers that are looked at again.
struct Again {
    keys: i64,
    markers: i64,
    is_lower_bound: bool,
}

impl<'a> Replay<'a> {
    /// Refuses what cannot be done, before anything is.
    pub(crate) async fn plan(
        definition: &'a Declaration,
        home: &'a Database,
        away: Option<&'a Database>,
        since: Since,
    ) -> Result<Self> {
        let replay = Self { definition, home, away, since };
        pair::check_identity(home).await?;
        replay.nonce().await?;
        let mut tx = home.begin(Purpose::Log).await?;
        replay.find_start(&mut tx, replay.asked()?).await?;
        tx.commit().await?;
        Ok(replay)
    }

    /// Goes back. What is locked is tried for up to `limit`.
    pub(crate) async fn run(self, limit: Duration) -> Result<Replayed> {
        let mut patience = Patience::new(limit);
        for _ in 0..COMPARISONS {
            let nonce = self.nonce().await?;
            let replayed = self.go_back(nonce, &mut patience).await?;
            // Whoever finds the pair in agreement may exchange nonces while we look; then nothing was accepted, and nothing had to be.
            if !replayed.accepted || self.nonce().await? == nonce {
                return Ok(replayed);
            }
        }
        Err(Error::new(ErrorKind::TimedOut, "the children's database changes while it is looked at")
            .for_definition(&self.definition.name)
            .with_hint("run the same command again; both cursors have gone back"))
    }

    async fn nonce(&self) -> Result<Option<Uuid>> {
        match self.away {
            Some(away) => pair::nonce_of_children(self.definition, self.home, away).await.map(Some),
            None => Ok(None),
        }
    }

    async fn go_back(&self, nonce: Option<Uuid>, patience: &mut Patience) -> Result<Replayed> {
        loop {
            let held = match self.try_once(nonce).await {
                Ok(Some(replayed)) => return Ok(replayed),
                Ok(None) => patience.wait(self.home, LOCKED).await,
                // A leaf of the log that is being made again or emptied, or a cursor that a worker is moving.
                Err(error) => patience.after(error, self.home, LOCKED).await,
            };
            held.map_err(|e| e.for_definition(&self.definition.name))?;
        }
    }

    /// One attempt. `None` when somebody else holds the ring.
    async fn try_once(&self, nonce: Option<Uuid>) -> Result<Option<Replayed>> {
        let name = self.definition.name.as_str();
        let error = |e| self.home.error(e);
        let asked = self.asked()?;
        // Counted outside of the transaction that holds the cursors, because it may take a second.
        let mut tx = self.home.begin(Purpose::Log).await?;
        tx.hold_log().await.map_err(error)?;
        let start = self.find_start(&mut tx, asked).await?;
        let again = self.count(&mut tx, start.at).await?;
        tx.commit().await?;

        let mut tx = self.home.begin(Purpose::Log).await?;
        let ring: bool = tx.query_scalar(statements::TRY_RING_LOCK).fetch_one(tx.conn()).await.map_err(error)?;
        if !ring {
            return Ok(None);
        }
        tx.query(statements::HOLD_CURSORS).bind(name).execute(tx.conn()).await.map_err(error)?;
        // The same time as was counted, and the check anew: nothing can be retired from here on.
        let Start { state, at, tick, .. } = self.find_start(&mut tx, (Some(start.since), None)).await?;
        let rewound = state != State::Observe;
        if rewound {
            tx.query(statements::REWIND_TO).bind(name).bind(at).execute(tx.conn()).await.map_err(error)?;
            tx.query(statements::SWEEP_AGAIN).bind(name).execute(tx.conn()).await.map_err(error)?;
        }
        let accepted = match nonce {
            Some(nonce) => {
                let accept = tx.query(statements::ACCEPT_NONCE).bind(name).bind(nonce);
                accept.execute(tx.conn()).await.map_err(error)?.rows_affected() > 0
            }
            None => false,
        };
        if rewound || accepted {
            let note = tx.query(statements::NOTE_REPLAY).bind(name).bind(at).bind(&tick).bind(accepted);
            note.execute(tx.conn()).await.map_err(error)?;
        }
        tx.commit().await?;
        let Again { keys, markers, is_lower_bound } = again;
        tracing::info!(definition = name, start = tick, keys, accepted, "the cursors went back");
        Ok(Some(Replayed {
            name: name.to_owned(),
            state,
            rewound,
            start: tick,
            keys,
            keys_is_lower_bound: is_lower_bound,
            markers,
            accepted,
        }))
    }

    /// The time that was asked for, as the statement binds it.
    fn asked(&self) -> Result<(Option<f64>, Option<f64>)> {
        match self.since {
            // No log is so old, and the server knows no time that is much older.
            Since::Ago(ago) => Ok((None, Some(ago.as_secs_f64().min(1e9)))),
            Since::Time(time) => {
                let since = time.duration_since(SystemTime::UNIX_EPOCH);
                let since = since.map_err(|_| self.refused("nothing was deleted before 1970"))?;
                Ok((Some(since.as_secs_f64()), None))
            }
        }
    }

    async fn find_start(&self, tx: &mut Tx, (time, ago): (Option<f64>, Option<f64>)) -> Result<Start> {
        let row = tx
            .query(statements::FIND_START)
            .bind(&self.definition.name)
            .bind(time)
            .bind(ago)
            .fetch_optional(tx.conn())
            .await
            .map_err(|e| pair::missing(self.home, e))?;
        let Some(row) = row else {
            return Err(Error::new(ErrorKind::NotInstalled, "it is not installed")
                .in_database(self.home.name())
                .for_definition(&self.definition.name)
                .with_hint("run `lfk install`"));
        };
        if row.get::<bool, _>("future") {
            return Err(self.refused("that time is still to come, by the clock of the server"));
        }
        if !row.get::<bool, _>("whole") {
            let refused = self.refused("the log no longer keeps everything since that time");
            return Err(match row.get::<Option<String>, _>("oldest") {
                Some(oldest) => refused.with_hint(format!("the earliest time that is possible is {oldest}")),
                None => refused.with_hint("no time is possible before a worker has run for a while"),
            });
        }
        Ok(Start {
            state: State::from_sql(row.get("state")),
            since: row.get("since_epoch"),
            at: row.get("at_epoch"),
            tick: row.get("start"),
        })
    }

    fn refused(&self, what: &str) -> Error {
        Error::refused(what).in_database(self.home.name()).for_definition(&self.definition.name)
    }

    async fn count(&self, tx: &mut Tx, at: f64) -> Result<Again> {
        let row = tx
            .query(statements::COUNT_SINCE)
            .bind(&self.definition.name)
            .bind(at)
            .bind(COUNT_ROWS)
            .fetch_one(tx.conn())
            .await
            .map_err(|e| self.home.error(e))?;
        Ok(Again { keys: row.get("keys"), markers: row.get("markers"), is_lower_bound: row.get("is_lower_bound") })
    }
}
