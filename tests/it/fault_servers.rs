//! Processes and servers that are killed, and replies that are lost.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use lfk_core::sabotage::Point;
use lfk_core::{LooseForeignKey, OnDelete};
use lfk_tests::scenario::{PATIENCE, active, drain, expire_leases, loose, roles_of};
use lfk_tests::{Cli, Cluster, Mode, Pair, Proxy, Role, Running, Signal, eventually};

use crate::fault_hook::{At, SOON, hooked_over};

const PROJECTS: &str = "
    CREATE TABLE projects (id bigint PRIMARY KEY);
    INSERT INTO projects SELECT generate_series(1, 1010)";
const BUILDS: &str = "
    CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint, name text NOT NULL);
    CREATE INDEX ON builds (project_id);
    INSERT INTO builds SELECT n, (n - 1) / 2 + 1, 'build ' || n FROM generate_series(1, 2020) n;
    INSERT INTO builds VALUES (3001, NULL, 'of nothing')";
const DELETE: &str = "DELETE FROM projects WHERE id <= 1000";
const KEPT: &str = "SELECT * FROM builds WHERE project_id IS NULL OR project_id > 1000 ORDER BY id";
const ALL: &str = "SELECT * FROM builds ORDER BY id";
const ORPHANS: &str = "SELECT count(*) FROM builds WHERE project_id <= 1000";

const DEFINITION: &str = r#"
    [[loose_foreign_key]]
    parent = "main:public.projects(id)"
    child = "ci:public.builds(project_id)"
    on_delete = "delete"
"#;

fn definition() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

async fn tables(pair: &Pair) -> Result<()> {
    pair.main.execute(PROJECTS).await?;
    pair.ci.execute(BUILDS).await?;
    Ok(())
}

/// A daemon that is in no hurry: so many rows a second.
fn unhurried(pair: &Pair, rows_per_second: u32) -> Result<Cli> {
    let (main, ci) = (Cli::url(&pair.main.url), Cli::url(&pair.ci.url));
    let cli = Cli::new(&format!(
        "format = 1\n[database.main]\nurl = \"{main}\"\n[database.ci]\nurl = \"{ci}\"\nrows_per_second = {rows_per_second}\n{DEFINITION}"
    ))?;
    Ok(cli.as_installed(pair))
}

/// Waits until the daemon is in the middle of it: something is gone and something is not.
async fn in_the_middle(pair: &Pair, daemon: &Running, at_most: i64) -> Result<()> {
    let begun = eventually("some children are gone", SOON, async || {
        let left = pair.ci.scalar::<i64>(ORPHANS).await?;
        ensure!(left > 0, "all are gone already");
        Ok(left < at_most)
    });
    begun.await.with_context(|| daemon.stderr())
}

async fn drained(pair: &Pair, daemon: &Running) -> Result<()> {
    let done = eventually("everything is drained", PATIENCE, async || {
        let pending = "SELECT bool_or(cur IS NOT NULL OR keys_total = 0) FROM lfk.cursor WHERE settle IS NULL";
        Ok(pair.ci.scalar::<i64>(ORPHANS).await? == 0 && !pair.main.scalar::<bool>(pending).await?)
    });
    done.await.with_context(|| daemon.stderr())
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_a_daemon_that_is_killed_in_the_middle_is_followed_by_another() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    active(&pair, [definition()?]).await?;
    let kept = pair.ci.rows(KEPT).await?;
    // A row of the log each, so that there are several batches.
    let one_by_one = "DO $do$ BEGIN FOR i IN 1..1000 LOOP DELETE FROM projects WHERE id = i; END LOOP; END $do$";
    pair.main.execute(one_by_one).await?;

    let slow = unhurried(&pair, 200)?;
    let mut first = slow.spawn(["run"])?;
    in_the_middle(&pair, &first, 2000).await?;
    first.signal(Signal::Kill)?;
    assert_eq!(first.wait(SOON).await?.code, 128 + 9);
    assert!(pair.ci.scalar::<i64>(ORPHANS).await? > 0, "it was not in the middle");
    assert_eq!(
        pair.main.rows("SELECT count(*) FROM lfk.cursor WHERE settle IS NULL AND owner IS NOT NULL").await?,
        [[Some("1".into())]]
    );

    let fast = Cli::for_pair(&pair, DEFINITION)?;
    let second = fast.spawn(["run"])?;
    expire_leases(&pair.main).await?;
    drained(&pair, &second).await?;
    assert_eq!(pair.ci.rows(ALL).await?, kept);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f2_a_daemon_goes_on_when_a_killed_server_comes_back() -> Result<()> {
    let (main, ci) = tokio::try_join!(Cluster::start(), Cluster::start())?;
    let pair = Pair::on(&main, &ci).await?;
    tables(&pair).await?;
    active(&pair, [definition()?]).await?;
    let kept = pair.ci.rows(KEPT).await?;
    let cli = unhurried(&pair, 600)?;
    let mut daemon = cli.spawn(["run"])?;

    // Three times, with the server of the children, that of the parents, and both killed in the middle.
    for (round, killed) in [vec![&ci], vec![&main], vec![&main, &ci]].into_iter().enumerate() {
        let (from, to) = (round * 300 + 1, round * 300 + 300);
        let one_by_one =
            format!("DO $do$ BEGIN FOR i IN {from}..{to} LOOP DELETE FROM projects WHERE id = i; END LOOP; END $do$");
        pair.main.execute(&one_by_one).await?;
        let doomed = format!("SELECT count(*) FROM builds WHERE project_id BETWEEN {from} AND {to}");
        let begun =
            eventually("some children are gone", SOON, async || Ok(pair.ci.scalar::<i64>(&doomed).await? < 600));
        begun.await.with_context(|| daemon.stderr())?;
        for server in &killed {
            server.kill9().await?;
        }
        for server in &killed {
            server.restart().await?;
        }
        let done =
            eventually("the daemon has gone on", PATIENCE, async || Ok(pair.ci.scalar::<i64>(&doomed).await? == 0));
        done.await.with_context(|| daemon.stderr())?;
    }
    pair.main.execute(DELETE).await?;
    drained(&pair, &daemon).await?;
    assert_eq!(pair.ci.rows(ALL).await?, kept);
    daemon.signal(Signal::Terminate)?;
    daemon.wait(SOON).await?.expect(0);
    Ok(())
}

/// At each of these points, the next commit on one side is carried out and its reply is lost.
const LOST: &[(Point, Role)] = &[
    (Point::Claimed, Role::Main),
    (Point::Claimed, Role::Ci),
    (Point::NonceOffered, Role::Ci),
    (Point::Paired, Role::Main),
    (Point::Opened, Role::Main),
    (Point::PageRead, Role::Ci),
    (Point::DeadlineSet, Role::Main),
    (Point::Rechecked, Role::Ci),
    (Point::CleanedUncommitted, Role::Ci),
    (Point::BatchDone, Role::Main),
    (Point::AdvancedUncommitted, Role::Main),
    (Point::Closed, Role::Main),
];

#[tokio::test(flavor = "multi_thread")]
async fn f2_a_commit_whose_reply_is_lost_does_nothing_wrong() -> Result<()> {
    let cases = LOST
        .iter()
        .map(|&(point, side)| async move { loses(point, side).await.with_context(|| format!("{point:?}, {side:?}")) });
    futures::stream::iter(cases).buffer_unordered(8).try_collect().await
}

async fn loses(point: Point, side: Role) -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let worker = roles_of(&active(&pair, [definition()?]).await?)?.worker;
    let kept = pair.ci.rows(KEPT).await?;
    pair.main.execute(DELETE).await?;

    let proxies = BTreeMap::from([
        ("main", std::sync::Arc::new(Proxy::in_front_of(&Role::Main.cluster().await?).await?)),
        ("ci", std::sync::Arc::new(Proxy::in_front_of(&Role::Ci.cluster().await?).await?)),
    ]);
    let proxy = proxies[side.name()].clone();
    let arm = {
        let proxy = proxy.clone();
        move || {
            let proxy = proxy.clone();
            async move { proxy.set(Mode::LoseNextCommit).await }
        }
    };
    let (main, ci) = (proxies["main"].url(&pair.main.name), proxies["ci"].url(&pair.ci.name));
    let engine =
        hooked_over(&[("main", &main), ("ci", &ci)], [definition()?], At::the(point, 1, arm))?.as_role(&worker);
    drain(&engine).await?;

    ensure!(proxy.lost() == 1, "{} replies were lost", proxy.lost());
    ensure!(pair.ci.rows(ALL).await? == kept, "orphans, or children of living parents");
    ensure!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.retry").await? == 0, "keys are set aside");
    Ok(())
}
