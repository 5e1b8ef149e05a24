//! A database handle that only hands out transactions.
//!
//! Every statement of lfk runs in an explicit, short transaction whose settings are stated at its start, whatever the
//! defaults of the role, the database or a pooler say. So one code path serves direct connections and transaction
//! poolers, and no caller can forget a timeout.

use std::str::FromStr as _;
use std::time::Duration;

use lfk_sql::statements;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions, PgSslMode};
use sqlx::{PgPool, Postgres, SqlSafeStr, Transaction};

use crate::error::{Error, Result};

/// One of the databases that definitions speak of.
#[derive(Debug, Clone)]
pub struct Database {
    name: String,
    pool: PgPool,
    limits: Limits,
}

/// How much lfk may do in one database. `None` is no limit beyond what adaptive pacing keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Child rows changed per second, over all definitions of this process.
    pub rows_per_second: Option<u32>,
    /// Writing statements per second, over all definitions of this process.
    pub statements_per_second: Option<u32>,
}

impl Limits {
    /// Both limits at once.
    #[must_use]
    pub fn new(rows_per_second: Option<u32>, statements_per_second: Option<u32>) -> Self {
        Self { rows_per_second, statements_per_second }
    }
}

/// What a transaction is for. Each has its own opening statement in `sql/session/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Reads or writes tables of schema `lfk`, the log among them: index scans only.
    Log,
    /// Reads user tables of the parent's side, READ ONLY, on a primary.
    Recheck,
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
            Self::Write => statements::BEGIN_WRITE,
            Self::Admin => statements::BEGIN_ADMIN,
        }
    }
}

impl Database {
    /// Wraps a pool of the caller's. The name is the one that definitions use.
    #[must_use]
    pub fn new(name: impl Into<String>, pool: PgPool) -> Self {
        Self { name: name.into(), pool, limits: Limits::default() }
    }

    /// A pool of our own for `url`. Touches no network: connections are made when they are needed.
    ///
    /// Encryption is verified (`verify-full`) unless the server is on this machine or the URL says otherwise: the driver's
    /// own default falls back to plain text.
    ///
    /// # Errors
    /// When the URL cannot be read. The message never repeats it, because it may hold a password.
    pub fn connect_lazy(name: impl Into<String>, url: &str) -> Result<Self> {
        let name = name.into();
        let wrong = |why: &str| {
            Error::config(format!("the url is not a PostgreSQL URL: {why}"))
                .in_database(&name)
                .with_hint("write postgres://user@host:port/database")
        };
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(wrong("it does not begin with postgres://"));
        }
        if let Some(unknown) = unknown_parameter(url) {
            return Err(wrong(&format!("it has an unknown parameter \"{unknown}\"")));
        }
        let mut options = PgConnectOptions::from_str(url).map_err(|_| wrong("it cannot be parsed"))?;
        let local =
            options.get_socket().is_some() || options.get_host().starts_with('/') || is_loopback(options.get_host());
        if !url.contains("sslmode=") && !url.contains("ssl-mode=") {
            options = options.ssl_mode(if local { PgSslMode::Prefer } else { PgSslMode::VerifyFull });
        }
        if options.get_application_name().is_none() {
            options = options.application_name(concat!("lfk/", env!("CARGO_PKG_VERSION")));
        }
        // Whatever happens to us, no statement and no idle transaction of ours outlives these.
        options = options.options([("statement_timeout", "30s"), ("idle_in_transaction_session_timeout", "30s")]);
        let pool = PgPoolOptions::new()
            .max_connections(12)
            .acquire_timeout(Duration::from_secs(3))
            .idle_timeout(Duration::from_secs(60))
            .connect_lazy_with(options);
        Ok(Self { name, pool, limits: Limits::default() })
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

    pub(crate) async fn begin(&self, purpose: Purpose) -> Result<Tx> {
        let inner = self.pool.begin_with(purpose.opening()).await.map_err(|e| self.error(e))?;
        Ok(Tx { inner, database: self.name.clone() })
    }

    pub(crate) fn error(&self, error: sqlx::Error) -> Error {
        Error::sql(&self.name, error)
    }
}

/// The driver ignores parameters that it does not know; a misspelt `sslmode` would silently mean no encryption.
fn unknown_parameter(url: &str) -> Option<&str> {
    const KNOWN: [&str; 18] = [
        "sslmode",
        "ssl-mode",
        "sslrootcert",
        "ssl-root-cert",
        "ssl-ca",
        "sslcert",
        "ssl-cert",
        "sslkey",
        "ssl-key",
        "statement-cache-capacity",
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "application_name",
        "options",
    ];
    let (_, query) = url.split_once('?')?;
    let query = query.split('#').next().unwrap_or(query);
    let names = query.split('&').map(|pair| pair.split('=').next().unwrap_or(pair));
    names.filter(|name| !name.is_empty()).find(|name| !KNOWN.contains(name) && !name.starts_with("options["))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// An open transaction. Dropping it rolls back.
pub(crate) struct Tx {
    inner: Transaction<'static, Postgres>,
    database: String,
}

impl Tx {
    /// The connection, for sqlx's query functions.
    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        &mut self.inner
    }

    /// Runs SQL that returns nothing, several statements at once if need be.
    pub(crate) async fn run(&mut self, sql: impl SqlSafeStr) -> Result<()> {
        use sqlx::Executor as _;
        self.inner.execute(sqlx::raw_sql(sql)).await.map(|_| ()).map_err(|e| Error::sql(&self.database, e))
    }

    pub(crate) async fn commit(self) -> Result<()> {
        self.inner.commit().await.map_err(|e| Error::sql(&self.database, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_that_the_driver_would_ignore_are_found() {
        assert_eq!(unknown_parameter("postgres://a:b@c/d?sslmod=require"), Some("sslmod"));
        assert_eq!(unknown_parameter("postgres://a:b@c/d?sslmode=require&options[x]=y#z"), None);
        assert_eq!(unknown_parameter("postgres://a:b@c/d"), None);
    }
}
