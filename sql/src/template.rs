//! SQL text with holes. The one place where SQL is put together.
//!
//! A template is a `.sql` file that PostgreSQL's own parser accepts as it stands: a hole for a name, a type or a
//! fragment is written as a quoted identifier, `"{child}"`, and a hole for a text literal as a quoted literal,
//! `'{value}'`. Only typed pieces fit: [`Ident`] and [`TableName`] quote themselves, literals are quoted here, and
//! fragments are other templates of this crate. A hole that nothing fills, and a piece that no hole takes, panic: both are
//! mistakes of the programmer that the tests of this crate find for every file.

use std::fmt::Write as _;

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use crate::{Ident, TableName};

/// The text of one `.sql` file that has holes.
#[derive(Debug, Clone, Copy)]
pub struct Template(pub(crate) &'static str);

/// Something that may stand where a template has a hole.
#[derive(Debug, Clone)]
pub enum Piece {
    /// A name, a list of names, a type or a fragment: goes where `"{hole}"` stands.
    Sql(String),
    /// A text literal: goes where `'{hole}'` stands.
    Literal(String),
}

impl From<&Ident> for Piece {
    fn from(name: &Ident) -> Self {
        Self::Sql(name.to_string())
    }
}

impl From<&TableName> for Piece {
    fn from(name: &TableName) -> Self {
        Self::Sql(name.to_string())
    }
}

impl From<Sql> for Piece {
    fn from(sql: Sql) -> Self {
        Self::Sql(sql.0)
    }
}

impl From<i64> for Piece {
    fn from(number: i64) -> Self {
        Self::Sql(number.to_string())
    }
}

impl Piece {
    /// A text literal.
    #[must_use]
    pub fn literal(text: impl Into<String>) -> Self {
        Self::Literal(text.into())
    }
}

/// SQL text made only of this crate's files, quoted names and quoted literals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sql(String);

impl Sql {
    /// The text, for printing and for `EXPLAIN` in tests.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as sqlx wants it. Nothing else in the workspace may call `AssertSqlSafe`.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn into_sql_str(self) -> SqlStr {
        AssertSqlSafe(self.0).into_sql_str()
    }

    /// Joins pieces of the same kind with a separator: `a = 1 AND b = 2`.
    #[must_use]
    pub fn join(parts: impl IntoIterator<Item = Sql>, separator: &'static str) -> Sql {
        let parts: Vec<String> = parts.into_iter().map(|p| p.0).collect();
        Sql(parts.join(separator))
    }
}

impl Template {
    /// The text as it stands in its file.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.0
    }

    /// Fills every hole. Comment lines are left out, so that what the server logs is short.
    ///
    /// # Panics
    /// When a hole stays open or a piece fits nowhere: a mistake in this workspace, not in anyone's data.
    #[must_use]
    pub fn render(self, pieces: &[(&str, Piece)]) -> Sql {
        let body: String =
            self.0.lines().filter(|l| !l.trim_start().starts_with("--")).fold(String::new(), |mut all, line| {
                let _ = writeln!(all, "{line}");
                all
            });
        Sql(fill(body.trim(), pieces))
    }
}

/// One pass from left to right, so that braces inside a filled-in name are never read as a hole.
fn fill(template: &str, pieces: &[(&str, Piece)]) -> String {
    let mut out = String::with_capacity(template.len() + 256);
    let mut used = vec![false; pieces.len()];
    let mut rest = template;
    while let Some((before, quote, name, after)) = next_hole(rest) {
        out.push_str(before);
        let found = pieces.iter().position(|(n, _)| *n == name);
        let index = found.unwrap_or_else(|| panic!("nothing fills the hole {name} of a SQL template"));
        used[index] = true;
        match (&pieces[index].1, quote) {
            (Piece::Sql(sql), '"') => out.push_str(sql),
            (Piece::Literal(text), '\'') => out.push_str(&quote_literal(text)),
            _ => panic!("the hole {name} of a SQL template got a piece of the wrong kind"),
        }
        rest = after;
    }
    out.push_str(rest);
    if let Some(index) = used.iter().position(|u| !u) {
        panic!("no hole of the SQL template takes {}", pieces[index].0);
    }
    out
}

fn next_hole(text: &str) -> Option<(&str, char, &str, &str)> {
    let double = text.find("\"{");
    let single = text.find("'{");
    let mut starts: Vec<usize> = double.into_iter().chain(single).collect();
    starts.sort_unstable();
    for start in starts {
        let quote = if text.as_bytes()[start] == b'"' { '"' } else { '\'' };
        let body = &text[start + 2..];
        let Some(end) = body.find('}') else { continue };
        let name = &body[..end];
        let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if named && body[end + 1..].starts_with(quote) {
            return Some((&text[..start], quote, name, &body[end + 2..]));
        }
    }
    None
}

/// Quotes a text literal; a backslash makes it an `E''` literal, whatever `standard_conforming_strings` says.
fn quote_literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') { format!("E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ident(name: &str) -> Ident {
        Ident::new(name).unwrap()
    }

    #[test]
    fn holes_are_filled_and_comments_dropped() {
        let t = Template("-- why\nSELECT \"{col}\" FROM t\n WHERE x = '{value}'");
        let sql = t.render(&[("col", (&ident("a\"b")).into()), ("value", Piece::literal("it's \\ {col}"))]);
        assert_eq!(sql.as_str(), "SELECT \"a\"\"b\" FROM t\n WHERE x = E'it''s \\\\ {col}'");
    }

    #[test]
    fn a_name_that_looks_like_a_hole_stays_a_name() {
        let t = Template("SELECT \"{a}\", \"{b}\"");
        let sql = t.render(&[("a", (&ident("{b}")).into()), ("b", (&ident("x")).into())]);
        assert_eq!(sql.as_str(), "SELECT \"{b}\", \"x\"");
    }

    #[test]
    #[should_panic(expected = "nothing fills the hole")]
    fn an_open_hole_is_a_mistake() {
        let _ = Template("SELECT \"{a}\"").render(&[]);
    }

    #[test]
    #[should_panic(expected = "no hole")]
    fn a_piece_without_a_hole_is_a_mistake() {
        let _ = Template("SELECT 1").render(&[("a", 1.into())]);
    }
}
