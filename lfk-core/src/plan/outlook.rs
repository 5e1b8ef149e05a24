//! What a scan has to know of both ends before it reads a row: whether the two can be compared at all, by which types, and how
//! each leaf of the child is walked.

use lfk_sql::{Ident, TableName};

use super::catalog::{self, End, Member};
use super::finding::{some_of, sql_name, table_text};
use super::index::Search;
use super::judge_child::child_columns;
use super::{database, judged, key_type::KeyType, try_values};
use crate::clean::Access;
use crate::database::Database;
use crate::definition::LooseForeignKey;
use crate::error::Result;
use crate::report::{Finding, PlannedDefinition};

/// What forbids even to look. Everything else that `plan` refuses is about changing something.
const FORBID_LOOKING: [&str; 13] = [
    "in_recovery",
    "server_too_old",
    "table_missing",
    "not_a_table",
    "system_table",
    "temporary_table",
    "foreign_table",
    "column_missing",
    "key_not_unique",
    "key_type",
    "types_differ",
    "collations_differ",
    "row_security",
];

/// Both ends, as the catalogs have them.
pub(crate) struct Outlook {
    /// What `plan` says.
    pub(crate) planned: PlannedDefinition,
    /// What forbids a scan.
    pub(crate) refusals: Vec<Finding>,
    pub(crate) key_types: Vec<KeyType>,
    /// Tables of the child's tree that hold rows, in the order of their names.
    pub(crate) leaves: Vec<Leaf>,
}

/// A table that holds children.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub(crate) name: TableName,
    pub(crate) bytes: i64,
    /// How an index leads through its keys, if one does.
    pub(crate) access: Option<Access>,
}

/// Reads the catalogs of both ends. Changes nothing.
pub(crate) async fn outlook(databases: &[Database], definition: &LooseForeignKey) -> Result<Outlook> {
    let parent_columns: Vec<&Ident> = definition.parent.columns.iter().collect();
    let parent = catalog::read(database(databases, &definition.parent.database)?, &definition.parent, &parent_columns);
    let parent = parent.await?;
    let child_database = database(databases, &definition.child.database)?;
    let child = catalog::read(child_database, &definition.child, &child_columns(definition)).await?;
    let unreadable = try_values(child_database, definition, &child).await?;
    let planned = judged(definition, &parent, &child, &unreadable);
    let mut refusals: Vec<Finding> = planned.findings.iter().filter(|f| forbids_looking(f)).cloned().collect();
    refusals.extend(unreadable_columns(&parent, parent.root().into_iter(), &parent_columns));
    refusals.extend(unreadable_columns(&child, child.leaves(), &child_columns(definition)));
    let root = parent.root();
    let type_of = |name: &&Ident| KeyType::from_type_name(&parent.column(root?, name)?.type_name);
    let key_types = parent_columns.iter().filter_map(type_of).collect();
    let search = Search::for_children(definition, &child);
    let leaf = |member: &Member| Leaf {
        name: member.name.clone(),
        bytes: member.bytes,
        access: search.as_ref().and_then(|search| search.access(&child, member)),
    };
    let leaves = child.leaves().map(leaf).collect();
    Ok(Outlook { planned, refusals, key_types, leaves })
}

fn forbids_looking(finding: &Finding) -> bool {
    finding.refuses && (FORBID_LOOKING.contains(&finding.code) || finding.code == "value_unreadable")
}

/// A scan needs to read the columns that the definition names, and nothing else.
fn unreadable_columns<'a>(end: &End, tables: impl Iterator<Item = &'a Member>, columns: &[&Ident]) -> Option<Finding> {
    let role = &end.server.role;
    let (mut names, mut grants) = (Vec::new(), Vec::new());
    for table in tables {
        let name = table_text(&table.name);
        if !table.may_use_schema {
            grants.push(format!("GRANT USAGE ON SCHEMA {} TO {role};", sql_name(&table.name.schema)));
        }
        let hidden = |c: &&&Ident| end.column(table, c).is_some_and(|c| !c.may_select);
        let hidden: Vec<String> = columns.iter().filter(hidden).map(|c| sql_name(c)).collect();
        if !hidden.is_empty() {
            grants.push(format!("GRANT SELECT ({}) ON {name} TO {role};", hidden.join(", ")));
        }
        if !hidden.is_empty() || !table.may_use_schema {
            names.push(name);
        }
    }
    grants.dedup();
    (!names.is_empty()).then(|| {
        Finding::refusal("missing_privilege", format!("{role} may not read {}", some_of(&names))).remedies(grants)
    })
}
