//! `[[mirror]]`.

use std::time::Duration;

use lfk_core::Relation;
use lfk_mirror::{Cron, Mirror, Schedule};
use lfk_sql::Ident;
use toml::de::DeValue;

use crate::cli;
use crate::config::definition::name;
use crate::config::document::{Located, Section, kind_of};
use crate::config::problem::Problems;
use crate::suggest;

const KEYS: [&str; 10] =
    ["name", "source", "target", "key", "columns", "expressions", "where", "repair", "check", "keep_before"];
/// A pass may not be asked for more often: it reads both tables.
const SHORTEST_CHECK: Duration = Duration::from_secs(60);
/// The server removes nothing that is younger.
const SHORTEST_KEEP: Duration = Duration::from_secs(24 * 3600);
const REMEDY: &str = "write [[mirror]] in double brackets for each of them";

/// Every mirror of the file that could be read. `taken`: names of loose foreign keys.
pub(super) fn all(top: &Section<'_>, databases: &[&str], taken: &[String], problems: &mut Problems<'_>) -> Vec<Mirror> {
    let Some((key, value)) = top.entry("mirror") else { return Vec::new() };
    let Some(array) = top.array("mirror") else {
        let message = format!("`mirror` is {}, not a list", kind_of(value.get_ref()));
        problems.add(key, message, Some(REMEDY.to_owned()));
        return Vec::new();
    };
    let mut read: Vec<Mirror> = Vec::new();
    for element in array {
        let Some(section) = top.element(element, "[[mirror]]") else {
            let message = format!("the element is {}, not a table", kind_of(element.get_ref()));
            problems.add(element.span(), message, Some(REMEDY.to_owned()));
            continue;
        };
        let Some(mirror) = one(&section, databases, problems) else { continue };
        if taken.contains(&mirror.name) || read.iter().any(|other| other.name == mirror.name) {
            let place = section.entry("name").map_or_else(|| section.place(), |(_, value)| value.span());
            let message = format!("two definitions are named \"{}\"", mirror.name);
            problems.add(place, message, Some("give one of them another name: name = \"…\"".to_owned()));
        }
        read.push(mirror);
    }
    read
}

fn one(section: &Section<'_>, databases: &[&str], problems: &mut Problems<'_>) -> Option<Mirror> {
    section.refuse_unknown(&KEYS, problems);
    let key = pairs(section, "key", problems);
    if section.entry("key").is_none() {
        let hint = "write key = { source_column = \"target_column\" }";
        problems.add(section.place(), "`key` is missing in [[mirror]]".to_owned(), Some(hint.to_owned()));
    }
    let source = end(section, "source", databases, &key, |(source, _)| &source.text, problems);
    let target = end(section, "target", databases, &key, |(_, target)| &target.text, problems);
    let name = name(section, problems);
    let columns = pairs(section, "columns", problems);
    let expressions = pairs(section, "expressions", problems);
    let filter = section.string("where", problems);
    let repair = section.flag("repair", problems);
    let check = check(section, problems);
    let keep_before = keep_before(section, problems);
    let (source, target, name) = (source?, target?, name?);
    let name = name.unwrap_or_else(|| target.0.table.table.as_str().to_owned());
    let mut mirror = match Mirror::new(name, &source.0.to_string(), &target.0.to_string()) {
        Ok(mirror) => match check {
            Some(None) => mirror.repaired(repair).checked_within(None),
            Some(Some(Schedule::Within(time))) => mirror.repaired(repair).checked_within(Some(time)),
            Some(Some(Schedule::Cron(times))) => mirror.repaired(repair).checked_at(times),
            _ => mirror.repaired(repair),
        },
        Err(error) => {
            problems.add(target.1.span, error.message, error.hint);
            return None;
        }
    };
    for (from, to) in columns {
        mirror = added(mirror, |m| m.column(&from.text, &to.text), &from, problems);
    }
    for (to, sql) in expressions {
        mirror = added(mirror, |m| m.expression(&to.text, &sql.text), &sql, problems);
    }
    if let Some(time) = keep_before {
        mirror = mirror.keeping_before(time);
    }
    if let Some(sql) = filter {
        mirror = added(mirror, |m| m.only_where(&sql.text), &sql, problems);
    }
    Some(mirror)
}

/// `check`: when every row is looked at, or nothing where that is off. Nothing at all: it is not there.
fn check(section: &Section<'_>, problems: &mut Problems<'_>) -> Option<Option<Schedule>> {
    if let Some(times) = section.table("check") {
        return cron(&times, problems).map(|times| Some(Schedule::Cron(times)));
    }
    let said = section.string("check", problems)?;
    if said.text == "off" {
        return Some(None);
    }
    match cli::duration(&said.text) {
        Ok(time) if time >= SHORTEST_CHECK => Some(Some(Schedule::Within(time))),
        _ => {
            let message = "`check` is no time from one minute on".to_owned();
            let hint = "write the time within which every row is looked at, such as check = \"24h\", the times at which a pass begins, \
                        such as check = { cron = \"0 3 * * *\" }, or check = \"off\"";
            problems.add(said.span, message, Some(hint.to_owned()));
            None
        }
    }
}

/// `check` as a table: the times at which passes begin, and the clocks that they are read from.
fn cron(section: &Section<'_>, problems: &mut Problems<'_>) -> Option<Cron> {
    section.refuse_unknown(&["cron", "zone"], problems);
    let remedy = "write check = { cron = \"0 3 * * *\" }, and zone = \"Europe/Berlin\" beside it unless it is UTC";
    let times = section.required_string("cron", remedy, problems)?;
    let zone = section.string("zone", problems);
    let cron = match Cron::new(&times.text) {
        Ok(cron) => cron,
        Err(error) => {
            problems.add(times.span, error.message, error.hint);
            return None;
        }
    };
    let Some(zone) = zone else { return Some(cron) };
    match cron.in_zone(&zone.text) {
        Ok(cron) => Some(cron),
        Err(error) => {
            problems.add(zone.span, error.message, error.hint);
            None
        }
    }
}

/// `keep_before`: how long rows are kept as they were before a repair.
fn keep_before(section: &Section<'_>, problems: &mut Problems<'_>) -> Option<Duration> {
    let said = section.string("keep_before", problems)?;
    match cli::duration(&said.text) {
        Ok(time) if time >= SHORTEST_KEEP => Some(time),
        _ => {
            let message = "`keep_before` is no time from one day on".to_owned();
            let hint = "write how long rows are kept as they were before a repair, such as keep_before = \"720h\"";
            problems.add(said.span, message, Some(hint.to_owned()));
            None
        }
    }
}

/// The mirror with something more, or as it was where that is a mistake.
fn added(
    mirror: Mirror,
    add: impl FnOnce(Mirror) -> lfk_core::Result<Mirror>,
    place: &Located,
    problems: &mut Problems<'_>,
) -> Mirror {
    match add(mirror.clone()) {
        Ok(more) => more,
        Err(error) => {
            problems.add(place.span.clone(), error.message, error.hint);
            mirror
        }
    }
}

/// `source` or `target`, with its key columns.
fn end(
    section: &Section<'_>,
    which: &str,
    databases: &[&str],
    key: &[(Located, Located)],
    column: impl Fn(&(Located, Located)) -> &String,
    problems: &mut Problems<'_>,
) -> Option<(Relation, Located)> {
    let remedy = format!("write {which} = \"database:schema.table\"");
    let located = section.required_string(which, &remedy, problems)?;
    let columns: Result<Vec<String>, _> =
        key.iter().map(|pair| Ident::new(column(pair)).map(|name| name.to_string())).collect();
    let columns = match columns {
        Ok(columns) if !columns.is_empty() => columns.join(", "),
        // That the key is missing, or holds no name, is said at its own place.
        _ => return None,
    };
    match format!("{}({columns})", located.text).parse::<Relation>() {
        Ok(relation) if databases.contains(&relation.database.as_str()) => Some((relation, located)),
        Ok(relation) => {
            let hint = suggest::hint(&relation.database, databases.iter().copied());
            let message = format!("`{which}` speaks of database \"{}\", which is not configured", relation.database);
            problems.add(located.span, message, Some(hint));
            None
        }
        Err(_) => {
            let message = format!("`{}` is not database:schema.table", located.text);
            problems.add(located.span, message, Some(remedy));
            None
        }
    }
}

/// A table of names to texts, in the order of the names.
fn pairs(section: &Section<'_>, which: &str, problems: &mut Problems<'_>) -> Vec<(Located, Located)> {
    let Some((_, value)) = section.entry(which) else { return Vec::new() };
    let Some(table) = section.table(which) else {
        let message = format!("`{which}` is {}, not a table", kind_of(value.get_ref()));
        problems.add(value.span(), message, Some(format!("write {which} = {{ … = \"…\" }}")));
        return Vec::new();
    };
    if table.keys().is_empty() {
        problems.add(table.place(), format!("`{which}` names no column"), None);
    }
    let mut all = Vec::new();
    for name in table.keys() {
        let Some((place, value)) = table.entry(name) else { continue };
        if !matches!(value.get_ref(), DeValue::String(_)) {
            let message = format!("`{which}.{name}` is {}, not a text in quotes", kind_of(value.get_ref()));
            problems.add(value.span(), message, None);
            continue;
        }
        if let Err(error) = Ident::new(name) {
            problems.add(place.clone(), error.to_string(), None);
            continue;
        }
        if let Some(text) = table.string(name, problems) {
            all.push((Located { text: name.to_owned(), span: place }, text));
        }
    }
    all
}
