//! What is sent to the databases of parents and children.

use std::sync::LazyLock;

use crate::{Ident, Piece, Sql, TableName, Template};

/// The clock of the children's database, and what the child's tree is made of.
pub static DEADLINE: LazyLock<Sql> = LazyLock::new(|| {
    let kinds = column_kinds(Piece::Sql("to_regclass($1)".to_owned()), Piece::Sql("$3::text[]".to_owned()));
    let ruled = has_rules(Piece::Sql("c.oid".to_owned()), 4);
    Template(include_str!("../../clean/deadline.sql")).render(&[("kinds", kinds.into()), ("ruled", ruled.into())])
});
/// How the key columns of a parent compare.
pub static KEY_KINDS: LazyLock<Sql> = LazyLock::new(|| {
    let kinds = column_kinds(Piece::Sql("to_regclass($1)".to_owned()), Piece::Sql("$2::text[]".to_owned()));
    Template(include_str!("../../pair/key_kinds.sql")).render(&[("kinds", kinds.into())])
});

fn column_kinds(relation: Piece, columns: Piece) -> Sql {
    Template(include_str!("../../pair/column_kinds.sql")).render(&[("relation", relation), ("columns", columns)])
}

fn has_rules(relation: Piece, event: i64) -> Sql {
    Template(include_str!("../../clean/has_rules.sql")).render(&[("relation", relation), ("event", event.into())])
}

/// What there is to know about a statement that cleaned this leaf.
#[must_use]
pub fn judge_leaf(leaf: &TableName, columns: &[Ident]) -> Sql {
    Template(include_str!("../../clean/judge_leaf.sql")).render(&[
        ("may_swallow", fragment::MAY_SWALLOW.render(&[("leaf_name", Piece::literal(leaf.to_string()))]).into()),
        ("ruled", has_rules(fragment::RELATION.render(&[("name", Piece::literal(leaf.to_string()))]).into(), 2).into()),
        ("kinds", column_kinds_of(leaf, columns).into()),
    ])
}

/// How many pages a leaf has.
#[must_use]
pub fn count_pages(leaf: &TableName) -> Sql {
    Template(include_str!("../../clean/count_pages.sql")).render(&[("leaf_name", Piece::literal(leaf.to_string()))])
}

/// How columns of a table compare, as an expression.
#[must_use]
pub fn column_kinds_of(table: &TableName, columns: &[Ident]) -> Sql {
    let names = columns.iter().map(|c| fragment::NAME.render(&[("name", Piece::literal(c.as_str()))]));
    column_kinds(
        fragment::RELATION.render(&[("name", Piece::literal(table.to_string()))]).into(),
        fragment::NAMES.render(&[("names", Sql::join(names, ", ").into())]).into(),
    )
}

/// Which parents exist now.
pub const RECHECK: Template = Template(include_str!("../../clean/recheck.sql"));
/// Which parents exist now, of integer keys that lie close together.
pub const RECHECK_DENSE: Template = Template(include_str!("../../clean/recheck_dense.sql"));
/// Deletes children in one leaf.
pub const DELETE_CHILDREN: Template = Template(include_str!("../../clean/delete_children.sql"));
/// Nulls or sets columns of children in one leaf.
pub const UPDATE_CHILDREN: Template = Template(include_str!("../../clean/update_children.sql"));
/// Locks children in one leaf, where parent and child share a database.
pub const LOCK_CHILDREN: Template = Template(include_str!("../../clean/lock_children.sql"));
/// Rows of one very wide parent in one leaf.
pub const LIST_CHILDREN: Template = Template(include_str!("../../clean/list_children.sql"));
/// How many children each key has in one leaf, up to a limit.
pub const COUNT_BY_KEY: Template = Template(include_str!("../../clean/count_by_key.sql"));
/// Which keys still have children in one leaf.
pub const REMAINING_KEYS: Template = Template(include_str!("../../clean/remaining_keys.sql"));

/// Fragments that fit into the holes of the statements above.
pub mod fragment {
    use crate::Template;

    /// One column of the keys.
    pub const KEY_ARRAY: Template = Template(include_str!("../../clean/key_array.sql"));
    /// The same, made once for the statement.
    pub const KEYS_ONCE: Template = Template(include_str!("../../clean/keys_once.sql"));
    /// One column of the keys as rows.
    pub const KEY_ROWS: Template = Template(include_str!("../../clean/key_rows.sql"));
    /// The name of a column of unnested keys.
    pub const KEY_NAME: Template = Template(include_str!("../../clean/key_name.sql"));
    /// A parent's column equals a key's.
    pub const MATCH_PARENT: Template = Template(include_str!("../../clean/match_parent.sql"));
    /// A child's column equals that of one unnested key.
    pub const MATCH_CHILD_KEY: Template = Template(include_str!("../../clean/match_child_key.sql"));
    /// Children of any of the keys, one column.
    pub const MATCH_CHILDREN: Template = Template(include_str!("../../clean/match_children.sql"));
    /// Children of any of the keys, several columns.
    pub const MATCH_CHILDREN_COMPOSITE: Template = Template(include_str!("../../clean/match_children_composite.sql"));
    /// A column of the child.
    pub const CHILD_COLUMN: Template = Template(include_str!("../../clean/child_column.sql"));
    /// The declared condition.
    pub const CONDITION: Template = Template(include_str!("../../clean/condition.sql"));
    /// Not yet what it shall become.
    pub const DIFFERS: Template = Template(include_str!("../../clean/differs.sql"));
    /// Not yet NULL.
    pub const DIFFERS_NULL: Template = Template(include_str!("../../clean/differs_null.sql"));
    /// Gives a column its value.
    pub const ASSIGN: Template = Template(include_str!("../../clean/assign.sql"));
    /// Nulls a column.
    pub const ASSIGN_NULL: Template = Template(include_str!("../../clean/assign_null.sql"));
    /// No parent has the child's key.
    pub const PARENT_ABSENT: Template = Template(include_str!("../../clean/parent_absent.sql"));
    /// A parent's column equals the child's.
    pub const PARENT_OF_CHILD: Template = Template(include_str!("../../clean/parent_of_child.sql"));
    /// A child's text without the collation of its column.
    pub const TEXT_OF_CHILD: Template = Template(include_str!("../../clean/text_of_child.sql"));
    /// Whether a trigger may make the statement skip rows.
    pub const MAY_SWALLOW: Template = Template(include_str!("../../clean/may_swallow.sql"));
    /// At most so many rows, none that is locked.
    pub const CAPPED: Template = Template(include_str!("../../clean/capped.sql"));
    /// Rows in some pages.
    pub const PAGE_ROWS: Template = Template(include_str!("../../clean/page_rows.sql"));
    /// The rows locked before.
    pub const THESE_ROWS: Template = Template(include_str!("../../clean/these_rows.sql"));
    /// A name as a value.
    pub const NAME: Template = Template("'{name}'");
    /// Names as a value.
    pub const NAMES: Template = Template("ARRAY[\"{names}\"]::pg_catalog.text[]");
    /// A table as a value.
    pub const RELATION: Template = Template("'{name}'::pg_catalog.regclass");
    /// No limit on the rows.
    pub const ALL_ROWS: Template = Template("true");
    /// Leaves out what the application has locked.
    pub const SKIP_LOCKED: Template = Template("SKIP LOCKED");
    /// Waits for what the application has locked, up to `lock_timeout`.
    pub const WAIT: Template = Template("");
    /// Puts a fragment in parentheses.
    pub const PARENTHESES: Template = Template("(\"{inner}\")");
    /// The type of integer keys.
    pub const INT8: Template = Template("int8");
    /// The type of uuid keys.
    pub const UUID: Template = Template("uuid");
    /// The type of text keys.
    pub const TEXT: Template = Template("text");
}
