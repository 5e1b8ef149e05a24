//! The pages of an open window, read one after the other and handed out in batches.
//!
//! The log is authoritative, and the cursor row for how far it is done. What was read and not handed out is lost with the process,
//! and read again.

use crate::cursor::{self, Buffer, Lease, LogRow, LogSql, Next, OutOfOrder, PageLimit, Position};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;

/// Log rows of the first page. A row holds up to a thousand keys, or one.
const FIRST_PAGE_ROWS: i64 = 100;
/// Log rows of a page at most: the largest batch of a loose foreign key, where each row holds one key.
const MAX_PAGE_ROWS: i64 = 10_000;
/// Keys that a page holds, but for the rest of its last row: two of those batches, and little memory.
const PAGE_KEYS: i64 = 20_000;

/// Reads one window for the holder of the lease.
pub(super) struct Pages<'a> {
    lease: &'a Lease,
    sql: &'a LogSql,
    /// Columns of a key.
    width: usize,
    buffer: Buffer,
    /// Log rows of the next page.
    rows: i64,
    /// The window may have more than was read.
    more: bool,
}

impl<'a> Pages<'a> {
    pub(super) fn new(lease: &'a Lease, sql: &'a LogSql, width: usize) -> Self {
        Self { lease, sql, width, buffer: Buffer::default(), rows: FIRST_PAGE_ROWS, more: true }
    }

    /// What comes next of what was read.
    pub(super) fn take(&mut self, batch: usize) -> Next {
        self.buffer.take(batch)
    }

    /// The keys that would be handed out next.
    pub(super) fn peek(&self, batch: usize) -> Vec<Key> {
        self.buffer.peek(batch)
    }

    /// Passes over the front row, whatever it is.
    pub(super) fn skip_row(&mut self) {
        self.buffer.skip_row();
    }

    /// Whether keys of the front row were handed out and others were not: stopping here repeats them.
    pub(super) fn is_inside_a_row(&self) -> bool {
        self.buffer.is_inside_a_row()
    }

    /// Where the cursor may stand once everything that was handed out is done.
    pub(super) fn done_up_to(&self) -> Option<Position> {
        self.buffer.done_up_to()
    }

    /// Whether the window may have more than was read.
    pub(super) fn has_more(&self) -> bool {
        self.more
    }

    /// Whether the next batch would be a small one, although the window may have more.
    pub(super) fn runs_short(&self, batch: usize) -> bool {
        self.more && !self.buffer.fills(batch)
    }

    /// Reads the next page behind what was read before. Unless it succeeds, nothing has changed.
    pub(super) async fn read(&mut self) -> Result<()> {
        let limit = PageLimit { rows: self.rows, keys: PAGE_KEYS };
        let page = cursor::read_page(self.lease, self.sql, self.buffer.last_read(), limit, self.width).await?;
        let rows = next_page_rows(&page.rows);
        self.buffer.push_page(page.rows).map_err(|OutOfOrder| self.out_of_order())?;
        (self.rows, self.more) = (rows, page.more);
        Ok(())
    }

    fn out_of_order(&self) -> Error {
        Error::new(ErrorKind::Sql, "the key log was read out of order").in_database(self.lease.home.name())
    }
}

/// Rows of the next page, from the keys that a row of this one holds on average. The server cuts a page in which they hold more,
/// but only after it has read all of its rows.
fn next_page_rows(page: &[LogRow]) -> i64 {
    let keys: usize = page.iter().map(|row| row.entry.key_count()).sum();
    let rows = i64::try_from(page.len()).unwrap_or(i64::MAX).max(1);
    let keys = i64::try_from(keys).unwrap_or(i64::MAX).max(1);
    (PAGE_KEYS.saturating_mul(rows) / keys).clamp(FIRST_PAGE_ROWS / 4, MAX_PAGE_ROWS)
}
