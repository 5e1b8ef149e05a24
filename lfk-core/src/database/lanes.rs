//! Connections of our own, each of which knows the server session that it belongs to.
//!
//! A lane is a pool of one connection. The driver does not tell its connections apart, and a transaction pooler that
//! nobody declared can only be noticed by a value that this very connection has put into its session: a pooler hands the
//! next transaction to another session, which has no value or that of another lane.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use lfk_sql::{Piece, statements};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Executor as _, Postgres, Row as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Pooler;

/// Connections to one database at a time.
const LANES: usize = 12;
/// How long a connection is waited for.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection that nobody uses stays open.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// All connections to one database.
#[derive(Clone)]
pub(super) struct Lanes {
    options: Arc<PgConnectOptions>,
    pooler: Pooler,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    lanes: Vec<Lane>,
    /// The numbers of the lanes that nobody uses, the last one used at the end.
    free: Mutex<Vec<usize>>,
    permits: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Lane {
    /// Made when it is first used, because making it needs a runtime.
    pool: OnceLock<PgPool>,
    /// That of the current connection.
    session: Arc<Mutex<Session>>,
}

/// What is known of the session behind a connection.
#[derive(Debug, Clone, Default)]
pub(super) enum Session {
    /// Behind a declared pooler a connection has none.
    #[default]
    None,
    /// It holds this value.
    Marked(String),
    /// It is not the one that was asked for when connecting.
    Foreign,
}

/// A connection, its session, and its place among the others.
pub(super) struct Leased {
    pub(super) connection: PoolConnection<Postgres>,
    pub(super) session: Session,
    pub(super) place: Place,
}

/// A lane in use. Dropping it lets another transaction have the lane.
#[derive(Debug)]
pub(super) struct Place {
    shared: Arc<Shared>,
    number: usize,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.shared.free).push(self.number);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Lanes {
    /// Touches no network: connections are made when they are needed.
    pub(super) fn new(options: Arc<PgConnectOptions>, pooler: Pooler) -> Self {
        let lanes = std::iter::repeat_with(Lane::default).take(LANES).collect();
        let permits = Arc::new(Semaphore::new(LANES));
        let shared = Shared { lanes, free: Mutex::new((0..LANES).rev().collect()), permits };
        Self { options, pooler, shared: Arc::new(shared) }
    }

    /// The same database through another kind of pooler.
    pub(super) fn through(&self, pooler: Pooler) -> Self {
        Self::new(Arc::clone(&self.options), pooler)
    }

    #[cfg(feature = "sabotage")]
    pub(super) fn as_role(&self, role: &str) -> Self {
        Self::new(Arc::new(self.options.as_ref().clone().username(role)), self.pooler)
    }

    #[cfg(feature = "sabotage")]
    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    pub(super) async fn acquire(&self) -> Result<Leased, sqlx::Error> {
        let permit = tokio::time::timeout(ACQUIRE_TIMEOUT, Arc::clone(&self.shared.permits).acquire_owned());
        let permit = match permit.await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(sqlx::Error::PoolClosed),
            Err(_) => return Err(sqlx::Error::PoolTimedOut),
        };
        let number = self.shared.choose().ok_or(sqlx::Error::PoolTimedOut)?;
        let place = Place { shared: Arc::clone(&self.shared), number, _permit: permit };
        let lane = self.shared.lanes.get(number).ok_or(sqlx::Error::PoolClosed)?;
        let connection = lane.pool(&self.options, self.pooler).acquire().await?;
        // The lane has one connection at a time, so this is its session.
        let session = lock(&lane.session).clone();
        Ok(Leased { connection, session, place })
    }
}

impl Shared {
    /// A lane with a connection that is ready; else one that has none yet, rather than wait for one that is just being
    /// given back.
    fn choose(&self) -> Option<usize> {
        let mut free = lock(&self.free);
        let pool = |number: &usize| self.lanes.get(*number).and_then(|lane| lane.pool.get());
        let ready = free.iter().rposition(|number| pool(number).is_some_and(|pool| pool.num_idle() > 0));
        let unused = || free.iter().rposition(|number| pool(number).is_none_or(|pool| pool.size() == 0));
        let position = ready.or_else(unused).or(free.len().checked_sub(1))?;
        Some(free.remove(position))
    }
}

impl Lane {
    fn pool(&self, options: &PgConnectOptions, pooler: Pooler) -> &PgPool {
        self.pool.get_or_init(|| {
            let pool =
                PgPoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE_TIMEOUT).idle_timeout(IDLE_TIMEOUT);
            match pooler {
                Pooler::None => self.mark_sessions(pool).connect_lazy_with(direct(options)),
                // The empty message of such a test is a transaction of its own to a pooler.
                Pooler::Transaction => pool.test_before_acquire(false).connect_lazy_with(pooled(options)),
            }
        })
    }

    fn mark_sessions(&self, pool: PgPoolOptions) -> PgPoolOptions {
        let cell = Arc::clone(&self.session);
        pool.after_connect(move |connection, _| {
            let session = uuid::Uuid::new_v4().to_string();
            let mark = statements::MARK_SESSION.render(&[("session", Piece::literal(session.as_str()))]);
            let cell = Arc::clone(&cell);
            async move {
                let row = connection.fetch_one(sqlx::raw_sql(mark.into_sql_str())).await?;
                // No error: the pool would only try again.
                let ours: bool = row.try_get("ours")?;
                *lock(&cell) = if ours { Session::Marked(session) } else { Session::Foreign };
                Ok(())
            }
            .boxed()
        })
    }
}

/// Whatever happens to us, no statement and no idle transaction of ours outlives these. A pooler that cannot keep them
/// turns the connection away, or swallows them if it was told to; the last one is there to notice that.
fn direct(options: &PgConnectOptions) -> PgConnectOptions {
    options.clone().options([
        ("statement_timeout", "30s"),
        ("idle_in_transaction_session_timeout", "30s"),
        ("lfk.direct", "on"),
    ])
}

/// Nothing that a pooler would have to keep for each of its clients.
fn pooled(options: &PgConnectOptions) -> PgConnectOptions {
    options.clone().extra_float_digits(None)
}

impl std::fmt::Debug for Lanes {
    /// Without the options: the driver shows the password in them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lanes").field("pooler", &self.pooler).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Database, Engine};

    #[test]
    fn what_is_shown_for_debugging_holds_no_password() {
        let database = Database::connect_lazy("main", "postgres://u:hunter2@127.0.0.1:1/d").unwrap();
        let engine = Engine::builder().database(database.clone()).build().unwrap();
        let said = format!("{database:?} {engine:?}");
        assert!(said.contains("main") && !said.contains("hunter2"), "{said}");
    }
}
