//! Filling a mirror: every row of the source, then every row of the target, in the order of the key.
//!
//! What a backfill asks for, and what a TRUNCATE, a dropped partition or a gap in coverage makes necessary, is the same walk:
//! rows of the source are written where they differ, and rows that only the target has are removed. `lfk.sweep` is authoritative
//! for the position. Writes go on meanwhile: what they change is in the log, and the one writer of the mirror reads the source
//! anew for each page and each batch, so that nothing newer is ever overwritten.

use std::time::Instant;

use lfk_core::Result;
use lfk_core::parts::{Batch, Class, Key, Point, Purpose, SweepEnd, Tally, classify};
use lfk_sql::statements;
use sqlx::Row as _;

use super::keeper::Keeper;
use super::source::{self, NextRows, Truth};
use super::target::Writer;

/// Keys of a page at most whose rows could not be read at once.
const PAGE_KEYS: usize = 200;

/// Where a fill is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Place {
    /// 0 while the source is read, 1 while the target is.
    part: i32,
    behind: Option<Key>,
    /// Which fill it is: what had been committed when it was asked for.
    covers: String,
}

/// What one page came to.
struct Page {
    keys: Vec<Key>,
    tally: Tally,
    is_last: bool,
}

/// Begins a fill for a marker, or goes on with the one that was begun.
pub(super) async fn begin(writer: &Writer<'_>) -> Result<()> {
    let home = writer.turn.home();
    let mut tx = home.begin(Purpose::Log).await?;
    writer.lease.hold(&mut tx).await?;
    let consumer = writer.lease.consumer();
    tx.query(statements::BEGIN_SWEEP).bind(consumer).execute(tx.conn()).await.map_err(|e| home.error(e))?;
    tx.commit().await
}

/// Goes on with a fill that is under way, page by page until `is_over`. Answers the rows that were written, too.
pub(super) async fn go_on(sync: &Keeper<'_>, is_over: &(dyn Fn() -> bool + Send + Sync)) -> Result<(SweepEnd, u64)> {
    let mut rows = 0;
    let Some(mut place) = read_place(&sync.writer).await? else { return Ok((SweepEnd::Done, 0)) };
    loop {
        sync.go_on()?;
        let began = Instant::now();
        sync.writer.turn.pass(Point::FillPageBegun).await?;
        let asked = sync.rows();
        let page = if place.part == 0 { fill_page(sync, &place).await } else { weed_page(sync, &place).await };
        let page = match page {
            // Looking for the next keys took too long: fewer of them.
            Err(error) if classify(&error) == Class::Slow && !sync.portion.is_least() => {
                sync.portion.timed_out(asked.min(sync.portion.rows()));
                continue;
            }
            page => page?,
        };
        sync.writer.turn.pass(Point::FillPageDone).await?;
        let (looked_at, written) = (page.keys.len(), page.tally.rows);
        rows += written;
        if !page.tally.set_aside.is_empty() {
            // Before the position moves: a crash in between repeats the page.
            sync.writer.turn.keep(sync.writer.lease, Vec::new(), page.tally, began).await?;
        }
        let next = match (page.is_last, place.part) {
            (true, 0) => Place { part: 1, behind: None, ..place.clone() },
            _ => Place { behind: page.keys.last().cloned().or(place.behind.clone()), ..place.clone() },
        };
        let done = page.is_last && place.part != 0;
        let stored = store_place(&sync.writer, &next, looked_at, written, done).await?;
        if !stored {
            // Somebody asked for another fill meanwhile: this page stands for nothing.
            let Some(anew) = read_place(&sync.writer).await? else { return Ok((SweepEnd::Done, rows)) };
            place = anew;
            continue;
        }
        if done {
            return Ok((SweepEnd::Done, rows));
        }
        place = next;
        // A page at least, or a turn that was short from the start would never get on.
        if is_over() {
            return Ok((SweepEnd::Interrupted, rows));
        }
    }
}

/// Rows of the source, written where they differ. Rows that cannot be written together are converged, in smaller pieces.
async fn fill_page(sync: &Keeper<'_>, place: &Place) -> Result<Page> {
    let Writer { turn, sql, .. } = &sync.writer;
    turn.limiter().statement(turn.stop()).await;
    let (asked, began) = (sync.rows(), Instant::now());
    let NextRows { rows, more } = match source::next(turn.home(), sql, place.behind.as_ref(), asked).await {
        Ok(page) => page,
        Err(error) => {
            return match classify(&error) {
                Class::Slow => {
                    sync.portion.timed_out(asked);
                    key_page(sync, place).await
                }
                Class::Poison | Class::Block => key_page(sync, place).await,
                _ => Err(error),
            };
        }
    };
    let read = began.elapsed();
    let keys: Vec<Key> = rows.iter().map(|row| row.key.clone()).collect();
    if keys.is_empty() {
        return Ok(Page { keys, tally: Tally::default(), is_last: !more });
    }
    let truth = Truth { present: rows, ..Truth::default() };
    let written = sync.write(&truth, &[], read).await;
    // Converging reads the rows anew.
    drop(truth);
    let tally = match written {
        Ok(rows) => Tally { rows, ..Tally::default() },
        Err(error) => match classify(&error) {
            Class::Stop | Class::Hold => return Err(error),
            Class::Slow => {
                sync.portion.timed_out(keys.len());
                sync.converge(Batch::from(keys.clone())).await?
            }
            _ => sync.converge(Batch::from(keys.clone())).await?,
        },
    };
    Ok(Page { keys, tally, is_last: !more })
}

/// Keys of the source, converged one batch after another: a row that cannot be read, or takes too long, is found among them.
async fn key_page(sync: &Keeper<'_>, place: &Place) -> Result<Page> {
    let Writer { turn, sql, .. } = &sync.writer;
    let limit = PAGE_KEYS.min(sync.rows());
    let keys = source::next_keys(turn.home(), sql, place.behind.as_ref(), limit).await?;
    let is_last = keys.len() < limit;
    let tally = if keys.is_empty() { Tally::default() } else { sync.converge(Batch::from(keys.clone())).await? };
    Ok(Page { keys, tally, is_last })
}

/// Rows of the target: those that the source lacks go, the others are equal already.
async fn weed_page(sync: &Keeper<'_>, place: &Place) -> Result<Page> {
    let Writer { turn, sql, .. } = &sync.writer;
    let away = turn.away();
    let limit = sync.rows();
    let mut tx = away.begin(Purpose::Check).await?;
    let statement = if place.behind.is_some() { &sql.next_keys } else { &sql.first_keys };
    let mut query = tx.query(statement.clone().into_sql_str());
    for column in place.behind.iter().flat_map(|key| &key.0) {
        query = query.bind(column);
    }
    let query = query.bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let rows = query.fetch_all(tx.conn()).await.map_err(|e| away.error(e))?;
    tx.commit().await?;
    let keys: Vec<Key> = rows.iter().map(|row| Key(row.get("key"))).collect();
    let is_last = keys.len() < limit;
    let tally = if keys.is_empty() { Tally::default() } else { sync.converge(Batch::from(keys.clone())).await? };
    Ok(Page { keys, tally, is_last })
}

/// Nothing when no fill is under way.
async fn read_place(writer: &Writer<'_>) -> Result<Option<Place>> {
    let home = writer.turn.home();
    let mut tx = home.begin(Purpose::Log).await?;
    let row = tx
        .query(statements::READ_FILL)
        .bind(writer.lease.consumer())
        .fetch_optional(tx.conn())
        .await
        .map_err(|e| home.error(e))?;
    tx.commit().await?;
    let open = row.filter(|row| !row.get::<bool, _>("done"));
    Ok(open.map(|row| Place {
        part: row.get("part"),
        behind: row.get::<Option<Vec<String>>, _>("behind").map(Key),
        covers: row.get("covers"),
    }))
}

/// False when it is no longer the fill that is under way.
async fn store_place(writer: &Writer<'_>, place: &Place, looked_at: usize, written: u64, done: bool) -> Result<bool> {
    let home = writer.turn.home();
    let mut tx = home.begin(Purpose::Log).await?;
    writer.lease.hold(&mut tx).await?;
    let moved = tx
        .query(statements::MOVE_FILL)
        .bind(writer.lease.consumer())
        .bind(place.part)
        .bind(place.behind.as_ref().map(|key| key.0.clone()))
        .bind(i64::try_from(looked_at).unwrap_or(i64::MAX))
        .bind(i64::try_from(written).unwrap_or(i64::MAX))
        .bind(done)
        .bind(&place.covers)
        .execute(tx.conn())
        .await
        .map_err(|e| home.error(e))?;
    tx.commit().await?;
    Ok(moved.rows_affected() > 0)
}
