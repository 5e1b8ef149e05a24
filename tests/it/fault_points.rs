//! A worker that dies between any two statements.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _};
use lfk_core::sabotage::{Hook, Point, Verdict};
use lfk_core::{ErrorKind, LooseForeignKey, OnDelete};
use lfk_tests::scenario::{PATIENCE, active, drain, expire_leases, loose};
use lfk_tests::{Pair, Role, TestDb};
use sqlx::PgConnection;
use tokio::sync::Mutex;

use crate::fault_hook::{Passings, hooked};

/// Deleted one by one are 250, a row of the log each, so that there are several pages and batches; 300 was moved away and
/// back; 301 is deleted while the worker is at work; 302 and above live.
const PROJECTS: &str = "
    CREATE TABLE projects (id bigint PRIMARY KEY);
    INSERT INTO projects SELECT generate_series(1, 310)";
const DELETES: &str = "
    DO $do$ BEGIN FOR i IN 1..250 LOOP DELETE FROM projects WHERE id = i; END LOOP; END $do$;
    DELETE FROM projects WHERE id = 300;
    INSERT INTO projects VALUES (300)";
/// Two leaves, so that there is something between two leaves; two builds a project, and two of no project.
const BUILDS: &str = "
    CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint, name text NOT NULL) PARTITION BY HASH (id);
    CREATE TABLE builds_0 PARTITION OF builds FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE builds_1 PARTITION OF builds FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    CREATE INDEX ON builds (project_id);
    INSERT INTO builds SELECT n, n % 310 + 1, 'build ' || n FROM generate_series(1, 620) n;
    INSERT INTO builds VALUES (1001, NULL, 'of nothing'), (1002, NULL, 'of nothing')";

/// Of living parents or of none, before; everything, after.
const KEPT: &str =
    "SELECT * FROM builds WHERE project_id IS NULL OR project_id > 250 AND project_id <> 301 ORDER BY id";
const ALL: &str = "SELECT * FROM builds ORDER BY id";

fn definition() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

/// Kills a worker, and does meanwhile what an application does: it deletes, locks rows, and loses connections.
struct Murder {
    at: Point,
    nth: usize,
    pair: Pair,
    passings: Passings,
    /// Batches that were done when a window was opened last.
    done_before: AtomicUsize,
    /// Transactions of the application that each lock a child, until a key was set aside because of it.
    locks: Mutex<Vec<PgConnection>>,
    /// Retries that were done when a lock was given up last.
    retried_before: AtomicUsize,
}

impl Murder {
    async fn new(at: Point, nth: usize, pair: &Pair) -> Result<Arc<Self>> {
        let mut locks = Vec::new();
        if at == Point::RetriesDone {
            for id in [1, 2] {
                let mut holder = pair.ci.connect().await?;
                sqlx::raw_sql("BEGIN").execute(&mut holder).await?;
                let lock = "SELECT FROM builds WHERE project_id = $1 FOR UPDATE";
                sqlx::query(lock).bind(id).execute(&mut holder).await?;
                locks.push(holder);
            }
        }
        let (pair, passings) = (pair.clone(), Passings::default());
        Ok(Arc::new(Self {
            at,
            nth,
            pair,
            passings,
            done_before: AtomicUsize::default(),
            locks: Mutex::new(locks),
            retried_before: AtomicUsize::default(),
        }))
    }

    async fn live(&self, point: Point, n: usize) -> Result<()> {
        let done = self.passings.of(Point::BatchDone);
        if point == Point::Opened {
            self.done_before.store(done, Ordering::SeqCst);
        }
        match point {
            // The window does not have it, so there is a second turn.
            Point::Opened if n == 2 => {
                self.pair.main.execute("DELETE FROM projects WHERE id = 301").await?;
            }
            // A second batch fails, so the cursor moves behind the first.
            Point::CleanedUncommitted
                if self.at == Point::Advanced && done > self.done_before.load(Ordering::SeqCst) =>
            {
                let idle = format!("datname = '{}' AND state = 'idle in transaction'", self.pair.ci.name);
                let kill = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {idle}");
                self.pair.ci.rows(&kill).await?;
            }
            _ => {}
        }
        let set_aside = "SELECT count(*) FROM lfk.retry";
        if point == Point::Opened && self.at == Point::RetriesDone && self.pair.main.scalar::<i64>(set_aside).await? > 0
        {
            // One lock is given up, the key of the other is set aside once more; and that one only when it has been, or both
            // keys would be done at once.
            let mut locks = self.locks.lock().await;
            let retried = self.passings.of(Point::RetriesDone);
            if locks.len() == 2 || retried > self.retried_before.load(Ordering::SeqCst) {
                self.retried_before.store(retried, Ordering::SeqCst);
                if let Some(mut holder) = locks.pop() {
                    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await?;
                }
            }
            self.pair.main.execute("UPDATE lfk.retry SET not_before = '-infinity'").await?;
        }
        Ok(())
    }
}

impl Hook for Murder {
    fn pass<'a>(&'a self, point: Point, _consumer: &'a str) -> BoxFuture<'a, Verdict> {
        let n = self.passings.count(point);
        Box::pin(async move {
            self.live(point, n).await.expect("the application failed");
            if point == self.at && n == self.nth { Verdict::Die } else { Verdict::GoOn }
        })
    }
}

/// One worker dies at a point, another one finishes.
async fn dies(pair: &Pair, at: Point, nth: usize) -> Result<()> {
    active(pair, [definition()?]).await?;
    let kept = pair.ci.rows(KEPT).await?;
    let projects =
        pair.main.rows("SELECT * FROM projects WHERE id NOT BETWEEN 1 AND 250 AND id <> 301 ORDER BY 1").await?;
    pair.main.execute(DELETES).await?;

    let murder = Murder::new(at, nth, pair).await?;
    let died = hooked(pair, [definition()?], murder.clone())?.run_until_drained(Some(PATIENCE)).await;
    ensure!(murder.passings.of(at) == nth, "passed {} times: {:?}", murder.passings.of(at), murder.passings);
    let error = died.err().context("it did not die")?;
    ensure!(error.kind == ErrorKind::Crashed, "{error}");
    let leased =
        pair.main.scalar::<bool>("SELECT lease_until > clock_timestamp() FROM lfk.cursor WHERE settle IS NULL").await?;
    ensure!(leased == (at != Point::Released), "who is dead gives nothing back");

    murder.locks.lock().await.clear();
    pair.main.execute("DELETE FROM projects WHERE id IN (301)").await?;
    expire_leases(&pair.main).await?;
    drain(&pair.engine([definition()?])?).await?;

    ensure!(pair.ci.rows(ALL).await? == kept, "orphans, or children of living parents: {:?}", diff(pair).await?);
    ensure!(pair.main.rows("SELECT * FROM projects ORDER BY 1").await? == projects);
    ensure!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.retry").await? == 0, "keys are still set aside");
    Ok(())
}

async fn diff(pair: &Pair) -> Result<Vec<Vec<Option<String>>>> {
    pair.ci.rows("SELECT project_id, count(*) FROM builds GROUP BY 1 HAVING count(*) <> 2 OR project_id <= 250 OR project_id = 301").await
}

/// Deaths a few at a time: each mostly waits.
async fn all_die(deaths: impl IntoIterator<Item = (Point, usize)>, in_one_database: bool) -> Result<()> {
    let deaths = deaths.into_iter().map(|(point, nth)| async move {
        let pair = if in_one_database { one_database().await? } else { Pair::with_schema(PROJECTS, BUILDS).await? };
        dies(&pair, point, nth).await.with_context(|| format!("{point:?}, number {nth}"))
    });
    futures::stream::iter(deaths).buffer_unordered(8).try_collect().await
}

async fn one_database() -> Result<Pair> {
    let main = TestDb::with_schema(Role::Main, &format!("{PROJECTS}; {BUILDS}")).await?;
    Ok(Pair { ci: main.clone(), main })
}

/// Every point that a worker between two databases passes.
fn everywhere() -> impl Iterator<Item = Point> {
    Point::ALL.into_iter().filter(|point| *point != Point::ChildrenLocked)
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_a_worker_that_dies_at_any_point_loses_nothing() -> Result<()> {
    all_die(everywhere().map(|point| (point, 1)), false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_a_worker_that_dies_at_any_point_later_on_loses_nothing() -> Result<()> {
    all_die(everywhere().map(|point| (point, 2)), false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_a_worker_of_one_database_that_dies_while_it_cleans_loses_nothing() -> Result<()> {
    // Only the cleaning is another one there.
    let points = [Point::ChildrenLocked, Point::CleanedUncommitted, Point::LeafCleaned, Point::RetriesDone];
    all_die(points.into_iter().flat_map(|point| [(point, 1), (point, 2)]), true).await
}
