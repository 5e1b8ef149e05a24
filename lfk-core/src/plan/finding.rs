//! Putting findings into words, and names as people write them.

use lfk_sql::{Ident, TableName};

use crate::relation::plain;
use crate::report::{Concern, Finding};

impl Finding {
    /// Something that forbids the work.
    #[doc(hidden)]
    #[must_use]
    pub fn refusal(code: &'static str, message: impl Into<String>) -> Self {
        Self { refuses: true, code, message: message.into(), remedy: Vec::new(), concerns: Concern::Both }
    }

    /// Something to know.
    #[doc(hidden)]
    #[must_use]
    pub fn note(code: &'static str, message: impl Into<String>) -> Self {
        Self { refuses: false, code, message: message.into(), remedy: Vec::new(), concerns: Concern::Both }
    }

    /// Says that it is about one step only.
    #[doc(hidden)]
    #[must_use]
    pub fn about(mut self, concerns: Concern) -> Self {
        self.concerns = concerns;
        self
    }

    /// Adds a line to the remedy.
    #[doc(hidden)]
    #[must_use]
    pub fn remedy(mut self, line: impl Into<String>) -> Self {
        self.remedy.push(line.into());
        self
    }

    /// Adds lines to the remedy.
    #[doc(hidden)]
    #[must_use]
    pub fn remedies(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.remedy.extend(lines);
        self
    }
}

/// A statement of a remedy with the database to run it in, by its configured name: the ends of a definition mostly live in two.
pub(super) fn to_run_in(database: &str, statement: &str) -> String {
    let database: String = database.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{statement} -- in database {database}")
}

/// `public.rental`, quoted only where SQL would need it.
pub(crate) fn table_text(name: &TableName) -> String {
    format!("{}.{}", sql_name(&name.schema), sql_name(&name.table))
}

/// `public.rental.customer_id`.
pub(super) fn column_text(table: &TableName, column: &Ident) -> String {
    format!("{}.{}", table_text(table), sql_name(column))
}

/// `customer_id, store_id`.
pub(super) fn column_list(columns: &[Ident]) -> String {
    columns.iter().map(sql_name).collect::<Vec<_>>().join(", ")
}

/// Words that SQL reads as something else where a name of a table or a column is expected.
const RESERVED: &str = "all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate \
    collation column concurrently constraint create cross current_catalog current_date current_role \
    current_schema current_time current_timestamp current_user default deferrable desc distinct do else end \
    except false fetch for foreign freeze from full grant group having ilike in initially inner intersect into \
    is isnull join lateral leading left like limit localtime localtimestamp natural not notnull null offset on \
    only or order outer overlaps placing primary references returning right select session_user similar some \
    symmetric system_user table tablesample then to trailing true union unique user using variadic verbose when \
    where window with";

/// A name as a statement in a remedy needs it, which people copy and run.
pub(super) fn sql_name(name: &Ident) -> String {
    if RESERVED.split(' ').any(|word| word == name.as_str()) { name.to_string() } else { plain(name) }
}

/// The first few of a list, and how many more there are.
pub(super) fn some_of(all: &[String]) -> String {
    const SHOWN: usize = 5;
    match all.len() {
        0..=SHOWN => all.join(", "),
        more => format!("{} and {} more", all[..SHOWN].join(", "), more - SHOWN),
    }
}

/// The candidate that someone most likely meant, if one is near enough to be a slip.
pub(super) fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = 1 + wanted.chars().count() / 4;
    candidates
        .into_iter()
        .map(|c| (distance(&wanted.to_lowercase(), &c.to_lowercase()), c))
        .filter(|(d, _)| *d <= allowed)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// Letters to add, drop or change between two words.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        assert_eq!(nearest("rentals", ["payment", "rental", "customer"]), Some("rental"));
        assert_eq!(nearest("Projects", ["projects"]), Some("projects"));
        assert_eq!(nearest("projetcs", ["project_routes", "projects"]), Some("projects"));
        assert_eq!(nearest("id", ["uuid", "name"]), None);
        assert_eq!(nearest("x", []), None);
    }

    #[test]
    fn names_in_remedies_can_be_copied_into_sql() {
        let name = |n: &str| Ident::new(n).unwrap();
        assert_eq!(table_text(&TableName::new(name("public"), name("order"))), "public.\"order\"");
        assert_eq!(column_text(&TableName::new(name("public"), name("A b")), &name("user")), "public.\"A b\".\"user\"");
    }

    #[test]
    fn long_lists_are_cut() {
        let all: Vec<String> = (0..8).map(|n| n.to_string()).collect();
        assert_eq!(some_of(&all), "0, 1, 2, 3, 4 and 3 more");
        assert_eq!(some_of(&all[..2]), "0, 1");
    }
}
