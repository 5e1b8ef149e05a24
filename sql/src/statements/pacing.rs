//! What tells a writer to wait.

/// How far the standbys are behind.
pub const STANDBY_LAG: &str = include_str!("../../pacing/standby_lag.sql");
/// Which backend a transaction has.
pub const BACKEND_PID: &str = include_str!("../../pacing/backend_pid.sql");
/// Cancels our own statement when somebody waits for it.
pub const CANCEL_IF_BLOCKING: &str = include_str!("../../pacing/cancel_if_blocking.sql");
/// Whether others are at work in the server.
pub const OTHERS_AT_WORK: &str = include_str!("../../pacing/others_at_work.sql");
