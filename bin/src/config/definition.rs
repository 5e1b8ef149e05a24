//! `[[loose_foreign_key]]`.

use std::ops::Range;

use lfk_core::{LooseForeignKey, OnDelete, Relation};
use lfk_sql::Ident;
use toml::de::DeValue;

use crate::config::document::{Located, Section, kind_of};
use crate::config::problem::Problems;
use crate::suggest;

const KEYS: [&str; 5] = ["name", "parent", "child", "on_delete", "where"];
const ACTIONS: &str = "write \"delete\", \"set_null\" or { set = { column = value } }";

/// Every definition of the file that could be read.
pub(super) fn all(top: &Section<'_>, databases: &[&str], problems: &mut Problems<'_>) -> Vec<LooseForeignKey> {
    let remedy = "write [[loose_foreign_key]] in double brackets for each of them";
    let Some((key, value)) = top.entry("loose_foreign_key") else { return Vec::new() };
    let Some(array) = top.array("loose_foreign_key") else {
        problems.add(
            key,
            format!("`loose_foreign_key` is {}, not a list", kind_of(value.get_ref())),
            Some(remedy.to_owned()),
        );
        return Vec::new();
    };
    let mut read: Vec<(Range<usize>, LooseForeignKey)> = Vec::new();
    for element in array {
        let Some(section) = top.element(element, "[[loose_foreign_key]]") else {
            problems.add(
                element.span(),
                format!("the element is {}, not a table", kind_of(element.get_ref())),
                Some(remedy.to_owned()),
            );
            continue;
        };
        let Some(definition) = one(&section, databases, problems) else { continue };
        if let Some((first, _)) = read.iter().find(|(_, other)| other.name == definition.name) {
            let (line, _) = problems.position(first.start);
            let message =
                format!("two loose foreign keys are named \"{}\"; the other is in line {line}", definition.name);
            let place = section.entry("name").map_or_else(|| section.place(), |(_, value)| value.span());
            problems.add(place, message, Some("give one of them another name: name = \"…\"".to_owned()));
        }
        read.push((section.place(), definition));
    }
    read.into_iter().map(|(_, definition)| definition).collect()
}

fn one(section: &Section<'_>, databases: &[&str], problems: &mut Problems<'_>) -> Option<LooseForeignKey> {
    section.refuse_unknown(&KEYS, problems);
    let parent = end(section, "parent", databases, problems);
    let child = end(section, "child", databases, problems);
    let action = on_delete(section, problems);
    let name = name(section, problems);
    let conditions = condition(section, problems);
    let (parent, child) = (parent?, child?);
    let mut definition = match LooseForeignKey::new(&parent.text, &child.text, action?) {
        Ok(definition) => definition,
        Err(error) => {
            problems.add(child.span, error.message, error.hint);
            return None;
        }
    };
    if let Some(name) = name? {
        definition = definition.named(name);
    }
    definition.condition = conditions;
    Some(definition)
}

/// `parent` or `child`: readable, and in a database of this file.
fn end(section: &Section<'_>, key: &str, databases: &[&str], problems: &mut Problems<'_>) -> Option<Located> {
    let remedy = format!("write {key} = \"database:schema.table(column)\"");
    let located = section.required_string(key, &remedy, problems)?;
    let relation: Relation = match located.text.parse::<Relation>() {
        Ok(relation) => relation,
        Err(error) => {
            problems.add(located.span, error.message, error.hint);
            return None;
        }
    };
    if !databases.contains(&relation.database.as_str()) {
        let hint = suggest::hint(&relation.database, databases.iter().copied());
        let message = format!("`{key}` speaks of database \"{}\", which is not configured", relation.database);
        problems.add(located.span, message, Some(hint));
        return None;
    }
    Some(located)
}

/// The outer `None` is a mistake, the inner one is no name.
#[expect(clippy::option_option, reason = "a mistake and an absent name differ")]
pub(super) fn name(section: &Section<'_>, problems: &mut Problems<'_>) -> Option<Option<String>> {
    if section.entry("name").is_none() {
        return Some(None);
    }
    let located = section.string("name", problems)?;
    if located.text.trim().is_empty()
        || located.text.trim() != located.text
        || located.text.chars().any(char::is_control)
    {
        let message = "a name may not be empty, nor begin or end with a space, nor contain control characters";
        problems.add(located.span, message.to_owned(), None);
        return None;
    }
    if located.text.starts_with('-') {
        problems.add(located.span, "a name that begins with - would be read as an option".to_owned(), None);
        return None;
    }
    Some(Some(located.text))
}

fn on_delete(section: &Section<'_>, problems: &mut Problems<'_>) -> Option<OnDelete> {
    let Some((_, value)) = section.entry("on_delete") else {
        problems.add(
            section.place(),
            "`on_delete` is missing in [[loose_foreign_key]]".to_owned(),
            Some(ACTIONS.to_owned()),
        );
        return None;
    };
    match value.get_ref() {
        DeValue::String(_) => {
            let located = section.string("on_delete", problems)?;
            match located.text.as_str() {
                "delete" => Some(OnDelete::Delete),
                "set_null" => Some(OnDelete::SetNull),
                other => {
                    // The words of SQL's own foreign keys come to mind first.
                    let meant = match other.to_lowercase().as_str() {
                        "cascade" => Some("delete"),
                        "nullify" => Some("set_null"),
                        _ => suggest::closest(other, ["delete", "set_null"]),
                    };
                    let hint = meant.map_or_else(|| ACTIONS.to_owned(), |m| format!("did you mean \"{m}\"? {ACTIONS}"));
                    problems.add(located.span, format!("`on_delete` is not an action: {other:?}"), Some(hint));
                    None
                }
            }
        }
        DeValue::Table(_) => set(&section.table("on_delete")?, problems),
        other => {
            problems.add(value.span(), format!("`on_delete` is {}", kind_of(other)), Some(ACTIONS.to_owned()));
            None
        }
    }
}

fn set(section: &Section<'_>, problems: &mut Problems<'_>) -> Option<OnDelete> {
    section.refuse_unknown(&["set"], problems);
    let Some(values) = section.table("set") else {
        let place = section.entry("set").map_or_else(|| section.place(), |(key, _)| key);
        problems.add(place, "`on_delete` as a table needs the columns to set".to_owned(), Some(ACTIONS.to_owned()));
        return None;
    };
    let columns: Vec<_> = columns(&values, problems).into_iter().map(|(column, value)| (column, Some(value))).collect();
    if columns.is_empty() && values.keys().is_empty() {
        problems.add(values.place(), "`set` names no column".to_owned(), Some(ACTIONS.to_owned()));
        return None;
    }
    Some(OnDelete::Set(columns))
}

fn condition(section: &Section<'_>, problems: &mut Problems<'_>) -> Vec<(Ident, String)> {
    let Some((_, value)) = section.entry("where") else { return Vec::new() };
    let hint = "write where = { column = value }";
    let Some(values) = section.table("where") else {
        problems.add(
            value.span(),
            format!("`where` is {}, not a table", kind_of(value.get_ref())),
            Some(hint.to_owned()),
        );
        return Vec::new();
    };
    if values.keys().is_empty() {
        // Most likely a column was forgotten; without it children of other parents would be taken for this one's.
        problems.add(values.place(), "`where` names no column".to_owned(), Some(hint.to_owned()));
    }
    columns(&values, problems)
}

/// Columns as the catalog spells them, with their values.
fn columns(values: &Section<'_>, problems: &mut Problems<'_>) -> Vec<(Ident, String)> {
    let mut columns = Vec::new();
    for (key, value) in values.literals(problems) {
        match Ident::new(key.text) {
            Ok(column) => columns.push((column, value)),
            Err(error) => problems.add(key.span, error.to_string(), None),
        }
    }
    columns
}
