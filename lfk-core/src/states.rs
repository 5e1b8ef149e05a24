//! Changing what definitions may do: states and the kill switch. Both live in the parent's database, so they act whoever
//! runs the work.

use std::time::Duration;

use lfk_sql::statements;
use sqlx::Row as _;

use crate::database::{Database, Purpose};
use crate::declaration::Declaration;
use crate::definition::State;
use crate::error::{Error, ErrorKind, Result};
use crate::pair;
use crate::patience::Patience;
use crate::report::StateChange;

/// What a change of state and a replay may have to wait for.
pub(crate) const LOCKED: &str = "its cursor or the key log";
/// Log rows counted for "keys that have left the log".
const COUNT_ROWS: i64 = 1_000_000;

/// Gives one definition a state. Out of observe or canary, the cursor goes back to the start of what the log keeps; to active
/// `from_now` it goes to the end.
///
/// # Errors
/// `TimedOut` when its cursor, a leaf of the log or the ring is held for longer than `limit`. Nothing was changed then.
pub(crate) async fn set_state(
    home: &Database,
    definition: &Declaration,
    to: State,
    from_now: bool,
    limit: Duration,
) -> Result<StateChange> {
    pair::check_identity(home).await?;
    let mut patience = Patience::new(limit);
    loop {
        let held = match try_set_state(home, &definition.name, to, from_now).await {
            Ok(Some(change)) => return Ok(change),
            Ok(None) => patience.wait(home, LOCKED).await,
            // A leaf of the log that is being made again or emptied, or a cursor that a worker is moving.
            Err(error) => patience.after(error, home, LOCKED).await,
        };
        held.map_err(|e| e.for_definition(&definition.name))?;
    }
}

/// One attempt: a single transaction. `None` when somebody was faster or holds the ring.
async fn try_set_state(home: &Database, name: &str, to: State, from_now: bool) -> Result<Option<StateChange>> {
    let (from, observed) = read_state(home, name).await?;
    // Observing moves the cursor over keys that nobody has cleaned. Whoever leaves it, also by way of a pause, goes back.
    let leaves = matches!(to, State::Active | State::Paused) && matches!(from, State::Observe | State::Canary);
    let rewound = leaves && !from_now;
    // From a pause, too, whoever says so skips what waits.
    let forwards = from_now && (leaves || (from == State::Paused && to == State::Active));
    let keys_left_log = if rewound { keys_left_log(home, name, observed).await? } else { 0 };
    let mut tx = home.begin(Purpose::Log).await?;
    if rewound || forwards {
        let taken: bool =
            tx.query_scalar(statements::TRY_RING_LOCK).fetch_one(tx.conn()).await.map_err(|e| home.error(e))?;
        if !taken {
            return Ok(None);
        }
        // The first statement of the transaction that writes, because one of the two takes a snapshot.
        let sql = if forwards { statements::FORWARD_CURSOR } else { statements::REWIND_CURSOR };
        tx.query(sql).bind(name).execute(tx.conn()).await.map_err(|e| home.error(e))?;
    }
    let changed = tx
        .query(statements::SET_STATE)
        .bind(name)
        .bind(to.as_str())
        .bind(from.as_str())
        .execute(tx.conn())
        .await
        .map_err(|e| home.error(e))?
        .rows_affected();
    if changed == 0 {
        return Ok(None);
    }
    tx.commit().await?;
    tracing::info!(definition = name, from = %from, to = %to, "state changed");
    Ok(Some(StateChange { name: name.to_owned(), from, to, rewound, keys_left_log }))
}

async fn read_state(home: &Database, name: &str) -> Result<(State, i64)> {
    let mut tx = home.begin(Purpose::Log).await?;
    let row = tx
        .query(statements::READ_STATE)
        .bind(name)
        .fetch_optional(tx.conn())
        .await
        .map_err(|e| pair::missing(home, e))?;
    tx.commit().await?;
    let row = row.ok_or_else(|| {
        Error::new(ErrorKind::NotInstalled, "it is not installed")
            .in_database(home.name())
            .for_definition(name)
            .with_hint("run `lfk install`")
    })?;
    Ok((State::from_sql(row.get("state")), row.get("observed_keys")))
}

/// Keys that were observed and that the log no longer holds.
async fn keys_left_log(home: &Database, name: &str, observed: i64) -> Result<i64> {
    let mut tx = home.begin(Purpose::Log).await?;
    let logged: i64 = tx
        .query_scalar(statements::COUNT_LOGGED)
        .bind(name)
        .bind(COUNT_ROWS)
        .fetch_one(tx.conn())
        .await
        .map_err(|e| home.error(e))?;
    tx.commit().await?;
    Ok((observed - logged).max(0))
}

/// Turns the kill switch of a database.
pub(crate) async fn set_stopped(home: &Database, stopped: bool) -> Result<()> {
    pair::check_identity(home).await?;
    let mut tx = home.begin(Purpose::Log).await?;
    tx.query(statements::SET_STOPPED).bind(stopped).execute(tx.conn()).await.map_err(|e| home.error(e))?;
    tx.commit().await?;
    tracing::info!(database = home.name(), stopped, "kill switch");
    Ok(())
}
