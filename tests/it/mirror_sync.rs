//! A mirror follows its source.

use std::sync::Arc;

use anyhow::Result;
use lfk_core::sabotage::Point;
use lfk_core::{Drained, ErrorKind, State};
use lfk_mirror::Mirrors as _;
use lfk_tests::Pair;
use lfk_tests::scenario::{PATIENCE, as_installer, drain, expire_leases, installed};

use crate::fault_hook::{At, Gate, Task};
use crate::mirror_support::{
    NAME, SOURCE, TARGET, activated, active, active_with, builder, copied, fill, is_equal, mirror, rows,
};

#[tokio::test]
async fn m01_the_mirror_follows_every_kind_of_change() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = active(&pair).await?;
    fill(&engine).await?;
    is_equal(&pair).await?;
    for change in [
        "INSERT INTO spaces VALUES (20, 'New', '{1,2}', 5)",
        "UPDATE spaces SET path = path || 9, name = upper(name) WHERE id < 4",
        "UPDATE spaces SET archived = NOT archived WHERE id BETWEEN 4 AND 6",
        "UPDATE spaces SET id = id + 100 WHERE id IN (1, 2)",
        "UPDATE spaces SET id = id + 50 WHERE id IN (101, 102)",
        "DELETE FROM spaces WHERE id = 7",
        "BEGIN; DELETE FROM spaces WHERE id = 9; INSERT INTO spaces VALUES (9, 'Back'); COMMIT",
        "UPDATE spaces SET owner = NULL",
        "TRUNCATE spaces",
        "INSERT INTO spaces VALUES (1, 'After')",
    ] {
        pair.main.execute(change).await?;
        drain(&engine).await?;
        is_equal(&pair).await.map_err(|e| e.context(change))?;
    }
    Ok(())
}

#[tokio::test]
async fn m01_a_row_that_is_equal_is_not_written() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = active(&pair).await?;
    fill(&engine).await?;
    let versions = "SELECT (space_id, xmin)::text FROM copies ORDER BY 1";
    let before = rows(&pair.ci, versions).await?;
    pair.main.execute("UPDATE spaces SET owner = 99; UPDATE spaces SET owner = nullif(id % 3, 0)").await?;
    drain(&engine).await?;
    lfk_mirror::begin_backfill(&engine, NAME, true).await?;
    drain(&engine).await?;
    assert_eq!(rows(&pair.ci, versions).await?, before);
    Ok(())
}

#[tokio::test]
async fn m01_a_new_mirror_observes_and_activating_it_reads_the_log_from_its_start() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = installed(builder(&pair)?.mirrors([mirror()?]).build()?).await?;
    pair.main.execute("UPDATE spaces SET owner = 2 WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(copied(&pair.ci).await?, Vec::<String>::new(), "an observing mirror writes nothing");
    let status = engine.status().await?;
    assert_eq!((status.mirrors[0].observed_keys, status.loose_foreign_keys.len()), (1, 0));
    let refused = lfk_mirror::begin_backfill(&engine, NAME, false).await.expect_err("it observes");
    assert_eq!(refused.kind, ErrorKind::Refused);
    engine.set_state(&[NAME.to_owned()], State::Active, false).await?;
    drain(&engine).await?;
    assert_eq!(copied(&pair.ci).await?, ["(1,{1},2,\"space 1\")"]);
    Ok(())
}

#[tokio::test]
async fn m02_a_writer_that_stalled_after_its_read_cannot_overwrite_newer_data() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    fill(&active(&pair).await?).await?;
    for at in [Point::SourceRead, Point::FenceRaised, Point::WriteBegun] {
        let gate = Gate::at(at, 1);
        let slow = active_with(&pair, gate.clone()).await?;
        pair.main.execute("UPDATE spaces SET owner = 100 WHERE id = 1; DELETE FROM spaces WHERE id = 2").await?;
        let stalled = Task::spawn(async move { slow.run_once().await });
        gate.is_held().await?;
        // While it sleeps its lease runs out, and somebody else writes what is true by then.
        expire_leases(&pair.main).await?;
        pair.main.execute("UPDATE spaces SET owner = 200 WHERE id = 1; INSERT INTO spaces VALUES (2, 'Again')").await?;
        let engine = active(&pair).await?;
        drain(&engine).await?;
        is_equal(&pair).await?;
        gate.open();
        // It may fail or find that it has lost the lease; what it must not do is write.
        drop(stalled.end().await?);
        is_equal(&pair).await.map_err(|e| e.context(format!("{at:?}")))?;
        drain(&engine).await?;
    }
    Ok(())
}

#[tokio::test]
async fn m02_sabotage_without_the_fence_the_stalled_writer_overwrites_newer_data() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    fill(&active(&pair).await?).await?;
    // Behind the look at the lease, which a worker may pass a moment before it loses it.
    let gate = Gate::at(Point::WriteBegun, 1);
    let slow = active_with(&pair, gate.clone()).await?;
    pair.main.execute("UPDATE spaces SET owner = 100 WHERE id = 1").await?;
    let stalled = Task::spawn(async move { slow.run_once().await });
    gate.is_held().await?;
    let token: i64 = pair.ci.scalar("SELECT token FROM lfk.mirror_fence").await?;
    expire_leases(&pair.main).await?;
    pair.main.execute("UPDATE spaces SET owner = 200 WHERE id = 1").await?;
    drain(&active(&pair).await?).await?;
    // As if nobody had raised it.
    pair.ci.execute(&format!("UPDATE lfk.mirror_fence SET token = {token}")).await?;
    gate.open();
    drop(stalled.end().await?);
    assert!(is_equal(&pair).await.is_err(), "the fence was not what kept the stalled writer out");
    Ok(())
}

#[tokio::test]
async fn f1_a_worker_that_dies_at_any_point_of_a_mirror_loses_nothing() -> Result<()> {
    for point in Point::MIRROR.into_iter().chain(Point::ALL) {
        let pair = Pair::with_schema(SOURCE, TARGET).await?;
        let died = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let hook = Arc::new(Dies { at: point, died: died.clone() });
        let engine = active_with(&pair, hook).await?;
        pair.main.execute("UPDATE spaces SET owner = 8 WHERE id < 3; DELETE FROM spaces WHERE id = 7; INSERT INTO spaces VALUES (40, 'x')").await?;
        lfk_mirror::begin_backfill(&engine, NAME, false).await?;
        let end = engine.run_until_drained(Some(PATIENCE)).await;
        if died.load(std::sync::atomic::Ordering::Relaxed) {
            assert!(end.is_err(), "{point:?}");
            expire_leases(&pair.main).await?;
        }
        drain(&active(&pair).await?).await?;
        is_equal(&pair).await.map_err(|e| e.context(format!("{point:?}")))?;
    }
    Ok(())
}

/// Kills whoever passes the point first.
struct Dies {
    at: Point,
    died: Arc<std::sync::atomic::AtomicBool>,
}

impl lfk_core::sabotage::Hook for Dies {
    fn pass<'a>(&'a self, point: Point, _: &'a str) -> futures::future::BoxFuture<'a, lfk_core::sabotage::Verdict> {
        let first = point == self.at && !self.died.swap(point == self.at, std::sync::atomic::Ordering::Relaxed);
        let verdict = if first { lfk_core::sabotage::Verdict::Die } else { lfk_core::sabotage::Verdict::GoOn };
        Box::pin(std::future::ready(verdict))
    }
}

#[tokio::test]
async fn m01_writes_during_a_fill_are_neither_lost_nor_overwritten() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let main = pair.main.clone();
    // Between the read of a page and its write: the page is old by then, and the log sets it right.
    let hook = At::the(Point::FenceRaised, 1, move || {
        let main = main.clone();
        async move {
            main.execute("UPDATE spaces SET owner = 77 WHERE id = 1; DELETE FROM spaces WHERE id = 2; INSERT INTO spaces VALUES (0, 'Early')").await?;
            Ok(())
        }
    });
    let engine = active_with(&pair, hook).await?;
    fill(&engine).await?;
    is_equal(&pair).await
}

#[tokio::test]
async fn m01_a_fill_removes_what_the_source_does_not_have_and_leaves_other_columns_alone() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    pair.ci
        .execute("INSERT INTO copies VALUES (-5, '{}', 1, 'x'), (1, '{7}', 1, 'wrong'), (4, '{}', 1, 'archived'), (900, '{}', 1, 'beyond')")
        .await?;
    let engine = active(&pair).await?;
    fill(&engine).await?;
    is_equal(&pair).await?;
    let filled = lfk_mirror::fill_of(&engine, NAME).await?.expect("it was asked for");
    assert!(filled.done);
    // Seven rows of the source, one of them only changed, and three that it does not have.
    assert_eq!(filled.rows, 7 + 3);
    Ok(())
}

#[tokio::test]
async fn l08_a_row_that_the_target_refuses_is_set_aside_and_the_rest_is_written() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, &format!("{TARGET}; ALTER TABLE copies ADD CHECK (owner <> 66)")).await?;
    let engine = active(&pair).await?;
    fill(&engine).await?;
    pair.main.execute("UPDATE spaces SET owner = CASE id WHEN 3 THEN 66 ELSE 5 END").await?;
    let end = engine.run_until_drained(Some(std::time::Duration::from_secs(5))).await?;
    assert_ne!(end, Drained::Drained);
    let owners = rows(&pair.ci, "SELECT owner::text FROM copies WHERE space_id <> 3").await?;
    assert!(owners.iter().all(|owner| owner == "5"), "{owners:?}");
    let aside = engine.retries(&lfk_core::SetAsideFilter::default(), 10).await?;
    let aside: Vec<_> = aside.set_aside.iter().map(|one| (one.key.clone(), one.sqlstate.clone())).collect();
    assert_eq!(aside, [(vec!["3".to_owned()], Some("23514".to_owned()))]);
    pair.main.execute("UPDATE spaces SET owner = 6 WHERE id = 3").await?;
    engine.retry_now(&lfk_core::SetAsideFilter::default()).await?;
    drain(&engine).await?;
    is_equal(&pair).await
}

#[tokio::test]
async fn m01_a_mirror_and_a_loose_foreign_key_on_one_table_do_not_disturb_each_other() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, &format!("{TARGET}; CREATE TABLE builds (id bigint PRIMARY KEY, space_id bigint); CREATE INDEX ON builds (space_id); INSERT INTO builds SELECT n, n FROM generate_series(1, 9) n")).await?;
    let loose = lfk_tests::scenario::loose("spaces(id)", "builds(space_id)", lfk_core::OnDelete::Delete)?;
    let name = loose.name.clone();
    let engine = builder(&pair)?.definitions([loose]).mirrors([mirror()?]).build()?;
    let engine = activated(engine).await?;
    engine.set_state(&[name], State::Active, false).await?;
    fill(&engine).await?;
    pair.main.execute("DELETE FROM spaces WHERE id IN (1, 4); INSERT INTO spaces VALUES (10, 'Ten')").await?;
    drain(&engine).await?;
    is_equal(&pair).await?;
    assert_eq!(rows(&pair.ci, "SELECT id::text FROM builds ORDER BY id").await?, ["2", "3", "5", "6", "7", "8", "9"]);
    let names = [NAME.to_owned()];
    assert_eq!(as_installer(&engine)?.uninstall(&names).await?, names);
    pair.main.execute("UPDATE spaces SET owner = 4; DELETE FROM spaces WHERE id = 2").await?;
    assert_eq!(
        rows(&pair.main, "SELECT tgname::text FROM pg_trigger WHERE tgname LIKE 'lfk%' AND tgtype & 4 = 4").await?,
        Vec::<String>::new(),
        "triggers on insert are left"
    );
    Ok(())
}

#[tokio::test]
async fn m01_composite_and_text_keys_and_one_database_for_both_ends() -> Result<()> {
    let pair = Pair::single().await?;
    pair.main
        .execute("CREATE TABLE \"Odd src\" (region text, \"No\" integer, \"va\"\"lue\" jsonb, PRIMARY KEY (region, \"No\"));
                  CREATE TABLE dst (no bigint, region text, v jsonb, PRIMARY KEY (region, no));
                  INSERT INTO \"Odd src\" SELECT r, n, jsonb_build_object('n', n) FROM unnest(ARRAY['eu', 'ß', 'a,b', '{\"x\"}', '']) r, generate_series(1, 3) n")
        .await?;
    let mirror = lfk_mirror::Mirror::new(NAME, "main:public.\"Odd src\"(region, \"No\")", "ci:public.dst(region, no)")?;
    let mirror = mirror.column("va\"lue", "v")?;
    let engine = activated(builder(&pair)?.mirrors([mirror]).build()?).await?;
    fill(&engine).await?;
    pair.main.execute("UPDATE \"Odd src\" SET \"No\" = \"No\" + 10 WHERE region <> 'eu'; DELETE FROM \"Odd src\" WHERE region = ''; UPDATE \"Odd src\" SET \"va\"\"lue\" = NULL WHERE region = 'ß'").await?;
    drain(&engine).await?;
    let source = rows(
        &pair.main,
        "SELECT (region, \"No\", \"va\"\"lue\")::text FROM \"Odd src\" ORDER BY region COLLATE \"C\", \"No\"",
    )
    .await?;
    let target = rows(&pair.main, "SELECT (region, no, v)::text FROM dst ORDER BY region COLLATE \"C\", no").await?;
    assert_eq!((source.len(), target), (12, source));
    Ok(())
}
