//! What forbids a mirror beside its columns: servers, tables, rights, and what stands in the way of writing the target.

use lfk_sql::{Ident, statements};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::catalog::{self, End, Member};
use super::finding::{column_text, some_of, sql_name, table_text, to_run_in};
use super::judge::{judge_common, judge_lfk_schema, judge_lfk_tables, judge_schema_usage, row_security_refusal};
use super::judge_parent::{judge_tracking, note_unlogged, part_of_another};
use crate::database::{Database, Purpose};
use crate::declaration::{Declaration, Kind};
use crate::error::Result;
use crate::relation::Relation;
use crate::report::{Concern, Finding, Plan};

/// What is known of the ends of a mirror without its expressions and types.
#[derive(Debug, Clone, Default)]
pub struct MirrorEnds {
    /// What was noticed.
    pub findings: Vec<Finding>,
    /// Rows of the source as the planner estimates them.
    pub source_rows_estimate: Option<i64>,
    /// Rows of the target as the planner estimates them.
    pub target_rows_estimate: Option<i64>,
    /// Whether both tables are there and may be named in a statement, so that more can be asked of them.
    pub may_be_named: bool,
}

/// The columns of a source that are read as they are: its key, and those that are mirrored.
pub(crate) fn source_columns(mirror: &Declaration) -> Vec<&Ident> {
    each_once(mirror.parent.columns.iter().chain(mirror.watched.iter().flatten()))
}

/// The columns of a target on which the role needs UPDATE: locking a row takes it on some column, also where none changes.
pub(crate) fn updated_columns(mirror: &Declaration) -> Vec<&Ident> {
    if mirror.written.is_empty() {
        mirror.child.columns.iter().take(1).collect()
    } else {
        mirror.written.iter().collect()
    }
}

fn each_once<'a>(columns: impl Iterator<Item = &'a Ident>) -> Vec<&'a Ident> {
    let mut all: Vec<&Ident> = Vec::new();
    for column in columns {
        if !all.contains(&column) {
            all.push(column);
        }
    }
    all
}

/// Judges both ends of a mirror. Reads catalogs only.
///
/// # Errors
/// When a database cannot be asked. What is refused is in the answer.
pub async fn mirror_ends(mirror: &Declaration, databases: &[Database]) -> Result<MirrorEnds> {
    let at_source = source_columns(mirror);
    let at_target = each_once(mirror.child.columns.iter().chain(&mirror.written));
    let source_database = super::database(databases, &mirror.parent.database)?;
    let target_database = super::database(databases, &mirror.child.database)?;
    let (source, target) = futures::try_join!(
        catalog::read(source_database, &mirror.parent, &at_source),
        catalog::read(target_database, &mirror.child, &at_target),
    )?;
    let mut ends = MirrorEnds {
        source_rows_estimate: source.rows_estimate(),
        target_rows_estimate: target.rows_estimate(),
        may_be_named: [&source, &target].iter().all(|end| end.root().is_some_and(|root| root.may_use_schema)),
        ..MirrorEnds::default()
    };
    let findings = &mut ends.findings;
    let readable = judge_common(&mirror.parent, &source, &at_source, findings);
    if let Some(root) = source.root().filter(|_| readable) {
        judge_source(mirror, &source, root, read_source(source_database, mirror).await?, findings);
    }
    let writable = judge_common(&mirror.child, &target, &at_target, findings);
    if let Some(root) = target.root().filter(|_| writable) {
        let facts = read_target(target_database, mirror).await?;
        judge_target(mirror, &target, root, &facts, findings);
    }
    ends.may_be_named &= readable && writable;
    Ok(ends)
}

/// What a worker needs at the source beside columns.
#[derive(Debug, Clone, Default)]
struct SourceFacts {
    may_select_all: bool,
    may_make_temporary: bool,
    /// Virtual generated columns among those that are mirrored or mentioned.
    computed: Vec<String>,
}

async fn read_source(database: &Database, mirror: &Declaration) -> Result<SourceFacts> {
    let mut tx = database.begin(Purpose::Admin).await?;
    tx.run(statements::PLAN_READ_ONLY).await?;
    let table = &mirror.parent.table;
    let named = source_columns(mirror).into_iter().map(|column| column.as_str().to_owned());
    let named: Vec<String> = named.chain(mirror.mentioned.iter().cloned()).collect();
    let query = tx.query(statements::PLAN_READ_SOURCE).bind(table.schema.as_str()).bind(table.table.as_str());
    let query = query.bind(named);
    let row = query.fetch_optional(tx.conn()).await.map_err(|e| database.error(e))?;
    Ok(row.map_or_else(SourceFacts::default, |row| SourceFacts {
        may_select_all: row.get("may_select_all"),
        may_make_temporary: row.get("may_make_temporary"),
        computed: row.get("computed"),
    }))
}

/// Their values are computed when they are read. In a trigger they are NULL before and after, so that no change would be seen.
fn virtual_columns(table: &str, computed: &[String]) -> Option<Finding> {
    if computed.is_empty() {
        return None;
    }
    let message = format!("{} of {table}: virtual generated columns, whose changes no trigger sees", some_of(computed));
    let remedy = "mirror an expression of the columns that it is made of, or make it STORED";
    Some(Finding::refusal("generated_column", message).remedy(remedy))
}

fn judge_source(mirror: &Declaration, source: &End, root: &Member, facts: SourceFacts, findings: &mut Vec<Finding>) {
    if root.has_parents {
        findings.push(part_of_another(root, source));
    }
    judge_tracking(&mirror.parent, source, findings);
    findings.extend(virtual_columns(&table_text(&root.name), &facts.computed));
    let (role, database, table) = (&source.server.role, &mirror.parent.database, table_text(&root.name));
    let refusal = |what: String, grant: String| {
        let message = format!("{role} may not {what} in database {database}");
        let remedy = to_run_in(database, &grant);
        Finding::refusal("missing_privilege", message).remedy(remedy).about(Concern::Work)
    };
    if mirror.has_expressions && !facts.may_select_all {
        let what = format!("read all of {table}, which expressions and filters take,");
        findings.push(refusal(what, format!("GRANT SELECT ON {table} TO {role};")));
    } else {
        let unread = source_columns(mirror).into_iter();
        let unread: Vec<String> =
            unread.filter(|c| source.column(root, c).is_some_and(|c| !c.may_select)).map(sql_name).collect();
        if !unread.is_empty() {
            let columns = unread.join(", ");
            let grant = format!("GRANT SELECT ({columns}) ON {table} TO {role};");
            findings.push(refusal(format!("read {table}({columns})"), grant));
        }
    }
    if mirror.has_expressions && !facts.may_make_temporary {
        let what = "make temporary tables, on which expressions are judged,".to_owned();
        findings.push(refusal(what, format!("GRANT TEMPORARY ON DATABASE {} TO {role};", source.server.database)));
    }
    let hidden: Vec<String> = root.row_security.then(|| table_text(&root.name)).into_iter().collect();
    findings.extend(row_security_refusal(&mirror.parent, source, &hidden));
    findings.extend(note_unlogged(source));
}

/// What the statement about a target says. No fact at all says that nothing is allowed.
#[derive(Debug, Clone, Default)]
struct TargetFacts {
    may_select: bool,
    may_delete: bool,
    /// Absent while schema lfk is.
    may_hold_fence: Option<bool>,
    not_insertable: Vec<String>,
    not_updatable: Vec<String>,
    /// Columns that take no NULL and are filled by nobody.
    unfilled: Vec<String>,
    generated: Vec<String>,
    deferrable: Vec<String>,
    /// Unique indexes beside the key's.
    uniques: Vec<String>,
    rules: Vec<String>,
    before_triggers: Vec<String>,
    /// Whether a trigger may fill columns before they are tested.
    may_be_filled: bool,
    /// Columns of a partition key that are not in the mirror's key.
    split_by: Vec<String>,
}

async fn read_target(database: &Database, mirror: &Declaration) -> Result<TargetFacts> {
    let mut tx = database.begin(Purpose::Admin).await?;
    tx.run(statements::PLAN_READ_ONLY).await?;
    let table = &mirror.child.table;
    let names = |columns: Vec<&Ident>| columns.into_iter().map(|c| c.as_str().to_owned()).collect::<Vec<_>>();
    let query = tx.query(statements::PLAN_READ_TARGET).bind(table.schema.as_str()).bind(table.table.as_str());
    let query = query.bind(names(mirror.child.columns.iter().collect()));
    let query = query.bind(names(mirror.written.iter().collect())).bind(names(updated_columns(mirror)));
    let row = query.fetch_optional(tx.conn()).await.map_err(|e| database.error(e))?;
    row.map_or_else(|| Ok(TargetFacts::default()), |row| target_facts(&row).map_err(|e| database.error(e)))
}

fn target_facts(row: &PgRow) -> Result<TargetFacts, sqlx::Error> {
    Ok(TargetFacts {
        may_select: row.try_get("may_select")?,
        may_delete: row.try_get("may_delete")?,
        may_hold_fence: row.try_get("may_hold_fence")?,
        not_insertable: row.try_get("not_insertable")?,
        not_updatable: row.try_get("not_updatable")?,
        unfilled: row.try_get("unfilled")?,
        generated: row.try_get("generated")?,
        deferrable: row.try_get("deferrable")?,
        uniques: row.try_get("uniques")?,
        rules: row.try_get("rules")?,
        before_triggers: row.try_get("before_triggers")?,
        may_be_filled: row.try_get("may_be_filled")?,
        split_by: row.try_get("split_by")?,
    })
}

fn judge_target(mirror: &Declaration, target: &End, root: &Member, facts: &TargetFacts, findings: &mut Vec<Finding>) {
    judge_schema_usage(&mirror.child, target, Concern::Work, findings);
    judge_lfk_schema(&mirror.child, target, false, findings);
    let server = &target.server;
    // Absent is nothing to complain of: schema lfk is not there yet.
    let both = server.may_answer_peers.zip(facts.may_hold_fence).map(|(peers, fence)| peers && fence);
    judge_lfk_tables(&mirror.child, target, both, findings);
    findings.extend(target_rights(mirror, target, root, facts));
    let hidden: Vec<String> = root.row_security.then(|| table_text(&root.name)).into_iter().collect();
    findings.extend(row_security_refusal(&mirror.child, target, &hidden));
    findings.extend(unwritable(mirror, root, facts));
    findings.extend(notes(root, facts));
}

fn target_rights(mirror: &Declaration, target: &End, root: &Member, facts: &TargetFacts) -> Option<Finding> {
    let mut missing = Vec::new();
    if !facts.may_select {
        missing.push("SELECT".to_owned());
    }
    if !facts.may_delete {
        missing.push("DELETE".to_owned());
    }
    for (right, columns) in [("INSERT", &facts.not_insertable), ("UPDATE", &facts.not_updatable)] {
        if !columns.is_empty() {
            missing.push(format!("{right} ({})", sql_names(columns).join(", ")));
        }
    }
    let (role, table, database) = (&target.server.role, table_text(&root.name), &mirror.child.database);
    (!missing.is_empty()).then(|| {
        let missing = missing.join(", ");
        let message = format!("{role} lacks privileges in database {database} on {table} ({missing})");
        let grant = to_run_in(database, &format!("GRANT {missing} ON {table} TO {role};"));
        Finding::refusal("missing_privilege", message).remedy(grant).about(Concern::Work)
    })
}

/// What makes the upsert fail, on every row.
fn unwritable(mirror: &Declaration, root: &Member, facts: &TargetFacts) -> Vec<Finding> {
    let table = table_text(&root.name);
    let places = |columns: &[String]| -> String {
        let place = |c: &String| Ident::new(c.as_str()).map_or_else(|_| c.clone(), |c| column_text(&root.name, &c));
        some_of(&columns.iter().map(place).collect::<Vec<_>>())
    };
    let mut findings = Vec::new();
    if !facts.generated.is_empty() {
        let message = format!(
            "{} cannot be written: generated columns, or GENERATED ALWAYS AS IDENTITY",
            places(&facts.generated)
        );
        findings.push(Finding::refusal("generated_column", message).remedy("choose another column of the target"));
    }
    if !facts.unfilled.is_empty() {
        let message = format!(
            "{} take no NULL, have no default, and mirror \"{}\" does not fill them",
            places(&facts.unfilled),
            mirror.name
        );
        if facts.may_be_filled {
            findings.push(Finding::note("not_filled", format!("{message}: a BEFORE trigger has to")));
        } else {
            let drops = sql_names(&facts.unfilled);
            let drops = drops.iter().map(|c| format!("ALTER TABLE {table} ALTER COLUMN {c} DROP NOT NULL;"));
            let drops = drops.map(|drop| to_run_in(&mirror.child.database, &drop));
            findings.push(Finding::refusal("not_filled", message).remedies(drops).remedy("or mirror something there"));
        }
    }
    if !facts.deferrable.is_empty() {
        let message =
            format!("the key of {table} is deferrable ({}), which ON CONFLICT cannot use", some_of(&facts.deferrable));
        findings.push(Finding::refusal("key_deferrable", message).remedy("make the constraint NOT DEFERRABLE"));
    }
    if !facts.split_by.is_empty() {
        let message =
            format!("{} split {table} into partitions and are not in the mirror's key", places(&facts.split_by));
        let remedy = "add them to the key, or mirror into a table that is partitioned by its key";
        findings.push(Finding::refusal("partition_key", message).remedy(remedy));
    }
    if !facts.rules.is_empty() {
        let message = format!("rules rewrite what is written to {table}: {}", some_of(&facts.rules));
        let drops = sql_names(&facts.rules);
        let drops =
            drops.iter().map(|rule| to_run_in(&mirror.child.database, &format!("DROP RULE {rule} ON {table};")));
        findings.push(Finding::refusal("rule", message).remedies(drops).remedy("write a trigger in place of a rule"));
    }
    findings
}

fn notes(root: &Member, facts: &TargetFacts) -> Vec<Finding> {
    let table = table_text(&root.name);
    let mut findings = Vec::new();
    if !facts.before_triggers.is_empty() {
        let message = format!(
            "BEFORE triggers on {table} may change or swallow what the mirror writes, which a check would find: {}",
            some_of(&facts.before_triggers)
        );
        findings.push(Finding::note("before_trigger", message));
    }
    if !facts.uniques.is_empty() {
        let message = format!(
            "rows that collide in another unique index of {table} cannot be written and will be set aside and tried again: {}",
            some_of(&facts.uniques)
        );
        findings.push(Finding::note("unique_beside_key", message));
    }
    findings
}

fn sql_names(names: &[String]) -> Vec<String> {
    names.iter().map(|n| Ident::new(n.as_str()).map_or_else(|_| n.clone(), |n| sql_name(&n))).collect()
}

/// What only shows when all mirrors are looked at together.
pub(super) fn judge_together(declared: &[&Declaration], plan: &mut Plan) {
    let mirrors: Vec<&&Declaration> = declared.iter().filter(|d| d.kind == Kind::Mirror).collect();
    let same = |a: &Relation, b: &Relation| a.database == b.database && a.table == b.table;
    for (planned, mirror) in plan.mirrors.iter_mut().zip(&mirrors) {
        let table = format!("{}:{}", mirror.child.database, table_text(&mirror.child.table));
        let others = mirrors.iter().filter(|m| m.name != mirror.name);
        let twins: Vec<String> = others.filter(|m| same(&m.child, &mirror.child)).map(|m| m.name.clone()).collect();
        if !twins.is_empty() {
            let message = format!(
                "{table} is also the target of {}: each would write the same key columns, and remove the rows of the other",
                some_of(&twins)
            );
            let remedy = "give each mirror a table of its own; a view can join them";
            planned.findings.push(Finding::refusal("target_shared", message).remedy(remedy));
        }
        if same(&mirror.parent, &mirror.child) {
            let message = format!("{table} is source and target of one mirror");
            planned.findings.push(Finding::refusal("own_target", message).remedy("name another table as the target"));
            continue;
        }
        let next: Vec<&&&Declaration> = mirrors.iter().filter(|m| same(&m.parent, &mirror.child)).collect();
        if !next.is_empty() {
            let names: Vec<String> = next.iter().map(|m| m.name.clone()).collect();
            let message = format!("{table} is itself the source of {}, which follows one step later", some_of(&names));
            let message = if leads_back(&mirrors, mirror) {
                format!("{message}; the mirrors go round in a circle, so writes at both ends overwrite each other")
            } else {
                message
            };
            planned.findings.push(Finding::note("mirror_of_mirror", message));
        }
    }
}

/// Whether following targets that are sources comes back to where it began.
fn leads_back(mirrors: &[&&Declaration], first: &Declaration) -> bool {
    let place = |r: &Relation| (r.database.clone(), r.table.clone());
    let goal = place(&first.parent);
    let (mut seen, mut open) = (Vec::new(), vec![place(&first.child)]);
    while let Some(at) = open.pop() {
        if at == goal {
            return true;
        }
        if !seen.contains(&at) {
            open.extend(mirrors.iter().filter(|m| place(&m.parent) == at).map(|m| place(&m.child)));
            seen.push(at);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_generated_columns_of_a_source_are_refused_and_others_are_not() {
        assert!(virtual_columns("public.items", &[]).is_none());
        let found = virtual_columns("public.items", &["total".to_owned()]).unwrap();
        assert!(found.refuses && found.code == "generated_column" && found.message.contains("total"), "{found:?}");
        assert!(found.remedy[0].contains("STORED"), "{found:?}");
    }
}
