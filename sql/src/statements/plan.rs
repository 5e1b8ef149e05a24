//! Reading the catalogs of both ends before anything is installed.

use crate::Template;

/// Makes the transaction read only.
pub const PLAN_READ_ONLY: &str = include_str!("../../plan/read_only.sql");
/// Reads what matters of the server and the session.
pub const PLAN_READ_SERVER: &str = include_str!("../../plan/read_server.sql");
/// Reads a table, its tree, and what it is a part of.
pub const PLAN_READ_TREE: &str = include_str!("../../plan/read_tree.sql");
/// Reads some columns of a tree.
pub const PLAN_READ_COLUMNS: &str = include_str!("../../plan/read_columns.sql");
/// Reads the indexes of a tree.
pub const PLAN_READ_INDEXES: &str = include_str!("../../plan/read_indexes.sql");
/// Reads real foreign keys from and to a tree.
pub const PLAN_READ_FOREIGN_KEYS: &str = include_str!("../../plan/read_foreign_keys.sql");
/// Lists tables for a suggestion.
pub const PLAN_LIST_TABLES: &str = include_str!("../../plan/list_tables.sql");
/// Lists columns for a suggestion.
pub const PLAN_LIST_COLUMNS: &str = include_str!("../../plan/list_columns.sql");
/// Reads a declared value as its column's type.
pub const PLAN_TRY_VALUE: Template = Template(include_str!("../../plan/try_value.sql"));
/// Reads what a worker needs at the source of a mirror.
pub const PLAN_READ_SOURCE: &str = include_str!("../../plan/read_source.sql");
/// Reads what a worker needs at the target of a mirror, and what may stand in its way.
pub const PLAN_READ_TARGET: &str = include_str!("../../plan/read_target.sql");
