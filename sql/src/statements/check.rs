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
}
