//! Proven differences are repaired by the sync, the only one who writes the target; and when something is wrong with more than
//! the data, nothing is handed over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_core::ErrorKind;
use lfk_mirror::{Options, Report, Stopped};
use sqlx::Connection as _;
use tokio_util::sync::CancellationToken;

use crate::check_support::{Found, Mirrored, NOTHING, by_chunks, filled};

fn repairing(rows: u32) -> Options {
    let mut options = by_chunks(rows);
    options.repair = true;
    options.patience = Duration::from_secs(60);
    options
}

/// Does what the sync does with keys handed over, until it is stopped. Answers how many it was handed.
async fn sync(mirrored: &Mirrored, writes: bool, stop: &CancellationToken) -> Result<usize> {
    let mut handed = 0;
    while !stop.is_cancelled() {
        let keys = mirrored.pair.main.rows("SELECT key[1] FROM lfk.retry WHERE reason = 'repair'").await?;
        for key in keys.iter().filter_map(|row| row.first()).flatten() {
            handed += 1;
            if writes {
                let row = format!("SELECT quote_nullable(a), quote_nullable(b) FROM items WHERE id = {key}");
                let values = mirrored.pair.main.rows(&row).await?.pop();
                mirrored.target(&write(key, values.as_deref())?).await?;
            }
            mirrored.pair.main.execute(&format!("DELETE FROM lfk.retry WHERE key = '{{{key}}}'")).await?;
        }
        tokio::task::yield_now().await;
    }
    Ok(handed)
}

fn write(key: &str, values: Option<&[Option<String>]>) -> Result<String> {
    let Some(values) = values else { return Ok(format!("DELETE FROM item_mirrors WHERE item_id = {key}")) };
    let value = |n: usize| values.get(n).and_then(|v| v.clone()).context("no value");
    let (a, b) = (value(0)?, value(1)?);
    Ok(format!(
        "INSERT INTO item_mirrors (item_id, a, b) VALUES ({key}, {a}, {b})
         ON CONFLICT (item_id) DO UPDATE SET a = excluded.a, b = excluded.b"
    ))
}

/// A check that repairs while the sync works. Answers its report, and how many keys the sync was handed.
async fn repair(mirrored: &Mirrored, options: &Options, writes: bool) -> Result<(Report, usize)> {
    let stop = CancellationToken::new();
    let check = async {
        let report = mirrored.check(options).await;
        stop.cancel();
        report
    };
    let (report, handed) = tokio::join!(check, sync(mirrored, writes, &stop));
    Ok((report?, handed?))
}

const DAMAGE: &str = "DELETE FROM item_mirrors WHERE item_id = 20; UPDATE item_mirrors SET a = 7 WHERE item_id = 30;
    UPDATE item_mirrors SET b = NULL WHERE item_id = 40; INSERT INTO item_mirrors VALUES (45, 1, 'x', 'y'); INSERT INTO item_mirrors VALUES (-1), (9999999)";
const DAMAGED: Found = Found { missing: 1, different: 2, extra: 3, ..NOTHING };

#[tokio::test]
async fn m05_every_kind_of_difference_is_repaired_by_the_sync_and_proven_gone() -> Result<()> {
    let mirrored = filled(900).await?;
    mirrored.target(DAMAGE).await?;
    let (report, handed) = repair(&mirrored, &repairing(100), true).await?;
    let done = report.repair.clone().context("it was asked to repair")?;
    assert_eq!(Found::of(&report), DAMAGED);
    assert_eq!((done.repaired, done.stuck, done.waiting, done.stopped), (6, 0, 0, None));
    assert_eq!(handed, 6);
    assert_eq!(mirrored.found().await?, NOTHING);
    Ok(())
}

#[tokio::test]
async fn m05_what_the_sync_cannot_repair_is_stuck_after_two_tries() -> Result<()> {
    let mirrored = filled(900).await?;
    mirrored.target(DAMAGE).await?;
    let (report, handed) = repair(&mirrored, &repairing(100), false).await?;
    let done = report.repair.clone().context("it was asked to repair")?;
    assert_eq!((done.repaired, done.stuck, done.waiting, done.stopped), (0, 6, 0, None));
    assert_eq!(handed, 12);
    Ok(())
}

#[tokio::test]
async fn m05_what_nobody_works_on_is_waiting() -> Result<()> {
    let mirrored = filled(900).await?;
    mirrored.target(DAMAGE).await?;
    let mut options = repairing(100);
    options.patience = Duration::ZERO;
    let report = mirrored.check(&options).await?;
    let done = report.repair.context("it was asked to repair")?;
    assert_eq!((done.repaired, done.stuck, done.waiting, done.stopped), (0, 0, 6, Some(Stopped::TimedOut)));
    assert_eq!(mirrored.pair.main.scalar::<i64>("SELECT count(*) FROM lfk.retry WHERE reason = 'repair'").await?, 6);
    Ok(())
}

/// Stopped for this reason, with nothing handed over.
async fn stopped(mirrored: &Mirrored, options: &Options, why: Stopped) -> Result<Report> {
    let report = mirrored.check(options).await?;
    assert!(report.complete, "it goes on to detect");
    let done = report.repair.clone().context("it was asked to repair")?;
    assert_eq!((done.stopped, done.repaired), (Some(why), 0));
    assert_eq!(mirrored.pair.main.scalar::<i64>("SELECT count(*) FROM lfk.retry").await?, 0);
    Ok(report)
}

#[tokio::test]
async fn m08_when_more_than_one_of_a_hundred_rows_differs_nothing_is_repaired() -> Result<()> {
    let mirrored = filled(1_000).await?;
    mirrored.target("UPDATE item_mirrors SET a = 0 WHERE item_id <= 110").await?;
    let report = stopped(&mirrored, &repairing(100), Stopped::TooManyDiffer).await?;
    assert_eq!(report.confirmed.different, 11);
    mirrored.target("UPDATE item_mirrors SET a = item_id / 10 WHERE item_id = 110").await?;
    let (report, _) = repair(&mirrored, &repairing(100), true).await?;
    assert_eq!(report.repair.map(|r| (r.repaired, r.stopped)), Some((10, None)));
    Ok(())
}

#[tokio::test]
async fn m08_when_three_chunks_on_end_differ_much_nothing_is_repaired() -> Result<()> {
    let mirrored = filled(900).await?;
    mirrored.target("UPDATE item_mirrors SET a = 0 WHERE item_id BETWEEN 2000 AND 5000 AND item_id % 40 = 0").await?;
    stopped(&mirrored, &repairing(100), Stopped::TooManyDiffer).await?;
    Ok(())
}

#[tokio::test]
async fn m08_when_the_source_is_empty_nothing_is_repaired() -> Result<()> {
    let mirrored = filled(5).await?;
    mirrored.pair.main.execute("TRUNCATE items").await?;
    stopped(&mirrored, &repairing(100), Stopped::SourceEmpty).await?;
    Ok(())
}

/// Runs SQL once, between two statements of the check.
fn meanwhile(mut options: Options, url: &str, sql: &'static str) -> Options {
    let (url, done) = (url.to_owned(), AtomicBool::new(false));
    options.progress = Some(Arc::new(move |_| {
        if done.swap(true, Ordering::SeqCst) {
            return;
        }
        let url = url.clone();
        // The check waits: its own runtime has one thread.
        let other = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut connection = sqlx::PgConnection::connect(&url).await.expect("the database answers");
                sqlx::raw_sql(sql).execute(&mut connection).await.expect("the change is made");
            });
        });
        other.join().expect("it ends");
    }));
    options
}

#[tokio::test]
async fn m08_when_the_schema_changes_during_the_check_nothing_is_repaired() -> Result<()> {
    for (source, sql) in [
        (true, "ALTER TABLE items ALTER COLUMN b TYPE varchar(100)"),
        (false, "ALTER TABLE item_mirrors ALTER COLUMN a TYPE numeric"),
        (false, "ALTER TABLE item_mirrors ALTER COLUMN b SET NOT NULL"),
    ] {
        let mirrored = filled(200).await?;
        mirrored.target("DELETE FROM item_mirrors WHERE item_id = 20").await?;
        let url = if source { &mirrored.pair.main.url } else { &mirrored.pair.ci.url };
        stopped(&mirrored, &meanwhile(repairing(50), url, sql), Stopped::SchemaChanged).await?;
    }
    Ok(())
}

const ANOTHER: &str = "UPDATE lfk.identity SET id = gen_random_uuid(), stamp = pg_current_xact_id()";

#[tokio::test]
async fn m08_when_another_database_stands_behind_a_url_nothing_is_repaired() -> Result<()> {
    for source in [true, false] {
        let mirrored = filled(200).await?;
        mirrored.target("DELETE FROM item_mirrors WHERE item_id = 20").await?;
        let url = if source { &mirrored.pair.main.url } else { &mirrored.pair.ci.url };
        stopped(&mirrored, &meanwhile(repairing(50), url, ANOTHER), Stopped::AnotherDatabase).await?;
    }
    Ok(())
}

#[tokio::test]
async fn m08_a_database_that_is_not_the_one_that_was_installed_is_not_even_compared() -> Result<()> {
    let mirrored = filled(20).await?;
    mirrored.pair.ci.execute(ANOTHER).await?;
    let error = mirrored.check(&repairing(50)).await.expect_err("it is refused");
    let error = error.downcast::<lfk_core::Error>()?;
    assert_eq!((error.kind, error.database.as_deref()), (ErrorKind::Refused, Some("ci")));
    mirrored.pair.main.execute("UPDATE lfk.identity SET stamp = '5'").await?;
    let error = mirrored.check(&repairing(50)).await.expect_err("it is refused").downcast::<lfk_core::Error>()?;
    assert_eq!((error.kind, error.database.as_deref()), (ErrorKind::Refused, Some("main")));
    Ok(())
}
