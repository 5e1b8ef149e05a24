//! What forbids a definition at the parent's end.

use std::collections::BTreeSet;

use lfk_sql::Ident;

use super::catalog::{End, Index, Member};
use super::finding::{column_list, column_text, some_of, sql_name, table_text, to_run_in};
use super::index;
use super::judge::{judge_common, judge_lfk_schema, judge_lfk_tables, judge_schema_usage, row_security_refusal};
use super::key_type::KeyType;
use crate::definition::LooseForeignKey;
use crate::relation::Relation;
use crate::report::{Concern, Finding};

/// Judges the parent's end.
pub(super) fn judge_parent(definition: &LooseForeignKey, parent: &End) -> Vec<Finding> {
    let mut findings = Vec::new();
    let columns: Vec<&Ident> = definition.parent.columns.iter().collect();
    if !judge_common(&definition.parent, parent, &columns, &mut findings) {
        return findings;
    }
    let Some(root) = parent.root() else { return findings };
    if root.has_parents {
        findings.push(part_of_another(root, parent));
    }
    findings.extend(key_types(definition, parent, root));
    findings.extend(unique_key(definition, parent, root));
    judge_privileges(definition, parent, root, &mut findings);
    let hidden: Vec<String> = root.row_security.then(|| table_text(&root.name)).into_iter().collect();
    findings.extend(row_security_refusal(&definition.parent, parent, &hidden));
    findings.extend(index::judge_parents(definition, parent));
    findings.extend(note_unlogged(parent));
    findings
}

/// A statement trigger fires for the table that the statement names. A DELETE that names the whole would not be seen.
pub(super) fn part_of_another(root: &Member, parent: &End) -> Finding {
    let wholes: Vec<String> = parent.above.iter().filter(|m| !m.has_parents).map(|m| table_text(&m.name)).collect();
    let message = format!(
        "{} is a partition or inheritance child of {}: a DELETE on that would not be seen",
        table_text(&root.name),
        some_of(&wholes)
    );
    Finding::refusal("part_of_another", message).remedy(format!("name {} as the parent", some_of(&wholes)))
}

fn key_types(definition: &LooseForeignKey, parent: &End, root: &Member) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in &definition.parent.columns {
        let Some(column) = parent.column(root, name) else { continue };
        if KeyType::from_type_name(&column.type_name).is_none() {
            let message = format!("{} has the type {}", column_text(&root.name, name), column.type_name);
            findings.push(
                Finding::refusal("key_type", format!("{message}, which cannot be a key here"))
                    .remedy("keys may be smallint, integer, bigint, uuid, text and varchar"),
            );
        }
    }
    findings
}

fn unique_key(definition: &LooseForeignKey, parent: &End, root: &Member) -> Option<Finding> {
    let wanted: BTreeSet<&str> = definition.parent.columns.iter().map(Ident::as_str).collect();
    let own = || parent.indexes.iter().filter(|i| i.table_id == root.id && i.is_unique && i.predicate.is_none());
    if own().any(|i| i.valid && unique_columns(i).is_some_and(|c| c == wanted)) {
        return None;
    }
    let (table, columns) = (table_text(&root.name), column_list(&definition.parent.columns));
    let message = format!("{table}({columns}) is no primary key or unique key");
    let finding = Finding::refusal("key_not_unique", message);
    if let Some(broken) = own().find(|i| unique_columns(i).is_some_and(|c| c == wanted)) {
        return Some(finding.remedy(format!("REINDEX INDEX CONCURRENTLY {};", table_text(&broken.name))));
    }
    let others: Vec<String> = own()
        .filter(|i| i.valid)
        .filter_map(unique_columns)
        .filter_map(|c| c.into_iter().map(Ident::new).collect::<Result<Vec<_>, _>>().ok())
        .map(|c| format!("({})", column_list(&c)))
        .collect();
    Some(match (others.is_empty(), root.kind.as_str()) {
        (false, _) => finding.remedy(format!("name the columns of a unique key: {}", some_of(&others))),
        (true, "p") => finding.remedy(format!("ALTER TABLE {table} ADD UNIQUE ({columns});")),
        (true, _) => finding.remedy(format!("CREATE UNIQUE INDEX CONCURRENTLY ON {table} ({columns});")),
    })
}

fn unique_columns(index: &Index) -> Option<BTreeSet<&str>> {
    let sorted_as_the_columns = index.same_collation.iter().all(|same| *same == Some(true));
    if sorted_as_the_columns { index.columns.iter().map(Option::as_deref).collect() } else { None }
}

fn judge_privileges(definition: &LooseForeignKey, parent: &End, root: &Member, findings: &mut Vec<Finding>) {
    judge_tracking(&definition.parent, parent, findings);
    let database = &definition.parent.database;
    let role = &parent.server.role;
    let refusal =
        |what: String| Finding::refusal("missing_privilege", format!("{role} may not {what} in database {database}"));
    let unread: Vec<&Ident> =
        definition.parent.columns.iter().filter(|c| parent.column(root, c).is_some_and(|c| !c.may_select)).collect();
    if !unread.is_empty() {
        let table = table_text(&root.name);
        let columns: Vec<String> = unread.iter().map(|c| sql_name(c)).collect();
        let columns = columns.join(", ");
        let grant = to_run_in(database, &format!("GRANT SELECT ({columns}) ON {table} TO {role};"));
        let finding = refusal(format!("read {table}({columns}), to see which parents are still there,")).remedy(grant);
        findings.push(finding.about(Concern::Work));
    }
}

/// What it takes to have the changes of a table logged, and to read the log.
pub(super) fn judge_tracking(relation: &Relation, end: &End, findings: &mut Vec<Finding>) {
    judge_schema_usage(relation, end, Concern::Both, findings);
    let (database, role) = (&relation.database, &end.server.role);
    let uncovered: Vec<&Member> = end.members.iter().filter(|m| !m.covered && m.kind != "f").collect();
    let no_trigger: Vec<String> = uncovered.iter().filter(|m| !m.may_trigger).map(|m| table_text(&m.name)).collect();
    if !no_trigger.is_empty() {
        let grants = no_trigger.iter().map(|t| to_run_in(database, &format!("GRANT TRIGGER ON {t} TO {role};")));
        let message = format!("{role} may not create triggers on {} in database {database}", some_of(&no_trigger));
        findings.push(Finding::refusal("missing_privilege", message).remedies(grants).about(Concern::Install));
    }
    judge_lfk_schema(relation, end, !uncovered.is_empty(), findings);
    judge_lfk_tables(relation, end, end.server.may_read_log, findings);
}

pub(super) fn note_unlogged(end: &End) -> Option<Finding> {
    let unlogged: Vec<String> = end.leaves().filter(|m| m.persistence == "u").map(|m| table_text(&m.name)).collect();
    (!unlogged.is_empty()).then(|| {
        let message = format!("a crash empties unlogged tables without a trace in the key log: {}", some_of(&unlogged));
        Finding::note("unlogged", message)
    })
}
