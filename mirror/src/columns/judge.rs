//! What forbids a mirror, from the catalogs of both ends and from what the source's server says of expressions.

use lfk_core::{Concern, Database, Finding, Relation, Result};
use lfk_sql::{Expression, Ident, statements};

use super::catalog::{self, End, Found};
use super::{Columns, KeyKind, Side, try_rows, types};
use crate::{Mirror, Value};

/// What can be judged without asking anybody.
pub(super) fn catalogs(mirror: &Mirror, here: &End, there: &End) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (end, relation) in [(here, &mirror.source), (there, &mirror.target)] {
        findings.extend(table(end, relation));
    }
    if !findings.is_empty() {
        return findings;
    }
    let sources = mirror.columns.iter().filter_map(|c| c.value.column());
    for name in mirror.source.columns.iter().chain(sources) {
        findings.extend(column(here, &mirror.source, name));
    }
    for name in mirror.target.columns.iter().chain(mirror.columns.iter().map(|c| &c.target)) {
        findings.extend(column(there, &mirror.target, name));
    }
    for (source, target) in mirror.source.columns.iter().zip(&mirror.target.columns) {
        if let (Some(source), Some(target)) = (here.column(source), there.column(target)) {
            findings.extend(key_column(mirror, source, target));
        }
    }
    if findings.iter().all(|f| !f.forbids_install()) {
        findings.extend(key(here, &mirror.source));
        findings.extend(key(there, &mirror.target));
    }
    findings
}

fn table(end: &End, relation: &Relation) -> Option<Finding> {
    let what = match end.kind.as_deref() {
        Some("r" | "p") => return None,
        None => "there is no such table",
        Some(_) => "this is no table",
    };
    Some(Finding::refusal("no_table", format!("{relation}: {what}")).remedy("correct the name, or create the table"))
}

fn column(end: &End, relation: &Relation, name: &Ident) -> Option<Finding> {
    let Some(column) = end.column(name) else {
        let message = format!("{}:{} has no column {name}", relation.database, relation.table);
        return Some(Finding::refusal("no_column", message).remedy("correct the name in the definition"));
    };
    if !column.may_select {
        let message = format!("the role may not read {}:{}.{name}", relation.database, relation.table);
        let grant = format!("GRANT SELECT ({name}) ON {} TO …", relation.table);
        return Some(Finding::refusal("no_privilege", message).remedy(grant).about(Concern::Work));
    }
    let what = column.element.as_deref().unwrap_or(&column.base);
    (column.built_in && what == "money").then(|| {
        let message = format!(
            "{}:{}.{name} is money, whose text depends on the locale of its database",
            relation.database, relation.table
        );
        Finding::refusal("money", message)
            .remedy("mirror it as an expression: price::numeric needs lc_monetary, so change the column to numeric")
    })
}

fn key_column(mirror: &Mirror, source: &Found, target: &Found) -> Vec<Finding> {
    let mut findings = Vec::new();
    let wrong = |code, what: String| {
        let message = format!("the key of mirror \"{}\": {what}", mirror.name);
        Finding::refusal(code, message).remedy("choose another unique key whose columns are integers, uuid or text")
    };
    match (KeyKind::of(source), KeyKind::of(target)) {
        (Some(here), Some(there)) if here == there => {}
        (Some(_), Some(_)) => {
            let what = format!("{} is {} and {} is {}", source.name, source.declared, target.name, target.declared);
            findings.push(wrong("key_types_differ", what));
        }
        (here, _) => {
            let column = if here.is_none() { source } else { target };
            findings.push(wrong("key_type", format!("{} is {}", column.name, column.declared)));
        }
    }
    if let Some(limit) = target.text_limit()
        && source.text_limit().is_none_or(|length| length > limit)
    {
        // Cut in silence it would be the key of another row.
        let what = format!("{} is {} and {} takes {limit} characters only", source.name, source.declared, target.name);
        let widen = format!("give the column {} of {} the type {}", target.name, mirror.target.table, source.declared);
        findings.push(
            Finding::refusal("key_too_narrow", format!("the key of mirror \"{}\": {what}", mirror.name)).remedy(widen),
        );
    }
    for column in [source, target] {
        if !column.deterministic {
            let what = format!("{} has a collation in which different texts are equal", column.name);
            findings.push(wrong("key_collation", what));
        }
        if !column.not_null {
            findings.push(wrong("key_nullable", format!("{} may be NULL", column.name)));
        }
    }
    findings
}

fn key(end: &End, relation: &Relation) -> Option<Finding> {
    if !end.key.is_key {
        let message = format!("{relation} is no key: there is no unique index on exactly these columns");
        return Some(Finding::refusal("not_a_key", message).remedy(format!("make one for {}", relation.table)));
    }
    (!end.key.is_sorted).then(|| {
        let message = format!("no index of {relation} begins with these columns in this order");
        Finding::refusal("key_not_sorted", message).remedy("name the columns of the key in the order of the index")
    })
}

/// Lets the source's server judge every expression and the filter.
pub(super) async fn expressions(mirror: &Mirror, source: &Database) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let values = mirror.columns.iter().filter_map(|c| match &c.value {
        Value::Expression(sql) => Some((sql, format!("the expression of {}", c.target))),
        Value::Column(_) => None,
    });
    let filter = mirror.filter.iter().map(|sql| (sql, "the filter".to_owned()));
    for (sql, what) in values.chain(filter) {
        findings.extend(expression(mirror, source, sql, &what).await?);
    }
    Ok(findings)
}

async fn expression(mirror: &Mirror, source: &Database, sql: &Expression, what: &str) -> Result<Option<Finding>> {
    let table = statements::CHECK_TRY_TABLE.render(&[("source", (&mirror.source.table).into())]);
    let tried = statements::CHECK_TRY_EXPRESSION.render(&[("expression", sql.into())]);
    let Some(error) = catalog::try_expression(source, table, tried).await? else { return Ok(None) };
    let (code, remedy) = match error.sqlstate().as_deref() {
        // The privilege is the role's affair, not the expression's.
        Some("42501") => {
            ("no_privilege", "GRANT TEMPORARY ON DATABASE … TO the role that plans, and SELECT on the source")
        }
        Some("42P17") => (
            "not_immutable",
            "use IMMUTABLE functions only: the same row must always give the same value. A time zone is said as in (created_at AT TIME ZONE 'UTC')::date",
        ),
        Some("0A000" | "42803" | "42P20" | "42P10") => {
            ("reads_other_rows", "use columns of the row itself: no subquery, no aggregate, no system column")
        }
        _ => (
            "expression",
            "correct the expression; names of functions and types outside of pg_catalog need their schema",
        ),
    };
    let message = format!("{what} of mirror \"{}\": {}", mirror.name, error.message);
    let finding = Finding::refusal(code, message).remedy(remedy);
    Ok(Some(if code == "no_privilege" { finding.about(Concern::Work) } else { finding }))
}

/// Refuses plain columns that the target cannot take without an explicit cast.
pub(super) async fn assignments(mirror: &Mirror, source: &Database, here: &End, there: &End) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for column in &mirror.columns {
        let Some(name) = column.value.column() else { continue };
        let (Some(from), Some(to)) = (here.column(name), there.column(&column.target)) else { continue };
        if from.base == to.base && from.built_in && to.built_in {
            continue;
        }
        let compared = types::compared(to, Some(from));
        let Some(wanted) = compared.casts.first() else { continue };
        if !catalog::is_assignable(source, from, wanted).await? {
            let message = format!(
                "mirror \"{}\": {name} is {} and {} is {}, which is not cast by assignment",
                mirror.name, from.declared, column.target, to.declared
            );
            findings.push(Finding::refusal("not_assignable", message).remedy("write an expression that casts it"));
        }
    }
    Ok(findings)
}

/// Lets a server judge what will be read there.
pub(super) async fn rows(columns: &Columns, side: Side, database: &Database) -> Result<Option<Finding>> {
    let Some(error) = catalog::try_rows(database, try_rows(columns, side)).await? else { return Ok(None) };
    let message = format!("database \"{}\": {}", database.name(), error.message);
    Ok(Some(Finding::refusal("unreadable", message).remedy("grant SELECT on the table, or correct the definition")))
}
