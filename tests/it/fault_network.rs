//! F2: sessions that are ended, and networks that split, stall and forget, in the middle of a batch.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use lfk_core::sabotage::Point;
use lfk_core::{ErrorKind, LooseForeignKey, OnDelete};
use lfk_tests::scenario::{PATIENCE, active, drain, loose};
use lfk_tests::{Mode, Pair, Proxy, Role, TestDb, eventually};

use crate::fault_hook::{At, Gate, SOON, hooked, hooked_over};

const PROJECTS: &str =
    "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects SELECT generate_series(1, 30)";
const BUILDS: &str = "
    CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint);
    CREATE INDEX ON builds (project_id);
    INSERT INTO builds SELECT n, (n - 1) / 2 + 1 FROM generate_series(1, 60) n;
    INSERT INTO builds VALUES (1001, NULL)";
const DELETE: &str = "DELETE FROM projects WHERE id <= 20";
const RETURN: &str = "INSERT INTO projects SELECT generate_series(1, 20)";
const ALL: &str = "SELECT * FROM builds ORDER BY id";
const KEPT: &str = "SELECT * FROM builds WHERE project_id IS NULL OR project_id > 20 ORDER BY id";

fn definition() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

/// Twenty deleted projects, and a proxy in front of each database.
struct Scene {
    pair: Pair,
    main: Arc<Proxy>,
    ci: Arc<Proxy>,
    kept: Vec<Vec<Option<String>>>,
}

impl Scene {
    async fn new() -> Result<Self> {
        Self::of(Pair::with_schema(PROJECTS, BUILDS).await?).await
    }

    async fn of(pair: Pair) -> Result<Self> {
        active(&pair, [definition()?]).await?;
        let kept = pair.ci.rows(KEPT).await?;
        pair.main.execute(DELETE).await?;
        let main = Arc::new(Proxy::in_front_of(&Role::Main.cluster().await?).await?);
        let ci = Arc::new(Proxy::in_front_of(&Role::Ci.cluster().await?).await?);
        Ok(Self { pair, main, ci, kept })
    }

    fn proxy(&self, side: Role) -> Arc<Proxy> {
        BTreeMap::from([(Role::Main.name(), &self.main), (Role::Ci.name(), &self.ci)])[side.name()].clone()
    }

    /// An engine behind both proxies.
    fn engine(&self, hook: Arc<dyn lfk_core::sabotage::Hook>) -> Result<lfk_core::Engine> {
        let (main, ci) = (self.main.url(&self.pair.main.name), self.ci.url(&self.pair.ci.name));
        hooked_over(&[("main", &main), ("ci", &ci)], [definition()?], hook)
    }

    /// Nothing is lost and nothing is wrong, and a worker that is not behind the proxies finds nothing that hinders it.
    async fn is_clean(&self) -> Result<()> {
        drain(&self.pair.engine([definition()?])?).await?;
        ensure!(self.pair.ci.rows(ALL).await? == self.kept, "orphans, or children of living parents");
        ensure!(self.pair.main.scalar::<i64>("SELECT count(*) FROM lfk.retry").await? == 0, "keys are set aside");
        Ok(())
    }
}

/// A mode that begins at a point.
fn mode_at(point: Point, proxy: Arc<Proxy>, mode: Mode) -> Arc<dyn lfk_core::sabotage::Hook> {
    At::the(point, 1, move || {
        let proxy = proxy.clone();
        async move { proxy.set(mode).await }
    })
}

/// Cases a few at a time: each mostly waits.
async fn all<T>(cases: impl IntoIterator<Item = T>) -> Result<()>
where
    T: Future<Output = Result<()>>,
{
    futures::stream::iter(cases).buffer_unordered(8).try_collect().await
}

async fn one_database() -> Result<Pair> {
    let main = TestDb::with_schema(Role::Main, &format!("{PROJECTS}; {BUILDS}")).await?;
    Ok(Pair { ci: main.clone(), main })
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_sessions_that_are_ended_at_any_point_lose_nothing() -> Result<()> {
    let cases = Point::ALL.into_iter().filter(|p| *p != Point::RetriesDone).flat_map(|point| {
        let sides = if point == Point::ChildrenLocked { vec![] } else { vec![Role::Main, Role::Ci] };
        let apart = sides.into_iter().map(move |side| (point, side, false));
        let together = (point > Point::DeadlineSet && point < Point::BatchDone).then_some((point, Role::Main, true));
        apart.chain(together)
    });
    all(cases.map(|(point, side, together)| async move {
        let pair = if together { one_database().await? } else { Pair::with_schema(PROJECTS, BUILDS).await? };
        ended(pair, point, side).await.with_context(|| format!("{point:?}, {side:?}, one database: {together}"))
    }))
    .await
}

async fn ended(pair: Pair, point: Point, side: Role) -> Result<()> {
    active(&pair, [definition()?]).await?;
    let kept = pair.ci.rows(KEPT).await?;
    pair.main.execute(DELETE).await?;
    let ends = BTreeMap::from([(Role::Main.name(), pair.main.clone()), (Role::Ci.name(), pair.ci.clone())]);
    let end = ends[side.name()].clone();
    let hook = At::the(point, 1, move || {
        let end = end.clone();
        async move {
            let ours = "datname = current_database() AND application_name LIKE 'lfk/%'";
            let ended = format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {ours}");
            ensure!(end.scalar::<i64>(&ended).await? > 0, "there was no session to end");
            Ok(())
        }
    });
    drain(&hooked(&pair, [definition()?], hook)?).await?;
    ensure!(pair.ci.rows(ALL).await? == kept, "orphans, or children of living parents");
    ensure!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.retry").await? == 0, "keys are set aside");
    Ok(())
}

/// The next thing that a worker does on that side gets no answer, and its connections never end.
const VANISHES: &[(Point, Role)] = &[
    (Point::Claimed, Role::Main),
    (Point::NonceOffered, Role::Ci),
    (Point::Paired, Role::Main),
    (Point::PageRead, Role::Main),
    (Point::PageRead, Role::Ci),
    (Point::DeadlineSet, Role::Main),
    (Point::Rechecked, Role::Ci),
    (Point::WriteBegun, Role::Ci),
    (Point::CleanedUncommitted, Role::Ci),
    (Point::BatchDone, Role::Main),
    (Point::AdvancedUncommitted, Role::Main),
    (Point::Closed, Role::Main),
];

#[tokio::test(flavor = "multi_thread")]
async fn f2_a_server_that_vanishes_without_a_word_is_given_up_and_found_again() -> Result<()> {
    all(VANISHES.iter().map(|&(point, side)| async move {
        let scene = Scene::new().await?;
        let proxy = scene.proxy(side);
        let vanish = At::the(point, 1, move || {
            let proxy = proxy.clone();
            async move {
                proxy.vanish();
                Ok(())
            }
        });
        let drained = drain(&scene.engine(vanish)?).await;
        drained.with_context(|| format!("{point:?}, {side:?}"))?;
        scene.is_clean().await.with_context(|| format!("{point:?}, {side:?}"))
    }))
    .await
}

/// Where the network splits, in which direction, and for whom: for as long as nobody mends it.
const SPLITS: &[(Point, Role, Mode)] = &[
    (Point::PageRead, Role::Main, Mode::Stall),
    (Point::DeadlineSet, Role::Main, Mode::StallOnExecution),
    (Point::DeadlineSet, Role::Main, Mode::StallReplies),
    (Point::Rechecked, Role::Ci, Mode::Stall),
    (Point::WriteBegun, Role::Ci, Mode::StallOnExecution),
    (Point::WriteBegun, Role::Ci, Mode::StallReplies),
    (Point::WriteBegun, Role::Ci, Mode::StallOnCommit),
    (Point::WriteBegun, Role::Ci, Mode::StallAfterCommit),
    (Point::BatchDone, Role::Main, Mode::StallOnExecution),
    (Point::AdvancedUncommitted, Role::Main, Mode::StallOnCommit),
    (Point::AdvancedUncommitted, Role::Main, Mode::StallAfterCommit),
];

#[tokio::test(flavor = "multi_thread")]
async fn f2_a_network_that_splits_in_the_middle_neither_hangs_a_worker_nor_harms() -> Result<()> {
    all(SPLITS.iter().map(|&(point, side, mode)| async move {
        splits(point, side, mode).await.with_context(|| format!("{point:?}, {side:?}, {mode:?}"))
    }))
    .await
}

async fn splits(point: Point, side: Role, mode: Mode) -> Result<()> {
    let scene = Scene::new().await?;
    let proxy = scene.proxy(side);
    let handle = scene.engine(mode_at(point, proxy.clone(), mode))?.start();
    proxy.is_holding().await?;
    // It ends although nothing is ever answered.
    tokio::time::timeout(SOON, handle.shutdown()).await.context("it hangs")??;
    // Whatever is still on its way arrives now, and a worker elsewhere goes on.
    proxy.set(Mode::Pass).await?;
    scene.is_clean().await
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_a_visit_behind_a_network_that_splits_ends_with_an_error() -> Result<()> {
    all([(Point::PageRead, Role::Main), (Point::WriteBegun, Role::Ci)].map(|(point, side)| async move {
        let scene = Scene::new().await?;
        let proxy = scene.proxy(side);
        let engine = scene.engine(mode_at(point, proxy.clone(), Mode::Stall))?;
        let visit = tokio::time::timeout(SOON, engine.run_once()).await.context("it hangs")?;
        let error = visit.err().context("it cannot have ended well")?;
        ensure!(error.kind == ErrorKind::Unreachable, "{error}");
        proxy.set(Mode::Pass).await?;
        scene.is_clean().await
    }))
    .await
}

/// The parents come back while a statement that would clean their children is on its way.
#[tokio::test(flavor = "multi_thread")]
async fn f2_a_statement_that_the_network_held_back_does_nothing_on_an_old_recheck() -> Result<()> {
    let scene = Scene::new().await?;
    let all = scene.pair.ci.rows(ALL).await?;
    let handle = scene.engine(mode_at(Point::WriteBegun, scene.ci.clone(), Mode::StallOnExecution))?.start();
    scene.ci.is_holding().await?;
    scene.pair.main.execute(RETURN).await?;
    given_up(&scene.pair).await?;
    scene.ci.set(Mode::Pass).await?;
    // The first to look at the keys anew finds their parents; by then the statement has arrived too.
    eventually("the keys are looked at anew", PATIENCE, async || {
        let looked = "SELECT bool_and(resurrected_total = 20 AND cur IS NULL) FROM lfk.cursor WHERE settle IS NULL";
        scene.pair.main.scalar(looked).await
    })
    .await?;
    handle.shutdown().await?;
    no_session_in_the_middle(&scene.pair.ci).await?;
    assert_eq!(scene.pair.ci.rows(ALL).await?, all);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_rows_whose_commit_was_held_back_are_free_again_within_seconds() -> Result<()> {
    let scene = Scene::new().await?;
    let handle = scene.engine(mode_at(Point::WriteBegun, scene.ci.clone(), Mode::StallOnCommit))?.start();
    scene.ci.is_holding().await?;
    // An application that changes one of the rows waits for the server's own limit, and finds it as it was.
    let change = "SET statement_timeout = '10s'; UPDATE builds SET id = id WHERE id = 1";
    scene.pair.ci.execute(change).await?;
    given_up(&scene.pair).await?;
    assert_eq!(scene.pair.ci.scalar::<i64>("SELECT count(*) FROM builds").await?, 61);
    scene.ci.set(Mode::Pass).await?;
    handle.shutdown().await?;
    scene.is_clean().await
}

/// Waits until the worker has noticed that the children's database does not answer, and says so.
async fn given_up(pair: &Pair) -> Result<()> {
    eventually("the split is noticed", SOON, async || {
        let held = "SELECT bool_or(condition = 'held') FROM lfk.definition";
        pair.main.scalar(held).await
    })
    .await
}

async fn no_session_in_the_middle(db: &TestDb) -> Result<()> {
    eventually("no transaction is left open", SOON, async || {
        let open = "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
        db.scalar(open).await
    })
    .await
}

/// A worker that cannot renew its lease, and hears nothing of it, stops by its own clock.
#[tokio::test(flavor = "multi_thread")]
async fn f2_a_worker_that_cannot_renew_its_lease_does_not_act_any_more() -> Result<()> {
    let scene = Scene::new().await?;
    let gate = Gate::at(Point::Rechecked, 1);
    let handle = scene.engine(gate.clone())?.start();
    gate.is_held().await?;
    scene.main.set(Mode::Stall).await?;
    // Somebody else gets the lease when it has run out, and does the work.
    scene.is_clean().await?;
    scene.pair.main.execute(RETURN).await?;
    scene.pair.ci.execute("INSERT INTO builds SELECT n, n FROM generate_series(1, 20) n").await?;
    gate.open();
    tokio::time::timeout(SOON, handle.shutdown()).await.context("it hangs")??;
    assert_eq!(gate.passings.of(Point::WriteBegun), 0, "it began to write");
    assert_eq!(scene.pair.ci.scalar::<i64>("SELECT count(*) FROM builds").await?, 41);
    Ok(())
}
