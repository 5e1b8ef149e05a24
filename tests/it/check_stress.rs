//! A checker that looks all the time, while writers write and the real sync follows, is taken over and set back: not one false
//! difference, and every damage is found and repaired.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lfk_core::Engine;
use lfk_mirror::{Confirmed, Mirrors as _, Options, Report, check};
use lfk_tests::scenario::{drain, expire_leases};
use lfk_tests::{Pair, TestDb};
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tokio_util::sync::CancellationToken;

use crate::mirror_support::{SOURCE, TARGET, active, builder, fill, is_equal, mirror};

/// How long it goes on.
const TIME: Duration = Duration::from_secs(15);
const WRITERS: u64 = 3;

/// A statement of an application on few keys, so that they are hot. Keys from 1000 on are left to the damage.
fn write(random: &mut SmallRng) -> String {
    let key = random.random_range(1..60);
    let other = random.random_range(1..60);
    match random.random_range(0..12) {
        0..=2 => format!(
            "INSERT INTO spaces VALUES ({key}, 'n{other}', '{{{other}}}') ON CONFLICT (id) DO UPDATE SET path = spaces.path || excluded.path"
        ),
        3 => format!("UPDATE spaces SET owner = {other} WHERE id BETWEEN {key} AND {key} + 9"),
        4 => format!("UPDATE spaces SET seen = now() WHERE id = {key}"),
        5 => format!("UPDATE spaces SET archived = NOT archived WHERE id = {key}"),
        6 => format!("DELETE FROM spaces WHERE id = {key}"),
        7 => format!("DELETE FROM spaces WHERE id = {key}; INSERT INTO spaces VALUES ({key}, 'again')"),
        8 => format!(
            "UPDATE spaces SET id = {key} WHERE id = {other} AND NOT EXISTS (SELECT FROM spaces WHERE id = {key})"
        ),
        9 => format!(
            "SAVEPOINT s; DELETE FROM spaces WHERE id < {key}; ROLLBACK TO s; UPDATE spaces SET name = 'x{other}' WHERE id = {key}"
        ),
        10 => format!("UPDATE spaces SET name = upper(name), path = path[1:3] WHERE id = {key}; SELECT pg_sleep(0.05)"),
        _ => format!(
            "INSERT INTO spaces SELECT n, 'many' FROM generate_series({key}, {key} + 5) n ON CONFLICT DO NOTHING"
        ),
    }
}

/// Each statement text is one transaction, which an error rolls back.
async fn writer(db: TestDb, seed: u64, until: Instant) -> u64 {
    let (mut random, mut written) = (SmallRng::seed_from_u64(seed), 0);
    while Instant::now() < until {
        let end = if random.random_bool(0.15) { "SELECT 1 / 0" } else { "SELECT 1" };
        // Deadlocks and duplicate keys are the application's own affair.
        written += u64::from(db.execute(&format!("{}; {end}", write(&mut random))).await.is_ok());
    }
    written
}

async fn checked(pair: &Pair, options: &Options) -> Result<Report> {
    let main = lfk_core::Database::connect_lazy("main", &pair.main.url)?;
    let ci = lfk_core::Database::connect_lazy("ci", &pair.ci.url)?;
    Ok(check(&mirror()?, &main, &ci, options).await?)
}

/// Two workers, one of which is robbed of its lease again and again.
async fn workers(pair: &Pair, over: CancellationToken) -> Result<()> {
    let (one, other): (Engine, Engine) =
        (builder(pair)?.mirrors([mirror()?]).build()?, builder(pair)?.mirrors([mirror()?]).build()?);
    let (one, other) = (one.start(), other.start());
    while over.run_until_cancelled(tokio::time::sleep(Duration::from_millis(700))).await.is_some() {
        expire_leases(&pair.main).await?;
    }
    one.shutdown().await?;
    other.shutdown().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn m04_a_check_under_load_reports_no_difference_that_is_none_and_every_one_that_is() -> Result<()> {
    let seed: u64 = std::env::var("LFK_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(rand::random);
    println!("seed {seed}");
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = active(&pair).await?;
    pair.main
        .execute(
            "INSERT INTO spaces SELECT n, 'quiet ' || n, ARRAY[n, n + 4294967296] FROM generate_series(1000, 4000) n",
        )
        .await?;
    fill(&engine).await?;
    is_equal(&pair).await?;

    let until = Instant::now() + TIME;
    let writers: Vec<_> = (0..WRITERS).map(|n| tokio::spawn(writer(pair.main.clone(), seed ^ n, until))).collect();
    let over = CancellationToken::new();
    let checker = async {
        // However it ends, the workers end with it, and not before: a repair waits for them.
        let _over = over.clone().drop_guard();
        let (mut random, mut passes, mut unsettled, mut damages) = (SmallRng::seed_from_u64(seed), 0, 0, 0);
        while Instant::now() < until {
            let mut options = Options::default();
            options.chunk_rows = Some(random.random_range(5..3_000));
            options.patience = Duration::from_millis(random.random_range(0..400));
            options.show_keys = true;
            let report = checked(&pair, &options).await?;
            ensure!(report.confirmed == Confirmed::default(), "seed {seed}: {report:?}");
            unsettled += report.in_flight + report.hot;
            passes += 1;
            if passes % 4 == 0 {
                // Where nobody writes: what is found there is damage and nothing else.
                let key = random.random_range(1000..3_999);
                let damage = [
                    format!("DELETE FROM copies WHERE space_id = {key}"),
                    format!("UPDATE copies SET path[2] = path[2] - 4294967296 WHERE space_id = {key}"),
                    format!("INSERT INTO copies VALUES ({})", key + 10_000),
                ];
                pair.ci.execute(&damage[random.random_range(0..3)]).await?;
                let report = checked(&pair, &options).await?;
                ensure!(report.confirmed.total() == 1, "seed {seed}: {key}: {report:?}");
                options.repair = true;
                options.patience = Duration::from_secs(30);
                let repaired = checked(&pair, &options).await?.repair;
                let done = repaired.clone().map(|r| (r.repaired, r.stuck, r.waiting, r.stopped));
                ensure!(done == Some((1, 0, 0, None)), "seed {seed}: {repaired:?}");
                damages += 1;
            }
        }
        Ok((passes, unsettled, damages))
    };
    let (counts, worked) = tokio::join!(checker, workers(&pair, over.clone()));
    worked?;
    let (passes, unsettled, damages) = counts?;
    let mut written = 0;
    for writer in writers {
        written += writer.await?;
    }
    println!("{written} writes, {passes} passes, {unsettled} keys in flight or hot, {damages} damages");
    drain(&engine).await?;
    is_equal(&pair).await?;
    let report = checked(&pair, &Options::default()).await?;
    ensure!(report.confirmed == Confirmed::default() && report.in_flight + report.hot == 0, "{report:?}");
    ensure!(passes > 3 && unsettled > 0 && damages > 0, "it was too quiet: {passes}, {unsettled}, {damages}");
    Ok(())
}
