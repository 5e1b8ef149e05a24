//! SQL that the user wrote in the configuration: an expression over the columns of one row.

use std::fmt;

use crate::Piece;

/// An expression of the user's. It is trusted as the configuration is, and kept apart from the SQL around it by parentheses of
/// its own; that it is one expression and nothing more is for the server to say, which reads it before anything else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Expression(String);

/// Why a text is no expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpressionError {
    /// Nothing but blanks.
    #[error("an expression is empty")]
    Empty,
    /// PostgreSQL has no text with a NUL in it.
    #[error("an expression contains a NUL character")]
    Nul,
    /// A parenthesis that closes none of its own would end the one that keeps it apart.
    #[error("an expression closes a parenthesis that it did not open, or opens one that it does not close")]
    Unbalanced,
    /// A statement would end.
    #[error("an expression contains a semicolon or a comment outside of a text in quotes")]
    Statement,
    /// Quoting that only the server's own parser understands.
    #[error(
        "an expression contains a parameter, dollar quotes, or a quote behind a backslash: write plain quotes, doubled inside"
    )]
    Quoting,
}

impl Expression {
    /// Takes a text.
    ///
    /// # Errors
    /// When it is empty, holds a NUL, a comment or a semicolon, or its parentheses do not come out even.
    pub fn new(text: impl Into<String>) -> Result<Self, ExpressionError> {
        let text = text.into();
        if text.trim().is_empty() {
            return Err(ExpressionError::Empty);
        }
        if text.contains('\0') {
            return Err(ExpressionError::Nul);
        }
        balanced(&text)?;
        Ok(Self(text.trim().to_owned()))
    }

    /// Every name outside of texts in quotes, as the catalog would spell it: columns are among them, and functions, types and
    /// keywords.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut rest = self.0.as_str();
        while let Some(first) = rest.chars().next() {
            let taken = match first {
                '\'' | '"' => {
                    let (text, after) = quoted(rest, first);
                    if first == '"' {
                        names.push(text);
                    }
                    after
                }
                _ if first.is_alphabetic() || first == '_' => {
                    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'));
                    let end = end.unwrap_or(rest.len());
                    // Like the server: only ASCII letters are folded.
                    names.push(rest[..end].to_ascii_lowercase());
                    end
                }
                _ => first.len_utf8(),
            };
            rest = &rest[taken..];
        }
        names
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Walks over the text outside of quotes. What would need a real parser (dollar quotes, a quote behind a backslash) is refused.
fn balanced(text: &str) -> Result<(), ExpressionError> {
    let mut depth = 0_i32;
    let mut quote = None;
    let mut before = ' ';
    let mut before_in_quotes = ' ';
    for c in text.chars() {
        match (quote, c) {
            (Some(open), _) if c == open && before_in_quotes == '\\' => return Err(ExpressionError::Quoting),
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            // Names and texts with escapes of their own.
            (None, '\'' | '"') if before == '&' => return Err(ExpressionError::Quoting),
            (None, '\'' | '"') => quote = Some(c),
            (None, '(' | '[') => depth += 1,
            (None, ')' | ']') => depth -= 1,
            (None, '$') if !(before.is_alphanumeric() || before == '_') => return Err(ExpressionError::Quoting),
            (None, ';') => return Err(ExpressionError::Statement),
            (None, '-') if before == '-' => return Err(ExpressionError::Statement),
            (None, '*') if before == '/' => return Err(ExpressionError::Statement),
            (None, _) => {}
        }
        if depth < 0 {
            return Err(ExpressionError::Unbalanced);
        }
        before = if quote.is_some() { ' ' } else { c };
        before_in_quotes = if quote.is_some() { c } else { ' ' };
    }
    if depth == 0 && quote.is_none() { Ok(()) } else { Err(ExpressionError::Unbalanced) }
}

/// What stands in quotes at the beginning of a text, with doubled quotes made one, and where the rest begins.
fn quoted(text: &str, quote: char) -> (String, usize) {
    let mut inner = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            inner.push(c);
        } else if chars.next_if(|(_, next)| *next == quote).is_some() {
            inner.push(quote);
        } else {
            return (inner, at + 1);
        }
    }
    (inner, text.len())
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&Expression> for Piece {
    fn from(expression: &Expression) -> Self {
        Self::Sql(format!("({})", expression.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_no_text() {
        let names = |text: &str| Expression::new(text).unwrap().names();
        assert_eq!(names("archived = false"), ["archived", "false"]);
        assert_eq!(names(r#"Lower("Na""me") || ' it''s a text ' || x1.y_2"#), ["lower", "Na\"me", "x1", "y_2"]);
    }

    #[test]
    fn an_expression_cannot_leave_its_parentheses() {
        for text in ["a = 1", "lower(name) || ')'", "\"a)b\" > 0", "a - -1 > 2", "x[1] = 'it''s; --'"] {
            assert!(Expression::new(text).is_ok(), "{text}");
        }
        for (text, error) in [
            ("", ExpressionError::Empty),
            ("a) OR (b", ExpressionError::Unbalanced),
            ("(a", ExpressionError::Unbalanced),
            ("'a", ExpressionError::Unbalanced),
            ("a -- b", ExpressionError::Statement),
            ("a /* b */", ExpressionError::Statement),
            ("a; DROP TABLE b", ExpressionError::Statement),
            ("a\0", ExpressionError::Nul),
            ("a = E'\\'' ) OR (1=1 AND ''", ExpressionError::Quoting),
            ("a = $$'$$", ExpressionError::Quoting),
            ("a = $1", ExpressionError::Quoting),
        ] {
            assert_eq!(Expression::new(text), Err(error), "{text}");
        }
    }
}
