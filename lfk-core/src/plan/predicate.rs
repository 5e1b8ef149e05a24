//! Whether the predicate of a partial index follows from what the worker's statements ask for.
//!
//! Only two forms are understood, and what joins them with AND: `column IS NOT NULL`, and `column = constant` with the very
//! constant of the definition's `where`. Everything else counts as not implied: the planner might prove more, but a
//! statement that then reads the whole table is the worse mistake.

use lfk_sql::Ident;

use crate::relation::plain;

/// What is known of the child rows that the worker asks for.
#[derive(Debug, Default)]
pub(super) struct Known<'a> {
    /// Columns that are compared with something, hence not NULL.
    pub not_null: Vec<&'a Ident>,
    /// Columns with a fixed value: the column, its type, the value.
    pub fixed: Vec<(&'a Ident, &'a str, &'a str)>,
}

/// Whether every part of the predicate follows. The text is PostgreSQL's own (`pg_get_expr`).
pub(super) fn is_implied(predicate: &str, known: &Known<'_>) -> bool {
    conjuncts(predicate).into_iter().all(|part| follows(part, known))
}

fn follows(part: &str, known: &Known<'_>) -> bool {
    if let Some(column) = part.strip_suffix(" IS NOT NULL") {
        return known.not_null.iter().any(|c| is_column(column, c));
    }
    known.fixed.iter().any(|(column, type_name, value)| {
        if *type_name == "boolean" && is_column(part, column) {
            return is_boolean(value, true);
        }
        if *type_name == "boolean" && part.strip_prefix("NOT ").is_some_and(|c| is_column(c, column)) {
            return is_boolean(value, false);
        }
        let Some((left, right)) = part.split_once(" = ") else { return false };
        // varchar has no equality of its own: the server compares it as text and says so in the predicate.
        let as_text = left.strip_prefix('(').and_then(|l| l.strip_suffix(")::text"));
        let is_the_column = is_column(left, column)
            || (type_name.starts_with("character varying") && as_text.is_some_and(|l| is_column(l, column)));
        is_the_column && constant(right).as_deref() == Some(*value)
    })
}

/// Whether the server's text is this column. It quotes more names than it must, so both spellings count.
fn is_column(text: &str, column: &Ident) -> bool {
    text == column.to_string() || text == plain(column)
}

fn is_boolean(value: &str, wanted: bool) -> bool {
    let words: &[&str] =
        if wanted { &["true", "t", "yes", "y", "on", "1"] } else { &["false", "f", "no", "n", "off", "0"] };
    words.contains(&value.trim().to_lowercase().as_str())
}

/// The value of `'text'::type`, `4` or `true`; nothing for anything that is not just a constant.
fn constant(text: &str) -> Option<String> {
    let Some(quoted) = text.strip_prefix('\'') else {
        let bare = strip_parentheses(text.split("::").next()?);
        // Without quotes stand only numbers and truth values; any other word is a column.
        let is_number = !bare.is_empty() && bare.chars().all(|c| c.is_ascii_digit() || c == '.');
        return (is_number || bare == "true" || bare == "false").then(|| bare.to_owned());
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if c != '\'' {
            value.push(c);
        } else if chars.next_if(|(_, next)| *next == '\'').is_some() {
            value.push('\'');
        } else {
            return is_cast(&quoted[at + 1..]).then_some(value);
        }
    }
    None
}

/// Nothing, or `::type`, and nothing after it.
fn is_cast(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix("::").is_some_and(|name| {
            // A COLLATE or an operator after the cast would make it another comparison.
            !name.is_empty()
                && !name.contains(" COLLATE ")
                && name.chars().all(|c| c.is_alphanumeric() || matches!(c, ' ' | '_' | '.' | '"' | '(' | ')'))
        })
}

fn conjuncts(predicate: &str) -> Vec<&str> {
    let text = strip_parentheses(predicate.trim());
    let parts = split_at_and(text);
    if parts.len() == 1 { parts } else { parts.into_iter().flat_map(conjuncts).collect() }
}

/// Takes off parentheses that enclose everything.
fn strip_parentheses(text: &str) -> &str {
    let mut text = text.trim();
    while text.starts_with('(') && closes_at(text) == Some(text.len() - 1) {
        text = text[1..text.len() - 1].trim();
    }
    text
}

/// Where the first parenthesis is closed.
fn closes_at(text: &str) -> Option<usize> {
    let mut found = None;
    walk(text, |at, c, depth| {
        if c == ')' && depth == 0 && found.is_none() {
            found = Some(at);
        }
    });
    found
}

fn split_at_and(text: &str) -> Vec<&str> {
    let mut cuts = Vec::new();
    walk(text, |at, _, depth| {
        if depth == 0 && text[at..].starts_with(" AND ") {
            cuts.push(at);
        }
    });
    let mut parts = Vec::new();
    let mut from = 0;
    for cut in cuts {
        parts.push(&text[from..cut]);
        from = cut + " AND ".len();
    }
    parts.push(&text[from..]);
    parts
}

/// Calls back for each character outside quotes, with the depth of parentheses after it.
fn walk(text: &str, mut each: impl FnMut(usize, char, i32)) {
    let (mut depth, mut quote) = (0, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, c) => {
                depth += i32::from(c == '(') - i32::from(c == ')');
                each(at, c, depth);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn implied(predicate: &str) -> bool {
        let columns: Vec<(Ident, &str, &str)> = [
            ("k", "text", "Post"),
            ("v", "character varying(20)", "Po'st"),
            ("n", "smallint", "4"),
            ("m", "bigint", "-4"),
            ("b", "boolean", "true"),
            ("off", "boolean", "f"),
            ("e", "public.mood", "a"),
            ("w", "text", "other"),
            ("Odd one", "text", "x AND y"),
        ]
        .map(|(name, type_name, value)| (Ident::new(name).unwrap(), type_name, value))
        .to_vec();
        let fixed = columns.iter().map(|(c, t, v)| (c, *t, *v)).collect();
        let id = Ident::new("id").unwrap();
        is_implied(predicate, &Known { not_null: vec![&id, &columns[0].0], fixed })
    }

    #[test]
    fn forms_that_the_server_prints_are_understood() {
        for predicate in [
            "(id IS NOT NULL)",
            "(k = 'Post'::text)",
            "((v)::text = 'Po''st'::text)",
            "(n = 4)",
            "(n = (4)::smallint)",
            "(m = '-4'::integer)",
            "(m = '-4'::bigint)",
            "b",
            "(b = true)",
            "(NOT off)",
            "(e = 'a'::public.mood)",
            "((k = 'Post'::text) AND (id IS NOT NULL))",
            "((id IS NOT NULL) AND ((n = 4) AND b))",
            "(\"Odd one\" = 'x AND y'::text)",
            "(\"n\" = 4)",
        ] {
            assert!(implied(predicate), "{predicate}");
        }
    }

    #[test]
    fn everything_else_is_not_implied() {
        for predicate in [
            "(other IS NOT NULL)",
            "(id IS NULL)",
            "(k = 'Comment'::text)",
            "(k = 'post'::text)",
            "(k <> 'Post'::text)",
            "(k = 'Post'::text COLLATE \"C\")",
            "((k)::text = 'Post'::text)",
            "((n)::text = '4'::text)",
            "(n = 40)",
            "(n > 4)",
            "(NOT b)",
            "off",
            "(b IS TRUE)",
            "((k = 'Post'::text) OR (id IS NOT NULL))",
            "((k = 'Post'::text) AND (deleted_at IS NULL))",
            "(k = ANY (ARRAY['Post'::text, 'X'::text]))",
            "(k = ('Post'::text || ''::text))",
            "(lower(k) = 'Post'::text)",
            "(n = (4 + 0))",
            "(w = other)",
            "(n = '4'::text::integer + 0)",
            "",
        ] {
            assert!(!implied(predicate), "{predicate}");
        }
    }
}
