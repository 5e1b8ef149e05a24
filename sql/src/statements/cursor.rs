//! Reading the key log.

use std::sync::LazyLock;

use crate::{Ident, Sql, TableName, Template};

pub(super) const UNSEEN: Template = Template(include_str!("../../cursor/unseen.sql"));

/// The fragment over the whole log.
pub(super) fn unseen_in_log() -> Sql {
    let ident = |name: &str| Ident::new(name).unwrap_or_else(|_| unreachable!("both names are short"));
    UNSEEN.render(&[("log", (&TableName::new(ident("lfk"), ident("key_log"))).into())])
}

/// A statement whose one hole is the fragment.
pub(super) fn with_unseen(text: &'static str) -> Sql {
    Template(text).render(&[("unseen", unseen_in_log().into())])
}

/// Which cursors have work.
pub static PROBE: LazyLock<Sql> = LazyLock::new(|| with_unseen(include_str!("../../cursor/probe.sql")));
/// Moves every cursor that has nothing to read.
pub static IDLE_MOVE: LazyLock<Sql> = LazyLock::new(|| with_unseen(include_str!("../../cursor/idle_move.sql")));
/// Opens the window of a trailing cursor.
pub const OPEN_TRAILING: &str = include_str!("../../cursor/open_trailing.sql");
/// Holds the shape of the log before a statement that reads it is planned.
pub const HOLD_LOG: &str = include_str!("../../cursor/hold_log.sql");
/// Takes a lease.
pub const CLAIM: &str = include_str!("../../cursor/claim.sql");
/// Says why there was no lease to take.
pub const EXPLAIN_CLAIM: &str = include_str!("../../cursor/explain_claim.sql");
/// Opens a window.
pub const OPEN: &str = include_str!("../../cursor/open.sql");
/// Reads a page of the window.
pub const PAGE: &str = include_str!("../../cursor/page.sql");
/// Moves the position.
pub const ADVANCE: &str = include_str!("../../cursor/advance.sql");
/// Ends the window.
pub const CLOSE: &str = include_str!("../../cursor/close.sql");
/// Keeps the lease.
pub const RENEW: &str = include_str!("../../cursor/renew.sql");
/// What the holder of a lease may do now.
pub const GUARD: &str = include_str!("../../cursor/guard.sql");
/// Gives the lease back.
pub const RELEASE: &str = include_str!("../../cursor/release.sql");
/// Notes time and snapshot.
pub const TICK: &str = include_str!("../../cursor/tick.sql");
