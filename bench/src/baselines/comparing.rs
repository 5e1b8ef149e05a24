//! Two ways to compare both sides of a mirror that bring all rows to the client. Neither knows what is still on its way, so a row
//! that is merely behind would count as different; and neither looks twice.

use std::cmp::Ordering;
use std::time::Instant;

use anyhow::{Result, anyhow};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _, ValueRef as _};

use crate::copying::Tuples;
use crate::server::Servers;
use crate::statements::check;

/// Keys of a window.
const WINDOW: i64 = 500;

/// Rows that are not the same on both sides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Differences {
    /// Only in the source.
    pub missing: i64,
    /// In both.
    pub different: i64,
    /// Only in the target.
    pub extra: i64,
}

/// Streams both sides in the order of the key and merges them; seconds, and what differs.
///
/// # Errors
/// When a server fails.
pub async fn stream(servers: &Servers, [source, target]: [&'static str; 2]) -> Result<(f64, Differences)> {
    let began = Instant::now();
    let (mut left, mut right) = tokio::try_join!(Tuples::of(&servers.main, source), Tuples::of(&servers.ci, target))?;
    let (mut more_left, mut more_right) = (left.next().await?, right.next().await?);
    let mut found = Differences::default();
    while more_left || more_right {
        let order = match (more_left, more_right) {
            (true, true) => left.key()?.cmp(&right.key()?),
            (true, false) => Ordering::Less,
            _ => Ordering::Greater,
        };
        match order {
            Ordering::Less => found.missing += 1,
            Ordering::Greater => found.extra += 1,
            Ordering::Equal if left.row() != right.row() => found.different += 1,
            Ordering::Equal => {}
        }
        if order.is_le() {
            more_left = left.next().await?;
        }
        if order.is_ge() {
            more_right = right.next().await?;
        }
    }
    Ok((began.elapsed().as_secs_f64(), found))
}

/// Fetches windows of 500 keys from one side and then from the other, as GitLab's checker does, from the first to the last, on open
/// connections and without its limit of windows and its pauses; seconds, and what differs.
///
/// # Errors
/// When a server fails.
pub async fn windows(servers: &Servers, statements: [&'static str; 2]) -> Result<(f64, Differences)> {
    let began = Instant::now();
    let (mut main, mut ci) = (servers.main.connect().await?, servers.ci.connect().await?);
    let source: i64 = sqlx::query_scalar(check::HIGHEST_KEY_SOURCES).fetch_one(&mut main).await?;
    let target: i64 = sqlx::query_scalar(check::HIGHEST_KEY_TARGETS).fetch_one(&mut ci).await?;
    let mut found = Differences::default();
    let mut from = 0;
    while from <= source.max(target) {
        let source = fetch(&mut main, statements[0], from).await?;
        let target = fetch(&mut ci, statements[1], from).await?;
        compare(&source, &target, &mut found);
        from += WINDOW;
    }
    Ok((began.elapsed().as_secs_f64(), found))
}

type Fetched = Vec<(i64, PgRow)>;

async fn fetch(connection: &mut PgConnection, statement: &'static str, from: i64) -> Result<Fetched> {
    let rows = sqlx::query(statement).bind(from).bind(from + WINDOW).fetch_all(connection).await?;
    rows.into_iter().map(|row| Ok((row.try_get(0)?, row))).collect()
}

fn compare(source: &Fetched, target: &Fetched, found: &mut Differences) {
    let (mut left, mut right) = (source.iter().peekable(), target.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (Some((a, _)), Some((b, _))) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        let mine = if order.is_le() { left.next() } else { None };
        let other = if order.is_ge() { right.next() } else { None };
        match (mine, other) {
            (Some((_, a)), Some((_, b))) => found.different += i64::from(!same(a, b).unwrap_or(false)),
            (Some(_), None) => found.missing += 1,
            _ => found.extra += 1,
        }
    }
}

fn same(a: &PgRow, b: &PgRow) -> Result<bool> {
    for column in 1..a.len() {
        let (a, b) = (a.try_get_raw(column)?, b.try_get_raw(column)?);
        if a.is_null() != b.is_null() || (!a.is_null() && bytes(a)? != bytes(b)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn bytes(value: sqlx::postgres::PgValueRef<'_>) -> Result<&[u8]> {
    value.as_bytes().map_err(|error| anyhow!(error))
}
