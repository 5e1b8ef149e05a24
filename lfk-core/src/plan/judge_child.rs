//! What forbids a definition at the child's end, and where the two ends do not fit each other.

use lfk_sql::Ident;

use super::catalog::{Column, End, Member};
use super::finding::{column_text, some_of, sql_name, table_text, to_run_in};
use super::index;
use super::judge::{judge_common, judge_lfk_schema, judge_lfk_tables, judge_schema_usage, row_security_refusal};
use super::key_type::KeyType;
use crate::definition::{LooseForeignKey, OnDelete};
use crate::report::{Concern, Finding};

/// A declared value that the child's database could not read as the column's type.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub column: Ident,
    /// The server's words.
    pub why: String,
}

/// All columns of the child that a definition names, each once.
pub(crate) fn child_columns(definition: &LooseForeignKey) -> Vec<&Ident> {
    let mut columns: Vec<&Ident> = definition.child.columns.iter().collect();
    let set = changed_columns(definition);
    for column in definition.condition.iter().map(|(c, _)| c).chain(set) {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    columns
}

/// The columns that the action writes.
pub(super) fn changed_columns(definition: &LooseForeignKey) -> Vec<&Ident> {
    match &definition.on_delete {
        OnDelete::Delete => Vec::new(),
        OnDelete::SetNull => definition.child.columns.iter().collect(),
        OnDelete::Set(values) => values.iter().map(|(c, _)| c).collect(),
    }
}

/// The columns on which the role needs UPDATE: locking a row takes it on some column, also for a delete.
pub(crate) fn written_columns(definition: &LooseForeignKey) -> Vec<&Ident> {
    let changed = changed_columns(definition);
    if changed.is_empty() { definition.child.columns.iter().take(1).collect() } else { changed }
}

/// Judges the child's end. `unreadable` are the declared values that its database refused.
pub(super) fn judge_child(
    definition: &LooseForeignKey,
    parent: &End,
    child: &End,
    unreadable: &[Unreadable],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !judge_common(&definition.child, child, &child_columns(definition), &mut findings) {
        return findings;
    }
    let Some(root) = child.root() else { return findings };
    findings.extend(judge_types(definition, parent, child, root));
    findings.extend(judge_nulls(definition, child));
    findings.extend(judge_changed(definition, child, root));
    findings.extend(unreadable.iter().map(|u| {
        let message = format!("the value for {} cannot be used: {}", column_text(&root.name, &u.column), u.why);
        Finding::refusal("value_unreadable", message).remedy("correct the value in the definition")
    }));
    findings.extend(judge_rules(definition, child));
    judge_privileges(definition, child, &mut findings);
    let hidden: Vec<String> = child.leaves().filter(|m| m.row_security).map(|m| table_text(&m.name)).collect();
    findings.extend(row_security_refusal(&definition.child, child, &hidden));
    findings.extend(index::judge_children(definition, child));
    findings.extend(note_triggers(definition, child));
    findings.extend(note_foreign_keys(definition, child));
    findings
}

/// The types and collations of both ends must make equal what the parent's unique key holds to be equal.
fn judge_types(definition: &LooseForeignKey, parent: &End, child: &End, root: &Member) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(parent_root) = parent.root() else { return findings };
    for (parent_name, child_name) in definition.parent.columns.iter().zip(&definition.child.columns) {
        let (Some(p), Some(c)) = (parent.column(parent_root, parent_name), child.column(root, child_name)) else {
            continue;
        };
        let (p_type, c_type) = (KeyType::from_type_name(&p.type_name), KeyType::from_type_name(&c.type_name));
        let p_text = format!("{} ({})", column_text(&parent_root.name, parent_name), p.type_name);
        let c_text = format!("{} ({})", column_text(&root.name, child_name), c.type_name);
        if p_type.is_some() && p_type != c_type {
            findings
                .push(Finding::refusal("types_differ", format!("{p_text} and {c_text} cannot be compared")).remedy(
                "give the child's column the type of the parent's; integers may differ in width, text and varchar mix",
            ));
        } else if p_type == Some(KeyType::Text)
            && let Some(why) = collations_differ(p, c)
        {
            findings.push(
                Finding::refusal("collations_differ", format!("{p_text} and {c_text} {why}"))
                    .remedy("give both columns a deterministic collation, or the same nondeterministic one"),
            );
        }
    }
    findings
}

fn collations_differ(parent: &Column, child: &Column) -> Option<String> {
    let word = |deterministic| if deterministic { "a deterministic" } else { "a nondeterministic" };
    match (parent.deterministic.unwrap_or(true), child.deterministic.unwrap_or(true)) {
        (true, true) => None,
        (false, false) if parent.collation == child.collation => None,
        (false, false) => Some("have different nondeterministic collations".to_owned()),
        (p, c) => Some(format!("differ in what is equal: {} collation there, {} one here", word(p), word(c))),
    }
}

/// NULL where a leaf's column does not take it. A leaf may be stricter than its root.
fn judge_nulls(definition: &LooseForeignKey, child: &End) -> Vec<Finding> {
    let nulled: Vec<&Ident> = match &definition.on_delete {
        OnDelete::Delete => Vec::new(),
        OnDelete::SetNull => definition.child.columns.iter().collect(),
        OnDelete::Set(values) => values.iter().filter(|(_, v)| v.is_none()).map(|(c, _)| c).collect(),
    };
    let mut findings = Vec::new();
    for name in nulled {
        let strict = |m: &&Member| child.column(m, name).is_some_and(|c| c.not_null);
        // What the root forbids it forbids everywhere, so it alone is named.
        let tables: Vec<&Member> = match child.root().filter(strict) {
            Some(root) => vec![root],
            None => child.leaves().filter(strict).collect(),
        };
        if tables.is_empty() {
            continue;
        }
        let columns: Vec<String> = tables.iter().map(|m| column_text(&m.name, name)).collect();
        let message = format!("{} is NOT NULL, so on_delete = {} cannot work", some_of(&columns), definition.on_delete);
        let drops = tables
            .iter()
            .map(|m| format!("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL;", table_text(&m.name), sql_name(name)));
        findings.push(Finding::refusal("not_null", message).remedies(drops).remedy("or choose another on_delete"));
    }
    findings
}

/// Columns that the action cannot write.
fn judge_changed(definition: &LooseForeignKey, child: &End, root: &Member) -> Vec<Finding> {
    let mut findings = Vec::new();
    let changed = changed_columns(definition);
    let twice = changed.iter().enumerate().any(|(at, c)| changed[..at].contains(c));
    if definition.on_delete != OnDelete::Delete && (twice || changed.is_empty()) {
        let message = format!("on_delete = {} must name each column once, and at least one", definition.on_delete);
        findings.push(Finding::refusal("nothing_to_set", message).remedy("correct on_delete in the definition"));
    }
    for name in changed {
        let place = column_text(&root.name, name);
        let Some(column) = child.column(root, name) else { continue };
        if column.generated || column.always_identity {
            let what = if column.generated { "a generated column" } else { "GENERATED ALWAYS AS IDENTITY" };
            let message = format!("{place} is {what} and cannot be set");
            findings.push(Finding::refusal("generated_column", message).remedy("choose another column or on_delete"));
        }
        let splits = |m: &&Member| m.partition_columns.iter().any(|c| c == name.as_str());
        if let Some(whole) = child.members.iter().chain(&child.above).find(splits) {
            let message = format!(
                "{place} is part of the partition key of {}: a changed row would have to move",
                table_text(&whole.name)
            );
            findings.push(
                Finding::refusal("partition_key", message).remedy("choose another column, or on_delete = \"delete\""),
            );
        }
        findings.extend(too_long(definition, column, name, &place));
    }
    findings
}

/// An explicit cast cuts a text off silently where an assignment would fail, so the trial of the value does not find this.
fn too_long(definition: &LooseForeignKey, column: &Column, name: &Ident, place: &str) -> Option<Finding> {
    let OnDelete::Set(values) = &definition.on_delete else { return None };
    let value = values.iter().find(|(c, _)| c == name)?.1.as_deref()?;
    let (base, length) = column.type_name.strip_suffix(')')?.split_once('(')?;
    let length: usize = length.parse().ok().filter(|_| base.starts_with("character"))?;
    (value.trim_end_matches(' ').chars().count() > length).then(|| {
        let message = format!("the value for {place} is longer than {} allows", column.type_name);
        Finding::refusal("value_unreadable", message).remedy("correct the value in the definition")
    })
}

/// A rule on the action's event makes the worker's statement fail, or do something else.
fn judge_rules(definition: &LooseForeignKey, child: &End) -> Option<Finding> {
    let deletes = definition.on_delete == OnDelete::Delete;
    let (mut names, mut drops) = (Vec::new(), Vec::new());
    for leaf in child.leaves() {
        let table = table_text(&leaf.name);
        for rule in if deletes { &leaf.delete_rules } else { &leaf.update_rules } {
            let Ok(rule) = Ident::new(rule.as_str()) else { continue };
            names.push(format!("{} on {table}", sql_name(&rule)));
            drops.push(format!("DROP RULE {} ON {table};", sql_name(&rule)));
        }
    }
    let event = if deletes { "DELETE" } else { "UPDATE" };
    (!names.is_empty()).then(|| {
        let message = format!(
            "rules rewrite {event}, and with them the work would fail or do something else: {}",
            some_of(&names)
        );
        Finding::refusal("rule", message).remedies(drops).remedy("write a trigger in place of a rule")
    })
}

/// What the worker's statements need on each leaf: they name the leaves, so rights on the root do not help.
fn judge_privileges(definition: &LooseForeignKey, child: &End, findings: &mut Vec<Finding>) {
    judge_schema_usage(&definition.child, child, Concern::Work, findings);
    judge_lfk_schema(&definition.child, child, false, findings);
    judge_lfk_tables(&definition.child, child, child.server.may_answer_peers, findings);
    let role = &child.server.role;
    let database = &definition.child.database;
    let (mut tables, mut grants) = (Vec::new(), Vec::new());
    for leaf in child.leaves() {
        let missing = missing_privileges(definition, child, leaf);
        if !missing.is_empty() {
            let table = table_text(&leaf.name);
            let grant = format!("GRANT {} ON {table} TO {role};", missing.join(", "));
            grants.push(to_run_in(database, &grant));
            tables.push(format!("{table} ({})", missing.join(", ")));
        }
    }
    if !tables.is_empty() {
        let message = format!("{role} lacks privileges in database {database} on {}", some_of(&tables));
        findings.push(Finding::refusal("missing_privilege", message).remedies(grants).about(Concern::Work));
    }
}

fn missing_privileges(definition: &LooseForeignKey, child: &End, leaf: &Member) -> Vec<String> {
    let mut missing = Vec::new();
    if definition.on_delete == OnDelete::Delete && !leaf.may_delete {
        missing.push("DELETE".to_owned());
    }
    let facts = |name: &&Ident| child.column(leaf, name);
    // Bounded statements find rows by ctid, which is a column with rights of its own.
    let unread =
        child_columns(definition).into_iter().filter(|c| facts(c).is_some_and(|c| !c.may_select)).map(sql_name);
    let read: Vec<String> = (!leaf.may_select_ctid).then(|| "ctid".to_owned()).into_iter().chain(unread).collect();
    if !read.is_empty() {
        missing.push(format!("SELECT ({})", read.join(", ")));
    }
    let written = written_columns(definition);
    let unwritten: Vec<String> =
        written.into_iter().filter(|c| facts(c).is_some_and(|c| !c.may_update)).map(sql_name).collect();
    if !unwritten.is_empty() {
        missing.push(format!("UPDATE ({})", unwritten.join(", ")));
    }
    missing
}

fn note_triggers(definition: &LooseForeignKey, child: &End) -> Option<Finding> {
    let deletes = definition.on_delete == OnDelete::Delete;
    let mut names = Vec::new();
    for leaf in child.leaves() {
        for trigger in if deletes { &leaf.delete_triggers } else { &leaf.update_triggers } {
            names.push(format!("{trigger} on {}", table_text(&leaf.name)));
        }
    }
    (!names.is_empty()).then(|| {
        let message = format!(
            "BEFORE triggers may swallow the work; each batch is verified, and children that stay are set aside: {}",
            some_of(&names)
        );
        Finding::note("before_trigger", message)
    })
}

/// Foreign keys that do the same work inside this database, and those that make the work bigger or fail.
fn note_foreign_keys(definition: &LooseForeignKey, child: &End) -> Vec<Finding> {
    let mut findings = Vec::new();
    let wanted: Vec<&str> = definition.child.columns.iter().map(Ident::as_str).collect();
    for key in child.foreign_keys.iter().filter(|k| k.leaves) {
        if key.from_columns.len() == wanted.len() && wanted.iter().all(|w| key.from_columns.iter().any(|c| c == w)) {
            let (from, to) = (table_text(&key.from), table_text(&key.to));
            let name = Ident::new(key.name.as_str()).map_or_else(|_| key.name.clone(), |n| sql_name(&n));
            let message =
                format!("a real foreign key {name} from {from} to {to} is still there and acts before lfk does");
            let drop = format!("ALTER TABLE {from} DROP CONSTRAINT {name};");
            findings.push(Finding::note("real_foreign_key", message).remedy("once lfk is active:").remedy(drop));
        }
    }
    if definition.on_delete != OnDelete::Delete {
        return findings;
    }
    let arriving = |cascades: bool| -> Vec<String> {
        let keys = child.foreign_keys.iter().filter(|k| k.arrives);
        let keys = keys.filter(|k| matches!(k.on_delete.as_str(), "c" | "n" | "d") == cascades);
        keys.map(|k| format!("{} ({})", table_text(&k.from), k.from_columns.join(", "))).collect()
    };
    let (nested, forbidding) = (arriving(true), arriving(false));
    if !nested.is_empty() {
        let message =
            format!("each deleted row also changes or deletes rows by real foreign keys of {}", some_of(&nested));
        findings.push(Finding::note("nested_cascade", message).remedy("see that those columns have an index"));
    }
    if !forbidding.is_empty() {
        let message = format!(
            "rows that are still referred to cannot be deleted and will be set aside: {}",
            some_of(&forbidding)
        );
        findings.push(Finding::note("forbidding_reference", message));
    }
    findings
}
