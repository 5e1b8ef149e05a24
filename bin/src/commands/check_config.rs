//! `lfk check-config`: what the file says, without a network.

use std::collections::BTreeMap;

use lfk_core::{Database, LooseForeignKey, Pooler};
use lfk_mirror::{Mirror, Schedule};
use serde::Serialize;

use crate::cli::Format;
use crate::commands::Outcome;
use crate::config::Config;
use crate::exit::Exit;
use crate::output;

/// What was read. There is no URL in it.
#[derive(Debug, Serialize)]
struct Read {
    file: String,
    databases: Vec<ReadDatabase>,
    loose_foreign_keys: Vec<ReadDefinition>,
    mirrors: Vec<ReadMirror>,
    cursors: ReadCursors,
}

#[derive(Debug, Serialize)]
struct ReadDatabase {
    name: String,
    pooler: Option<&'static str>,
    rows_per_second: Option<u32>,
    statements_per_second: Option<u32>,
    duty_percent: u8,
}

#[derive(Debug, Serialize)]
struct ReadDefinition {
    name: String,
    parent: String,
    child: String,
    on_delete: String,
    #[serde(rename = "where")]
    condition: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
struct ReadMirror {
    name: String,
    source: String,
    target: String,
    /// Columns of the target beside the key.
    columns: Vec<String>,
    #[serde(rename = "where")]
    filter: Option<String>,
    repair: bool,
    /// Within how many seconds every row is looked at; null where that is off, or has times of its own.
    check_seconds: Option<f64>,
    /// The times at which every row is looked at; null where there are none.
    check_cron: Option<ReadCron>,
}

#[derive(Debug, Serialize)]
struct ReadCron {
    cron: String,
    zone: String,
    /// The first time from now on.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct ReadCursors {
    store: &'static str,
    /// What names in Redis begin with.
    prefix: Option<String>,
}

pub(super) fn run(config: Config, format: Format) -> Outcome {
    let read = Read {
        file: config.file.clone(),
        databases: config.databases.iter().map(database).collect(),
        loose_foreign_keys: config.definitions.iter().map(definition).collect(),
        mirrors: config.mirrors.iter().map(mirror).collect(),
        cursors: ReadCursors { store: config.cursors.kind.as_str(), prefix: config.cursors.prefix.clone() },
    };
    // The engine may know more reasons to refuse.
    config.engine()?;
    output::answer(format, &read, text)?;
    Ok(Exit::Ok)
}

fn database(database: &Database) -> ReadDatabase {
    let limits = database.limits();
    ReadDatabase {
        name: database.name().to_owned(),
        pooler: (database.pooler() == Pooler::Transaction).then_some("transaction"),
        rows_per_second: limits.rows_per_second,
        statements_per_second: limits.statements_per_second,
        duty_percent: limits.duty_percent.get(),
    }
}

fn definition(definition: &LooseForeignKey) -> ReadDefinition {
    ReadDefinition {
        name: definition.name.clone(),
        parent: definition.parent.to_string(),
        child: definition.child.to_string(),
        on_delete: definition.on_delete.to_string(),
        condition: definition.condition.iter().map(|(c, v)| (c.as_str().to_owned(), v.clone())).collect(),
    }
}

fn mirror(mirror: &Mirror) -> ReadMirror {
    ReadMirror {
        name: mirror.name.clone(),
        source: mirror.source.to_string(),
        target: mirror.target.to_string(),
        columns: mirror.columns.iter().map(|c| c.target.as_str().to_owned()).collect(),
        filter: mirror.filter.as_ref().map(|sql| sql.as_str().to_owned()),
        repair: mirror.repair,
        check_seconds: match &mirror.check {
            Some(Schedule::Within(time)) => Some(time.as_secs_f64()),
            _ => None,
        },
        check_cron: match &mirror.check {
            Some(Schedule::Cron(cron)) => {
                Some(ReadCron { cron: cron.text().to_owned(), zone: cron.zone().to_owned(), next: cron.next() })
            }
            _ => None,
        },
    }
}

/// When every row is looked at, for people.
fn checked(mirror: &ReadMirror) -> String {
    match (&mirror.check_cron, mirror.check_seconds) {
        (Some(cron), _) => {
            let next = cron.next.as_ref().map(|next| format!(", next {next}")).unwrap_or_default();
            format!("{} {}{next}", cron.cron, cron.zone)
        }
        (None, Some(seconds)) => format!("within {seconds} s"),
        (None, None) => "off".to_owned(),
    }
}

fn text(read: &Read) -> String {
    let limit = |limit: Option<u32>| limit.map_or_else(|| "-".to_owned(), |n| output::count(n.into()));
    let databases = read.databases.iter().map(|d| {
        let pooler = d.pooler.unwrap_or("-").to_owned();
        vec![
            d.name.clone(),
            pooler,
            limit(d.rows_per_second),
            limit(d.statements_per_second),
            d.duty_percent.to_string(),
        ]
    });
    let definitions = read.loose_foreign_keys.iter().map(|d| {
        let condition: Vec<String> = d.condition.iter().map(|(c, v)| format!("{c} = {v:?}")).collect();
        vec![d.name.clone(), d.parent.clone(), d.child.clone(), d.on_delete.clone(), condition.join(", ")]
    });
    let prefix = read.cursors.prefix.as_ref().map(|prefix| format!(", prefix {prefix:?}"));
    let mut text = format!(
        "{}: ok, {}, {} and {}\n\n{}",
        read.file,
        output::plural(read.databases.len(), "database"),
        output::plural(read.loose_foreign_keys.len(), "loose foreign key"),
        output::plural(read.mirrors.len(), "mirror"),
        output::table(&["DATABASE", "POOLER", ">ROWS/S", ">STATEMENTS/S", ">DUTY %"], databases.collect()),
    );
    if !read.loose_foreign_keys.is_empty() {
        text.push('\n');
        text.push_str(&output::table(&["NAME", "PARENT", "CHILD", "ON DELETE", "WHERE"], definitions.collect()));
    }
    if !read.mirrors.is_empty() {
        let mirrors = read.mirrors.iter().map(|m| {
            let filter = m.filter.clone().unwrap_or_default();
            vec![m.name.clone(), m.source.clone(), m.target.clone(), m.columns.join(", "), filter, checked(m)]
        });
        text.push('\n');
        text.push_str(&output::table(&["MIRROR", "SOURCE", "TARGET", "COLUMNS", "WHERE", "CHECK"], mirrors.collect()));
    }
    text.push_str(&format!("\ncursors of scans and checks: {}{}\n", read.cursors.store, prefix.unwrap_or_default()));
    text
}
