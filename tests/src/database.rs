//! Databases for tests: one for each test, on servers that all tests of the process share.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, OnceLock, mpsc};
use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_core::{Builder, Database, Engine, LooseForeignKey};
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions, PgRow};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Postgres, Row as _, SqlSafeStr, SqlStr, ValueRef as _};
use tokio::sync::{Mutex, OnceCell};

use crate::cluster::Cluster;
use crate::{guard, roles};

/// Which of the two shared servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Where the parents live.
    Main,
    /// Where the children live.
    Ci,
}

impl Role {
    /// The name that definitions use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Ci => "ci",
        }
    }

    /// The server that all tests of this process share. It is started by the first who asks, and must not be stopped.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn cluster(self) -> Result<Cluster> {
        static MAIN: OnceCell<Cluster> = OnceCell::const_new();
        static CI: OnceCell<Cluster> = OnceCell::const_new();
        let cell = match self {
            Self::Main => &MAIN,
            Self::Ci => &CI,
        };
        cell.get_or_try_init(Cluster::start).await.cloned()
    }
}

/// A database of one test.
///
/// A handle: clones mean the same database. On a shared server it is dropped with its last handle, unless the test has
/// panicked or `LFK_KEEP` is set; then its URL is printed. (With the process the servers go too: set `LFK_KEEP=1` to look.)
#[derive(Debug, Clone)]
pub struct TestDb {
    /// The name on its server.
    pub name: String,
    /// For clients of any kind.
    pub url: String,
    /// For statements of the test itself.
    pub pool: PgPool,
    _on_drop: Arc<OnDrop>,
}

impl TestDb {
    /// A new, empty database on a shared server.
    ///
    /// # Errors
    /// When the server does not start, or refuses.
    pub async fn new(role: Role) -> Result<Self> {
        Self::with_schema(role, "").await
    }

    /// A new database on a shared server, with what `schema` creates. The first test that asks for it runs the SQL; every
    /// further one gets a copy.
    ///
    /// # Errors
    /// When the server does not start, or the SQL fails.
    pub async fn with_schema(role: Role, schema: &str) -> Result<Self> {
        let cluster = role.cluster().await?;
        let template = template(&cluster, schema).await?;
        Self::create(&cluster, &template, true).await
    }

    /// A new, empty database on a shared server, in another encoding than UTF-8.
    ///
    /// # Errors
    /// When the server does not start, or does not know the encoding.
    pub async fn in_encoding(role: Role, encoding: &str) -> Result<Self> {
        let template = format!("template0 ENCODING '{encoding}' LOCALE 'C'");
        Self::create(&role.cluster().await?, &template, true).await
    }

    /// A new, empty database on a server of the test's own.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn on(cluster: &Cluster) -> Result<Self> {
        Self::create(cluster, EMPTY, false).await
    }

    async fn create(cluster: &Cluster, template: &str, shared: bool) -> Result<Self> {
        let name = unique_name();
        let admin = cluster.url("postgres");
        let sql = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY = file_copy");
        once(&admin, &sql).await?;
        let url = cluster.url(&name);
        let pool =
            PgPoolOptions::new().max_connections(8).acquire_timeout(Duration::from_secs(30)).connect_lazy(&url)?;
        let on_drop = OnDrop { admin: shared.then_some(admin), name: name.clone(), url: url.clone() };
        Ok(Self { name, url, pool, _on_drop: Arc::new(on_drop) })
    }

    /// Runs SQL, several statements at once if need be (they are one transaction then). Returns the rows affected.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn execute(&self, sql: &str) -> Result<u64> {
        let done = self.pool.execute(sqlx::raw_sql(trusted(sql))).await.with_context(|| sql.to_owned())?;
        Ok(done.rows_affected())
    }

    /// The one value that a query returns.
    ///
    /// # Errors
    /// When the query fails, returns no row, or a value of another type.
    pub async fn scalar<T>(&self, sql: &str) -> Result<T>
    where
        T: for<'r> sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(trusted(sql)).fetch_one(&self.pool).await.with_context(|| sql.to_owned())
    }

    /// All rows that a query returns, every value as PostgreSQL prints it, whatever its type.
    ///
    /// # Errors
    /// When the query fails.
    pub async fn rows(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        let rows = self.pool.fetch_all(sqlx::raw_sql(trusted(sql))).await.with_context(|| sql.to_owned())?;
        rows.iter().map(as_text).collect()
    }

    /// A connection of its own, for transactions that a test holds open.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn connect(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(&self.url).await?)
    }
}

/// The databases `main` and `ci` of one test.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Parents.
    pub main: TestDb,
    /// Children. In [`Pair::single`] the same database.
    pub ci: TestDb,
}

impl Pair {
    /// Two empty databases on two servers.
    ///
    /// # Errors
    /// As [`TestDb::new`].
    pub async fn new() -> Result<Self> {
        Self::with_schema("", "").await
    }

    /// Two databases on two servers, with what the SQL creates.
    ///
    /// # Errors
    /// As [`TestDb::with_schema`].
    pub async fn with_schema(main: &str, ci: &str) -> Result<Self> {
        let (main, ci) = tokio::join!(TestDb::with_schema(Role::Main, main), TestDb::with_schema(Role::Ci, ci));
        Ok(Self { main: main?, ci: ci? })
    }

    /// One empty database under both names: an app before its split.
    ///
    /// # Errors
    /// As [`TestDb::new`].
    pub async fn single() -> Result<Self> {
        let main = TestDb::new(Role::Main).await?;
        Ok(Self { ci: main.clone(), main })
    }

    /// Two empty databases on servers of the test's own, which it may kill.
    ///
    /// # Errors
    /// As [`TestDb::on`].
    pub async fn on(main: &Cluster, ci: &Cluster) -> Result<Self> {
        Ok(Self { main: TestDb::on(main).await?, ci: TestDb::on(ci).await? })
    }

    /// An engine over both; for which role, see [`databases`].
    ///
    /// # Errors
    /// As [`engine`].
    pub fn engine(&self, definitions: impl IntoIterator<Item = LooseForeignKey>) -> Result<Engine> {
        engine(&[("main", &self.main.url), ("ci", &self.ci.url)], definitions)
    }
}

/// Databases by name and URL: for the role that works, once lfk is installed in all of them for such a role; before, and
/// behind other URLs, for the role of the URL.
///
/// # Errors
/// When a URL is none.
pub fn databases(all: &[(&str, &str)]) -> Result<Vec<Database>> {
    let roles = roles::of_urls(all.iter().map(|(_, url)| *url));
    let connect = |(name, url): &(&str, &str)| -> Result<Database> {
        let database = Database::connect_lazy(*name, url)?;
        Ok(match &roles {
            Some(roles) => database.as_role(&roles.worker),
            None => database,
        })
    };
    all.iter().map(connect).collect()
}

/// An engine over databases given by name and URL, for example that of a [`crate::Proxy`]; for which role, see [`databases`].
///
/// # Errors
/// When the builder refuses.
pub fn engine(all: &[(&str, &str)], definitions: impl IntoIterator<Item = LooseForeignKey>) -> Result<Engine> {
    let builder = databases(all)?.into_iter().fold(Engine::builder(), Builder::database);
    Ok(builder.definitions(definitions).build()?)
}

#[expect(clippy::disallowed_methods, reason = "the SQL of tests is written in tests; this is its one door")]
pub(crate) fn trusted(sql: &str) -> SqlStr {
    AssertSqlSafe(sql.to_owned()).into_sql_str()
}

fn as_text(row: &PgRow) -> Result<Vec<Option<String>>> {
    let value = |index| {
        let value = row.try_get_raw(index)?;
        // A simple query, as raw_sql sends it, returns text.
        let text = if value.is_null() { None } else { Some(value.as_str().map_err(anyhow::Error::from_boxed)?) };
        Ok(text.map(ToOwned::to_owned))
    };
    (0..row.len()).map(value).collect()
}

async fn once(url: &str, sql: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    connection.execute(sqlx::raw_sql(trusted(sql))).await.with_context(|| sql.to_owned())?;
    connection.close().await?;
    Ok(())
}

/// PostgreSQL's own empty template, to which nobody can connect.
const EMPTY: &str = "template0";

/// The name of a database that holds `schema` and nothing else.
async fn template(cluster: &Cluster, schema: &str) -> Result<String> {
    static MADE: LazyLock<Mutex<HashMap<(u16, String), String>>> = LazyLock::new(Mutex::default);
    if schema.is_empty() {
        return Ok(EMPTY.to_owned());
    }
    let mut made = MADE.lock().await;
    let key = (cluster.port(), schema.to_owned());
    if let Some(name) = made.get(&key) {
        return Ok(name.clone());
    }
    let mut hasher = DefaultHasher::new();
    schema.hash(&mut hasher);
    let name = format!("template_{:016x}", hasher.finish());
    let admin = cluster.url("postgres");
    once(&admin, &format!("DROP DATABASE IF EXISTS {name}")).await?;
    once(&admin, &format!("CREATE DATABASE {name} TEMPLATE {EMPTY} STRATEGY = file_copy")).await?;
    once(&cluster.url(&name), schema).await?;
    // A database that autovacuum is connected to cannot be copied.
    once(&admin, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await?;
    made.insert(key, name.clone());
    Ok(name)
}

/// A name that says which test it is: the test runner names its threads so.
fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("test").rsplit("::").next().unwrap_or("test");
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let test: String = test.chars().map(plain).take(50).collect();
    format!("t{}_{test}", NEXT.fetch_add(1, Ordering::Relaxed))
}

#[derive(Debug)]
struct OnDrop {
    /// Where to drop it; `None` on a server that goes with the test.
    admin: Option<String>,
    name: String,
    url: String,
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        if std::thread::panicking() || guard::keeps() {
            eprintln!("database kept: {}", self.url);
        } else if let Some(admin) = self.admin.take() {
            drop_later(admin, std::mem::take(&mut self.name));
        }
    }
}

/// Drops a database in a thread of its own: a test's runtime may be gone by then, and no test should wait for it.
fn drop_later(admin: String, name: String) {
    static SWEEPER: OnceLock<mpsc::Sender<(String, String)>> = OnceLock::new();
    let sweeper = SWEEPER.get_or_init(|| {
        let (sender, queue) = mpsc::channel::<(String, String)>();
        std::thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            for (admin, name) in queue {
                let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
                if let Err(error) = runtime.block_on(once(&admin, &sql)) {
                    eprintln!("{error:#}");
                }
            }
        });
        sender
    });
    let _ = sweeper.send((admin, name));
}
