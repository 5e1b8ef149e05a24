//! Whether a leaf of the child's tree has an index that finds the children of a key.

use lfk_sql::{Ident, TableName};

use super::catalog::{End, Index, Member};
use super::finding::{column_list, some_of, table_text};
use super::key_type::KeyType;
use super::predicate::{Known, is_implied};
use crate::clean::Access;
use crate::definition::LooseForeignKey;
use crate::report::Finding;

/// What the indexes of one table are worth for a search by the child columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Worth {
    /// One finds exactly the children.
    Usable,
    /// One narrows the search by some of several columns.
    Partly(String),
    /// One would be usable, but it was never finished.
    Invalid(String),
    /// None helps.
    None,
}

/// What the worker searches by.
pub(super) struct Search<'a> {
    keys: &'a [Ident],
    key_types: Vec<KeyType>,
    fixed: Vec<(&'a Ident, &'a str)>,
}

impl<'a> Search<'a> {
    /// The search for children of a definition; nothing while a key's type is not known.
    pub(super) fn for_children(definition: &'a LooseForeignKey, child: &End) -> Option<Self> {
        let root = child.root()?;
        let keys = &definition.child.columns;
        let fixed = definition.condition.iter().map(|(c, v)| (c, v.as_str())).collect();
        let key_types = key_types(child, root, keys)?;
        Some(Self { keys, key_types, fixed })
    }

    /// The search for parents.
    pub(super) fn for_parents(definition: &'a LooseForeignKey, parent: &End) -> Option<Self> {
        let keys = &definition.parent.columns;
        Some(Self { keys, key_types: key_types(parent, parent.root()?, keys)?, fixed: Vec::new() })
    }

    /// The best that the indexes of one table offer.
    pub(super) fn worth(&self, end: &End, table: &Member) -> Worth {
        let known = self.known(end, table);
        let mut best = Worth::None;
        for index in end.indexes.iter().filter(|i| i.table_id == table.id) {
            let found = self.keys_found(index);
            let implied = index.predicate.as_deref().is_none_or(|p| is_implied(p, &known));
            if found == 0 || !implied {
                continue;
            }
            let all = found == self.keys.len();
            match (&best, index.valid) {
                (_, true) if all => return Worth::Usable,
                (Worth::None | Worth::Partly(_), false) if all => best = Worth::Invalid(table_text(&index.name)),
                (Worth::None, true) => best = Worth::Partly(table_text(&index.name)),
                _ => {}
            }
        }
        best
    }

    /// How many of the keys stand in the index before any column that the search says nothing of.
    fn keys_found(&self, index: &Index) -> usize {
        let mut found = 0;
        for (at, column) in index.columns.iter().enumerate() {
            let Some(column) = column else { break };
            let equals = index.equals.get(at).map_or("", String::as_str);
            if index.same_collation.get(at).copied().flatten() != Some(true) {
                break;
            }
            let key = self.keys.iter().position(|k| k.as_str() == column);
            if let Some(key) = key {
                if !equals.split(' ').any(|name| name == self.key_types[key].cast()) {
                    break;
                }
                found += 1;
            } else if !self.fixed.iter().any(|(c, _)| c.as_str() == column) || equals.is_empty() {
                break;
            }
        }
        // A hash index answers only when the search fixes each of its columns, and it has one.
        if index.method == "hash" && index.columns.len() != 1 { 0 } else { found }
    }

    /// How the keys of one table are walked in their order, if an index leads through them: whatever stands before them in it
    /// has one value, and they follow one another. The narrowest such index decides.
    pub(super) fn access(&self, end: &End, table: &Member) -> Option<Access> {
        let known = self.known(end, table);
        let fits = |index: &&Index| {
            let implied = index.predicate.as_deref().is_none_or(|p| is_implied(p, &known));
            index.table_id == table.id && index.valid && index.method == "btree" && implied
        };
        let mut indexes: Vec<&Index> = end.indexes.iter().filter(fits).collect();
        indexes.sort_by_key(|index| index.columns.len());
        indexes.into_iter().find_map(|index| self.order_in(index))
    }

    fn order_in(&self, index: &Index) -> Option<Access> {
        if self.keys_found(index) < self.keys.len() {
            return None;
        }
        let names = || index.columns.iter().flatten();
        let key = |name: &String| self.keys.iter().position(|k| k.as_str() == name);
        let before = names().take_while(|name| key(name).is_none()).count();
        let order: Vec<usize> = names().skip(before).map_while(key).take(self.keys.len()).collect();
        // A predicate that needs no more than the keys says nothing of the condition.
        let keys_only = Known { not_null: self.keys.iter().collect(), fixed: Vec::new() };
        let fixed = before > 0 || !index.predicate.as_deref().is_none_or(|p| is_implied(p, &keys_only));
        (order.len() == self.keys.len()).then_some(Access { order, condition_inside: fixed })
    }

    fn known<'b>(&'b self, end: &'b End, table: &Member) -> Known<'b> {
        let compared = self.keys.iter().chain(self.fixed.iter().map(|(c, _)| *c));
        let fixed = self.fixed.iter().filter_map(|(column, value)| {
            let type_name = end.column(table, column)?.type_name.as_str();
            Some((*column, type_name, *value))
        });
        Known { not_null: compared.collect(), fixed: fixed.collect() }
    }

    fn remedy(&self, table: &Member, worth: &Worth) -> String {
        match worth {
            Worth::Invalid(index) => format!("REINDEX INDEX CONCURRENTLY {index};"),
            _ => missing_index(&table.name, self.keys),
        }
    }
}

fn key_types(end: &End, table: &Member, keys: &[Ident]) -> Option<Vec<KeyType>> {
    keys.iter().map(|k| KeyType::from_type_name(&end.column(table, k)?.type_name)).collect()
}

/// Every leaf of the child's tree needs a usable index: without one each batch reads the whole table.
pub(super) fn judge_children(definition: &LooseForeignKey, child: &End) -> Vec<Finding> {
    let Some(search) = Search::for_children(definition, child) else { return Vec::new() };
    let columns = column_list(&definition.child.columns);
    let (mut missing, mut empty, mut partly) = (Groups::default(), Groups::default(), Groups::default());
    for leaf in child.leaves() {
        let worth = search.worth(child, leaf);
        let group = match worth {
            Worth::Usable => continue,
            Worth::Partly(_) => &mut partly,
            // The root of an inheritance tree usually holds nothing.
            _ if leaf.has_children && leaf.bytes == 0 => &mut empty,
            _ => &mut missing,
        };
        group.tables.push(match &worth {
            Worth::Invalid(index) => format!("{} (index {index} is not valid)", table_text(&leaf.name)),
            Worth::Partly(index) => format!("{} (index {index})", table_text(&leaf.name)),
            _ => table_text(&leaf.name),
        });
        group.remedies.push(search.remedy(leaf, &worth));
    }
    let lead = match definition.condition.is_empty() {
        true => format!("leads with {columns}"),
        false => format!("leads with {columns}, or with columns that `where` fixes and then {columns}"),
    };
    [
        missing.finding(|t| Finding::refusal("no_usable_index", format!("no usable index {lead}: {t}"))),
        empty.finding(|t| Finding::note("no_index_on_empty_parent", format!("no usable index, but it is empty: {t}"))),
        partly.finding(|t| {
            Finding::note("index_covers_part", format!("the best index leads with only some of {columns}: {t}"))
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The unique key of an inheritance root does not reach its children; each needs an index for the look at living parents.
pub(super) fn judge_parents(definition: &LooseForeignKey, parent: &End) -> Option<Finding> {
    let search = Search::for_parents(definition, parent)?;
    let root = parent.root()?.id;
    let mut missing = Groups::default();
    for leaf in parent.leaves().filter(|l| l.id != root) {
        let worth = search.worth(parent, leaf);
        if worth != Worth::Usable {
            missing.tables.push(table_text(&leaf.name));
            missing.remedies.push(search.remedy(leaf, &worth));
        }
    }
    missing.finding(|t| {
        Finding::note(
            "no_index_on_parent",
            format!("looking for living parents reads whole tables without an index: {t}"),
        )
    })
}

#[derive(Default)]
struct Groups {
    tables: Vec<String>,
    remedies: Vec<String>,
}

impl Groups {
    fn finding(self, make: impl FnOnce(String) -> Finding) -> Option<Finding> {
        (!self.tables.is_empty()).then(|| make(some_of(&self.tables)).remedies(self.remedies))
    }
}

/// The statement that makes an index on these columns.
pub(crate) fn missing_index(table: &TableName, columns: &[Ident]) -> String {
    format!("CREATE INDEX CONCURRENTLY ON {} ({});", table_text(table), column_list(columns))
}
