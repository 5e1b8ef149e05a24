//! Looking for orphans where nothing need be installed, and what a repair writes beside its work.

use crate::Template;

/// The next entries of an index on the child columns.
pub const INDEX_CHUNK: Template = Template(include_str!("../../scan/index_chunk.sql"));
/// The keys of the next entries of an index on an integer column.
pub const INDEX_NUMBERS: Template = Template(include_str!("../../scan/index_numbers.sql"));
/// The next distinct keys, a step of the index each.
pub const SKIP_SCAN: Template = Template(include_str!("../../scan/skip_scan.sql"));
/// The next rows of a leaf in the order of its own key.
pub const ROW_CHUNK: Template = Template(include_str!("../../scan/row_chunk.sql"));
/// The parents between two integers.
pub const PARENTS_BETWEEN: Template = Template(include_str!("../../scan/parents_between.sql"));
/// How many children keys have.
pub const COUNT_CHILDREN: Template = Template(include_str!("../../scan/count_children.sql"));
/// How many parents there are.
pub const COUNT_PARENTS: Template = Template(include_str!("../../scan/count_parents.sql"));
/// How many parents there are in some pages.
pub const SAMPLE_PARENTS: Template = Template(include_str!("../../scan/sample_parents.sql"));
/// Statistics and the own key of a leaf.
pub const READ_LEAF: &str = include_str!("../../scan/read_leaf.sql");
/// Below what every transaction has ended.
pub const OLDEST_RUNNING: &str = include_str!("../../scan/oldest_running.sql");
/// Who has been writing for longest.
pub const OLDEST_WRITER: &str = include_str!("../../scan/oldest_writer.sql");
/// Whether schema `lfk` is there.
pub const FIND_SCHEMA: &str = include_str!("../../scan/find_schema.sql");
/// What is installed under a name.
pub const FIND_INSTALLED: &str = include_str!("../../scan/find_installed.sql");
/// Which keys are lag.
pub const PENDING_KEYS: &str = include_str!("../../scan/pending_keys.sql");
/// A line of the audit.
pub const NOTE_REPAIR: &str = include_str!("../../scan/note_repair.sql");

/// Fragments that fit into the holes of the statements above.
pub mod scan_fragment {
    use crate::Template;

    /// A column of the key that a recursion has come to.
    pub const SKIPPED_COLUMN: Template = Template(include_str!("../../scan/skipped_column.sql"));
    /// Every entry.
    pub const EACH_ENTRY: Template = Template(include_str!("../../scan/each_entry.sql"));
    /// Every key once.
    pub const EACH_KEY: Template = Template(include_str!("../../scan/each_key.sql"));
    /// One column of the place that a walk by rows has come to.
    pub const PLACE_VALUE: Template = Template(include_str!("../../scan/place_value.sql"));
}
