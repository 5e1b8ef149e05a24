//! Names of host objects: parsed once at the edge, quoted always.

use std::fmt;

/// The longest identifier PostgreSQL keeps, in bytes; it cuts longer ones off without an error.
pub const MAX_IDENT_BYTES: usize = 63;

/// One SQL identifier, exactly as the catalog spells it. Its `Display` is the quoted form.
///
/// ```
/// let odd = lfk_sql::Ident::new(r#"We"ird"#).unwrap();
/// assert_eq!(odd.to_string(), r#""We""ird""#);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ident(String);

/// Why a text cannot be an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentError {
    /// PostgreSQL has no empty identifiers.
    #[error("an identifier may not be empty")]
    Empty,
    /// PostgreSQL cannot store NUL in a name.
    #[error("an identifier may not contain a NUL byte")]
    Nul,
    /// The server would cut the name off silently, and we would speak of another object.
    #[error("the identifier \"{0}\" is {1} bytes long; PostgreSQL keeps only 63")]
    TooLong(String, usize),
}

impl Ident {
    /// Takes the name as the catalog has it (not quoted, case kept).
    ///
    /// # Errors
    /// Refuses what PostgreSQL would refuse, and what it would silently truncate.
    pub fn new(name: impl Into<String>) -> Result<Self, IdentError> {
        let name = name.into();
        if name.is_empty() {
            return Err(IdentError::Empty);
        }
        if name.contains('\0') {
            return Err(IdentError::Nul);
        }
        if name.len() > MAX_IDENT_BYTES {
            let bytes = name.len();
            return Err(IdentError::TooLong(name, bytes));
        }
        Ok(Self(name))
    }

    /// The name as the catalog has it, without quotes: for binds and messages, never for SQL text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('"', "\"\""))
    }
}

impl fmt::Debug for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A table with its schema. Its `Display` is the quoted, qualified form, which no `search_path` can change.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    /// The schema.
    pub schema: Ident,
    /// The table, partition or inheritance child.
    pub table: Ident,
}

impl TableName {
    /// Joins a schema and a table.
    #[must_use]
    pub fn new(schema: Ident, table: Ident) -> Self {
        Self { schema, table }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

impl fmt::Debug for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_inner_quotes_doubled() {
        let name = TableName::new(Ident::new("My Schema").unwrap(), Ident::new("a\"b").unwrap());
        assert_eq!(name.to_string(), "\"My Schema\".\"a\"\"b\"");
    }

    #[test]
    fn names_the_server_would_cut_off_are_refused() {
        assert!(Ident::new("x".repeat(63)).is_ok());
        assert!(matches!(Ident::new("x".repeat(64)), Err(IdentError::TooLong(_, 64))));
        // 63 bytes are counted, not characters.
        assert!(Ident::new("ü".repeat(32)).is_err());
        assert_eq!(Ident::new(""), Err(IdentError::Empty));
        assert_eq!(Ident::new("a\0b"), Err(IdentError::Nul));
    }
}
