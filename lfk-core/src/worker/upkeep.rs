//! What a worker does for its database beside giving turns: signs of life, ticks, idle cursors, new partitions, notes.
//!
//! Each is one short transaction, may be repeated by any number of workers, and leaves nothing half done.

use std::sync::Arc;

use lfk_sql::statements;
use uuid::Uuid;

use crate::capture::{self, Uncovered};
use crate::context::Context;
use crate::cursor::LogSql;
use crate::database::{Database, Purpose};
use crate::error::{ErrorKind, Result};

/// How long a worker counts as alive without a sign of life: four missed heartbeats.
const ALIVE_SECONDS: f64 = 12.0;

/// Registers the worker or says that it is alive. Answers how many are.
pub(super) async fn heartbeat(home: &Database, id: Uuid, host: &str) -> Result<usize> {
    let mut tx = home.begin(Purpose::Log).await?;
    tx.query(statements::SEE_WORKER)
        .bind(id)
        .bind(host)
        .bind(i32::try_from(std::process::id()).unwrap_or(0))
        .bind(env!("CARGO_PKG_VERSION"))
        .bind(vec!["loose_foreign_keys"])
        .execute(tx.conn())
        .await
        .map_err(|e| home.error(e))?;
    let live: i64 = tx
        .query_scalar(statements::LIVE_WORKERS)
        .bind(ALIVE_SECONDS)
        .fetch_one(tx.conn())
        .await
        .map_err(|e| home.error(e))?;
    tx.commit().await?;
    Ok(usize::try_from(live).unwrap_or(1).max(1))
}

/// Takes the worker's row along.
pub(super) async fn forget(home: &Database, id: Uuid) -> Result<()> {
    let mut tx = home.begin(Purpose::Log).await?;
    tx.query(statements::FORGET_WORKER).bind(id).execute(tx.conn()).await.map_err(|e| home.error(e))?;
    tx.commit().await
}

/// What is due in the other databases of the definitions whose log is here.
pub(super) async fn definitions(ctx: Arc<Context>, home: Database) {
    for definition in ctx.definitions.iter().filter(|d| d.declaration().parent.database == home.name()) {
        let declaration = definition.declaration();
        let Some(away) = ctx.database(&declaration.child.database) else { continue };
        if let Err(error) = definition.upkeep(&home, away).await {
            // The work itself says what is wrong where it matters.
            tracing::info!(definition = declaration.name, error = %error, "its upkeep failed; it is tried again in a minute");
        }
    }
}

/// Offers a tick; the database keeps one in 30 s.
pub(super) async fn tick(home: &Database) -> Result<()> {
    let mut tx = home.begin(Purpose::Log).await?;
    tx.query(statements::TICK).execute(tx.conn()).await.map_err(|e| home.error(e))?;
    tx.commit().await
}

/// Moves cursors that have nothing to read up to now.
pub(super) async fn move_idle_cursors(home: &Database, log_sql: &LogSql) -> Result<()> {
    for sql in &log_sql.idle_move {
        let mut tx = home.begin(Purpose::Log).await?;
        tx.hold_log().await.map_err(|e| home.error(e))?;
        tx.query(sql.clone()).execute(tx.conn()).await.map_err(|e| home.error(e))?;
        tx.commit().await?;
    }
    Ok(())
}

/// Covers new partitions and says what is not covered. That it cannot be checked stops nothing.
pub(super) async fn cover(home: &Database) -> Result<()> {
    match capture::cover(home).await {
        Ok(gaps) => gaps.iter().for_each(|gap| report(home, gap)),
        Err(error) if error.kind == ErrorKind::Unreachable => return Err(error),
        Err(error) => {
            tracing::warn!(database = home.name(), error = %error, "the coverage of parents cannot be checked");
        }
    }
    Ok(())
}

fn report(home: &Database, gap: &Uncovered) {
    let (relation, outcome, detail) = (&gap.relation, &gap.outcome, &gap.detail);
    tracing::warn!(database = home.name(), relation, outcome, detail, "a part of a parent's tree is not covered");
}

/// Says in the definition's row why it does not get on, or that it does again. Best effort: a note that cannot be written
/// now is written with the next failure.
pub(super) async fn note(home: &Database, name: &str, condition: &str, note: Option<&str>) {
    let write = async {
        let mut tx = home.begin(Purpose::Log).await?;
        tx.query(statements::NOTE_CONDITION)
            .bind(name)
            .bind(condition)
            .bind(note)
            .execute(tx.conn())
            .await
            .map_err(|e| home.error(e))?;
        tx.commit().await
    };
    if let Err(error) = write.await {
        tracing::debug!(definition = name, error = %error, "the note could not be written");
    }
}
