//! What tests may break on purpose. A test of a protocol that cannot fail proves nothing.

use std::time::Duration;

use lfk_sql::{TableName, statements};
use sqlx::{SqlSafeStr as _, SqlStr};

/// The parts of the protocol of the key log that are easy to get wrong.
#[derive(Debug, Clone)]
pub struct LogSql {
    /// Run in the transaction of `open`, before it. Empty in the real protocol: `open` must be the first that writes.
    pub before_open: Option<SqlStr>,
    /// Opens a window.
    pub open: SqlStr,
    /// Run in the transaction of `open`, after it. Empty in the real protocol.
    pub after_open: Option<SqlStr>,
    /// Reads a page.
    pub page: SqlStr,
    /// Moves idle cursors: one statement in the real protocol, each in a transaction of its own.
    pub idle_move: Vec<SqlStr>,
    /// How often idle cursors are moved; at most once a round of the worker.
    pub idle_every: Duration,
    /// Asks whether anybody needs a row of a leaf.
    pub leaf_needed: fn(&TableName) -> SqlStr,
    /// Whether that is asked again under the lock, as the real protocol does.
    pub leaf_checked_twice: bool,
}

impl Default for LogSql {
    fn default() -> Self {
        Self {
            before_open: None,
            open: statements::OPEN.into_sql_str(),
            after_open: None,
            page: statements::PAGE.into_sql_str(),
            idle_move: vec![statements::IDLE_MOVE.clone().into_sql_str()],
            idle_every: crate::worker::UPKEEP,
            leaf_needed: |leaf| statements::leaf_needed(leaf).into_sql_str(),
            leaf_checked_twice: true,
        }
    }
}
