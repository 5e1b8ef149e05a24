//! What forbids a definition at either end alike: the server, the table and its tree, the columns.

use lfk_sql::Ident;

use super::catalog::End;
use super::finding::{column_text, nearest, some_of, sql_name, table_text, to_run_in};
use crate::relation::Relation;
use crate::report::{Concern, Finding};

/// The oldest server that has what lfk uses.
const OLDEST_SERVER: i64 = 150_000;

/// Judges what both ends have in common. When it returns `false`, nothing more can be said of this end.
pub(super) fn judge_common(relation: &Relation, end: &End, columns: &[&Ident], findings: &mut Vec<Finding>) -> bool {
    judge_server(relation, end, findings);
    if end.server.in_recovery {
        return false;
    }
    let Some(root) = end.root() else {
        findings.push(missing_table(relation, end));
        return false;
    };
    if let Some(finding) = judge_kind(relation, end) {
        findings.push(finding);
        return false;
    }
    let foreign: Vec<String> = end.members.iter().filter(|m| m.kind == "f").map(|m| table_text(&m.name)).collect();
    if !foreign.is_empty() {
        findings.push(
            Finding::refusal(
                "foreign_table",
                format!(
                    "{} has a foreign table among its partitions or children: {}",
                    table_text(&root.name),
                    some_of(&foreign)
                ),
            )
            .remedy("detach the foreign table, or keep its rows in this database"),
        );
    }
    let mut all_there = true;
    for column in columns {
        if end.column(root, column).is_none() {
            all_there = false;
            findings.push(missing_column(relation, end, column));
        }
    }
    all_there
}

fn judge_server(relation: &Relation, end: &End, findings: &mut Vec<Finding>) {
    let database = &relation.database;
    if end.server.in_recovery {
        let message = format!("database {database} is a standby, or read only: lfk works on the primary");
        findings.push(
            Finding::refusal("in_recovery", message).remedy(format!("point the url of {database} at the primary")),
        );
        return;
    }
    if end.server.version < OLDEST_SERVER {
        let message = format!("database {database} runs PostgreSQL {}: 15 is the oldest", end.server.version / 10_000);
        findings.push(Finding::refusal("server_too_old", message).remedy("upgrade the server"));
    }
    if end.server.replication_role != "origin" {
        let message = format!(
            "session_replication_role is {} for {} in database {database}: triggers would not fire",
            end.server.replication_role, end.server.role
        );
        findings.push(
            Finding::refusal("replication_role", message)
                .remedy(format!("ALTER ROLE {} RESET session_replication_role;", end.server.role))
                .remedy(format!("ALTER DATABASE {} RESET session_replication_role;", end.server.database)),
        );
    }
}

fn missing_table(relation: &Relation, end: &End) -> Finding {
    let (database, name) = (&relation.database, table_text(&relation.table));
    let message = match end.server.may_use_schema {
        None => format!("database {database} has no schema {}, so no table {name}", sql_name(&relation.table.schema)),
        Some(_) => format!("database {database} has no table {name}"),
    };
    let finding = Finding::refusal("table_missing", message);
    let same_schema = end.other_tables.iter().filter(|t| t.schema == relation.table.schema);
    let wanted = relation.table.table.as_str();
    let near = nearest(wanted, same_schema.map(|t| t.table.as_str()));
    let meant = match near {
        Some(near) => end.other_tables.iter().find(|t| t.schema == relation.table.schema && t.table.as_str() == near),
        None => end.other_tables.iter().find(|t| t.table == relation.table.table),
    };
    match meant {
        Some(table) => finding.remedy(format!("did you mean {}?", table_text(table))),
        None => finding.remedy("correct the name: schema.table, odd names quoted as in SQL"),
    }
}

fn missing_column(relation: &Relation, end: &End, column: &Ident) -> Finding {
    let message = format!("database {} has no column {}", relation.database, column_text(&relation.table, column));
    let finding = Finding::refusal("column_missing", message);
    match nearest(column.as_str(), end.other_columns.iter().map(String::as_str)).and_then(|n| Ident::new(n).ok()) {
        Some(near) => finding.remedy(format!("did you mean {}?", column_text(&relation.table, &near))),
        None => finding.remedy(format!("columns of the table: {}", some_of(&end.other_columns))),
    }
}

/// Only tables whose rows live in this database, and stay, can be an end.
fn judge_kind(relation: &Relation, end: &End) -> Option<Finding> {
    let root = end.root()?;
    let name = table_text(&root.name);
    if matches!(relation.table.schema.as_str(), "pg_catalog" | "information_schema" | "pg_toast" | "lfk") {
        let message = format!("{name} belongs to the server or to lfk itself");
        return Some(Finding::refusal("system_table", message).remedy("name a table of the application"));
    }
    if root.persistence == "t" {
        let message = format!("{name} is a temporary table");
        return Some(Finding::refusal("temporary_table", message).remedy("name a table that stays"));
    }
    let what = match root.kind.as_str() {
        "r" | "p" => return None,
        "v" => "a view",
        "m" => "a materialized view",
        "f" => "a foreign table",
        "S" => "a sequence",
        "i" | "I" => "an index",
        "c" => "a composite type",
        _ => "no table",
    };
    let message = format!("{name} is {what}; only tables, partitioned ones among them, can be tracked and cleaned");
    let remedy = if root.kind == "f" {
        "name the table in the database where its rows live"
    } else {
        "name the table behind it"
    };
    Some(Finding::refusal("not_a_table", message).remedy(remedy))
}

/// `GRANT USAGE ON SCHEMA`, when a role without it would be told that the table is not there.
pub(super) fn judge_schema_usage(relation: &Relation, end: &End, concerns: Concern, findings: &mut Vec<Finding>) {
    let mut schemas: Vec<&Ident> = end.members.iter().filter(|m| !m.may_use_schema).map(|m| &m.name.schema).collect();
    schemas.sort();
    schemas.dedup();
    for schema in schemas {
        let (schema, role) = (sql_name(schema), &end.server.role);
        let database = &relation.database;
        let message = format!("{role} may not use schema {schema} in database {database}");
        findings.push(
            Finding::refusal("missing_privilege", message)
                .remedy(to_run_in(database, &format!("GRANT USAGE ON SCHEMA {schema} TO {role};")))
                .about(concerns),
        );
    }
}

/// Each database of a definition gets schema lfk; where triggers are still to be made, functions in it too.
pub(super) fn judge_lfk_schema(relation: &Relation, end: &End, makes_functions: bool, findings: &mut Vec<Finding>) {
    let (server, database) = (&end.server, &relation.database);
    let role = &server.role;
    let (what, remedy) = match server.may_create_in_lfk {
        None if !server.may_create_schema => {
            let grant = format!("GRANT CREATE ON DATABASE {} TO {role};", server.database);
            ("create schema lfk", to_run_in(database, &grant))
        }
        Some(false) if makes_functions => {
            let remedy = format!("run lfk install as the role that owns schema lfk in database {database}");
            ("create functions in schema lfk", remedy)
        }
        _ => return,
    };
    let message = format!("{role} may not {what} in database {database}");
    findings.push(Finding::refusal("missing_privilege", message).remedy(remedy).about(Concern::Install));
}

/// Whoever works and did not install needs rights on what was installed.
pub(super) fn judge_lfk_tables(relation: &Relation, end: &End, may_work: Option<bool>, findings: &mut Vec<Finding>) {
    if end.server.may_create_in_lfk.is_none() || (end.server.may_use_lfk && may_work != Some(false)) {
        return;
    }
    let (role, database) = (&end.server.role, &relation.database);
    let message = format!("{role} may not work with the tables of schema lfk in database {database}");
    findings.push(
        Finding::refusal("missing_privilege", message)
            .remedy(format!(
                "run what `lfk grants --database {database}` prints for {role} as the worker, as the role that installed"
            ))
            .about(Concern::Work),
    );
}

/// A policy that hides rows makes every statement of ours an error, because `row_security` is off.
pub(super) fn row_security_refusal(relation: &Relation, end: &End, tables: &[String]) -> Option<Finding> {
    if tables.is_empty() {
        return None;
    }
    let role = &end.server.role;
    let message = format!(
        "row-level security applies to {role} on {}: a policy could hide rows, and a hidden row must not count as absent",
        some_of(tables)
    );
    Some(
        Finding::refusal("row_security", message)
            .remedy(to_run_in(&relation.database, &format!("ALTER ROLE {role} BYPASSRLS;")))
            .remedy("or let lfk connect as the table's owner, if the table does not have FORCE ROW LEVEL SECURITY")
            .about(Concern::Work),
    )
}
