//! `database:schema.table(column, …)`: how a configuration names the two ends of a loose foreign key.

use std::fmt;
use std::str::FromStr;

use lfk_sql::{Ident, TableName};

use crate::error::{Error, Result};

/// Columns of a table in one of the configured databases.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Relation {
    /// The database by its configured name.
    pub database: String,
    /// The table.
    pub table: TableName,
    /// The columns, in the order in which both ends correspond.
    pub columns: Vec<Ident>,
}

impl fmt::Display for Relation {
    /// The form that [`Relation::from_str`] reads back, quoted only where SQL would need it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<String> = self.columns.iter().map(plain).collect();
        write!(
            f,
            "{}:{}.{}({})",
            self.database,
            plain(&self.table.schema),
            plain(&self.table.table),
            columns.join(", ")
        )
    }
}

/// A name without quotes where it reads back as itself.
pub(crate) fn plain(name: &Ident) -> String {
    let text = name.as_str();
    let simple = text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if simple { text.to_owned() } else { name.to_string() }
}

impl FromStr for Relation {
    type Err = Error;

    /// Reads `database:schema.table(column, …)`. As in SQL, a name without quotes is folded to lower case and a name in
    /// double quotes is taken as it is, with `""` for one quote.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::config(format!("`{text}` is not database:schema.table(column): {why}")).with_hint("write for example main:public.projects(id); quote odd names as in SQL: main:public.\"My Table\"(\"Id\")")
        };
        let (database, rest) = text.split_once(':').ok_or_else(|| wrong("no database before a colon"))?;
        let database = database.trim();
        if database.is_empty() {
            return Err(wrong("no database before the colon"));
        }
        let mut names = Names { rest: rest.trim_start() };
        let schema = names.name().map_err(|e| wrong(&e))?;
        names.expect('.').map_err(|e| wrong(&format!("{e} after the schema")))?;
        let table = names.name().map_err(|e| wrong(&e))?;
        names.expect('(').map_err(|e| wrong(&format!("{e} after the table")))?;
        let mut columns = vec![names.name().map_err(|e| wrong(&e))?];
        while names.take(',') {
            columns.push(names.name().map_err(|e| wrong(&e))?);
        }
        names.expect(')').map_err(|e| wrong(&format!("{e} after the columns")))?;
        if !names.rest.trim().is_empty() {
            return Err(wrong("text after the closing parenthesis"));
        }
        if let Some(twice) = columns.iter().enumerate().find(|(i, c)| columns[..*i].contains(c)) {
            return Err(wrong(&format!("the column {} stands there twice", twice.1)));
        }
        Ok(Self { database: database.to_owned(), table: TableName::new(schema, table), columns })
    }
}

/// What is left to read.
struct Names<'a> {
    rest: &'a str,
}

impl Names<'_> {
    fn name(&mut self) -> Result<Ident, String> {
        self.rest = self.rest.trim_start();
        let raw = if self.rest.starts_with('"') { self.quoted()? } else { self.bare() };
        Ident::new(raw).map_err(|e| e.to_string())
    }

    fn bare(&mut self) -> String {
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        // Like the server: only ASCII letters are folded.
        name.to_ascii_lowercase()
    }

    fn quoted(&mut self) -> Result<String, String> {
        let mut name = String::new();
        let mut chars = self.rest.char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            if c != '"' {
                name.push(c);
            } else if chars.next_if(|(_, next)| *next == '"').is_some() {
                name.push('"');
            } else {
                self.rest = &self.rest[at + 1..];
                return Ok(name);
            }
        }
        Err("a quoted name does not end".to_owned())
    }

    fn take(&mut self, wanted: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.take(wanted) { Ok(()) } else { Err(format!("expected `{wanted}`")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_quoted_names_are_read_as_in_sql() {
        let r: Relation = r#"main: Public."We""ird. (Table"( Id , "Id 2" )"#.parse().unwrap();
        assert_eq!(r.database, "main");
        assert_eq!(r.table.to_string(), r#""public"."We""ird. (Table""#);
        let names: Vec<&str> = r.columns.iter().map(Ident::as_str).collect();
        assert_eq!(names, ["id", "Id 2"]);
        assert_eq!(r.to_string().parse::<Relation>().unwrap(), r);
    }

    #[test]
    fn what_cannot_be_read_is_named_with_the_remedy() {
        for text in [
            "projects(id)",
            "main:projects(id)",
            "main:public.projects",
            "main:public.projects()",
            "main:public.projects(id",
            "main:public.projects(id) x",
            "main:public.\"projects(id)",
            ":public.p(id)",
            "main:public.p(a, a)",
        ] {
            let error = text.parse::<Relation>().unwrap_err();
            assert!(error.hint.is_some(), "{text}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
