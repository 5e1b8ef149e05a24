//! Comparing the two ends of a mirror.

use crate::Template;

/// Reads columns of a table.
pub const CHECK_READ_COLUMNS: &str = include_str!("../../check/read_columns.sql");
/// Whether columns are a key.
pub const CHECK_READ_KEY_INDEX: &str = include_str!("../../check/read_key_index.sql");
/// Whether a column may be assigned to a type.
pub const CHECK_IS_ASSIGNABLE: &str = include_str!("../../check/is_assignable.sql");
/// An empty table like the source.
pub const CHECK_TRY_TABLE: Template = Template(include_str!("../../check/try_table.sql"));
/// Lets the server judge an expression.
pub const CHECK_TRY_EXPRESSION: Template = Template(include_str!("../../check/try_expression.sql"));
/// Lets the server judge how values are read.
pub const CHECK_TRY_ROWS: Template = Template(include_str!("../../check/try_rows.sql"));
/// The digest of a chunk by a single integer key.
pub const CHECK_DIGEST_MAX: Template = Template(include_str!("../../check/digest_max.sql"));
/// The digest of a chunk by any key.
pub const CHECK_DIGEST_ANY: Template = Template(include_str!("../../check/digest_any.sql"));
/// The rows of a chunk.
pub const CHECK_LIST_ROWS: Template = Template(include_str!("../../check/list_rows.sql"));
/// The rows of a chunk as they are.
pub const CHECK_COPY_ROWS: Template = Template(include_str!("../../check/copy_rows.sql"));
/// From where to where a COPY reads.
pub const CHECK_SET_BOUNDS: &str = include_str!("../../check/set_bounds.sql");
/// The leaves of a table.
pub const CHECK_READ_LEAVES: &str = include_str!("../../check/read_leaves.sql");
/// How many pages a leaf has.
pub const CHECK_COUNT_PAGES: &str = include_str!("../../check/count_pages.sql");
/// What tells rows that are written from now on.
pub const CHECK_OLDEST_UNWRITTEN: &str = include_str!("../../check/oldest_unwritten.sql");
/// Rows of some pages, added up by bucket.
pub const CHECK_SUM_PAGES: Template = Template(include_str!("../../check/sum_pages.sql"));
/// Some rows of some pages.
pub const CHECK_SKIM_PAGES: Template = Template(include_str!("../../check/skim_pages.sql"));
/// The hashes of given rows.
pub const CHECK_HASH_KEYS: Template = Template(include_str!("../../check/hash_keys.sql"));
/// Which key comes first.
pub const CHECK_COMPARE_KEYS: Template = Template(include_str!("../../check/compare_keys.sql"));
/// Keys at the source, and what is pending.
pub const CHECK_LOOK_SOURCE: Template = Template(include_str!("../../check/look_source.sql"));
/// Keys at the target.
pub const CHECK_LOOK_TARGET: Template = Template(include_str!("../../check/look_target.sql"));
/// The hash of a fixed row.
pub const CHECK_PROBE_HASH: &str = include_str!("../../check/probe_hash.sql");
/// How far the sync has come.
pub const CHECK_READ_PROGRESS: &str = include_str!("../../check/read_progress.sql");
/// What is committed now.
pub const CHECK_CURRENT_SNAPSHOT: &str = include_str!("../../check/current_snapshot.sql");
/// Which database this is.
pub const CHECK_READ_END: &str = include_str!("../../check/read_end.sql");
/// Reads which database a mirror was installed with.
pub const CHECK_READ_TARGET_IDENTITY: &str = include_str!("../../check/read_target_identity.sql");
/// Hands keys to the sync.
pub const CHECK_HAND_OVER: &str = include_str!("../../check/hand_over.sql");
/// Keys that still wait for the sync.
pub const CHECK_COUNT_HANDED: &str = include_str!("../../check/count_handed.sql");
/// Says who walks through a mirror.
pub const CHECK_HOLD: &str = include_str!("../../check/hold_check.sql");
/// Lets another one walk.
pub const CHECK_LEAVE: &str = include_str!("../../check/leave_check.sql");
/// A pass begins.
pub const CHECK_BEGIN_PASS: &str = include_str!("../../check/begin_pass.sql");
/// A pass has ended.
pub const CHECK_END_PASS: &str = include_str!("../../check/end_pass.sql");
/// What the second look at synced keys has found.
pub const CHECK_COUNT_RECENT: &str = include_str!("../../check/count_recent.sql");
/// Notes proven differences.
pub const CHECK_NOTE_DIFFERENCES: &str = include_str!("../../check/note_differences.sql");
/// Noted differences to be looked at again.
pub const CHECK_DUE_DIFFERENCES: &str = include_str!("../../check/due_differences.sql");
/// Forgets differences.
pub const CHECK_CLEAR_DIFFERENCES: &str = include_str!("../../check/clear_differences.sql");
/// Differences were handed to the sync.
pub const CHECK_NOTE_HANDED: &str = include_str!("../../check/note_handed.sql");
/// How many differences are noted.
pub const CHECK_COUNT_DIFFERENCES: &str = include_str!("../../check/count_differences.sql");

/// Fragments that fit into the holes of these statements.
pub mod check_fragment {
    use crate::Template;

    /// A column of one side.
    pub const COLUMN: Template = Template(include_str!("../../check/column.sql"));
    /// A value as another type.
    pub const CAST: Template = Template(include_str!("../../check/cast.sql"));
    /// A value in its binary form.
    pub const SEND: Template = Template(include_str!("../../check/send.sql"));
    /// A text byte by byte.
    pub const BY_BYTES: Template = Template(include_str!("../../check/by_bytes.sql"));
    /// As an assignment to a limited text leaves it.
    pub const CUT_BLANKS: Template = Template(include_str!("../../check/cut_blanks.sql"));
    /// The next rows of one side.
    pub const NEXT_ROWS: Template = Template(include_str!("../../check/next_rows.sql"));
    /// A column of a bound that was set.
    pub const BOUND: Template = Template(include_str!("../../check/bound.sql"));
    /// Whether a row counts.
    pub const IS_COUNTED: Template = Template(include_str!("../../check/is_counted.sql"));
    /// A value of a row that counts.
    pub const WHERE_COUNTED: Template = Template(include_str!("../../check/where_counted.sql"));
    /// Rows of some pages.
    pub const IN_PAGES: Template = Template(include_str!("../../check/in_pages.sql"));
    /// The bucket of a key.
    pub const BUCKET: Template = Template(include_str!("../../check/bucket.sql"));
    /// A column of a key as a list.
    pub const LIST_OF: Template = Template(include_str!("../../check/list_of.sql"));
    /// The hash of a single integer.
    pub const BUCKET_INT8: Template = Template(include_str!("../../check/bucket_int8.sql"));
    /// The hash of a single uuid.
    pub const BUCKET_UUID: Template = Template(include_str!("../../check/bucket_uuid.sql"));
    /// The hash of a row.
    pub const HASH_EXTENDED: Template = Template(include_str!("../../check/hash_extended.sql"));
    /// The hash of a row, independent of the server.
    pub const HASH_SHA: Template = Template(include_str!("../../check/hash_sha.sql"));
    /// What stands for the values of a row.
    pub const ROW_DIGEST: Template = Template(include_str!("../../check/row_digest.sql"));
    /// Up to a key.
    pub const UP_TO: Template = Template(include_str!("../../check/up_to.sql"));
    /// A text in a collation.
    pub const COLLATED: Template = Template(include_str!("../../check/collated.sql"));
    /// A value under a name.
    pub const NAMED: Template = Template(include_str!("../../check/named.sql"));
    /// A column of the key asked for.
    pub const COLUMN_EQUALS: Template = Template(include_str!("../../check/column_equals.sql"));
    /// A name.
    pub const BARE: Template = Template(include_str!("../../check/bare.sql"));
    /// Backwards.
    pub const DESCENDING: Template = Template(include_str!("../../check/descending.sql"));
    /// Keys in rows of the log.
    pub const LOGGED_KEYS: Template = Template(include_str!("../../check/logged_keys.sql"));
    /// Composite keys in rows of the log.
    pub const LOGGED_COMPOSITES: Template = Template(include_str!("../../check/logged_composites.sql"));
    /// A column of the position of a sweep.
    pub const SWEPT_COLUMN: Template = Template(include_str!("../../check/swept_column.sql"));
    /// A key column as text.
    pub const KEY_TEXT: Template = Template(include_str!("../../check/key_text.sql"));
    /// A key column.
    pub const KEY_OF: Template = Template(include_str!("../../check/key_of.sql"));
}
