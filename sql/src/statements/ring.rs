//! Retiring leaves of the key log.

use super::cursor::UNSEEN;
use crate::{Sql, TableName, Template};

/// A template whose one hole is the leaf.
fn on(leaf: &TableName, template: Template) -> Sql {
    template.render(&[("log", leaf.into())])
}

/// Whether a leaf is empty, and whether anybody needs it.
#[must_use]
pub fn leaf_needed(leaf: &TableName) -> Sql {
    let unseen = UNSEEN.render(&[("log", leaf.into())]);
    Template(include_str!("../../ring/leaf_needed.sql")).render(&[("log", leaf.into()), ("unseen", unseen.into())])
}

/// Locks a leaf.
#[must_use]
pub fn lock_leaf(leaf: &TableName) -> Sql {
    on(leaf, Template(include_str!("../../ring/lock_leaf.sql")))
}

/// Empties a leaf.
#[must_use]
pub fn empty_leaf(leaf: &TableName) -> Sql {
    on(leaf, Template(include_str!("../../ring/empty_leaf.sql")))
}

/// Whether new rows may go to a leaf.
pub const LEAF_CURRENT: &str = include_str!("../../ring/leaf_current.sql");
/// Does not wait for locks.
pub const WAIT_BRIEFLY: &str = include_str!("../../ring/wait_briefly.sql");
/// Forgets old ticks.
pub const FORGET_TICKS: &str = include_str!("../../ring/forget_ticks.sql");
/// Notes what a leaf takes along.
pub const NOTE_RETIRED: &str = include_str!("../../ring/note_retired.sql");
