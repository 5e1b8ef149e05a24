//! What tests may hook into, break and look at. Not part of the interface: it changes without notice.

use lfk_sql::TableName;

use crate::clean::{Access, Form, Shape};
pub use crate::cursor::LogSql;
use crate::definition::LooseForeignKey;
use crate::plan::KeyType;
pub use crate::points::{Hook, Point, Verdict};

/// The statements that clean one leaf of a definition's child, as a worker would send them.
#[derive(Debug, Clone)]
pub struct Statements {
    /// Which parents are absent. Binds: the key columns, each a `text[]`, as all the others do first.
    pub recheck: String,
    /// The same of integers that lie close together. Binds also: the first, the last.
    pub recheck_dense: Option<String>,
    /// Cleans every child of the keys. Binds also: the deadline, and the locked rows where both ends share a database.
    pub whole: String,
    /// Cleans a number of rows. Binds also: the deadline, then the number or the locked rows.
    pub capped: String,
    /// Lists rows of one key. Binds also: the row limit.
    pub list: String,
    /// Cleans rows of such a list. Binds also: the deadline, then the rows.
    pub listed: String,
    /// Cleans rows in some pages. Binds also: the deadline, then the first and the last address.
    pub within: String,
    /// Locks children, where both ends share a database. Binds also: the row limit.
    pub lock: String,
    /// The same for rows of a list. Binds also: the row limit, then the rows.
    pub lock_listed: String,
    /// Which keys still have children.
    pub remaining: String,
    /// How many each of them has. Binds also: the most of a key, then the most of all.
    pub count: String,
}

/// Renders the statements of a definition whose key columns have the types `key_types`, for one leaf of its child.
/// `None` when a type is not one that a key may have.
#[must_use]
pub fn statements(
    definition: &LooseForeignKey,
    key_types: &[&str],
    leaf: &TableName,
    same_database: bool,
) -> Option<Statements> {
    let key_types = key_types.iter().map(|name| KeyType::from_type_name(name)).collect::<Option<Vec<_>>>()?;
    let shape = Shape::new(definition, key_types, same_database);
    Some(Statements {
        recheck: shape.recheck().as_str().to_owned(),
        recheck_dense: shape.recheck_dense().map(|sql| sql.as_str().to_owned()),
        whole: shape.clean(leaf, Form::Whole).as_str().to_owned(),
        capped: shape.clean(leaf, Form::Capped).as_str().to_owned(),
        list: shape.list(leaf).as_str().to_owned(),
        listed: shape.clean(leaf, Form::Listed).as_str().to_owned(),
        within: shape.clean(leaf, Form::Within).as_str().to_owned(),
        lock: shape.lock(leaf, Form::Whole).as_str().to_owned(),
        lock_listed: shape.lock(leaf, Form::Listed).as_str().to_owned(),
        remaining: shape.remaining(leaf).as_str().to_owned(),
        count: shape.count(leaf).as_str().to_owned(),
    })
}

/// The statements that walk one leaf of a definition's child in the order of an index on the child columns as they are
/// declared: by its entries, then from key to key. Each binds, `behind`, the columns of the last key; then the limit.
#[must_use]
pub fn walks(
    definition: &LooseForeignKey,
    key_types: &[&str],
    leaf: &TableName,
    condition_inside: bool,
    behind: bool,
) -> Option<[String; 2]> {
    let key_types = key_types.iter().map(|name| KeyType::from_type_name(name)).collect::<Option<Vec<_>>>()?;
    let shape = Shape::new(definition, key_types, false);
    let access = Access { order: (0..shape.width()).collect(), condition_inside };
    let entries = shape.index_chunk(leaf, &access, behind).as_str().to_owned();
    Some([entries, shape.skip_scan(leaf, &access, behind).as_str().to_owned()])
}
