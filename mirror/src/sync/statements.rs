//! The statements of one mirror, rendered for its tables. Pure: no database is asked.

use lfk_sql::statements::{self, mirror_fragment as fragment};
use lfk_sql::{Ident, Piece, Sql, TableName};

use crate::columns::{Columns, Side};

/// What the sync of a mirror sends.
#[derive(Debug)]
pub(crate) struct Statements {
    /// Binds: the key columns.
    pub(crate) read: Sql,
    /// Binds: the row limit.
    pub(crate) first_rows: Sql,
    /// Binds: the last key, then the row limit.
    pub(crate) next_rows: Sql,
    /// Binds: the row limit.
    pub(crate) first_source_keys: Sql,
    /// Binds: the last key, then the row limit.
    pub(crate) next_source_keys: Sql,
    /// Binds: the row limit.
    pub(crate) first_keys: Sql,
    /// Binds: the last key, then the row limit.
    pub(crate) next_keys: Sql,
    /// Binds: the key columns, then the mirrored columns.
    pub(crate) upsert: Sql,
    /// Binds: the key columns.
    pub(crate) delete: Sql,
    /// Binds: the key columns, the mirror, the identity of the source's database.
    pub(crate) keep_before: Sql,
    /// Columns of a key.
    pub(crate) width: usize,
    /// Mirrored columns beside the key.
    pub(crate) values: usize,
}

impl Statements {
    pub(crate) fn new(columns: &Columns) -> Self {
        Self {
            read: read(columns),
            first_rows: next_rows(columns, false),
            next_rows: next_rows(columns, true),
            first_source_keys: next_source_keys(columns, false),
            next_source_keys: next_source_keys(columns, true),
            first_keys: next_keys(columns, false),
            next_keys: next_keys(columns, true),
            upsert: upsert(columns),
            delete: of_keys(columns, statements::DELETE_ROWS, &[]),
            keep_before: keep_before(columns),
            width: columns.keys.len(),
            values: columns.values.len(),
        }
    }
}

fn read(columns: &Columns) -> Sql {
    let sources = columns.keys.iter().map(|key| &key.source);
    statements::READ_SOURCE.render(&[
        ("keys", key_arrays(columns).into()),
        ("names", key_names(columns).into()),
        ("values", texts_of_values(columns)),
        ("source", (&columns.source).into()),
        ("match", matches(Side::Source, sources).into()),
        ("filter", filter(columns)),
    ])
}

fn next_rows(columns: &Columns, behind: bool) -> Sql {
    let keys: Vec<Sql> = columns.keys.iter().map(|key| key.in_source.value.clone()).collect();
    let limit = if behind { columns.keys.len() + 1 } else { 1 };
    statements::NEXT_SOURCE_ROWS.render(&[
        ("texts", Sql::join(columns.keys.iter().map(|key| key.in_source.text.clone()), ", ").into()),
        ("values", texts_of_values(columns)),
        ("source", (&columns.source).into()),
        ("behind", self::behind(columns, &keys, behind).into()),
        ("filter", filter(columns)),
        ("columns", Sql::join(keys, ", ").into()),
        ("limit", number(limit)),
    ])
}

fn next_source_keys(columns: &Columns, behind: bool) -> Sql {
    let keys: Vec<Sql> = columns.keys.iter().map(|key| key.in_source.value.clone()).collect();
    let limit = if behind { columns.keys.len() + 1 } else { 1 };
    statements::NEXT_SOURCE_KEYS.render(&[
        ("texts", Sql::join(columns.keys.iter().map(|key| key.in_source.text.clone()), ", ").into()),
        ("source", (&columns.source).into()),
        ("behind", self::behind(columns, &keys, behind).into()),
        ("columns", Sql::join(keys, ", ").into()),
        ("limit", number(limit)),
    ])
}

fn next_keys(columns: &Columns, behind: bool) -> Sql {
    let keys: Vec<Sql> = columns.keys.iter().map(|key| key.in_target.value.clone()).collect();
    let limit = if behind { columns.keys.len() + 1 } else { 1 };
    statements::NEXT_TARGET_KEYS.render(&[
        ("texts", Sql::join(columns.keys.iter().map(|key| key.in_target.text.clone()), ", ").into()),
        ("target", (&columns.target).into()),
        ("behind", self::behind(columns, &keys, behind).into()),
        ("columns", Sql::join(keys, ", ").into()),
        ("limit", number(limit)),
    ])
}

fn upsert(columns: &Columns) -> Sql {
    let keys = columns.keys.iter().map(|key| (&key.target, key.kind.type_name().to_owned()));
    let values = columns.values.iter().map(|value| (&value.target, value.target_type.clone()));
    let all: Vec<(&Ident, String)> =
        keys.map(|(name, kind)| (name, format!("pg_catalog.{kind}"))).chain(values).collect();
    let places = || (1_i64..).take(all.len());
    let arrays = places().map(|n| fragment::TEXTS.render(&[("number", n.into())]));
    let casts = places().zip(&all).map(|(n, (_, kind))| {
        fragment::READ_BACK.render(&[("name", (&column_name(n)).into()), ("type", Piece::Sql(kind.clone()))])
    });
    statements::UPSERT.render(&[
        ("target", (&columns.target).into()),
        ("columns", names(all.iter().map(|(name, _)| *name)).into()),
        ("casts", Sql::join(casts, ", ").into()),
        ("arrays", Sql::join(arrays, ", ").into()),
        ("names", names(places().map(column_name).collect::<Vec<_>>().iter()).into()),
        ("key", names(columns.keys.iter().map(|key| &key.target)).into()),
        ("resolution", resolution(columns).into()),
    ])
}

fn resolution(columns: &Columns) -> Sql {
    if columns.values.is_empty() {
        return fragment::NOTHING.render(&[]);
    }
    let of = |alias: &str| {
        let alias = known(alias);
        let one = |c: &Ident| fragment::COLUMN_OF.render(&[("alias", (&alias).into()), ("column", c.into())]);
        Sql::join(columns.values.iter().map(|value| one(&value.target)), ", ")
    };
    let assigned = columns.values.iter().map(|value| fragment::ASSIGN.render(&[("column", (&value.target).into())]));
    fragment::UPDATE_WHERE_DIFFERS.render(&[
        ("assignments", Sql::join(assigned, ", ").into()),
        ("old", of("target").into()),
        ("new", of("excluded").into()),
    ])
}

fn keep_before(columns: &Columns) -> Sql {
    let width = columns.keys.len();
    of_keys(columns, statements::KEEP_BEFORE, &[("mirror", number(width + 1)), ("identity", number(width + 2))])
}

/// A statement over rows of the target that have one of the keys.
fn of_keys(columns: &Columns, template: lfk_sql::Template, more: &[(&str, Piece)]) -> Sql {
    let targets = columns.keys.iter().map(|key| &key.target);
    let mut pieces: Vec<(&str, Piece)> = vec![
        ("target", (&columns.target as &TableName).into()),
        ("keys", key_arrays(columns).into()),
        ("names", key_names(columns).into()),
        ("match", matches(Side::Target, targets).into()),
    ];
    pieces.extend_from_slice(more);
    template.render(&pieces)
}

fn key_arrays(columns: &Columns) -> Sql {
    let arrays = (1_i64..).zip(&columns.keys).map(|(n, key)| {
        let array = statements::fragment::KEY_ARRAY
            .render(&[("number", n.into()), ("type", Piece::Sql(key.kind.type_name().to_owned()))]);
        statements::fragment::KEY_ROWS.render(&[("keys", array.into())])
    });
    Sql::join(arrays, ", ")
}

fn key_names(columns: &Columns) -> Sql {
    let all: Vec<Ident> = (1_i64..).take(columns.keys.len()).map(column_name).collect();
    names(all.iter())
}

fn matches<'a>(side: Side, columns: impl Iterator<Item = &'a Ident>) -> Sql {
    let all = (1_i64..).zip(columns).map(|(n, column)| {
        let pieces = [("alias", (&side.alias()).into()), ("column", column.into()), ("name", (&column_name(n)).into())];
        fragment::MATCH_KEY.render(&pieces)
    });
    Sql::join(all, " AND ")
}

fn behind(columns: &Columns, keys: &[Sql], behind: bool) -> Sql {
    if !behind {
        return fragment::EVERY.render(&[]);
    }
    let last = (1_i64..).zip(&columns.keys).map(|(n, key)| {
        statements::sweep_fragment::KEY_VALUE
            .render(&[("number", n.into()), ("type", Piece::Sql(key.kind.type_name().to_owned()))])
    });
    fragment::BEHIND
        .render(&[("columns", Sql::join(keys.iter().cloned(), ", ").into()), ("keys", Sql::join(last, ", ").into())])
}

fn texts_of_values(columns: &Columns) -> Piece {
    Sql::join(columns.values.iter().map(|value| value.in_source.text.clone()), ", ").into()
}

fn filter(columns: &Columns) -> Piece {
    columns.filter.as_ref().map_or_else(|| fragment::EVERY.render(&[]).into(), Piece::from)
}

fn names<'a>(all: impl Iterator<Item = &'a Ident>) -> Sql {
    Sql::join(all.map(|name| fragment::NAME.render(&[("name", name.into())])), ", ")
}

fn number(n: usize) -> Piece {
    i64::try_from(n).unwrap_or(i64::MAX).into()
}

fn column_name(n: i64) -> Ident {
    known(&format!("lfk_{n}"))
}

fn known(name: &str) -> Ident {
    Ident::new(name).unwrap_or_else(|_| unreachable!("a short name"))
}
