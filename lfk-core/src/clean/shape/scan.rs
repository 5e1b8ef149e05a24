//! The statements that walk the keys of a child, leaf by leaf. The walk is driven by the child alone: each border of a page is
//! compared by the child's own columns, so it does not matter how the parent sorts.

use lfk_sql::statements::{self, fragment, scan_fragment, sweep_fragment};
use lfk_sql::{Ident, Piece, Sql, TableName};

use super::{Shape, and, key_name, type_name};
use crate::plan::KeyType;

/// How the keys of one leaf are found in the order of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    /// The child columns by number, in the order of the index.
    pub(crate) order: Vec<usize>,
    /// Whether the index is made for the declared condition. What it is not made for is tested after the rows of a page are
    /// counted, so that a page stays small however few rows meet it.
    pub(crate) condition_inside: bool,
}

/// The own key of a leaf: columns, and how their types are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowKey {
    pub(crate) columns: Vec<Ident>,
    pub(crate) types: Vec<String>,
}

impl Shape {
    /// The child's columns, in the order of the definition.
    pub(crate) fn child_columns(&self) -> &[Ident] {
        &self.child_columns
    }

    /// Binds: the last key column by column when `behind`, then the row limit. Answers `(key, rows, read)`.
    pub(crate) fn index_chunk(&self, leaf: &TableName, access: &Access, behind: bool) -> Sql {
        let mut matches = self.inside(access);
        if behind {
            matches.push(self.behind_key(access, self.key_values(access)));
        }
        statements::INDEX_CHUNK.render(&[
            ("columns", columns(&self.child_columns).into()),
            ("keep", self.outside(Some(access)).into()),
            ("leaf", leaf.into()),
            ("match", and(matches).into()),
            ("order", self.order(access).into()),
            ("limit", if behind { self.parameter(1) } else { 1 }.into()),
            ("texts", texts(&self.child_columns).into()),
        ])
    }

    /// Whether every row of a key counts, so that keys may be found without reading their rows.
    pub(crate) fn may_skip(&self, access: &Access) -> bool {
        (access.condition_inside || self.condition.is_empty()) && self.still_to_set().is_none()
    }

    /// The child's column and the parent's, where keys are one integer and travel as such.
    pub(super) fn numbers(&self) -> Option<(&Ident, &Ident)> {
        match (self.child_columns.as_slice(), self.parent_columns.as_slice(), self.key_types.as_slice()) {
            ([child], [parent], [KeyType::Int8]) => Some((child, parent)),
            _ => None,
        }
    }

    /// Whether [`Self::index_numbers`] has a statement.
    pub(crate) fn has_numbers(&self, access: &Access) -> bool {
        self.numbers().is_some() && self.may_skip(access)
    }

    /// As [`Self::index_chunk`], where every row of a key counts and keys are integers. `each_once`: the server leaves out
    /// what repeats. Binds: the last key when `behind`, then the row limit. Answers `(keys)`.
    pub(crate) fn index_numbers(
        &self,
        leaf: &TableName,
        access: &Access,
        behind: bool,
        each_once: bool,
    ) -> Option<Sql> {
        let (column, _) = self.numbers().filter(|_| self.may_skip(access))?;
        let mut matches = self.inside(access);
        if behind {
            matches.push(self.behind_key(access, self.key_values(access)));
        }
        let repeats = if each_once { scan_fragment::EACH_KEY } else { scan_fragment::EACH_ENTRY };
        Some(statements::INDEX_NUMBERS.render(&[
            ("repeats", repeats.render(&[]).into()),
            ("column", column.into()),
            ("leaf", leaf.into()),
            ("match", and(matches).into()),
            ("order", self.order(access).into()),
            ("limit", if behind { self.parameter(1) } else { 1 }.into()),
        ]))
    }

    /// Binds: the first key, the last one, the limit; all are numbers. Answers `(keys, kinds, standby)`.
    pub(crate) fn parents_between(&self) -> Option<Sql> {
        let (_, column) = self.numbers()?;
        Some(statements::PARENTS_BETWEEN.render(&[
            ("column", column.into()),
            ("parent", (&self.parent).into()),
            ("kinds", statements::column_kinds_of(&self.parent, &self.parent_columns).into()),
        ]))
    }

    /// Binds: the last key column by column when `behind`, then the limit of keys. Answers `(key, rows, read)`.
    pub(crate) fn skip_scan(&self, leaf: &TableName, access: &Access, behind: bool) -> Sql {
        let mut first = self.inside(access);
        let mut next = first.clone();
        if behind {
            first.push(self.behind_key(access, self.key_values(access)));
        }
        let skipped = |n: &usize| scan_fragment::SKIPPED_COLUMN.render(&[("column", (&self.child_columns[*n]).into())]);
        next.push(self.behind_key(access, Sql::join(access.order.iter().map(skipped), ", ")));
        statements::SKIP_SCAN.render(&[
            ("columns", columns(&self.child_columns).into()),
            ("leaf", leaf.into()),
            ("first", and(first).into()),
            ("next", and(next).into()),
            ("order", self.order(access).into()),
            ("limit", if behind { self.parameter(1) } else { 1 }.into()),
            ("texts", texts(&self.child_columns).into()),
        ])
    }

    /// Binds: the last row's own key column by column when `behind`, then the row limit. Answers `(key, rows, read, last)`.
    pub(crate) fn row_chunk(&self, leaf: &TableName, row_key: &RowKey, behind: bool) -> Sql {
        let place = columns(&row_key.columns);
        let mut limit = 1;
        let bound = if behind {
            let values = (1i64..).zip(&row_key.types).map(|(n, t)| {
                limit = n + 1;
                scan_fragment::PLACE_VALUE.render(&[("number", n.into()), ("type", Piece::Sql(t.clone()))])
            });
            let values = Sql::join(values, ", ");
            sweep_fragment::BEHIND.render(&[("columns", place.clone().into()), ("keys", values.into())])
        } else {
            fragment::ALL_ROWS.render(&[])
        };
        let mut keep = self.present();
        keep.push(self.outside(None));
        statements::ROW_CHUNK.render(&[
            ("texts", texts(&self.child_columns).into()),
            ("keep", and(keep).into()),
            ("place_texts", texts(&row_key.columns).into()),
            ("place", place.into()),
            ("leaf", leaf.into()),
            ("behind", bound.into()),
            ("limit", limit.into()),
        ])
    }

    /// Binds: the key columns, then the limit of rows a key. Answers `(ord, rows)`.
    pub(crate) fn count_children(&self, leaf: &TableName) -> Sql {
        let own = (1..).zip(&self.child_columns).map(|(n, column)| {
            fragment::MATCH_CHILD_KEY.render(&[("column", column.into()), ("name", key_name(n).into())])
        });
        let mut matches: Vec<Sql> = own.collect();
        matches.extend(self.limits());
        statements::COUNT_CHILDREN.render(&[
            ("keys", self.key_rows().into()),
            ("names", self.key_names().into()),
            ("leaf", leaf.into()),
            ("match", and(matches).into()),
            ("limit", self.parameter(1).into()),
        ])
    }

    /// Binds: the limit. Answers `(rows)`.
    pub(crate) fn count_parents(&self) -> Sql {
        statements::COUNT_PARENTS.render(&[("parent", (&self.parent).into())])
    }

    /// Binds: the share in percent. Answers `(rows)`.
    pub(crate) fn sample_parents(&self) -> Sql {
        statements::SAMPLE_PARENTS.render(&[("parent", (&self.parent).into())])
    }

    fn present(&self) -> Vec<Sql> {
        self.child_columns.iter().map(|c| sweep_fragment::NOT_NULL.render(&[("column", c.into())])).collect()
    }

    /// What is said of rows before they are counted.
    fn inside(&self, access: &Access) -> Vec<Sql> {
        let mut all = self.present();
        if access.condition_inside {
            all.extend(self.conditions());
        }
        all
    }

    /// What is said of rows after they were counted.
    fn outside(&self, access: Option<&Access>) -> Sql {
        let mut all = Vec::new();
        if !access.is_some_and(|access| access.condition_inside) {
            all.extend(self.conditions());
        }
        all.extend(self.still_to_set());
        if all.is_empty() { fragment::ALL_ROWS.render(&[]) } else { and(all) }
    }

    fn order(&self, access: &Access) -> Sql {
        let column = |n: &usize| fragment::CHILD_COLUMN.render(&[("column", (&self.child_columns[*n]).into())]);
        Sql::join(access.order.iter().map(column), ", ")
    }

    /// The parameters of a key, in the order of the index.
    fn key_values(&self, access: &Access) -> Sql {
        let numbered: Vec<Sql> = (1i64..)
            .zip(&self.key_types)
            .map(|(n, t)| sweep_fragment::KEY_VALUE.render(&[("number", n.into()), ("type", type_name(*t).into())]))
            .collect();
        Sql::join(access.order.iter().map(|n| numbered[*n].clone()), ", ")
    }

    fn behind_key(&self, access: &Access, keys: Sql) -> Sql {
        sweep_fragment::BEHIND.render(&[("columns", self.order(access).into()), ("keys", keys.into())])
    }
}

fn columns(all: &[Ident]) -> Sql {
    Sql::join(all.iter().map(|c| fragment::CHILD_COLUMN.render(&[("column", c.into())])), ", ")
}

fn texts(all: &[Ident]) -> Sql {
    Sql::join(all.iter().map(|c| sweep_fragment::CHILD_TEXT.render(&[("column", c.into())])), ", ")
}
