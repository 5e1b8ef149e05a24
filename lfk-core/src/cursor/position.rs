//! Opening, reading, advancing and closing the window of a leased consumer.
//!
//! The database is authoritative for the window: both snapshots are taken, stored and promoted by the server and never travel
//! through a client. A crash between any two of these statements repeats what was read since the last advance.

use lfk_sql::statements;
use sqlx::{Row as _, SqlSafeStr as _};

use super::lease::{LEASE, Lease};
use super::log_sql::LogSql;
use super::window::{Entry, LogRow, Position};
use crate::database::Purpose;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::points::{Point, Points};
use crate::retry::{self, RetryPolicy, SetAside};
use crate::schedule::Lane;

/// What was done since the last advance, and goes into the cursor row with the next.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) keys: i64,
    pub(crate) observed: i64,
    pub(crate) resurrected: i64,
    pub(crate) rows: i64,
    pub(crate) keys_per_second: f64,
    pub(crate) set_aside: Vec<SetAside>,
}

/// Where to move the cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// Behind this row of the open window.
    To(Position),
    /// To the end of the window, which is closed.
    Close,
}

/// Opens a window. Answers whether it did: a trailing cursor has to wait for a tick, and a cursor whose server's
/// transaction counter has gone back opens nothing.
pub(crate) async fn open(lease: &Lease, sql: &LogSql, lane: Lane) -> Result<bool> {
    lease.check()?;
    let mut tx = lease.home.begin(Purpose::Log).await?;
    if let Some(before) = sql.before_open.clone() {
        tx.run(before).await?;
    }
    let statement = match lane {
        Lane::Head => sql.open.clone(),
        Lane::Trailing => statements::OPEN_TRAILING.into_sql_str(),
    };
    let opened = tx
        .query(statement)
        .bind(&lease.consumer)
        .bind(lease.token())
        .bind(lease.owner)
        .execute(tx.conn())
        .await
        .map_err(|e| lease.home.error(e))?
        .rows_affected();
    if let Some(after) = sql.after_open.clone() {
        tx.run(after).await?;
    }
    tx.commit().await?;
    Ok(opened > 0)
}

/// How much a page may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PageLimit {
    /// Rows of the log.
    pub(crate) rows: i64,
    /// Keys behind which no further row begins.
    pub(crate) keys: i64,
}

/// The next rows of a window.
#[derive(Debug)]
pub(crate) struct LogPage {
    pub(crate) rows: Vec<LogRow>,
    /// Whether there may be more behind them.
    pub(crate) more: bool,
}

/// Reads the next rows of the open window, behind `after` or the stored position.
pub(crate) async fn read_page(
    lease: &Lease,
    sql: &LogSql,
    after: Option<Position>,
    limit: PageLimit,
    width: usize,
) -> Result<LogPage> {
    lease.check()?;
    let after = after.unwrap_or(Position { xid: 0, id: 0 });
    let mut tx = lease.home.begin(Purpose::Log).await?;
    tx.hold_log().await.map_err(|e| lease.home.error(e))?;
    let rows = tx
        .query(sql.page.clone())
        .bind(&lease.consumer)
        .bind(lease.token())
        .bind(limit.rows)
        .bind(after.xid.to_string())
        .bind(after.id)
        .bind(limit.keys)
        .fetch_all(tx.conn())
        .await
        .map_err(|e| lease.home.error(e))?;
    tx.commit().await?;
    // The server's own count of the keys: what it cut, it must also be asked for again.
    let full = i64::try_from(rows.len()).is_ok_and(|read| read >= limit.rows);
    let more = full || rows.last().is_some_and(|last| last.get::<i64, _>("up_to") >= limit.keys);
    let read = rows.iter().map(|row| log_row(row, width).map_err(|e| e.in_database(lease.home.name())));
    Ok(LogPage { rows: read.collect::<Result<_>>()?, more })
}

fn log_row(row: &sqlx::postgres::PgRow, width: usize) -> Result<LogRow> {
    let xid: &str = row.get("xid");
    let xid = xid.parse().map_err(|_| Error::new(ErrorKind::Sql, "the key log holds an xid that is no number"))?;
    let entry = match row.get::<&str, _>("op") {
        "d" | "u" | "i" => Key::from_columns(columns(row), width).map_or(Entry::Unknown, Entry::Keys),
        "t" | "s" => Entry::Marker,
        _ => Entry::Unknown,
    };
    Ok(LogRow { at: Position { xid, id: row.get("id") }, entry })
}

/// Integers arrive as such: their texts would cost the server more than all else about a page.
fn columns(row: &sqlx::postgres::PgRow) -> Vec<String> {
    match row.get::<Option<Vec<i64>>, _>("keys") {
        Some(numbers) => numbers.iter().map(i64::to_string).collect(),
        None => row.get::<Option<Vec<String>>, _>("tkeys").unwrap_or_default(),
    }
}

/// Moves the cursor and stores what was done, in one transaction: keys set aside are in `lfk.retry` exactly when the
/// cursor is behind them.
pub(crate) async fn advance(
    lease: &Lease,
    to: Move,
    progress: &mut Progress,
    policy: &RetryPolicy,
    points: &Points,
) -> Result<()> {
    lease.check()?;
    let mut tx = lease.home.begin(Purpose::Log).await?;
    let statement = match to {
        Move::To(position) => tx
            .query(statements::ADVANCE)
            .bind(&lease.consumer)
            .bind(lease.token())
            .bind(lease.owner)
            .bind(position.xid.to_string())
            .bind(position.id),
        Move::Close => tx.query(statements::CLOSE).bind(&lease.consumer).bind(lease.token()).bind(lease.owner),
    };
    let moved = statement
        .bind(LEASE.as_secs_f64())
        .bind(progress.keys)
        .bind(progress.observed)
        .bind(progress.resurrected)
        .bind(progress.rows)
        .bind(progress.keys_per_second)
        .execute(tx.conn())
        .await
        .map_err(|e| lease.home.error(e))?
        .rows_affected();
    if moved == 0 {
        return Err(lease.lose());
    }
    retry::set_aside(&mut tx, lease, &progress.set_aside, policy).await?;
    points.pass(Point::AdvancedUncommitted, &lease.consumer).await?;
    tx.commit().await?;
    let rate = progress.keys_per_second;
    *progress = Progress { keys_per_second: rate, ..Progress::default() };
    Ok(())
}
