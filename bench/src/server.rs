//! A server of a bench, as durable as one in production, and the two of them that most benches use.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lfk_tests::Cluster;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::statements::{session, stage};

/// Beside what the harness sets: durable, and with room to work. All else is PostgreSQL's default, autovacuum and jit too.
const SETTINGS: &[(&str, &str)] = &[
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "on"),
    ("shared_buffers", "512MB"),
    // No checkpoint by volume in the middle of a measurement; each begins with one.
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "30min"),
    ("dynamic_shared_memory_type", "posix"),
];

/// Further settings, for somebody who looks for where the time goes: `name=value;name=value`.
const MORE_SETTINGS: &str = "LFK_BENCH_SETTINGS";

/// The database that a bench works in.
const DATABASE: &str = "app";

/// One server and its database.
#[derive(Debug, Clone)]
pub struct Server {
    cluster: Cluster,
    pool: PgPool,
}

impl Server {
    /// A new server with an empty database.
    ///
    /// # Errors
    /// When it does not start, or is not durable.
    pub async fn start() -> Result<Self> {
        let more = std::env::var(MORE_SETTINGS).unwrap_or_default();
        let more = more.split(';').filter_map(|setting| setting.split_once('='));
        let settings: Vec<(&str, &str)> = SETTINGS.iter().copied().chain(more).collect();
        let cluster = Cluster::start_with(&settings).await?;
        let mut admin = PgConnection::connect(&cluster.url("postgres")).await?;
        admin.execute(sqlx::raw_sql(stage::CREATE_DATABASE)).await?;
        admin.close().await?;
        Self::on(cluster).await
    }

    /// A second server on a copy of one that is stopped.
    ///
    /// # Errors
    /// When the other runs, or this one does not start.
    pub async fn copy_of(stopped: &Cluster) -> Result<Self> {
        Self::on(stopped.start_copy().await?).await
    }

    async fn on(cluster: Cluster) -> Result<Self> {
        let url = cluster.url(DATABASE);
        let pool =
            PgPoolOptions::new().max_connections(16).acquire_timeout(Duration::from_secs(30)).connect_lazy(&url)?;
        let server = Self { cluster, pool };
        let durable: bool = sqlx::query_scalar(session::SETTINGS).fetch_one(&server.pool).await?;
        ensure!(durable, "the server is not durable: its figures would say nothing");
        Ok(server)
    }

    /// Stops it; what is left can be copied.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(self) -> Result<Cluster> {
        self.pool.close().await;
        self.cluster.stop_fast().await?;
        Ok(self.cluster)
    }

    /// For clients of any kind.
    #[must_use]
    pub fn url(&self) -> String {
        self.cluster.url(DATABASE)
    }

    /// The process id of the postmaster, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.cluster.pid()
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.cluster.log()
    }

    /// For statements of the bench itself.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// A connection of its own.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn connect(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.url()).await?)
    }

    /// Runs one or more statements.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn run(&self, sql: &'static str) -> Result<()> {
        self.pool.execute(sqlx::raw_sql(sql)).await.with_context(|| first_line(sql))?;
        Ok(())
    }

    /// Runs one statement with numbers, and answers with the rows that it affected.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn run_with(&self, sql: &'static str, numbers: &[i64]) -> Result<u64> {
        let query = numbers.iter().fold(sqlx::query(sql), |query, number| query.bind(*number));
        Ok(query.execute(&self.pool).await.with_context(|| first_line(sql))?.rows_affected())
    }

    /// Writes everything out.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn checkpoint(&self) -> Result<()> {
        self.run(session::CHECKPOINT).await
    }

    /// Bytes of WAL since the server was made.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn wal(&self) -> Result<f64> {
        Ok(sqlx::query_scalar(session::WAL_POSITION).fetch_one(&self.pool).await?)
    }

    /// A connection with an open transaction whose snapshot keeps every dead row, until it is dropped.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn hold_horizon(&self) -> Result<PgConnection> {
        let mut holder = self.connect().await?;
        holder.execute(sqlx::raw_sql(session::HOLD_HORIZON)).await?;
        rest().await;
        Ok(holder)
    }
}

/// Lets our own sessions go quiet: lfk would take them for an application at work, beside which it rests.
async fn rest() {
    tokio::time::sleep(Duration::from_millis(200)).await;
}

/// The purpose of a statement, for errors.
fn first_line(sql: &str) -> String {
    sql.lines().next().unwrap_or_default().to_owned()
}

/// The server of the parents and that of the children.
#[derive(Debug, Clone)]
pub struct Servers {
    /// Parents.
    pub main: Server,
    /// Children.
    pub ci: Server,
}

impl Servers {
    /// Writes everything out, in both servers and in the kernel, so that nobody pays for the one before.
    ///
    /// # Errors
    /// When a server refuses.
    pub async fn settle(&self) -> Result<()> {
        self.main.checkpoint().await?;
        self.ci.checkpoint().await?;
        let synced = tokio::task::spawn_blocking(|| Command::new("sync").status()).await??;
        ensure!(synced.success(), "sync failed");
        rest().await;
        Ok(())
    }
}
