//! `lfk schema sql`: what install and uninstall run, for any migration tool.

use std::fmt::Write as _;

use lfk_sql::{Ident, Piece, statements};

use super::mentioned;
use crate::database::Database;
use crate::declaration::Declaration;
use crate::error::Result;
use crate::relation::Relation;

const UP: &str = "\
-- Every statement may be repeated. lfk.cover() waits at most a tenth of a second for a table and answers 'locked' where that
-- was not enough: repeat it until it returns nothing, best outside of a long transaction.
-- This script is all the DDL. Afterwards run `lfk install` once (also to be repeated freely): it writes the rows that
-- nobody can know beforehand, which database this is and which two belong together. Keys are logged from the first trigger
-- on, and the cursors begin before them, so nothing that is deleted in between is missed.
";

const DOWN: &str = "\
-- Stop every worker first. Run all sections; a section may be repeated. Removing a trigger needs a short exclusive lock
-- on its table: set lock_timeout, and repeat the section when it hits.
";

/// The SQL as a section a database. Touches no network.
///
/// # Errors
/// None at present; a definition that cannot be rendered would be one.
pub(crate) fn schema_sql(databases: &[Database], definitions: &[Declaration], down: bool) -> Result<String> {
    let all: Vec<&Declaration> = definitions.iter().collect();
    let mut out = String::new();
    for database in mentioned(databases, &all) {
        let here = comment(database.name());
        let (title, preface) = if down { ("uninstall", DOWN) } else { ("install", UP) };
        let _ = writeln!(out, "-- lfk: {title}, database {here}\n{preface}");
        if down { write_down(&mut out, database, definitions) } else { write_up(&mut out, database, definitions) }
    }
    Ok(out)
}

fn write_up(out: &mut String, database: &Database, definitions: &[Declaration]) {
    for part in statements::SCHEMA {
        let _ = writeln!(out, "{}\n", part.trim_end());
    }
    let here = || definitions.iter().filter(|d| d.parent.database == database.name());
    let mut parents: Vec<&Relation> = here().filter(|d| d.watched.is_none()).map(|d| &d.parent).collect();
    parents.sort_by_key(ToString::to_string);
    parents.dedup();
    for parent in parents {
        let columns = array(parent.columns.iter().map(Ident::as_str));
        let call = statements::SCRIPT_TRACK.render(&[("table", table(parent)), ("columns", columns)]);
        let _ = writeln!(out, "{}", call.as_str());
    }
    for (source, watched) in here().filter_map(|d| Some((d, d.watched.as_ref()?))) {
        let call = statements::SCRIPT_TRACK_MIRROR.render(&[
            ("table", table(&source.parent)),
            ("columns", array(source.parent.columns.iter().map(Ident::as_str))),
            ("mirror", Piece::literal(&source.name)),
            ("watched", array(watched.iter().map(Ident::as_str))),
            ("mentioned", array(source.mentioned.iter().map(String::as_str))),
        ]);
        let _ = writeln!(out, "{}", call.as_str());
    }
    if here().next().is_some() {
        let _ = writeln!(out, "{}", statements::SCRIPT_COVER.render(&[]).as_str());
    }
    let _ = writeln!(out);
}

fn write_down(out: &mut String, database: &Database, definitions: &[Declaration]) {
    for definition in definitions {
        let name = || Piece::literal(&definition.name);
        if definition.child.database == database.name() {
            let child = Piece::literal(definition.child.to_string());
            let forget = statements::SCRIPT_FORGET_PEER.render(&[("name", name()), ("child", child)]);
            let _ = writeln!(out, "{}", forget.as_str());
        }
        if definition.parent.database == database.name() {
            let forget = statements::SCRIPT_FORGET_DEFINITION.render(&[
                ("name", name()),
                ("parent", Piece::literal(definition.parent.to_string())),
                ("table", table(&definition.parent)),
                ("columns", array(definition.parent.columns.iter().map(Ident::as_str))),
                ("mirror", Piece::literal(definition.tracked_for().unwrap_or_default())),
            ]);
            let _ = writeln!(out, "{}", forget.as_str());
        }
    }
    let _ = writeln!(out, "{}\n", statements::SCRIPT_DROP.render(&[]).as_str());
}

pub(super) fn table(relation: &Relation) -> Piece {
    Piece::literal(relation.table.to_string())
}

/// Names as a PostgreSQL array literal.
fn array<'a>(names: impl Iterator<Item = &'a str>) -> Piece {
    let quoted: Vec<String> = names.map(|c| format!("\"{}\"", c.replace('\\', "\\\\").replace('"', "\\\""))).collect();
    Piece::literal(format!("{{{}}}", quoted.join(",")))
}

/// A name inside a comment line must not end it.
pub(super) fn comment(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
