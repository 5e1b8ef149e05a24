//! Forgetting rows that repairs had kept, once they are old enough.
//!
//! A crash leaves the rest for the next time; several workers share what there is.

use std::time::Duration;

use lfk_core::parts::Purpose;
use lfk_core::{Database, Result};
use lfk_sql::statements;
use sqlx::Row as _;
use uuid::Uuid;

/// Rows of a statement.
const ROWS: i32 = 1_000;
/// Statements of one time: what a repair of a large mirror has kept goes within an hour or so, and holds up nobody.
const TIMES: u32 = 20;

/// Forgets what is older than `keep`.
///
/// # Errors
/// When a database fails, or the right to do so is missing.
pub(super) async fn prune(mirror: &str, home: &Database, away: &Database, keep: Duration) -> Result<()> {
    let mut tx = home.begin(Purpose::Log).await?;
    let row = tx.query(statements::IDENTIFY).fetch_optional(tx.conn()).await.map_err(|e| home.error(e))?;
    tx.commit().await?;
    let Some(source) = row.map(|row| row.get::<Uuid, _>("id")) else { return Ok(()) };
    for _ in 0..TIMES {
        let mut tx = away.begin(Purpose::Log).await?;
        let prune =
            tx.query_scalar(statements::PRUNE_BEFORE).bind(mirror).bind(source).bind(keep.as_secs_f64()).bind(ROWS);
        let gone: i64 = prune.fetch_one(tx.conn()).await.map_err(|e| away.error(e))?;
        tx.commit().await?;
        if gone > 0 {
            tracing::info!(mirror, rows = gone, "rows that repairs had kept were forgotten");
        }
        if gone < i64::from(ROWS) {
            break;
        }
    }
    Ok(())
}
