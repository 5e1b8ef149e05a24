//! What the tests of cleaning share.

use std::num::NonZeroU8;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use futures::future::BoxFuture;
use lfk_core::sabotage::{Hook, Point, Verdict};
use lfk_core::{Builder, DefinitionStatus, Engine, Limits, LooseForeignKey};
use lfk_tests::{Pair, Role, TestDb, databases, scenario};

/// Three projects.
pub const PROJECTS: &str = "CREATE TABLE projects (id bigint PRIMARY KEY, name text);
    INSERT INTO projects VALUES (1, 'one'), (2, 'two'), (3, 'three');";

/// Builds of these projects, one of none, and a table that looks alike and that nobody declared.
pub const BUILDS: &str = "CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint, status int);
    CREATE INDEX ON builds (project_id);
    INSERT INTO builds VALUES (11, 1, 0), (12, 1, 4), (21, 2, 0), (31, 3, NULL), (90, NULL, 0);
    CREATE TABLE bystanders AS SELECT * FROM builds;";

/// What `builds` and `bystanders` hold at first.
pub const ALL_BUILDS: [&str; 5] = ["(11,1,0)", "(12,1,4)", "(21,2,0)", "(31,3,)", "(90,,0)"];

/// A thousand projects with a build each: two batches. In the first the fan-out is unknown and statements are capped; in the
/// second, which begins with project 501, they take all children of their keys.
pub const THOUSAND_PROJECTS: &str =
    "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects SELECT generate_series(1, 1000)";

/// Their builds.
pub const THOUSAND_BUILDS: &str = "CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint);
    CREATE INDEX ON builds (project_id); INSERT INTO builds SELECT n, n FROM generate_series(1, 1000) n;";

/// Where the children live, seen from their parents.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    AnotherServer,
    AnotherDatabase,
    SameDatabase,
}

impl Place {
    pub const ALL: [Self; 3] = [Self::AnotherServer, Self::AnotherDatabase, Self::SameDatabase];

    pub async fn pair(self, parents: &str, children: &str) -> Result<Pair> {
        let ci = match self {
            Self::AnotherServer => return Pair::with_schema(parents, children).await,
            Self::AnotherDatabase => Some(TestDb::with_schema(Role::Main, children).await?),
            Self::SameDatabase => None,
        };
        let main = TestDb::with_schema(Role::Main, parents).await?;
        let Some(ci) = ci else {
            main.execute(children).await?;
            return Ok(Pair { ci: main.clone(), main });
        };
        Ok(Pair { main, ci })
    }
}

/// Every row of a relation as PostgreSQL prints it, in the order of the first column.
pub async fn table(db: &TestDb, relation: &str) -> Result<Vec<String>> {
    let rows = db.rows(&format!("SELECT t::text FROM (SELECT * FROM {relation} ORDER BY 1) t")).await?;
    rows.into_iter().map(|row| row.into_iter().next().flatten().context("a row that is NULL")).collect()
}

/// What is set aside in a parents' database: key, reason, SQLSTATE, whether it is quarantined.
pub async fn retries(home: &TestDb) -> Result<Vec<String>> {
    table(home, "(SELECT key, reason, sqlstate, quarantined_at IS NOT NULL FROM lfk.retry) r").await
}

/// A builder over both databases of a pair.
pub fn builder(pair: &Pair) -> Result<Builder> {
    let both = databases(&[("main", &pair.main.url), ("ci", &pair.ci.url)])?;
    Ok(both.into_iter().fold(Engine::builder(), Builder::database))
}

/// The same for tests of what takes long: it goes as if nobody else was at work in these servers.
pub fn unresting(pair: &Pair) -> Result<Builder> {
    let all = Limits::default().with_duty_percent(NonZeroU8::new(100).context("it is not zero")?);
    let both = databases(&[("main", &pair.main.url), ("ci", &pair.ci.url)])?;
    Ok(both.into_iter().map(|database| database.with_limits(all)).fold(Engine::builder(), Builder::database))
}

/// Builds, installs and activates.
pub async fn activated(
    builder: Builder,
    definitions: impl IntoIterator<Item = LooseForeignKey> + Send,
) -> Result<Engine> {
    let engine = scenario::installed(builder.definitions(definitions).build()?).await?;
    scenario::activate(&engine).await?;
    Ok(engine)
}

/// How the only definition of an engine stands.
pub async fn status(engine: &Engine) -> Result<DefinitionStatus> {
    engine.status().await?.loose_foreign_keys.into_iter().next().context("no definition")
}

type Act = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// Does something when a worker passes a point, while the worker waits. Counts how often the point was passed.
pub struct Interference {
    at: Point,
    /// At which passing of the point: the first is 1.
    turn: usize,
    act: Mutex<Option<Act>>,
    passed: AtomicUsize,
}

impl Interference {
    /// The first time.
    pub fn at(point: Point, act: impl Future<Output = Result<()>> + Send + 'static) -> Arc<Self> {
        Self::at_turn(1, point, act)
    }

    /// The n-th time.
    pub fn at_turn(turn: usize, at: Point, act: impl Future<Output = Result<()>> + Send + 'static) -> Arc<Self> {
        Arc::new(Self { at, turn, act: Mutex::new(Some(Box::pin(act))), passed: AtomicUsize::new(0) })
    }

    /// How often a worker has passed the point.
    pub fn passed(&self) -> usize {
        self.passed.load(Ordering::SeqCst)
    }
}

impl Hook for Interference {
    fn pass<'a>(&'a self, point: Point, _: &'a str) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            if point == self.at && self.passed.fetch_add(1, Ordering::SeqCst) + 1 == self.turn {
                let act = self.act.lock().expect("nobody panics with it").take().expect("there is one such turn");
                act.await.expect("the interference succeeds");
            }
            Verdict::GoOn
        })
    }
}
