//! F3: a standby that lost the last commits takes over, for the parents or for the children.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use lfk_core::sabotage::Point;
use lfk_core::{Engine, ErrorKind, LooseForeignKey, OnDelete};
use lfk_tests::scenario::{active, drain, expire_leases, loose};
use lfk_tests::{Cluster, Pair, Proxy, Role, TestDb, eventually};

use crate::fault_hook::{Gate, SOON, Steps, hooked_over};
use crate::log_support::{let_pass, trail};

const PROJECTS: &str =
    "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects SELECT generate_series(1, 60)";
const BUILDS: &str = "
    CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint);
    CREATE INDEX ON builds (project_id);
    INSERT INTO builds SELECT n, n FROM generate_series(1, 60) n";
const LEFT: &str = "SELECT string_agg(project_id::text, ' ' ORDER BY project_id) FROM builds";

fn definition() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

fn range(ids: std::ops::RangeInclusive<i64>) -> String {
    ids.map(|id| id.to_string()).collect::<Vec<_>>().join(" ")
}

/// One side has a standby, and lfk reaches it through a name that can come to mean the standby.
struct Scene {
    pair: Pair,
    primary: Cluster,
    standby: Cluster,
    moves: Role,
    name: Arc<Proxy>,
}

impl Scene {
    async fn of(moves: Role) -> Result<Self> {
        let primary = Cluster::start_with(&[("wal_level", "replica")]).await?;
        let pair = match moves {
            Role::Main => Pair { main: TestDb::on(&primary).await?, ci: TestDb::new(Role::Ci).await? },
            Role::Ci => Pair { main: TestDb::new(Role::Main).await?, ci: TestDb::on(&primary).await? },
        };
        pair.main.execute(PROJECTS).await?;
        pair.ci.execute(BUILDS).await?;
        active(&pair, [definition()?]).await?;
        drain(&pair.engine([definition()?])?).await?;
        let standby = primary.start_standby().await?;
        let name = Arc::new(Proxy::in_front_of(&primary).await?);
        Ok(Self { pair, primary, standby, moves, name })
    }

    fn urls(&self) -> (String, String) {
        let moving =
            |role: Role, db: &TestDb| if role == self.moves { self.name.url(&db.name) } else { db.url.clone() };
        (moving(Role::Main, &self.pair.main), moving(Role::Ci, &self.pair.ci))
    }

    fn engine(&self, hook: Arc<dyn lfk_core::sabotage::Hook>) -> Result<Engine> {
        let (main, ci) = self.urls();
        hooked_over(&[("main", &main), ("ci", &ci)], [definition()?], hook)
    }

    fn plain(&self) -> Result<Engine> {
        let (main, ci) = self.urls();
        lfk_tests::engine(&[("main", &main), ("ci", &ci)], [definition()?])
    }

    /// The standby receives everything until now, and nothing from here on.
    async fn cut_off(&self) -> Result<()> {
        let db = if self.moves == Role::Main { &self.pair.main } else { &self.pair.ci };
        let now: String = db.scalar("SELECT pg_current_wal_insert_lsn()::text").await?;
        let received = format!("SELECT coalesce(bool_or(replay_lsn >= '{now}'), false) FROM pg_stat_replication");
        eventually("the standby has received everything", SOON, async || db.scalar(&received).await).await?;
        self.standby.stop_fast().await
    }

    /// The primary is gone for good. Answers with the database on the standby, which now has its name.
    async fn fail_over(&self) -> Result<TestDb> {
        self.primary.kill9().await?;
        self.standby.promote().await?;
        self.name.lead_to(&self.standby);
        self.name.cut().await?;
        let mut moved = if self.moves == Role::Main { self.pair.main.clone() } else { self.pair.ci.clone() };
        moved.url = self.standby.url(&moved.name);
        moved.pool = sqlx::PgPool::connect_lazy(&moved.url)?;
        Ok(moved)
    }
}

/// Deletes one by one, each with an xid of its own.
async fn delete(db: &TestDb, ids: std::ops::RangeInclusive<i64>) -> Result<()> {
    let (from, to) = (ids.start(), ids.end());
    db.execute(&format!(
        "DO $do$ BEGIN FOR i IN {from}..{to} LOOP DELETE FROM projects WHERE id = i; COMMIT; END LOOP; END $do$"
    ))
    .await?;
    Ok(())
}

/// A worker stands still at one point while the standby is cut off, goes on to another on the primary, and wakes up on the
/// standby, where its last steps never happened and its transaction ids are given out once more.
async fn wakes_up_elsewhere(cut_off_at: Point, wakes_at: Point) -> Result<()> {
    let scene = Scene::of(Role::Main).await?;
    delete(&scene.pair.main, 1..=10).await?;
    let steps = Steps::through(&[cut_off_at, wakes_at]);
    let handle = scene.engine(steps.clone())?.start();
    steps.stands_at(cut_off_at).await?;
    scene.cut_off().await?;
    // These deletes will never have happened.
    delete(&scene.pair.main, 11..=20).await?;
    steps.go_on();
    steps.stands_at(wakes_at).await?;
    let moved = scene.fail_over().await?;
    ensure!(moved.scalar::<i64>("SELECT count(*) FROM projects").await? == 50, "nothing was lost");
    let before: String = scene.pair.ci.scalar(LEFT).await?;
    delete(&moved, 21..=40).await?;
    steps.go_on();

    // Whether it goes on or is refused: no delete that there is is passed over.
    let done = async || {
        let unread = "SELECT count(*) FROM lfk.cursor c WHERE c.settle IS NULL AND (c.cur IS NOT NULL OR EXISTS
            (SELECT FROM lfk.key_log l WHERE NOT pg_visible_in_snapshot(l.xid, c.prev)))";
        let refused = moved.scalar::<bool>("SELECT bool_or(note LIKE '%no longer agree%') FROM lfk.definition").await;
        Ok(moved.scalar::<i64>(unread).await? == 0 || refused.unwrap_or(false))
    };
    eventually("the worker has gone on", SOON, done).await?;
    handle.shutdown().await?;
    let left: String = scene.pair.ci.scalar(LEFT).await?;
    let alive: String = moved.scalar("SELECT string_agg(id::text, ' ' ORDER BY id) FROM projects").await?;
    let alive: Vec<&str> = alive.split(' ').collect();
    let living: Vec<&str> = before.split(' ').filter(|id| alive.contains(id)).collect();
    match scene.plain()?.run_once().await {
        Ok(_) => ensure!(left.split(' ').eq(living.iter().copied()), "of {before} there are left {left}"),
        // The last exchange of the pair is among what was lost.
        Err(error) => {
            ensure!(error.kind == ErrorKind::Refused, "{error}");
            let left: Vec<&str> = left.split(' ').collect();
            ensure!(living.iter().all(|id| left.contains(id)), "of {before} there are left {left:?}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_a_worker_that_wakes_up_on_a_standby_that_lost_commits_passes_over_no_delete() -> Result<()> {
    for (cut_off_at, wakes_at) in [
        (Point::Claimed, Point::PageRead),
        (Point::Opened, Point::BatchDone),
        (Point::PageRead, Point::AdvancedUncommitted),
        (Point::PageRead, Point::Closed),
        (Point::BatchDone, Point::PageRead),
        (Point::BatchDone, Point::Released),
    ] {
        let ended = wakes_up_elsewhere(cut_off_at, wakes_at).await;
        ended.with_context(|| format!("cut off at {cut_off_at:?}, wakes at {wakes_at:?}"))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_a_failover_that_loses_a_whole_turn_is_refused_before_anything_changes() -> Result<()> {
    let scene = Scene::of(Role::Main).await?;
    scene.cut_off().await?;
    delete(&scene.pair.main, 1..=10).await?;
    drain(&scene.plain()?).await?;
    let moved = scene.fail_over().await?;
    delete(&moved, 21..=30).await?;
    let before: String = scene.pair.ci.scalar(LEFT).await?;
    let error = scene.plain()?.run_until_drained(None).await.err().context("it was not refused")?;
    assert!(error.kind == ErrorKind::Refused && error.message.contains("no longer agree"), "{error}");
    assert!(error.hint.is_some_and(|hint| hint.contains("lfk install")));
    assert_eq!(scene.pair.ci.scalar::<String>(LEFT).await?, before);
    Ok(())
}

/// The standby has what the turn began with, and nothing that it cleaned.
async fn loses_what_was_cleaned(scene: &Scene) -> Result<TestDb> {
    delete(&scene.pair.main, 1..=10).await?;
    let gate = Gate::at(Point::Opened, 1);
    let handle = scene.engine(gate.clone())?.start();
    gate.is_held().await?;
    scene.cut_off().await?;
    gate.open();
    eventually("it is cleaned", SOON, async || {
        let idle =
            "SELECT bool_and(cur IS NULL AND owner IS NULL AND keys_total = 10) FROM lfk.cursor WHERE settle IS NULL";
        scene.pair.main.scalar(idle).await
    })
    .await?;
    handle.shutdown().await?;
    ensure!(scene.pair.ci.scalar::<String>(LEFT).await? == range(11..=60));
    let moved = scene.fail_over().await?;
    ensure!(moved.scalar::<String>(LEFT).await? == range(1..=60), "nothing came back");
    Ok(moved)
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_children_that_come_back_with_a_standby_after_the_turn_are_noticed() -> Result<()> {
    let scene = Scene::of(Role::Ci).await?;
    let moved = loses_what_was_cleaned(&scene).await?;
    delete(&scene.pair.main, 21..=30).await?;
    let error = scene.plain()?.run_until_drained(None).await.err().context("it was not refused")?;
    assert!(error.kind == ErrorKind::Refused && error.message.contains("no longer agree"), "{error}");
    assert_eq!(moved.scalar::<String>(LEFT).await?, range(1..=60));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_children_that_come_back_with_a_standby_in_the_middle_of_a_turn_go_with_the_trailing_pass() -> Result<()> {
    let scene = Scene::of(Role::Ci).await?;
    delete(&scene.pair.main, 1..=10).await?;
    let steps = Steps::through(&[Point::Opened, Point::Closed]);
    let handle = scene.engine(steps.clone())?.start();
    steps.stands_at(Point::Opened).await?;
    scene.cut_off().await?;
    steps.go_on();
    steps.stands_at(Point::Closed).await?;
    assert_eq!(scene.pair.ci.scalar::<String>(LEFT).await?, range(11..=60));
    let moved = scene.fail_over().await?;
    assert_eq!(moved.scalar::<String>(LEFT).await?, range(1..=60), "nothing came back");
    steps.go_on();
    handle.shutdown().await?;
    expire_leases(&scene.pair.main).await?;
    let_pass(&scene.pair.main, "2 minutes").await?;
    trail(&scene.plain()?, &scene.pair.main).await?;
    assert_eq!(moved.scalar::<String>(LEFT).await?, range(11..=60));
    Ok(())
}
