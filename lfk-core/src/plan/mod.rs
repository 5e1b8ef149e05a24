//! Deciding, from the catalogs of both ends, whether a definition may be installed and run. Changes nothing.

mod catalog;
mod finding;
mod index;
mod judge;
mod judge_child;
mod judge_parent;
mod key_type;
mod mirror;
mod outlook;
mod predicate;

pub(crate) use judge_child::{child_columns, written_columns};
pub(crate) use key_type::KeyType;
pub use mirror::{MirrorEnds, mirror_ends};
pub(crate) use mirror::{source_columns, updated_columns};
pub(crate) use outlook::{Leaf, Outlook, outlook};

use std::sync::Arc;

use lfk_sql::Ident;

use self::catalog::End;
pub(crate) use self::finding::table_text;
pub(crate) use self::index::missing_index;
use self::judge_child::Unreadable;
use crate::database::Database;
use crate::declaration::{Declaration, Definition};
use crate::definition::{LooseForeignKey, OnDelete};
use crate::error::{Error, Result};
use crate::report::{Plan, Planned, PlannedDefinition};

/// Plans every definition; what is wrong with one does not hide what is wrong with another.
pub(crate) async fn plan(databases: &[Database], definitions: &[Arc<dyn Definition>]) -> Result<Plan> {
    let mut plan = Plan::default();
    for definition in definitions {
        let planned = definition.plan(databases).await;
        match planned.map_err(|e| e.for_definition(&definition.declaration().name))? {
            Planned::LooseForeignKey(planned) => plan.loose_foreign_keys.push(planned),
            Planned::Mirror(planned) => plan.mirrors.push(planned),
        }
    }
    let declared: Vec<&Declaration> = definitions.iter().map(|d| d.declaration()).collect();
    mirror::judge_together(&declared, &mut plan);
    Ok(plan)
}

pub(crate) async fn plan_one(databases: &[Database], definition: &LooseForeignKey) -> Result<PlannedDefinition> {
    let parent_columns: Vec<&Ident> = definition.parent.columns.iter().collect();
    let parent_database = database(databases, &definition.parent.database)?;
    let child_database = database(databases, &definition.child.database)?;
    let child_columns = child_columns(definition);
    let (parent, child) = tokio::try_join!(
        catalog::read(parent_database, &definition.parent, &parent_columns),
        catalog::read(child_database, &definition.child, &child_columns),
    )?;
    let unreadable = try_values(child_database, definition, &child).await?;
    Ok(judged(definition, &parent, &child, &unreadable))
}

fn database<'a>(databases: &'a [Database], name: &str) -> Result<&'a Database> {
    databases.iter().find(|d| d.name() == name).ok_or_else(|| {
        let known: Vec<&str> = databases.iter().map(Database::name).collect();
        Error::config(format!("there is no database \"{name}\""))
            .with_hint(format!("configured are: {}", known.join(", ")))
    })
}

/// Lets the child's database read the declared values as the types of their columns.
async fn try_values(database: &Database, definition: &LooseForeignKey, child: &End) -> Result<Vec<Unreadable>> {
    let mut unreadable = Vec::new();
    let Some(root) = child.root() else { return Ok(unreadable) };
    let set = match &definition.on_delete {
        OnDelete::Set(values) => values.as_slice(),
        _ => &[],
    };
    let values = set.iter().filter_map(|(c, v)| Some((c, v.as_deref()?)));
    for (name, value) in definition.condition.iter().map(|(c, v)| (c, v.as_str())).chain(values) {
        let Some(column) = child.column(root, name) else { continue };
        if let Some(why) = catalog::try_value(database, &column.type_name, value).await? {
            unreadable.push(Unreadable { column: name.clone(), why });
        }
    }
    Ok(unreadable)
}

/// Puts together what the judges say.
fn judged(definition: &LooseForeignKey, parent: &End, child: &End, unreadable: &[Unreadable]) -> PlannedDefinition {
    let mut findings = judge_parent::judge_parent(definition, parent);
    findings.extend(judge_child::judge_child(definition, parent, child, unreadable));
    PlannedDefinition {
        name: definition.name.clone(),
        parent: definition.parent.to_string(),
        child: definition.child.to_string(),
        on_delete: definition.on_delete.to_string(),
        parent_rows_estimate: parent.rows_estimate(),
        child_rows_estimate: child.rows_estimate(),
        child_leaves: child.leaves().map(|m| table_text(&m.name)).collect(),
        effect: effect(definition),
        findings,
    }
}

/// What will happen, in one sentence.
fn effect(definition: &LooseForeignKey) -> String {
    let (parent, child) = (&definition.parent, &definition.child);
    let what = match &definition.on_delete {
        OnDelete::Delete => "are deleted".to_owned(),
        OnDelete::SetNull => "get NULL in these columns".to_owned(),
        OnDelete::Set(_) => format!("are changed: {}", definition.on_delete),
    };
    let only: Vec<String> =
        definition.condition.iter().map(|(c, v)| format!("{} = {v:?}", finding::sql_name(c))).collect();
    let only = if only.is_empty() { String::new() } else { format!(" where {}", only.join(" and ")) };
    format!("once a row of {parent} is gone, the rows of {child}{only} that refer to it {what}")
}

#[cfg(test)]
mod tests;
