//! Keeping mirrors: the fence, reading the source, writing the target, fills.

use crate::Template;

/// Keeps older writers out.
pub const RAISE_FENCE: &str = include_str!("../../mirror/raise_fence.sql");
/// How high the fence is.
pub const READ_FENCE: &str = include_str!("../../mirror/read_fence.sql");
/// Raises a token above a fence.
pub const OUTRANK: &str = include_str!("../../mirror/outrank.sql");
/// Says that a fence was ahead.
pub const NOTE_OUTRANKED: &str = include_str!("../../mirror/note_outranked.sql");
/// Says that the target is another table.
pub const NOTE_TARGET: &str = include_str!("../../mirror/note_target.sql");
/// Proves that nobody newer has come.
pub const HOLD_FENCE: &str = include_str!("../../mirror/hold_fence.sql");
/// The rows of given keys.
pub const READ_SOURCE: Template = Template(include_str!("../../mirror/read_source.sql"));
/// The next rows.
pub const NEXT_SOURCE_ROWS: Template = Template(include_str!("../../mirror/next_source_rows.sql"));
/// The next keys, where rows cannot be read.
pub const NEXT_SOURCE_KEYS: Template = Template(include_str!("../../mirror/next_source_keys.sql"));
/// Whether it is a standby.
pub const IS_STANDBY: &str = include_str!("../../mirror/is_standby.sql");
/// The next keys.
pub const NEXT_TARGET_KEYS: Template = Template(include_str!("../../mirror/next_target_keys.sql"));
/// Writes what differs.
pub const UPSERT: Template = Template(include_str!("../../mirror/upsert.sql"));
/// Removes what the source does not have.
pub const DELETE_ROWS: Template = Template(include_str!("../../mirror/delete_rows.sql"));
/// What a repair is about to change.
pub const KEEP_BEFORE: Template = Template(include_str!("../../mirror/keep_before.sql"));
/// Forgets rows that repairs had kept.
pub const PRUNE_BEFORE: &str = include_str!("../../mirror/prune_before.sql");
/// Asks for a fill.
pub const BEGIN_FILL: &str = include_str!("../../mirror/begin_fill.sql");
/// How a fill stands.
pub const READ_FILL: &str = include_str!("../../mirror/read_fill.sql");
/// Stores how far a fill has come.
pub const MOVE_FILL: &str = include_str!("../../mirror/move_fill.sql");

/// Fragments that fit into the holes of these.
pub mod mirror_fragment {
    use crate::Template;

    /// Behind a key.
    pub const BEHIND: Template = Template(include_str!("../../mirror/behind.sql"));
    /// A row against a key.
    pub const MATCH_KEY: Template = Template(include_str!("../../mirror/match_key.sql"));
    /// What becomes of a row that is there.
    pub const UPDATE_WHERE_DIFFERS: Template = Template(include_str!("../../mirror/update_where_differs.sql"));
    /// Nothing becomes of it.
    pub const NOTHING: Template = Template(include_str!("../../mirror/nothing.sql"));
    /// A text read back as the type of its column.
    pub const READ_BACK: Template = Template(include_str!("../../mirror/read_back.sql"));
    /// A column list's element.
    pub const NAME: Template = Template(include_str!("../../mirror/name.sql"));
    /// One assignment.
    pub const ASSIGN: Template = Template(include_str!("../../mirror/assign.sql"));
    /// A column of a relation by its alias.
    pub const COLUMN_OF: Template = Template(include_str!("../../mirror/column_of.sql"));
    /// An array of texts as rows.
    pub const TEXTS: Template = Template(include_str!("../../mirror/texts.sql"));
    /// Every row.
    pub const EVERY: Template = Template(include_str!("../../mirror/every.sql"));
}
