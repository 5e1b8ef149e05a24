//! The statements of one definition, rendered for its tables. Pure: no database is asked.

mod scan;

pub(crate) use self::scan::{Access, RowKey};

use lfk_sql::statements::{self, fragment, sweep_fragment};
use lfk_sql::{Ident, Piece, Sql, TableName};

use crate::definition::{LooseForeignKey, OnDelete};
use crate::plan::KeyType;

/// What a statement may touch at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// Every child of the keys; waits for locked rows up to `lock_timeout`.
    Whole,
    /// At most a number of rows, and none that is locked.
    Capped,
    /// Rows that were listed before, as far as they still refer to the key.
    Listed,
    /// Children of the keys in some pages of the leaf; waits for locked rows. Not where parent and child share a database.
    Within,
}

/// A definition as the SQL needs it.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) parent: TableName,
    pub(crate) child: TableName,
    parent_columns: Vec<Ident>,
    child_columns: Vec<Ident>,
    key_types: Vec<KeyType>,
    condition: Vec<(Ident, String)>,
    on_delete: OnDelete,
    /// Parent and child live in one database: children are locked first, and each statement looks for the parent itself.
    pub(crate) same_database: bool,
    /// How the parent's key columns compare; the child's must do so too.
    pub(crate) kinds: Vec<Option<String>>,
}

impl Shape {
    pub(crate) fn new(definition: &LooseForeignKey, key_types: Vec<KeyType>, same_database: bool) -> Self {
        Self {
            parent: definition.parent.table.clone(),
            child: definition.child.table.clone(),
            parent_columns: definition.parent.columns.clone(),
            child_columns: definition.child.columns.clone(),
            key_types,
            condition: definition.condition.clone(),
            on_delete: definition.on_delete.clone(),
            same_database,
            kinds: Vec::new(),
        }
    }

    /// Says how the parent's key columns compare.
    pub(crate) fn with_kinds(mut self, kinds: Vec<Option<String>>) -> Self {
        self.kinds = kinds;
        self
    }

    /// The child's columns as the catalog spells them.
    pub(crate) fn child_column_names(&self) -> Vec<String> {
        self.child_columns.iter().map(|column| column.as_str().to_owned()).collect()
    }

    /// Columns of a key, and so the number of arrays that are bound first.
    pub(crate) fn width(&self) -> usize {
        self.key_types.len()
    }

    /// Binds: the key columns. Answers `(present, absent, kinds)`, the first two by their places.
    pub(crate) fn recheck(&self) -> Sql {
        let matches = (1..).zip(&self.parent_columns).map(|(n, column)| {
            fragment::MATCH_PARENT.render(&[("column", column.into()), ("name", key_name(n).into())])
        });
        statements::RECHECK.render(&[
            ("keys", self.key_rows().into()),
            ("names", self.key_names().into()),
            ("parent", (&self.parent).into()),
            ("match", Sql::join(matches, " AND ").into()),
            ("kinds", statements::column_kinds_of(&self.parent, &self.parent_columns).into()),
        ])
    }

    /// As [`Shape::recheck`], of integers that lie close together. Binds: the keys, the first, the last.
    pub(crate) fn recheck_dense(&self) -> Option<Sql> {
        let (_, column) = self.numbers()?;
        Some(statements::RECHECK_DENSE.render(&[
            ("keys", self.key_rows().into()),
            ("column", column.into()),
            ("parent", (&self.parent).into()),
            ("kinds", statements::column_kinds_of(&self.parent, &self.parent_columns).into()),
        ]))
    }

    /// Binds: the key columns, the deadline, then the row limit (`Capped`), the rows (`Listed`, and the locked ones in the same
    /// database), or the first and the last address (`Within`).
    pub(crate) fn clean(&self, leaf: &TableName, form: Form) -> Sql {
        let deadline = self.parameter(1);
        let extra = self.parameter(2);
        let children = self.children();
        let rows = match form {
            _ if self.same_database => fragment::THESE_ROWS.render(&[("rows", extra.into())]),
            Form::Listed => fragment::THESE_ROWS.render(&[("rows", extra.into())]),
            Form::Whole => fragment::ALL_ROWS.render(&[]),
            Form::Within => fragment::PAGE_ROWS.render(&[
                ("match", self.children_by(keys_once).into()),
                ("first", extra.into()),
                ("last", self.parameter(3).into()),
            ]),
            Form::Capped => fragment::CAPPED.render(&[
                ("leaf", leaf.into()),
                ("match", children.clone().into()),
                ("limit", extra.into()),
            ]),
        };
        let matching = match form {
            _ if self.same_database => and(vec![children, self.parent_absent()]),
            // Inside the fragment, where no index is seen.
            Form::Within => fragment::ALL_ROWS.render(&[]),
            _ => children,
        };
        let mut pieces: Vec<(&str, Piece)> = vec![
            ("leaf", leaf.into()),
            ("match", matching.into()),
            ("rows", rows.into()),
            ("deadline", deadline.into()),
        ];
        match self.assignments() {
            None => statements::DELETE_CHILDREN.render(&pieces),
            Some(assign) => {
                pieces.push(("assign", assign.into()));
                statements::UPDATE_CHILDREN.render(&pieces)
            }
        }
    }

    /// What there is to know about [`Shape::clean`] in the same transaction. Binds: the deadline, [`Shape::event`]. Answers
    /// `(late, may_swallow, ruled, kinds)`.
    pub(crate) fn judge(&self, leaf: &TableName) -> Sql {
        statements::judge_leaf(leaf, &self.child_columns)
    }

    /// What the action is to the server's rules.
    pub(crate) fn event(&self) -> &'static str {
        if self.on_delete == OnDelete::Delete { "4" } else { "2" }
    }

    /// Binds: the key columns, then the row limit, then the rows (`Listed`). Answers the rows as text.
    pub(crate) fn lock(&self, leaf: &TableName, form: Form) -> Sql {
        let rows = match form {
            Form::Listed => fragment::THESE_ROWS.render(&[("rows", self.parameter(2).into())]),
            Form::Whole | Form::Capped | Form::Within => fragment::ALL_ROWS.render(&[]),
        };
        let waiting = match form {
            Form::Whole | Form::Within => fragment::WAIT,
            Form::Capped | Form::Listed => fragment::SKIP_LOCKED,
        };
        statements::LOCK_CHILDREN.render(&[
            ("leaf", leaf.into()),
            ("match", self.children().into()),
            ("rows", rows.into()),
            ("limit", self.parameter(1).into()),
            ("skip_locked", waiting.render(&[]).into()),
        ])
    }

    /// Binds: the columns of one key, then the row limit. Answers the rows as bytes, see [`super::wide::List`].
    pub(crate) fn list(&self, leaf: &TableName) -> Sql {
        statements::LIST_CHILDREN.render(&[
            ("leaf", leaf.into()),
            ("match", self.children().into()),
            ("limit", self.parameter(1).into()),
        ])
    }

    /// Binds: the key columns. Answers the ordinals of keys that still have children in the leaf.
    pub(crate) fn remaining(&self, leaf: &TableName) -> Sql {
        statements::REMAINING_KEYS.render(&[
            ("keys", self.key_rows().into()),
            ("names", self.key_names().into()),
            ("leaf", leaf.into()),
            ("match", self.children_of_one().into()),
        ])
    }

    /// Binds: the key columns, then the most rows of a key, then the most of all. Answers `(ord, rows)` of keys that have
    /// children in the leaf.
    pub(crate) fn count(&self, leaf: &TableName) -> Sql {
        statements::COUNT_BY_KEY.render(&[
            ("keys", self.key_rows().into()),
            ("names", self.key_names().into()),
            ("leaf", leaf.into()),
            ("match", self.children_of_one().into()),
            ("most", self.parameter(1).into()),
            ("total", self.parameter(2).into()),
        ])
    }

    /// As [`Self::children`], of one unnested key.
    fn children_of_one(&self) -> Sql {
        let mut matches: Vec<Sql> = (1..)
            .zip(&self.child_columns)
            .map(|(n, column)| {
                fragment::MATCH_CHILD_KEY.render(&[("column", column.into()), ("name", key_name(n).into())])
            })
            .collect();
        matches.extend(self.limits());
        and(matches)
    }

    /// The next distinct keys of the children, for a sweep. Binds: the last key column by column when `behind`, then the
    /// row limit. Answers `(key, read)`.
    pub(crate) fn next_child_keys(&self, behind: bool) -> Sql {
        let columns = || self.child_columns.iter().map(|c| fragment::CHILD_COLUMN.render(&[("column", c.into())]));
        let texts = self.child_columns.iter().map(|c| sweep_fragment::CHILD_TEXT.render(&[("column", c.into())]));
        let present = self.child_columns.iter().map(|c| sweep_fragment::NOT_NULL.render(&[("column", c.into())]));
        let mut matches: Vec<Sql> = present.collect();
        matches.extend(self.limits());
        if behind {
            let values = (1i64..).zip(&self.key_types).map(|(n, t)| {
                sweep_fragment::KEY_VALUE.render(&[("number", n.into()), ("type", type_name(*t).into())])
            });
            matches.push(
                sweep_fragment::BEHIND.render(&[
                    ("columns", Sql::join(columns(), ", ").into()),
                    ("keys", Sql::join(values, ", ").into()),
                ]),
            );
        }
        statements::NEXT_CHILD_KEYS.render(&[
            ("columns", Sql::join(columns(), ", ").into()),
            ("texts", Sql::join(texts, ", ").into()),
            ("child", (&self.child).into()),
            ("match", and(matches).into()),
            ("limit", if behind { self.parameter(1) } else { 1 }.into()),
        ])
    }

    /// The number of the n-th parameter after the key columns.
    fn parameter(&self, n: i64) -> i64 {
        n + (1i64..).zip(&self.key_types).last().map_or(0, |(last, _)| last)
    }

    fn key_rows(&self) -> Sql {
        let rows =
            (1i64..).zip(&self.key_types).map(|(n, t)| fragment::KEY_ROWS.render(&[("keys", key_array(n, *t).into())]));
        Sql::join(rows, ", ")
    }

    fn key_names(&self) -> Sql {
        Sql::join((1i64..).zip(&self.key_types).map(|(n, _)| key_name(n)), ", ")
    }

    /// Children of any of the keys, that meet the condition, and that are not yet as they shall be.
    fn children(&self) -> Sql {
        self.children_by(key_array)
    }

    fn children_by(&self, key_array: fn(i64, KeyType) -> Sql) -> Sql {
        let keys = if let ([column], [key_type]) = (self.child_columns.as_slice(), self.key_types.as_slice()) {
            fragment::MATCH_CHILDREN.render(&[("column", column.into()), ("keys", key_array(1, *key_type).into())])
        } else {
            let columns = self.child_columns.iter().map(|c| fragment::CHILD_COLUMN.render(&[("column", c.into())]));
            fragment::MATCH_CHILDREN_COMPOSITE
                .render(&[("columns", Sql::join(columns, ", ").into()), ("keys", self.key_rows().into())])
        };
        let mut all = vec![keys];
        all.extend(self.limits());
        and(all)
    }

    fn limits(&self) -> Vec<Sql> {
        let mut limits = self.conditions();
        limits.extend(self.still_to_set());
        limits
    }

    /// The declared condition.
    fn conditions(&self) -> Vec<Sql> {
        let one = |(column, value): &(Ident, String)| {
            fragment::CONDITION.render(&[("column", column.into()), ("value", Piece::literal(value))])
        };
        self.condition.iter().map(one).collect()
    }

    /// Of an action that sets: rows that are not yet as they shall be.
    fn still_to_set(&self) -> Option<Sql> {
        // A nulled key no longer matches the keys, so only `set` needs to say what is already done.
        if let OnDelete::Set(values) = &self.on_delete {
            let differs = values.iter().map(|(column, value)| match value {
                Some(value) => fragment::DIFFERS.render(&[("column", column.into()), ("value", Piece::literal(value))]),
                None => fragment::DIFFERS_NULL.render(&[("column", column.into())]),
            });
            let any = Sql::join(differs, " OR ");
            return Some(fragment::PARENTHESES.render(&[("inner", any.into())]));
        }
        None
    }

    fn parent_absent(&self) -> Sql {
        let columns = self.parent_columns.iter().zip(&self.child_columns).zip(&self.key_types);
        let pairs = columns.map(|((parent, child), key_type)| {
            let value = match key_type {
                KeyType::Text => fragment::TEXT_OF_CHILD,
                KeyType::Int8 | KeyType::Uuid => fragment::CHILD_COLUMN,
            };
            let value = value.render(&[("column", child.into())]);
            fragment::PARENT_OF_CHILD.render(&[("parent_column", parent.into()), ("child_value", value.into())])
        });
        fragment::PARENT_ABSENT
            .render(&[("parent", (&self.parent).into()), ("match", Sql::join(pairs, " AND ").into())])
    }

    /// What an UPDATE sets; nothing for a DELETE.
    fn assignments(&self) -> Option<Sql> {
        let null = |column: &Ident| fragment::ASSIGN_NULL.render(&[("column", column.into())]);
        match &self.on_delete {
            OnDelete::Delete => None,
            OnDelete::SetNull => Some(Sql::join(self.child_columns.iter().map(null), ", ")),
            OnDelete::Set(values) => Some(Sql::join(
                values.iter().map(|(column, value)| match value {
                    Some(v) => fragment::ASSIGN.render(&[("column", column.into()), ("value", Piece::literal(v))]),
                    None => null(column),
                }),
                ", ",
            )),
        }
    }
}

fn and(parts: Vec<Sql>) -> Sql {
    Sql::join(parts, " AND ")
}

fn key_array(number: i64, key_type: KeyType) -> Sql {
    fragment::KEY_ARRAY.render(&[("number", number.into()), ("type", type_name(key_type).into())])
}

fn keys_once(number: i64, key_type: KeyType) -> Sql {
    let keys = key_array(number, key_type);
    fragment::KEYS_ONCE.render(&[("keys", keys.into()), ("type", type_name(key_type).into())])
}

fn key_name(number: i64) -> Sql {
    fragment::KEY_NAME.render(&[("number", number.into())])
}

fn type_name(key_type: KeyType) -> Sql {
    match key_type {
        KeyType::Int8 => fragment::INT8.render(&[]),
        KeyType::Uuid => fragment::UUID.render(&[]),
        KeyType::Text => fragment::TEXT.render(&[]),
    }
}
