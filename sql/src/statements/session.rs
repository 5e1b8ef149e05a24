//! How each kind of transaction begins: with two statements, however many settings it has. What polls is counted in statements.

use crate::{Piece, Sql, Template};

/// Opens a transaction on tables of schema `lfk`.
pub const BEGIN_LOG: &str = include_str!("../../session/begin_log.sql");
/// Opens a READ ONLY transaction that looks for parents.
pub const BEGIN_RECHECK: &str = include_str!("../../session/begin_recheck.sql");
/// Opens a READ ONLY transaction that compares rows.
pub const BEGIN_CHECK: &str = include_str!("../../session/begin_check.sql");
/// Opens a transaction that changes child rows.
pub const BEGIN_WRITE: &str = include_str!("../../session/begin_write.sql");
/// Opens a transaction that installs, plans, reports or uninstalls.
pub const BEGIN_ADMIN: &str = include_str!("../../session/begin_admin.sql");

/// Keeps bitmaps from the rest of a transaction.
pub const ONLY_BY_INDEX: &str = include_str!("../../session/only_by_index.sql");

/// Ends a transaction for good.
pub const COMMIT: &str = include_str!("../../session/commit.sql").trim_ascii_end();
/// Ends a transaction that nobody needs any more.
pub const ROLLBACK: &str = include_str!("../../session/rollback.sql").trim_ascii_end();

/// Writes a value into the session of a new connection.
pub const MARK_SESSION: Template = Template(include_str!("../../session/mark_session.sql"));

const CHECK_SESSION: Template = Template(include_str!("../../session/check_session.sql"));

/// The SQLSTATE with which an opening fails in a session that is not the one expected.
pub const FOREIGN_SESSION: &str = "22P02";

/// An opening that fails unless it runs in the session that has this value. The settings are its last statement, of which this
/// becomes the last column.
#[must_use]
pub fn opening_of_session(opening: &'static str, session: &str) -> Sql {
    let check = CHECK_SESSION.render(&[("session", Piece::literal(session))]);
    Sql::join([Template(opening).render(&[]), check], ",\n")
}
