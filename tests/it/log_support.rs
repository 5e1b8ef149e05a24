//! What the tests share that let time pass in the key log without waiting for it: ticks, ages, leaves, and hooks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use futures::future::BoxFuture;
use lfk_core::sabotage::{Hook, Point, Verdict};
use lfk_core::{Engine, LooseForeignKey, OnDelete};
use lfk_tests::scenario::{PATIENCE, drain, loose};
use lfk_tests::{TestDb, eventually};

/// The shortest retention that an engine accepts.
pub const RETENTION: Duration = Duration::from_secs(600);

/// The builds of projects, which go with them.
pub fn builds() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

/// Their notes, likewise.
pub fn notes() -> Result<LooseForeignKey> {
    loose("projects(id)", "notes(project_id)", OnDelete::Delete)
}

/// Notes of the projects of `clean_support`.
pub const NOTES: &str =
    "CREATE TABLE notes (id bigint PRIMARY KEY, project_id bigint); CREATE INDEX ON notes (project_id);
    INSERT INTO notes VALUES (1, 1), (2, 2), (3, 3);";

/// Notes the time and the snapshot of now, as a worker does twice a minute.
pub async fn tick(home: &TestDb) -> Result<()> {
    home.execute("INSERT INTO lfk.tick DEFAULT VALUES").await?;
    Ok(())
}

/// Lets time pass for the log: whatever it says of a time was so much longer ago. Snapshots stay what they are.
pub async fn age(home: &TestDb, by: &str) -> Result<()> {
    home.execute(&format!(
        "UPDATE lfk.tick SET at = at - interval '{by}';
         UPDATE lfk.cursor SET prev_at = prev_at - interval '{by}', cur_at = cur_at - interval '{by}',
                stamp = pg_current_xact_id()"
    ))
    .await?;
    Ok(())
}

/// A tick now, and then a time passes.
pub async fn let_pass(home: &TestDb, time: &str) -> Result<()> {
    tick(home).await?;
    age(home, time).await
}

/// Works until every second visit that is due was made.
pub async fn trail(engine: &Engine, home: &TestDb) -> Result<()> {
    let names: Vec<String> = engine.definitions().iter().map(|d| format!("'{}'", d.name)).collect();
    let due = format!(
        "SELECT bool_or(c.cur IS NOT NULL OR c.lease_until > clock_timestamp()
                        OR EXISTS (SELECT FROM lfk.tick t WHERE t.at > c.prev_at AND t.at <= clock_timestamp() - c.settle))
           FROM lfk.cursor c JOIN lfk.definition d ON d.name = c.definition
          WHERE c.settle IS NOT NULL AND d.state = 'active' AND d.name IN ({})",
        names.join(", ")
    );
    let handle = engine.start();
    let made = eventually("the trailing pass", PATIENCE, async || Ok(!home.scalar::<bool>(&due).await?)).await;
    handle.shutdown().await?;
    made
}

/// Works until everybody has passed everything twice, and twenty minutes have passed since.
pub async fn settle(engine: &Engine, home: &TestDb) -> Result<()> {
    drain(engine).await?;
    let_pass(home, "20 minutes").await?;
    trail(engine, home).await
}

/// A leaf of the log that neither is the current one nor will be soon.
pub async fn quiet_leaf(home: &TestDb) -> Result<i32> {
    home.scalar("SELECT (((extract(epoch FROM clock_timestamp())::bigint / 14400) + 4) % 8)::int4").await
}

/// From now on rows of the log go to this leaf, as they do while its hours last.
pub async fn write_to_leaf(home: &TestDb, leaf: i32) -> Result<()> {
    home.execute(&format!("ALTER TABLE lfk.key_log ALTER COLUMN leaf SET DEFAULT {leaf}")).await?;
    Ok(())
}

/// How many rows a leaf holds.
pub async fn rows_in_leaf(home: &TestDb, leaf: i32) -> Result<i64> {
    home.scalar(&format!("SELECT count(*) FROM lfk.key_log_{leaf}")).await
}

type Act = Box<dyn Fn(Point, String) -> BoxFuture<'static, Result<Verdict>> + Send + Sync>;

/// A hook made of a function of the point and the consumer (or the leaf).
pub struct When(Act);

impl When {
    /// Calls `act` at every point of everybody.
    pub fn passing<F>(act: impl Fn(Point, String) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Result<Verdict>> + Send + 'static,
    {
        Arc::new(Self(Box::new(move |point, who| Box::pin(act(point, who)))))
    }

    /// Kills whoever passes `point` for the n-th time, if its consumer's name ends with `whose`.
    pub fn dies(point: Point, whose: &'static str, nth: usize) -> Arc<Self> {
        let passed = Arc::new(AtomicUsize::new(0));
        Self::passing(move |at, who| {
            let passed = passed.clone();
            async move {
                let meant = at == point && who.ends_with(whose);
                let dies = meant && passed.fetch_add(1, Ordering::SeqCst) + 1 == nth;
                Ok(if dies { Verdict::Die } else { Verdict::GoOn })
            }
        })
    }
}

impl Hook for When {
    fn pass<'a>(&'a self, point: Point, who: &'a str) -> BoxFuture<'a, Verdict> {
        let acting = (self.0)(point, who.to_owned());
        Box::pin(async move { acting.await.expect("the hook fails") })
    }
}
