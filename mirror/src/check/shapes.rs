//! The statements of a check, rendered once for one mirror.

mod copies;
mod pages;

use lfk_core::parts::Key;
use lfk_sql::statements::{self, check_fragment as fragment, sweep_fragment};
use lfk_sql::{Ident, Piece, Sql, Template};

use super::Method;
use crate::columns::cast;
use crate::{Columns, Forms, KeyKind, Order, Side};

/// How rows are hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HashForm {
    /// By the server's own 64-bit hash of a record.
    Extended,
    /// By SHA-256, where the two servers hash differently.
    Sha,
}

/// The statements.
#[derive(Debug, Clone)]
pub(crate) struct Shapes {
    pub(crate) columns: Columns,
    form: HashForm,
}

/// From where to where a statement reads, by the presence of its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) after: bool,
    pub(crate) up_to: bool,
}

impl Shapes {
    pub(crate) fn new(columns: Columns, form: HashForm) -> Self {
        Self { columns, form }
    }

    pub(crate) fn width(&self) -> usize {
        self.columns.keys.len()
    }

    pub(crate) fn digest(&self, side: Side, order: Order, bounds: Bounds) -> Sql {
        let rows = Piece::from(self.next_rows(side, order, bounds));
        if self.has_numbers() {
            return statements::CHECK_DIGEST_MAX.render(&[("rows", rows)]);
        }
        let backwards = self.named("s").map(|column| fragment::DESCENDING.render(&[("column", column.into())]));
        statements::CHECK_DIGEST_ANY.render(&[
            ("rows", rows),
            ("texts", self.texts("s").into()),
            ("backwards", Sql::join(backwards, ", ").into()),
        ])
    }

    pub(crate) fn list(&self, side: Side, order: Order, bounds: Bounds) -> Sql {
        let values: Vec<Sql> = if self.has_numbers() {
            self.named("s").map(|column| cast(column, "pg_catalog.int8")).collect()
        } else {
            self.of_rows("s", fragment::KEY_TEXT).collect()
        };
        let lists = values
            .into_iter()
            .zip(1..)
            .map(|(value, n)| fragment::LIST_OF.render(&[("value", value.into()), ("name", (&name_of(n)).into())]));
        statements::CHECK_LIST_ROWS
            .render(&[("rows", self.next_rows(side, order, bounds).into()), ("lists", Sql::join(lists, ", ").into())])
    }

    /// Whether each key is one integer.
    pub(crate) fn has_numbers(&self) -> bool {
        matches!(self.columns.keys.as_slice(), [key] if key.kind == KeyKind::Int8)
    }

    /// The hashes of rows by key: $2 … are the columns of the keys.
    pub(crate) fn hash_keys(&self, side: Side) -> Sql {
        statements::CHECK_HASH_KEYS.render(&[
            ("keys", self.key_arrays(2).into()),
            ("names", self.names().into()),
            ("hash", self.hash(side).into()),
            ("table", self.table(side)),
            ("alias", (&side.alias()).into()),
            ("match", self.key_match(side).into()),
            ("filter", self.filter(side)),
        ])
    }

    /// Two keys, one behind the other in the binds.
    pub(crate) fn compare_keys(&self) -> Sql {
        let width = self.width();
        let key = |first: usize| {
            let columns = self.columns.keys.iter().enumerate().map(|(i, k)| {
                let value = key_value(first + i, k.kind);
                match (self.columns.order, &k.collation) {
                    (Order::Bytes, _) if k.kind == KeyKind::Text => by_bytes(value),
                    (_, Some(collation)) => collated(value, collation),
                    _ => value,
                }
            });
            Piece::from(Sql::join(columns, ", "))
        };
        statements::CHECK_COMPARE_KEYS.render(&[("one", key(1)), ("other", key(1 + width))])
    }

    pub(crate) fn look_source(&self) -> Sql {
        let single = self.has_numbers();
        let encoded = || Piece::Sql(if single { "int8" } else { "text" }.to_owned());
        let found_in = |rows: &str| -> Piece {
            let rows = Piece::from(&ident(rows));
            let sql = match self.columns.keys.as_slice() {
                [_] => fragment::LOGGED_KEYS.render(&[("rows", rows), ("encoded", encoded())]),
                keys => fragment::LOGGED_COMPOSITES.render(&[
                    ("rows", rows),
                    ("width", i64::try_from(keys.len()).unwrap_or(i64::MAX).into()),
                    ("encoded", encoded()),
                ]),
            };
            sql.into()
        };
        let typed = self.columns.keys.iter().zip(self.named("q")).map(|(k, column)| match &k.collation {
            Some(collation) => collated(column, collation),
            None => column,
        });
        let behind =
            self.columns.keys.iter().zip(1_i64..).map(|(k, number)| {
                fragment::SWEPT_COLUMN.render(&[("number", number.into()), ("type", type_of(k.kind))])
            });
        statements::CHECK_LOOK_SOURCE.render(&[
            ("logged", (&ident(if single { "keys" } else { "tkeys" })).into()),
            ("pending", found_in("e")),
            ("newer", found_in("n")),
            ("typed", Sql::join(typed, ", ").into()),
            ("behind", Sql::join(behind, ", ").into()),
            ("sorted_alike", Piece::Sql((self.columns.order == Order::Native).to_string())),
            ("encoded", encoded()),
            ("keys", self.key_arrays(5).into()),
            ("names", self.names().into()),
            ("digest", self.row_digest(Side::Source).into()),
            ("table", self.table(Side::Source)),
            ("match", self.key_match(Side::Source).into()),
            ("filter", self.filter(Side::Source)),
            ("texts", self.texts("q").into()),
        ])
    }

    pub(crate) fn look_target(&self) -> Sql {
        statements::CHECK_LOOK_TARGET.render(&[
            ("keys", self.key_arrays(1).into()),
            ("names", self.names().into()),
            ("digest", self.row_digest(Side::Target).into()),
            ("table", self.table(Side::Target)),
            ("match", self.key_match(Side::Target).into()),
        ])
    }

    /// How a check walks by key.
    pub(crate) fn method(&self) -> Method {
        if self.columns.order == Order::None { Method::Keys } else { Method::Digest }
    }

    /// Each key as one value, as the statement at the source looks it up in the log.
    pub(crate) fn encode(keys: &[Key]) -> Vec<String> {
        let one = |key: &Key| match key.0.as_slice() {
            [single] => single.clone(),
            columns => columns.iter().map(|c| format!("{}:{c}", c.chars().count())).collect(),
        };
        keys.iter().map(one).collect()
    }

    fn next_rows(&self, side: Side, order: Order, bounds: Bounds) -> Sql {
        let columns: Vec<Sql> = self.sort_keys(side, order);
        let named = columns
            .iter()
            .cloned()
            .zip(1..)
            .map(|(column, n)| fragment::NAMED.render(&[("value", column.into()), ("name", (&name_of(n)).into())]));
        let order_by = Sql::join(columns.iter().cloned(), ", ");
        let mut limits = Vec::new();
        let mut first = 3;
        for (present, template) in [(bounds.after, sweep_fragment::BEHIND), (bounds.up_to, fragment::UP_TO)] {
            if present {
                let keys = self.columns.keys.iter().zip(first..).map(|(k, n)| key_value(n, k.kind));
                let keys = Piece::from(Sql::join(keys, ", "));
                limits.push(template.render(&[("columns", order_by.clone().into()), ("keys", keys)]));
                first += self.width();
            }
        }
        let bounds = if limits.is_empty() { always() } else { Sql::join(limits, " AND ").into() };
        fragment::NEXT_ROWS.render(&[
            ("keys", Sql::join(named, ", ").into()),
            ("filter", self.filter(side)),
            ("hash", self.hash(side).into()),
            ("table", self.table(side)),
            ("alias", (&side.alias()).into()),
            ("bounds", bounds),
            ("order", order_by.into()),
        ])
    }

    /// The key columns as they are sorted, so that an index is used.
    fn sort_keys(&self, side: Side, order: Order) -> Vec<Sql> {
        let one = |(forms, kind): (&Forms, KeyKind)| match (order, kind) {
            (Order::Bytes, KeyKind::Text) => by_bytes(forms.value.clone()),
            _ => forms.value.clone(),
        };
        self.key_forms(side).map(one).collect()
    }

    fn key_forms(&self, side: Side) -> impl Iterator<Item = (&Forms, KeyKind)> {
        self.columns.keys.iter().map(move |k| (if side == Side::Source { &k.in_source } else { &k.in_target }, k.kind))
    }

    /// What the hashes of a row are made of, the key among it: a hash without it would not notice two rows that changed places.
    fn hashed(&self, side: Side) -> Sql {
        let values = self.columns.values.iter().map(|v| if side == Side::Source { &v.in_source } else { &v.in_target });
        let all = self.key_forms(side).map(|(forms, _)| forms).chain(values);
        Sql::join(all.map(|f| f.hash.clone()), ", ")
    }

    fn hash(&self, side: Side) -> Sql {
        self.hash_of(self.hashed(side))
    }

    /// The 64-bit hash of values, by the form in which both servers agree.
    fn hash_of(&self, values: Sql) -> Sql {
        let template = match self.form {
            HashForm::Extended => fragment::HASH_EXTENDED,
            HashForm::Sha => fragment::HASH_SHA,
        };
        template.render(&[("values", values.into())])
    }

    fn row_digest(&self, side: Side) -> Sql {
        fragment::ROW_DIGEST.render(&[("values", self.hashed(side).into())])
    }

    fn table(&self, side: Side) -> Piece {
        Piece::from(if side == Side::Source { &self.columns.source } else { &self.columns.target })
    }

    fn filter(&self, side: Side) -> Piece {
        self.columns.filter.as_ref().filter(|_| side == Side::Source).map_or_else(always, Piece::from)
    }

    fn key_match(&self, side: Side) -> Sql {
        let one = |((forms, _), n): ((&Forms, KeyKind), usize)| {
            let column = Piece::from(forms.value.clone());
            fragment::COLUMN_EQUALS.render(&[("column", column), ("name", (&name_of(n)).into())])
        };
        Sql::join(self.key_forms(side).zip(1..).map(one), " AND ")
    }

    /// The columns of keys as rows, from binds that begin with this number.
    fn key_arrays(&self, first: usize) -> Sql {
        let one = |(k, n): (&crate::KeyColumn, usize)| {
            let array = statements::fragment::KEY_ARRAY.render(&[("number", number(n)), ("type", type_of(k.kind))]);
            statements::fragment::KEY_ROWS.render(&[("keys", array.into())])
        };
        Sql::join(self.columns.keys.iter().zip(first..).map(one), ", ")
    }

    fn names(&self) -> Sql {
        Sql::join((1..=self.width()).map(|n| quoted(&name_of(n))), ", ")
    }

    fn named(&self, row: &'static str) -> impl Iterator<Item = Sql> {
        self.of_rows(row, fragment::KEY_OF)
    }

    fn texts(&self, row: &'static str) -> Sql {
        Sql::join(self.of_rows(row, fragment::KEY_TEXT), ", ")
    }

    fn of_rows(&self, row: &'static str, template: Template) -> impl Iterator<Item = Sql> {
        let row = ident(row);
        (1..=self.width()).map(move |n| template.render(&[("row", (&row).into()), ("name", (&name_of(n)).into())]))
    }
}

fn always() -> Piece {
    Piece::Sql("true".to_owned())
}

fn ident(name: &str) -> Ident {
    Ident::new(name).unwrap_or_else(|_| unreachable!("our own names are short"))
}

fn name_of(column: usize) -> Ident {
    ident(&format!("lfk_k{column}"))
}

fn quoted(name: &Ident) -> Sql {
    fragment::BARE.render(&[("name", name.into())])
}

fn number(n: usize) -> Piece {
    Piece::Sql(n.to_string())
}

fn type_of(kind: KeyKind) -> Piece {
    Piece::Sql(kind.type_name().to_owned())
}

fn key_value(n: usize, kind: KeyKind) -> Sql {
    sweep_fragment::KEY_VALUE.render(&[("number", number(n)), ("type", type_of(kind))])
}

fn by_bytes(value: Sql) -> Sql {
    fragment::BY_BYTES.render(&[("value", cast(value, "pg_catalog.text").into())])
}

fn collated(value: Sql, collation: &str) -> Sql {
    fragment::COLLATED.render(&[("value", value.into()), ("collation", Piece::Sql(collation.to_owned()))])
}
