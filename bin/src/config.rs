//! The file `lfk.toml`: what is in it, or everything that is wrong with it, each with line and column.

pub(crate) mod cursors;
mod definition;
mod document;
mod mirror;
mod problem;
#[cfg(test)]
mod tests;
mod variables;

use std::env::VarError;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use lfk_core::{Database, Engine, Limits, LooseForeignKey, Pooler};
use lfk_mirror::{Mirror, Mirrors as _};
use toml::de::{DeTable, DeValue};

use crate::config::cursors::Cursors;
use crate::config::document::{Section, kind_of};
use crate::config::problem::Problems;
use crate::exit::{Complaint, Exit, Failure};
use crate::suggest;

/// The format that this version reads.
const FORMAT: u32 = 1;

/// Where the environment names another file than `lfk.toml`.
const PATH_VARIABLE: &str = "LFK_CONFIG";

/// A configuration that was read without a mistake. It keeps no URL: those are inside the databases' pools and the store.
#[derive(Debug)]
pub(crate) struct Config {
    /// The file as it was named.
    pub(crate) file: String,
    pub(crate) databases: Vec<Database>,
    pub(crate) definitions: Vec<LooseForeignKey>,
    pub(crate) mirrors: Vec<Mirror>,
    pub(crate) cursors: Cursors,
}

/// What a variable of the environment holds.
type Environment<'a> = &'a dyn Fn(&str) -> Result<String, VarError>;

impl Config {
    /// Reads the file that the command line or the environment names. Must be called inside a runtime: pools need one.
    pub(crate) fn load(given: Option<PathBuf>) -> Result<Self, Failure> {
        let path = path(given, std::env::var_os(PATH_VARIABLE))?;
        let input = std::fs::read_to_string(&path).map_err(|e| unreadable(&path, &e))?;
        Self::parse(&path.display().to_string(), &input, &|name| std::env::var(name))
    }

    fn parse(file: &str, input: &str, environment: Environment<'_>) -> Result<Self, Failure> {
        let mut problems = Problems::new(file, input);
        let (document, errors) = DeTable::parse_recoverable(input);
        for error in &errors {
            problems.add(error.span().unwrap_or(0..0), error.message().to_owned(), None);
        }
        // What could be recovered from a broken file would only bring up mistakes that nobody made.
        problems.none_so_far()?;

        let mut top = Section::new(document.get_ref(), document.span(), "the file", environment);
        format(&mut top, &mut problems);
        let databases = databases(&top, &mut problems);
        let known: Vec<&str> = top.table("database").map_or_else(Vec::new, |section| section.keys());
        let definitions = definition::all(&top, &known, &mut problems);
        let taken: Vec<String> = definitions.iter().map(|d| d.name.clone()).collect();
        let mirrors = mirror::all(&top, &known, &taken, &mut problems);
        let cursors = cursors::read(&top, &mut problems);
        top.refuse_unknown(&["format", "database", "loose_foreign_key", "mirror", "cursors", "redis"], &mut problems);
        problems.none_so_far()?;
        Ok(Self { file: file.to_owned(), databases, definitions, mirrors, cursors })
    }

    /// The engine for it. No network is touched.
    pub(crate) fn engine(self) -> Result<Engine, Failure> {
        let mut builder = self.databases.into_iter().fold(Engine::builder(), lfk_core::Builder::database);
        if let Some(store) = self.cursors.store {
            builder = builder.cursor_store(store);
        }
        Ok(builder.definitions(self.definitions).mirrors(self.mirrors).build()?)
    }
}

fn path(given: Option<PathBuf>, variable: Option<OsString>) -> Result<PathBuf, Failure> {
    match (given, variable) {
        (Some(path), _) => Ok(path),
        (None, Some(path)) if path.is_empty() => Err(Failure::new(
            Exit::Usage,
            Complaint::new(format!("the variable {PATH_VARIABLE} is set but empty"))
                .hint("unset it to use lfk.toml, or let it name the configuration file"),
        )),
        (None, Some(path)) => Ok(path.into()),
        (None, None) => Ok("lfk.toml".into()),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let complaint = Complaint::new(format!("the configuration {} cannot be read: {error}", path.display()))
        .hint(format!("name it with -c PATH or in {PATH_VARIABLE}"));
    Failure::new(Exit::Usage, complaint)
}

/// Another format may mean anything: it is refused before the rest is believed.
fn format(top: &mut Section<'_>, problems: &mut Problems<'_>) {
    let remedy = format!("write `format = {FORMAT}` as the first line");
    match top.entry("format") {
        None => problems.add(0..0, "`format` is missing".to_owned(), Some(remedy)),
        Some((_, value)) => match value.get_ref() {
            DeValue::Integer(n) if n.as_str().parse() == Ok(FORMAT) => {}
            DeValue::Integer(n) => {
                let message = format!("format {} is not one that this version of lfk reads", n.as_str());
                let remedy =
                    format!("this version reads format {FORMAT}; use the version of lfk that the file was written for");
                problems.add(value.span(), message, Some(remedy));
            }
            other => problems.add(value.span(), format!("`format` is {}, not a number", kind_of(other)), Some(remedy)),
        },
    }
}

fn databases(top: &Section<'_>, problems: &mut Problems<'_>) -> Vec<Database> {
    let remedy = "write [database.NAME] with a url for each database";
    let Some((_, value)) = top.entry("database") else {
        problems.add(0..0, "no database is configured".to_owned(), Some(remedy.to_owned()));
        return Vec::new();
    };
    let Some(section) = top.table("database") else {
        problems.add(
            value.span(),
            format!("`database` is {}, not a table", kind_of(value.get_ref())),
            Some(remedy.to_owned()),
        );
        return Vec::new();
    };
    let names = section.keys();
    names.into_iter().filter_map(|name| database(&section, name, problems)).collect()
}

fn database(all: &Section<'_>, name: &str, problems: &mut Problems<'_>) -> Option<Database> {
    let (key, value) = all.entry(name)?;
    if name.is_empty() || name.trim() != name || name.contains(':') || name.chars().any(char::is_control) {
        let hint = "database names stand before a colon in `parent` and `child`: use letters, digits, - and _";
        problems.add(key, format!("{name:?} cannot name a database"), Some(hint.to_owned()));
        return None;
    }
    let Some(section) = all.table(name) else {
        let hint = format!("write [database.{name}] and below it url = \"postgres://…\"");
        problems.add(
            value.span(),
            format!("`database.{name}` is {}, not a table", kind_of(value.get_ref())),
            Some(hint),
        );
        return None;
    };
    section.refuse_unknown(&["url", "pooler", "rows_per_second", "statements_per_second", "duty_percent"], problems);
    let mut limits = Limits::new(
        section.positive_number("rows_per_second", problems),
        section.positive_number("statements_per_second", problems),
    );
    if let Some(percent) = section.percent("duty_percent", problems) {
        limits = limits.with_duty_percent(percent);
    }
    let pooler = pooler(&section, problems);
    let url = section.required_string("url", "write url = \"postgres://user@host:port/database\"", problems)?;
    match Database::connect_lazy_through(name, &url.text, pooler) {
        Ok(database) => Some(database.with_limits(limits)),
        Err(error) => {
            // Its text names the database and never the URL.
            problems.add(url.span, error.to_string(), error.hint);
            None
        }
    }
}

fn pooler(section: &Section<'_>, problems: &mut Problems<'_>) -> Pooler {
    let Some(said) = section.string("pooler", problems) else { return Pooler::None };
    if said.text != "transaction" {
        let hint =
            "write pooler = \"transaction\" for a pooler in transaction mode, and leave it out for everything else";
        problems.add(said.span, "`pooler` knows no such mode".to_owned(), Some(hint.to_owned()));
        return Pooler::None;
    }
    Pooler::Transaction
}

/// Refuses names that are not in the configuration; without names, `all` of it is meant.
pub(crate) fn chosen(engine: &Engine, names: &[String]) -> Result<Vec<String>, Failure> {
    among(engine.declarations().iter().map(|d| d.name.as_str()).collect(), names)
}

/// The same for what is done with loose foreign keys only.
pub(crate) fn chosen_loose(engine: &Engine, names: &[String]) -> Result<Vec<String>, Failure> {
    among(engine.definitions().iter().map(|d| d.name.as_str()).collect(), names)
}

fn among(known: Vec<&str>, names: &[String]) -> Result<Vec<String>, Failure> {
    if known.is_empty() {
        let complaint = Complaint::new("the configuration has no loose foreign key").hint("add [[loose_foreign_key]]");
        return Err(Failure::new(Exit::Usage, complaint));
    }
    if names.is_empty() {
        return Ok(known.into_iter().map(str::to_owned).collect());
    }
    let unknown: Vec<Complaint> = names
        .iter()
        .filter(|name| !known.contains(&name.as_str()))
        .map(|name| {
            Complaint::new(format!("no definition is named \"{name}\" in the configuration"))
                .hint(suggest::hint(name, known.iter().copied()))
        })
        .collect();
    if !unknown.is_empty() {
        return Err(Failure { exit: Exit::Usage, complaints: unknown });
    }
    let mut once: Vec<String> = Vec::new();
    for name in names {
        if !once.contains(name) {
            once.push(name.clone());
        }
    }
    Ok(once)
}
