//! What install creates, uninstall removes, and `schema sql` prints.

use crate::Template;

/// The parts of schema `lfk`, in the order in which they are made.
pub const SCHEMA: &[&str] = &[
    include_str!("../../schema/010_schema.sql"),
    include_str!("../../schema/020_key_log.sql"),
    include_str!("../../schema/030_definitions.sql"),
    include_str!("../../schema/031_audit.sql"),
    include_str!("../../schema/032_position.sql"),
    include_str!("../../schema/033_mirror_check.sql"),
    include_str!("../../schema/034_prune_before.sql"),
    include_str!("../../schema/040_capture_body.sql"),
    include_str!("../../schema/041_track.sql"),
    include_str!("../../schema/042_tree.sql"),
    include_str!("../../schema/043_coverage.sql"),
    include_str!("../../schema/050_restore_leaves.sql"),
    include_str!("../../schema/051_cover.sql"),
    include_str!("../../schema/060_untrack.sql"),
    include_str!("../../schema/070_unread.sql"),
    include_str!("../../schema/071_health.sql"),
    include_str!("../../schema/072_assert_drained.sql"),
];

/// One installation at a time.
pub const HOLD_INSTALL_LOCK: &str = include_str!("../../capture/hold_install_lock.sql");
/// How much of the schema is there.
pub const READ_SCHEMA: &str = include_str!("../../capture/read_schema.sql");
/// Whether this role may change schema lfk, and whose it is.
pub const MAY_CHANGE_SCHEMA: &str = include_str!("../../capture/may_change_schema.sql");
/// Whether the cluster's identifier may be read.
pub const MAY_READ_SYSTEM: &str = include_str!("../../capture/may_read_system.sql");
/// The cluster's identifier.
pub const READ_SYSTEM_IDENTIFIER: &str = include_str!("../../capture/read_system_identifier.sql");
/// Makes the identity row.
pub const WRITE_IDENTITY: &str = include_str!("../../capture/write_identity.sql");
/// The id in the identity row.
pub const READ_IDENTITY: &str = include_str!("../../capture/read_identity.sql");
/// Has keys logged.
pub const TRACK: &str = include_str!("../../capture/track.sql");
/// Makes missing triggers.
pub const COVER: &str = include_str!("../../capture/cover.sql");
/// What is installed under a name.
pub const READ_INSTALLED: &str = include_str!("../../capture/read_definition.sql");
/// The child's side of a pair with its child.
pub const READ_INSTALLED_PEER: &str = include_str!("../../capture/read_peer.sql");
/// Makes the child's side of a pair.
pub const INSERT_PEER: &str = include_str!("../../capture/insert_peer.sql");
/// Another child on the child's side.
pub const RENAME_PEER: &str = include_str!("../../capture/rename_peer.sql");
/// The nonces that the child's side may have.
pub const READ_NONCES: &str = include_str!("../../capture/read_nonces.sql");
/// Forgets the child's side.
pub const DELETE_PEER: &str = include_str!("../../capture/delete_peer.sql");
/// Makes a definition.
pub const INSERT_DEFINITION: &str = include_str!("../../capture/insert_definition.sql");
/// Makes its cursors.
pub const INSERT_CURSOR: &str = include_str!("../../capture/insert_cursor.sql");
/// A changed definition has other children.
pub const FORGET_SWEEPS: &str = include_str!("../../capture/forget_sweeps.sql");
/// Forgets what checks have found.
pub const FORGET_CHECKS: &str = include_str!("../../capture/forget_checks.sql");
/// When a trailing cursor visits its keys.
pub const SET_SETTLE: &str = include_str!("../../capture/set_settle.sql");
/// Another definition under the same name.
pub const CHANGE_DEFINITION: &str = include_str!("../../capture/change_definition.sql");
/// Sends its cursors back.
pub const RESTART_CURSORS: &str = include_str!("../../capture/restart_cursors.sql");
/// Drops what was set aside for it.
pub const FORGET_RETRIES: &str = include_str!("../../capture/forget_retries.sql");
/// Asks for a sweep.
pub const LOG_SWEEP_MARKER: &str = include_str!("../../capture/log_sweep_marker.sql");
/// Forgets a definition.
pub const DELETE_DEFINITION: &str = include_str!("../../capture/delete_definition.sql");
/// A table without definitions loses its triggers.
pub const RETIRE_TABLE: &str = include_str!("../../capture/retire_table.sql");
/// Tables that are losing their triggers.
pub const LIST_RETIRING: &str = include_str!("../../capture/list_retiring.sql");
/// Removes triggers.
pub const UNTRACK: &str = include_str!("../../capture/untrack.sql");
/// Before looking whether anything is left.
pub const LOCK_REGISTERS: &str = include_str!("../../capture/lock_registers.sql");
/// Whether anything is left.
pub const IS_UNUSED: &str = include_str!("../../capture/is_unused.sql");
/// The end.
pub const DROP_SCHEMA: &str = include_str!("../../capture/drop_schema.sql");

/// `schema sql`: track.
pub const SCRIPT_TRACK: Template = Template(include_str!("../../capture/script_track.sql"));
/// `schema sql`: track, for the source of a mirror.
pub const SCRIPT_TRACK_MIRROR: Template = Template(include_str!("../../capture/script_track_mirror.sql"));
/// `schema sql`: cover.
pub const SCRIPT_COVER: Template = Template(include_str!("../../capture/script_cover.sql"));
/// `schema sql --down`: the child's side.
pub const SCRIPT_FORGET_PEER: Template = Template(include_str!("../../capture/script_forget_peer.sql"));
/// `schema sql --down`: the parent's side.
pub const SCRIPT_FORGET_DEFINITION: Template = Template(include_str!("../../capture/script_forget_definition.sql"));
/// `schema sql --down`: the schema.
pub const SCRIPT_DROP: Template = Template(include_str!("../../capture/script_drop.sql"));
