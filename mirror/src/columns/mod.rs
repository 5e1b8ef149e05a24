//! The columns of a mirror as SQL: how each is read on either side, as what both sides are compared, how it travels.
//!
//! Every fragment speaks of the row by the alias `source` or `target` and belongs into transactions of
//! [`Purpose::Check`](lfk_core::parts::Purpose): their settings make texts of equal values equal on every server. The user's
//! expressions speak of the source's columns by their bare names. They are IMMUTABLE and use their own row only, which the
//! source's server judges itself, by its rule for generated columns. So `now()` is refused, and so is `created_at::date`, whose
//! outcome depends on a time zone: `(created_at AT TIME ZONE 'UTC')::date` says which. A plain column of another type than the
//! target's is cast by assignment under fixed settings (`TimeZone` is UTC), and so the same for everybody.

mod catalog;
mod judge;
mod types;

use lfk_core::{Database, Finding, Result};
use lfk_sql::statements::{self, check_fragment as fragment};
use lfk_sql::{Expression, Ident, Piece, Sql, TableName};

use self::catalog::{End, Found};
pub use self::types::KeyKind;
use self::types::{Compared, Hashed};
use crate::{Mirror, Value};

/// One end of a mirror. Its fragments use the alias of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where rows come from.
    Source,
    /// Where they are mirrored.
    Target,
}

impl Side {
    /// The alias under which fragments know the row.
    #[must_use]
    pub fn alias(self) -> Ident {
        let name = match self {
            Self::Source => "source",
            Self::Target => "target",
        };
        Ident::new(name).unwrap_or_else(|_| unreachable!("both names are short"))
    }
}

/// How a column is read on one side.
#[derive(Debug, Clone)]
pub struct Forms {
    /// The value. Of a key: the bare column, so that its index is used. Of another: cast to the type that is compared.
    pub value: Sql,
    /// The value as text, equal for equal values, and read back without loss.
    pub text: Sql,
    /// What stands for it in a row hash.
    pub hash: Sql,
    /// What is sent for it where rows are compared as they are: in its binary form equal exactly when the hashed one is.
    pub sent: Sql,
}

/// A column of the key.
#[derive(Debug, Clone)]
pub struct KeyColumn {
    /// Its name in the source.
    pub source: Ident,
    /// Its name in the target.
    pub target: Ident,
    /// What keys are cast to wherever they are compared.
    pub kind: KeyKind,
    /// The collation of the source's column by its name in SQL, where it is not the database's own.
    pub collation: Option<String>,
    /// How it is read in the source.
    pub in_source: Forms,
    /// How it is read in the target.
    pub in_target: Forms,
}

/// A mirrored column beside the key.
#[derive(Debug, Clone)]
pub struct ValueColumn {
    /// Its name in the target.
    pub target: Ident,
    /// The target's own type with its schema, without length or precision: `$1::text[]::"{type}"[]` reads texts back.
    pub target_type: String,
    /// How it is read in the source.
    pub in_source: Forms,
    /// How it is read in the target.
    pub in_target: Forms,
}

/// In which order both servers walk the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// That of the columns: both servers agree on it.
    Native,
    /// Byte by byte: their collations differ, and both have an index in collation `C`.
    Bytes,
    /// None: each server walks in its own, and looks up keys of the other.
    None,
}

/// Everything that statements over a mirror are made of.
#[derive(Debug, Clone)]
pub struct Columns {
    /// The source table.
    pub source: TableName,
    /// The target table.
    pub target: TableName,
    /// The key, in the order of the definition.
    pub keys: Vec<KeyColumn>,
    /// The other mirrored columns.
    pub values: Vec<ValueColumn>,
    /// Which source rows are mirrored.
    pub filter: Option<Expression>,
    /// In which order both servers walk the keys.
    pub order: Order,
    /// Names, types, collations and nullability of what is mirrored, and the tables' own numbers.
    pub fingerprint: String,
}

/// What became of reading the columns.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Absent when a finding refuses.
    pub columns: Option<Columns>,
    /// What was noticed.
    pub findings: Vec<Finding>,
}

impl Columns {
    /// Reads both catalogs and judges. Changes nothing: what the source's server needs to judge an expression is rolled back.
    ///
    /// # Errors
    /// When a database cannot be reached, or the role may not look into a schema or make a temporary table.
    pub async fn load(mirror: &Mirror, source: &Database, target: &Database) -> Result<Judged> {
        let (here, there) = ends(mirror, source, target).await?;
        let mut findings = judge::catalogs(mirror, &here, &there);
        findings.extend(judge::expressions(mirror, source).await?);
        findings.extend(judge::assignments(mirror, source, &here, &there).await?);
        if findings.iter().any(|f| f.refuses) {
            return Ok(Judged { columns: None, findings });
        }
        let Some(columns) = Self::made_of(mirror, &here, &there) else { return Ok(Judged { columns: None, findings }) };
        findings.extend(judge::rows(&columns, Side::Source, source).await?);
        findings.extend(judge::rows(&columns, Side::Target, target).await?);
        let refused = findings.iter().any(|f| f.refuses);
        Ok(Judged { columns: (!refused).then_some(columns), findings })
    }

    /// Reads both catalogs only, for a mirror that was judged before: expressions are taken as they are.
    ///
    /// # Errors
    /// When a database cannot be reached.
    pub async fn read(mirror: &Mirror, source: &Database, target: &Database) -> Result<Judged> {
        let (here, there) = ends(mirror, source, target).await?;
        let findings = judge::catalogs(mirror, &here, &there);
        let refused = findings.iter().any(|f| f.refuses);
        let columns = if refused { None } else { Self::made_of(mirror, &here, &there) };
        Ok(Judged { columns, findings })
    }

    /// The schema fingerprint as it is now.
    ///
    /// # Errors
    /// When a database cannot be reached.
    pub async fn fingerprint_now(mirror: &Mirror, source: &Database, target: &Database) -> Result<String> {
        let (here, there) = ends(mirror, source, target).await?;
        Ok(fingerprint(mirror, &here, &there))
    }

    /// Nothing when a column is missing, which the judges have said.
    fn made_of(mirror: &Mirror, here: &End, there: &End) -> Option<Self> {
        let keys = mirror.source.columns.iter().zip(&mirror.target.columns);
        let keys: Option<Vec<KeyColumn>> = keys.map(|(s, t)| key_column(s, t, here.column(s)?)).collect();
        let values: Option<Vec<ValueColumn>> =
            mirror.columns.iter().map(|c| value_column(&c.target, &c.value, here, there)).collect();
        Some(Self {
            source: mirror.source.table.clone(),
            target: mirror.target.table.clone(),
            keys: keys?,
            values: values?,
            filter: mirror.filter.clone(),
            order: order(mirror, here, there),
            fingerprint: fingerprint(mirror, here, there),
        })
    }
}

/// Both catalogs, asked at the same time.
async fn ends(mirror: &Mirror, source: &Database, target: &Database) -> Result<(End, End)> {
    let (read_source, read_target) = (plain_sources(mirror), targets(mirror));
    futures::try_join!(
        catalog::read(source, &mirror.source.table, &mirror.source.columns, &read_source),
        catalog::read(target, &mirror.target.table, &mirror.target.columns, &read_target),
    )
}

fn fingerprint(mirror: &Mirror, here: &End, there: &End) -> String {
    format!("{} | {} | {}", mirror.fingerprint(), here.fingerprint(), there.fingerprint())
}

/// Source columns that are mirrored as they are. Those inside of expressions are the expressions' own affair.
fn plain_sources(mirror: &Mirror) -> Vec<&Ident> {
    mirror.columns.iter().filter_map(|c| c.value.column()).collect()
}

fn targets(mirror: &Mirror) -> Vec<&Ident> {
    mirror.columns.iter().map(|c| &c.target).collect()
}

/// Integers and uuids sort alike everywhere.
fn order(mirror: &Mirror, here: &End, there: &End) -> Order {
    let mut keys = mirror.source.columns.iter().zip(&mirror.target.columns);
    let alike = |(s, t): (&Ident, &Ident)| match (here.column(s), there.column(t)) {
        (Some(s), Some(t)) => s.sorted == t.sorted,
        _ => false,
    };
    if keys.all(alike) {
        Order::Native
    } else if here.key.is_sorted_by_bytes && there.key.is_sorted_by_bytes {
        Order::Bytes
    } else {
        Order::None
    }
}

fn of_column(side: Side, name: &Ident) -> Sql {
    fragment::COLUMN.render(&[("alias", (&side.alias()).into()), ("column", name.into())])
}

pub(crate) fn cast(value: impl Into<Piece>, to: &str) -> Sql {
    fragment::CAST.render(&[("value", value.into()), ("type", Piece::Sql(to.to_owned()))])
}

fn key_column(source: &Ident, target: &Ident, found: &Found) -> Option<KeyColumn> {
    let kind = KeyKind::of(found)?;
    let collation = found.collation.clone().filter(|_| kind == KeyKind::Text);
    let forms = |side, name| {
        let value = of_column(side, name);
        let typed = cast(value.clone(), &format!("pg_catalog.{}", kind.type_name()));
        let hashed = match kind {
            KeyKind::Int8 => Hashed::Send("int8send".to_owned()),
            KeyKind::Uuid => Hashed::Raw,
            KeyKind::Text => Hashed::Bytes,
        };
        let (hash, sent) = (hash(&typed, &hashed), sent(&typed, &hashed));
        Forms { text: cast(value.clone(), "pg_catalog.text"), hash, sent, value }
    };
    let (in_source, in_target) = (forms(Side::Source, source), forms(Side::Target, target));
    Some(KeyColumn { source: source.clone(), target: target.clone(), kind, collation, in_source, in_target })
}

fn value_column(target: &Ident, value: &Value, here: &End, there: &End) -> Option<ValueColumn> {
    let to = there.column(target)?;
    let (from, compared) = match value {
        Value::Column(name) => {
            let found: &Found = here.column(name)?;
            (Piece::from(of_column(Side::Source, name)), types::compared(to, Some(found)))
        }
        Value::Expression(sql) => (Piece::from(sql), types::compared(to, None)),
    };
    Some(ValueColumn {
        target: target.clone(),
        target_type: to.own_type.clone(),
        in_source: forms(from, &compared),
        in_target: forms(of_column(Side::Target, target).into(), &compared),
    })
}

fn forms(value: Piece, compared: &Compared) -> Forms {
    let mut casts = compared.casts.iter();
    let innermost = casts.next().map_or("pg_catalog.text", String::as_str);
    let value = casts.fold(cast(value, innermost), |value, to| cast(value, to));
    let value = match compared.cut {
        Some(length) => fragment::CUT_BLANKS.render(&[("value", value.into()), ("length", length.into())]),
        None => value,
    };
    let (hash, sent) = (hash(&value, &compared.hashed), sent(&value, &compared.hashed));
    Forms { text: cast(value.clone(), "pg_catalog.text"), hash, sent, value }
}

fn hash(value: &Sql, hashed: &Hashed) -> Sql {
    match hashed {
        Hashed::Raw => value.clone(),
        Hashed::Bytes => fragment::BY_BYTES.render(&[("value", value.clone().into())]),
        Hashed::Send(function) => {
            let function = Ident::new(function).unwrap_or_else(|_| unreachable!("a name of the catalog is a name"));
            fragment::SEND.render(&[("send", (&function).into()), ("value", value.clone().into())])
        }
    }
}

/// A value is sent in the binary form of its type, by the very function that a hashed one is sent by.
fn sent(value: &Sql, hashed: &Hashed) -> Sql {
    match hashed {
        Hashed::Raw | Hashed::Send(_) => value.clone(),
        Hashed::Bytes => hash(value, hashed),
    }
}

/// Only for [`judge`]: what is read of one side, and which of its rows.
fn try_rows(columns: &Columns, side: Side) -> Sql {
    let all = columns.keys.iter().map(|k| if side == Side::Source { &k.in_source } else { &k.in_target });
    let all = all.chain(columns.values.iter().map(|v| if side == Side::Source { &v.in_source } else { &v.in_target }));
    let values = Sql::join(all.flat_map(|f| [f.text.clone(), f.hash.clone()]), ", ");
    let filter = columns.filter.as_ref().filter(|_| side == Side::Source);
    let table = if side == Side::Source { &columns.source } else { &columns.target };
    statements::CHECK_TRY_ROWS.render(&[
        ("values", values.into()),
        ("table", table.into()),
        ("alias", (&side.alias()).into()),
        ("filter", filter.map_or(Piece::Sql("true".to_owned()), Piece::from)),
    ])
}
