//! A database handle that only hands out transactions.
//!
//! Every statement of lfk runs in an explicit, short transaction whose settings are stated at its start, whatever the
//! defaults of the role, the database or a pooler say. So one code path serves direct connections and transaction
//! poolers, and no caller can forget a timeout.

mod bounded;
mod lanes;
mod tx;
mod url;

use std::num::NonZeroU8;
use std::time::Duration;

use std::sync::Arc;

use lfk_sql::statements;
use sqlx::postgres::PgPool;
use sqlx::{SqlSafeStr as _, SqlStr};

use self::lanes::{Lanes, Leased, Session};
pub use self::tx::Tx;
use crate::error::{Error, ErrorKind, Result};

/// One of the databases that definitions speak of.
#[derive(Debug, Clone)]
pub struct Database {
    name: String,
    connections: Connections,
    pooler: Pooler,
    limits: Limits,
}

#[derive(Debug, Clone)]
enum Connections {
    /// A pool of the caller's.
    Given(PgPool),
    /// Our own.
    Own(Lanes),
}

/// What stands between lfk and the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooler {
    /// Nothing, or something that passes on what a client asks for when it connects, and gives it a session of its own.
    #[default]
    None,
    /// A pooler that hands out server connections transaction by transaction, such as PgBouncer; good for any other, too.
    Transaction,
}

/// How much lfk may do in one database. `None` is no limit beyond what adaptive pacing keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Child rows changed per second, over all definitions of this process.
    pub rows_per_second: Option<u32>,
    /// Writing statements and pages of scans per second, over all definitions of this process.
    pub statements_per_second: Option<u32>,
    /// While a standby is further behind than this, nothing is cleaned. Default 30 s.
    pub max_standby_lag: Duration,
    /// While others are at work in the server, children are cleaned for so many percent of the time, in short statements. Default 20;
    /// from 100 on as if nobody else was there.
    pub duty_percent: NonZeroU8,
}

/// A fifth of the time.
const DUTY_PERCENT: NonZeroU8 = NonZeroU8::new(20).unwrap();

impl Default for Limits {
    fn default() -> Self {
        Self {
            rows_per_second: None,
            statements_per_second: None,
            max_standby_lag: Duration::from_secs(30),
            duty_percent: DUTY_PERCENT,
        }
    }
}

impl Limits {
    /// Both limits at once.
    #[must_use]
    pub fn new(rows_per_second: Option<u32>, statements_per_second: Option<u32>) -> Self {
        Self { rows_per_second, statements_per_second, ..Self::default() }
    }

    /// Sets how far a standby may be behind.
    #[must_use]
    pub fn with_max_standby_lag(mut self, max_standby_lag: Duration) -> Self {
        self.max_standby_lag = max_standby_lag;
        self
    }

    /// Sets the share of the time while others are at work.
    #[must_use]
    pub fn with_duty_percent(mut self, duty_percent: NonZeroU8) -> Self {
        self.duty_percent = duty_percent;
        self
    }
}

/// What an answer may need on its way, beyond the time that a statement may run.
const GRACE: Duration = Duration::from_secs(3);

/// What a transaction is for. Each has its own opening statement in `sql/session/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Reads or writes tables of schema `lfk`, the log among them: index scans only.
    Log,
    /// Reads user tables of the parent's side, READ ONLY, on a primary.
    Recheck,
    /// Reads user tables and the log of either side, READ ONLY, in the one form in which both sides are compared.
    Check,
    /// Writes user tables: keeps the search path of the role, because triggers and index functions may rely on it.
    Write,
    /// Installs, plans, uninstalls: longer statements, very short waits for locks.
    Admin,
}

impl Purpose {
    fn opening(self) -> &'static str {
        match self {
            Self::Log => statements::BEGIN_LOG,
            Self::Recheck => statements::BEGIN_RECHECK,
            Self::Check => statements::BEGIN_CHECK,
            Self::Write => statements::BEGIN_WRITE,
            Self::Admin => statements::BEGIN_ADMIN,
        }
    }

    /// How long an answer is waited for: longer than the server lets a statement run, by its `statement_timeout` in the
    /// opening. A server that has vanished, or a network that has split, closes no connection; without this a worker would
    /// wait until the kernel gives up, or for ever.
    fn patience(self) -> Duration {
        let server = match self {
            Self::Log | Self::Check => 15,
            Self::Recheck | Self::Write => 5,
            Self::Admin => 30,
        };
        Duration::from_secs(server) + GRACE
    }
}

impl Database {
    /// Wraps a pool of the caller's. The name is the one that definitions use.
    ///
    /// The pool must lead to the primary, and directly or through a pooler in session mode: lfk cannot see what its
    /// connections lead through, and its statements are kept on the server from one transaction to the next. Where there is
    /// a pooler in transaction mode say so with [`Database::with_pooler`].
    #[must_use]
    pub fn new(name: impl Into<String>, pool: PgPool) -> Self {
        Self::made_of(name.into(), Connections::Given(pool), Pooler::None)
    }

    /// Connections of our own to `url`. Touches no network: they are made when they are needed.
    ///
    /// Encryption is verified (`verify-full`) unless the server is on this machine or the URL says otherwise: the driver's
    /// own default falls back to plain text. A pooler in transaction mode is refused; see
    /// [`Database::connect_lazy_through`].
    ///
    /// # Errors
    /// When the URL cannot be read. The message never repeats it, because it may hold a password.
    pub fn connect_lazy(name: impl Into<String>, url: &str) -> Result<Self> {
        Self::connect_lazy_through(name, url, Pooler::None)
    }

    /// As [`Database::connect_lazy`], through a pooler.
    ///
    /// # Errors
    /// As [`Database::connect_lazy`]; also when the URL asks for session options, which a transaction pooler cannot keep.
    pub fn connect_lazy_through(name: impl Into<String>, url: &str, pooler: Pooler) -> Result<Self> {
        let name = name.into();
        let options = url::parse(&name, url)?;
        if pooler == Pooler::Transaction && options.get_options().is_some() {
            return Err(Error::config("session options cannot be kept through a transaction pooler")
                .in_database(&name)
                .with_hint("remove `options` from the url (and PGOPTIONS from the environment)"));
        }
        Ok(Self::made_of(name, Connections::Own(Lanes::new(Arc::new(options), pooler)), pooler))
    }

    fn made_of(name: String, connections: Connections, pooler: Pooler) -> Self {
        Self { name, connections, pooler, limits: Limits::default() }
    }

    /// Says what its connections lead through. Behind [`Pooler::Transaction`] lfk keeps nothing in a session: no prepared
    /// statement has a name, and every setting is part of its transaction.
    ///
    /// A pool of the caller's must then have been made with `extra_float_digits(None)`, without startup `options`, and with
    /// `test_before_acquire(false)`.
    #[must_use]
    pub fn with_pooler(mut self, pooler: Pooler) -> Self {
        if let Connections::Own(lanes) = &self.connections {
            self.connections = Connections::Own(lanes.through(pooler));
        }
        self.pooler = pooler;
        self
    }

    /// Sets how much may be done here.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The configured name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How much may be done here.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What stands between lfk and the server.
    #[must_use]
    pub fn pooler(&self) -> Pooler {
        self.pooler
    }

    /// The same database for another role, over connections of its own. For tests; a pool of the caller's stays as it is.
    #[cfg(feature = "sabotage")]
    #[must_use]
    pub fn as_role(mut self, role: &str) -> Self {
        if let Connections::Own(lanes) = &self.connections {
            self.connections = Connections::Own(lanes.as_role(role));
        }
        self
    }

    /// The URL without role and password. For tests; nothing for a pool of the caller's.
    #[cfg(feature = "sabotage")]
    #[must_use]
    pub fn address(&self) -> Option<String> {
        let Connections::Own(lanes) = &self.connections else { return None };
        let options = lanes.options();
        let database = options.get_database()?;
        Some(format!("{}:{}/{database}", options.get_host(), options.get_port()))
    }

    /// Begins a transaction. For the crates of lfk only.
    ///
    /// # Errors
    /// When the database cannot be reached, or refuses the session.
    ///
    /// # Cancellation
    /// Dropped half-way, or when the server does not answer in time, the connection is closed: what is
    /// on its way then can only be rolled back.
    #[doc(hidden)]
    pub async fn begin(&self, purpose: Purpose) -> Result<Tx> {
        let (connection, session, place) = match &self.connections {
            Connections::Given(pool) => (pool.acquire().await, Session::None, None),
            Connections::Own(lanes) => match lanes.acquire().await {
                Ok(Leased { connection, session, place }) => (Ok(connection), session, Some(place)),
                Err(error) => (Err(error), Session::None, None),
            },
        };
        let connection = connection.map_err(|e| self.opening_error(e))?;
        let mut tx = Tx::new(connection, &self.name, self.pooler == Pooler::None, purpose.patience(), place);
        let opening: SqlStr = match &session {
            Session::None => purpose.opening().into_sql_str(),
            Session::Marked(session) => statements::opening_of_session(purpose.opening(), session).into_sql_str(),
            Session::Foreign => return Err(self.undeclared_pooler()),
        };
        tx.open(opening).await.map_err(|e| self.opening_error(e))?;
        Ok(tx)
    }

    /// The driver's error as one of ours, in this database. For the crates of lfk only.
    #[doc(hidden)]
    #[must_use]
    pub fn error(&self, error: sqlx::Error) -> Error {
        // A name that is taken, or gone: on a connection that nobody shares neither can happen.
        let code = error.as_database_error().and_then(|answer| answer.code());
        if self.pooler == Pooler::None && matches!(code.as_deref(), Some("42P05" | "26000")) {
            return Error { source: Some(Box::new(error)), ..self.undeclared_pooler() };
        }
        Error::sql(&self.name, error)
    }

    /// What can only go wrong before the first statement of a transaction.
    fn opening_error(&self, error: sqlx::Error) -> Error {
        if self.pooler == Pooler::None && reveals_a_pooler(&error) {
            return Error { source: Some(Box::new(error)), ..self.undeclared_pooler() };
        }
        if is_about_encryption(&error) {
            let message = "cannot be reached over a connection that is encrypted as the url demands";
            let unreachable = Error::new(ErrorKind::Unreachable, message);
            return Error { source: Some(Box::new(error)), ..unreachable }.in_database(&self.name).with_hint(
                "the certificate must be for the host in the url and by a CA that this machine trusts, or that the url \
                 names: sslrootcert=/path/to/ca.pem. A server that is not on this machine must be able to encrypt unless \
                 the url says sslmode=disable",
            );
        }
        self.error(error)
    }

    fn undeclared_pooler(&self) -> Error {
        Error::refused("a transaction pooler that is not declared stands before this database")
            .in_database(&self.name)
            .with_hint(format!(
                "write pooler = \"transaction\" in [database.{}], or connect to the server directly",
                self.name
            ))
    }
}

/// A pooler turns away what it could not keep for a client (08P01), or it lets us in and then hands us the session of
/// somebody else, in which the opening statement does not find its own value.
fn reveals_a_pooler(error: &sqlx::Error) -> bool {
    let Some(answer) = error.as_database_error() else { return false };
    match answer.code().as_deref() {
        Some("08P01") => answer.message().contains("startup parameter"),
        Some(code) => code == statements::FOREIGN_SESSION,
        None => false,
    }
}

/// The handshake's own errors arrive as errors of the socket.
fn is_about_encryption(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(io) => io.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}
