//! When a repair must not be believed: mostly a definition or a database is wrong then, and not the data.

use lfk_core::parts::Purpose;
use lfk_core::{Database, Error, ErrorKind, Result};
use lfk_sql::{TableName, statements};
use sqlx::Row as _;

use super::report::{Confirmed, Stopped};
use crate::Mirror;

/// Fewer rows say nothing about a share.
const ENOUGH_ROWS: i64 = 1_000;
/// Fewer rows in a chunk say nothing about a share.
const ENOUGH_IN_CHUNK: i64 = 100;
/// So many chunks on end.
const CHUNKS_ON_END: u32 = 3;

/// What is known of the share of differing rows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Alarm {
    pub(crate) on_end: u32,
    pub(crate) rung: bool,
}

impl Alarm {
    /// Notes a chunk.
    pub(crate) fn chunk(&mut self, rows: i64, confirmed: i64) {
        let many = rows.max(confirmed) >= ENOUGH_IN_CHUNK && confirmed.saturating_mul(5) > rows;
        self.on_end = if many { self.on_end + 1 } else { 0 };
        self.rung |= self.on_end >= CHUNKS_ON_END;
    }
}

/// What the numbers of a whole pass forbid.
pub(crate) fn judge(checked_rows: i64, confirmed: &Confirmed, alarm: Alarm) -> Option<Stopped> {
    if checked_rows == 0 && confirmed.extra > 0 {
        return Some(Stopped::SourceEmpty);
    }
    let looked_at = checked_rows.saturating_add(confirmed.extra);
    let too_many = looked_at >= ENOUGH_ROWS && confirmed.total().saturating_mul(100) > looked_at;
    (too_many || alarm.rung).then_some(Stopped::TooManyDiffer)
}

/// Which databases a check runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identities {
    source: String,
    target: String,
}

struct End {
    id: String,
    written_here: bool,
    estimate: f64,
}

/// Reads who the two databases are, and how many rows the source is estimated to have.
///
/// # Errors
/// Refused when one of them is a copy or a standby, or when they are not the pair that the mirror was installed with.
pub(crate) async fn identities(mirror: &Mirror, source: &Database, target: &Database) -> Result<(Identities, f64)> {
    let (here, there) = futures::try_join!(read(source, &mirror.source.table), read(target, &mirror.target.table))?;
    let peer = installed_with(source, &mirror.name).await?;
    for (end, database) in [(&here, source), (&there, target)] {
        if !end.written_here {
            return Err(Error::refused(
                "this is a copy of the database that lfk was installed in: its identity row was written elsewhere",
            )
            .in_database(database.name())
            .for_definition(&mirror.name)
            .with_hint("check the url"));
        }
    }
    match &peer {
        None => Err(Error::new(ErrorKind::NotInstalled, "the mirror is not installed here")
            .in_database(source.name())
            .for_definition(&mirror.name)
            .with_hint("run `lfk install`")),
        Some(peer) if *peer != there.id => {
            Err(Error::refused("this is not the database that the mirror was installed with")
                .in_database(target.name())
                .for_definition(&mirror.name)
                .with_hint("check the url"))
        }
        Some(_) => Ok((Identities { source: here.id, target: there.id }, here.estimate)),
    }
}

async fn read(database: &Database, table: &TableName) -> Result<End> {
    let mut tx = database.begin(Purpose::Check).await?;
    let row = tx.query(statements::CHECK_READ_END).bind(table.to_string());
    let row = row.fetch_optional(tx.conn()).await.map_err(|e| missing(database, database.error(e)))?;
    tx.commit().await?;
    let Some(row) = row else { return Err(not_installed().in_database(database.name())) };
    if row.get("in_recovery") {
        return Err(Error::refused("this is a standby, which may be behind")
            .in_database(database.name())
            .with_hint("let the url lead to the primary"));
    }
    Ok(End { id: row.get("id"), written_here: row.get("written_here"), estimate: row.get("estimate") })
}

async fn installed_with(source: &Database, mirror: &str) -> Result<Option<String>> {
    let mut tx = source.begin(Purpose::Check).await?;
    let peer = tx.query_scalar(statements::CHECK_READ_TARGET_IDENTITY).bind(mirror).fetch_optional(tx.conn()).await;
    let peer = peer.map_err(|e| missing(source, source.error(e)))?;
    tx.commit().await?;
    Ok(peer)
}

fn not_installed() -> Error {
    Error::new(ErrorKind::NotInstalled, "lfk is not installed here").with_hint("run `lfk install`")
}

fn missing(database: &Database, error: Error) -> Error {
    match error.sqlstate().as_deref() {
        Some("3F000" | "42P01") => not_installed().in_database(database.name()),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differing(different: i64, extra: i64) -> Confirmed {
        Confirmed { different, extra, ..Confirmed::default() }
    }

    #[test]
    fn m08_more_than_one_of_a_hundred_is_too_many() {
        let judged = |checked, confirmed| judge(checked, &confirmed, Alarm::default());
        assert_eq!(judged(1_000, differing(10, 0)), None);
        assert_eq!(judged(1_000, differing(11, 0)), Some(Stopped::TooManyDiffer));
        assert_eq!(judged(999, differing(500, 0)), None);
        assert_eq!(judged(500, differing(0, 5_000)), Some(Stopped::TooManyDiffer));
        assert_eq!(judged(0, differing(0, 1)), Some(Stopped::SourceEmpty));
        assert_eq!(judged(0, differing(0, 0)), None);
    }

    #[test]
    fn m08_three_chunks_on_end_are_too_many() {
        let mut alarm = Alarm::default();
        for (rows, confirmed) in [(1_000, 201), (1_000, 201), (1_000, 200), (1_000, 201), (1_000, 300)] {
            alarm.chunk(rows, confirmed);
        }
        assert!(!alarm.rung);
        alarm.chunk(0, 100);
        assert!(alarm.rung);
        alarm.chunk(1_000, 0);
        assert!(alarm.rung, "a quiet chunk afterwards takes nothing back");
    }
}
