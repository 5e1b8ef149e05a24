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
