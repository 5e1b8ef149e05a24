//! Identity, states, retries, workers and status.

use std::sync::LazyLock;

use super::cursor::with_unseen;
use crate::Sql;

/// Sets keys aside.
pub const SET_ASIDE: &str = include_str!("../../retry/set_aside.sql");
/// Keys whose time has come.
pub const DUE_RETRIES: &str = include_str!("../../retry/due_retries.sql");
/// The wide parent that has waited longest.
pub const DUE_WIDE: &str = include_str!("../../retry/due_wide.sql");
/// Forgets keys that were done at last.
pub const FINISH_RETRIES: &str = include_str!("../../retry/finish_retries.sql");
/// Renews the lease and adds what retries achieved.
pub const COUNT_PROGRESS: &str = include_str!("../../retry/count_progress.sql");

/// What the parent's database knows about a definition.
pub const LOAD_DEFINITION: &str = include_str!("../../pair/load_definition.sql");
/// Which database this is.
pub const IDENTIFY: &str = include_str!("../../pair/identify.sql");
/// The child's side of a pair.
pub const READ_PEER: &str = include_str!("../../pair/read_peer.sql");
/// Whether both sides have one nonce.
pub const AGREES: &str = include_str!("../../pair/agrees.sql");
/// The parent's side of the exchange.
pub const OFFER_NONCE: &str = include_str!("../../pair/offer_nonce.sql");
/// The child's side of the exchange.
pub const TAKE_NONCE: &str = include_str!("../../pair/take_nonce.sql");
/// The last step of the exchange.
pub const CONFIRM_NONCE: &str = include_str!("../../pair/confirm_nonce.sql");
/// A lock that only the same database sees.
pub const HOLD_PROBE: &str = include_str!("../../pair/hold_probe.sql");

/// Why a definition does not get on.
pub const NOTE_CONDITION: &str = include_str!("../../admin/note_condition.sql");
/// This worker is alive.
pub const SEE_WORKER: &str = include_str!("../../admin/see_worker.sql");
/// How many workers share the work.
pub const LIVE_WORKERS: &str = include_str!("../../admin/live_workers.sql");
/// A worker that stops.
pub const FORGET_WORKER: &str = include_str!("../../admin/forget_worker.sql");
/// The workers of a database.
pub const LIST_WORKERS: &str = include_str!("../../admin/list_workers.sql");
/// Whether anything is left.
pub static BACKLOG: LazyLock<Sql> = LazyLock::new(|| with_unseen(include_str!("../../admin/backlog.sql")));
/// How far the statement after it counts.
pub const COUNT_UP_TO: &str = include_str!("../../admin/count_up_to.sql");
/// How every definition stands.
pub const STATUS: &str = include_str!("../../admin/status.sql");
/// The state of a definition.
pub const READ_STATE: &str = include_str!("../../admin/read_state.sql");
/// Gives a definition a state.
pub const SET_STATE: &str = include_str!("../../admin/set_state.sql");
/// Sends a cursor back to the start of the log.
pub const REWIND_CURSOR: &str = include_str!("../../admin/rewind_cursor.sql");
/// Sends a cursor to now.
pub const FORWARD_CURSOR: &str = include_str!("../../admin/forward_cursor.sql");
/// Keys that the log still keeps.
pub const COUNT_LOGGED: &str = include_str!("../../admin/count_logged.sql");
/// The lock of the ring.
pub const TRY_RING_LOCK: &str = include_str!("../../admin/try_ring_lock.sql");
/// The kill switch.
pub const SET_STOPPED: &str = include_str!("../../admin/set_stopped.sql");
