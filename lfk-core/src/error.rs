//! What can go wrong, as a caller can act on it. Errors never carry key values or connection strings.

use std::fmt;

/// An error of lfk, with the place it happened and, where there is one, the remedy.
#[derive(Debug)]
#[non_exhaustive]
pub struct Error {
    /// What a caller can decide by.
    pub kind: ErrorKind,
    /// The database by its configured name.
    pub database: Option<String>,
    /// The definition.
    pub definition: Option<String>,
    /// What happened: a lower-case fragment without a period.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The cause, which `Display` does not repeat.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The kinds of error that a caller may treat differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The configuration is wrong; nothing was touched.
    Config,
    /// `plan` found something that forbids the work, a database is not the one that was recorded, or the switch is off.
    Refused,
    /// lfk is not installed in a database, or at another version, or a newer one wrote what this one cannot read.
    NotInstalled,
    /// A database cannot be reached, or hung up.
    Unreachable,
    /// A statement failed.
    Sql,
    /// The lease went to another worker: stop, it goes on from the stored position.
    LeaseLost,
    /// The time given was used up; whatever is left can be resumed.
    TimedOut,
    /// A signal of health says that writers should wait; they try again by themselves.
    Held,
    /// The definition was paused, or the kill switch is on: the batch was not done.
    Paused,
    /// A test killed the worker at a fail point.
    Crashed,
}

/// The result of anything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of a kind, with what happened.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, database: None, definition: None, message: message.into(), hint: None, source: None }
    }

    /// A mistake in what the caller configured.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// Work that must not be done.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, message)
    }

    /// A failure of the driver or the server while working in `database`.
    pub fn sql(database: &str, source: sqlx::Error) -> Self {
        let unreachable = is_connection_error(&source);
        let kind = if unreachable { ErrorKind::Unreachable } else { ErrorKind::Sql };
        let message = if unreachable { "cannot be reached".to_owned() } else { describe(&source) };
        let error = Self { source: Some(Box::new(source)), ..Self::new(kind, message) }.in_database(database);
        match error.sqlstate().as_deref() {
            Some("42501") => error.with_hint(format!(
                "a right is missing in database {database}: `lfk plan`, run as the same role, prints the GRANT, and \
                 `lfk grants` all of them. A trigger of the application runs as this role, too, and may need rights of its own"
            )),
            _ => error,
        }
    }

    /// Says in which database it happened.
    #[must_use]
    pub fn in_database(mut self, name: &str) -> Self {
        self.database.get_or_insert_with(|| name.to_owned());
        self
    }

    /// Says for which definition it happened.
    #[must_use]
    pub fn for_definition(mut self, name: &str) -> Self {
        self.definition.get_or_insert_with(|| name.to_owned());
        self
    }

    /// Adds the remedy.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The five-character SQLSTATE, when the server answered with one.
    #[must_use]
    pub fn sqlstate(&self) -> Option<String> {
        let source = self.source.as_ref()?.downcast_ref::<sqlx::Error>()?;
        source.as_database_error()?.code().map(std::borrow::Cow::into_owned)
    }
}

/// The server's own words without its DETAIL, which may hold key values.
fn describe(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(db) => match db.code() {
            Some(code) => format!("{} (SQLSTATE {code})", db.message()),
            None => db.message().to_owned(),
        },
        None => error.to_string(),
    }
}

/// No answer, a dropped connection, or a server that is starting or stopping: nothing is known about the statement.
pub(crate) fn is_connection_error(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(db) => {
            db.code().is_some_and(|c| c.starts_with("08") || (c.starts_with("57P") && c != "57P04"))
        }
        _ => false,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(definition) = &self.definition {
            write!(f, "\"{definition}\": ")?;
        }
        if let Some(database) = &self.database {
            write!(f, "database \"{database}\": ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as _)
    }
}
