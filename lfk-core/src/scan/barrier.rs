//! Waiting, without a clock, until everybody who was writing at a first look has ended.
//!
//! An application may insert a parent, keep that transaction open, and commit the child in the other database first. Then the
//! child is seen and the parent is not. The transaction of that parent has a smaller number than one that is given out after
//! the child was read; when every transaction up to that one has ended, a second look decides.

use lfk_sql::statements;
use sqlx::Row as _;

use crate::database::{Database, Purpose};
use crate::error::{Error, ErrorKind, Result};

/// A transaction number that every transaction which runs now is below. The number must be given out, not merely be next:
/// those that run now need not be below what a snapshot calls its end.
pub(super) async fn raise(home: &Database) -> Result<u64> {
    let mut tx = home.begin(Purpose::Recheck).await?;
    let xid = tx.query_scalar(statements::RAISE_BARRIER).fetch_one(tx.conn()).await;
    let xid: String = xid.map_err(|e| explained(home, e))?;
    tx.commit().await?;
    number(home, &xid)
}

/// Below which number every transaction of the cluster has ended.
pub(super) async fn oldest_running(home: &Database) -> Result<u64> {
    let mut tx = home.begin(Purpose::Recheck).await?;
    let xid: String =
        tx.query_scalar(statements::OLDEST_RUNNING).fetch_one(tx.conn()).await.map_err(|e| home.error(e))?;
    tx.commit().await?;
    number(home, &xid)
}

/// Who has been writing for longest, in words.
pub(super) async fn oldest_writer(home: &Database) -> Result<String> {
    let mut tx = home.begin(Purpose::Recheck).await?;
    let row = tx.query(statements::OLDEST_WRITER).fetch_optional(tx.conn()).await.map_err(|e| home.error(e))?;
    tx.commit().await?;
    let server = home.name();
    let Some(row) = row else {
        return Ok(format!("a transaction on the server of {server} that this role may not see (it needs pg_monitor)"));
    };
    let (pid, seconds): (Option<i64>, f64) = (row.get("pid"), row.get("seconds"));
    let place = row.get::<Option<String>, _>("database").map_or_else(String::new, |d| format!(" in database {d}"));
    let what = pid.map_or_else(|| "a prepared transaction".to_owned(), |pid| format!("the transaction of pid {pid}"));
    Ok(format!("{what}{place} on the server of {server}, open for {seconds:.0} s"))
}

fn number(home: &Database, xid: &str) -> Result<u64> {
    let unreadable = |_| Error::new(ErrorKind::Sql, "a transaction number cannot be read").in_database(home.name());
    xid.parse().map_err(unreadable)
}

/// Numbers are given out on the primary only.
fn explained(home: &Database, error: sqlx::Error) -> Error {
    let error = home.error(error);
    match error.sqlstate().as_deref() {
        Some("55000" | "25006" | "0A000") => Error {
            source: error.source,
            ..Error::refused(
                "no transaction number can be had here, which confirming an orphan needs: this is a standby",
            )
            .in_database(home.name())
            .with_hint("connect to the primary")
        },
        _ => error,
    }
}
