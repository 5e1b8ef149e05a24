//! Sending cursors back to a time.

/// To where they have to go back, and whether the log has everything since.
pub const FIND_START: &str = include_str!("../../replay/find_start.sql");
/// Keys and markers that are looked at again.
pub const COUNT_SINCE: &str = include_str!("../../replay/count_since.sql");
/// Keeps workers from moving the cursors.
pub const HOLD_CURSORS: &str = include_str!("../../replay/hold_cursors.sql");
/// Sends the cursors back.
pub const REWIND_TO: &str = include_str!("../../replay/rewind_to.sql");
/// Has markers swept again.
pub const SWEEP_AGAIN: &str = include_str!("../../replay/sweep_again.sql");
/// Accepts the child's side as it is now.
pub const ACCEPT_NONCE: &str = include_str!("../../replay/accept_nonce.sql");
/// Says so in the audit.
pub const NOTE_REPLAY: &str = include_str!("../../replay/note_replay.sql");
