//! How each kind of transaction begins.

/// Opens a transaction on tables of schema `lfk`.
pub const BEGIN_LOG: &str = include_str!("../../session/begin_log.sql");
/// Opens a READ ONLY transaction that looks for parents.
pub const BEGIN_RECHECK: &str = include_str!("../../session/begin_recheck.sql");
/// Opens a transaction that changes child rows.
pub const BEGIN_WRITE: &str = include_str!("../../session/begin_write.sql");
/// Opens a transaction that installs, plans, reports or uninstalls.
pub const BEGIN_ADMIN: &str = include_str!("../../session/begin_admin.sql");
