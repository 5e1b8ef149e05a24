//! What a review found in mirrors, each with the interleaving that was wrong.

use anyhow::Result;
use lfk_core::sabotage::Point;
use lfk_core::{Drained, SetAsideFilter, Since, State};
use lfk_tests::Pair;
use lfk_tests::scenario::drain;

use crate::fault_hook::At;
use crate::mirror_support::{
    NAME, SOURCE, TARGET, activated, active, active_with, builder, fill, is_equal, mirror, rows,
};

#[tokio::test]
async fn m01_a_row_whose_expression_fails_holds_up_neither_the_fill_nor_the_log() -> Result<()> {
    let source = "CREATE TABLE spaces (id bigint PRIMARY KEY, name text, path bigint[] NOT NULL DEFAULT '{}', owner integer, archived boolean NOT NULL DEFAULT false);
                  INSERT INTO spaces SELECT n, 'Space ' || n, ARRAY[n], n FROM generate_series(1, 9) n; UPDATE spaces SET owner = 0 WHERE id = 5";
    let pair = Pair::with_schema(
        source,
        "CREATE TABLE copies (space_id bigint PRIMARY KEY, share integer, note text DEFAULT 'ours')",
    )
    .await?;
    let mirror = lfk_mirror::Mirror::new(NAME, "main:public.spaces(id)", "ci:public.copies(space_id)")?;
    let mirror = mirror.expression("share", "100 / owner")?;
    let engine = lfk_mirror::Mirrors::mirrors(builder(&pair)?, [mirror]).build()?;
    let engine = activated(engine).await?;
    lfk_mirror::begin_backfill(&engine, NAME, false).await?;
    pair.main.execute("INSERT INTO spaces VALUES (20, 'New', '{}', 4)").await?;
    let end = engine.run_until_drained(Some(std::time::Duration::from_secs(20))).await?;
    assert_ne!(end, Drained::Drained);
    let copied = rows(&pair.ci, "SELECT c.space_id::text FROM copies c ORDER BY c.space_id").await?;
    assert_eq!(copied, ["1", "2", "3", "4", "6", "7", "8", "9", "20"]);
    let aside = engine.retries(&SetAsideFilter::default(), 10).await?;
    let aside: Vec<_> = aside.set_aside.iter().map(|one| (one.key.clone(), one.sqlstate.clone())).collect();
    assert_eq!(aside, [(vec!["5".to_owned()], Some("22012".to_owned()))]);
    Ok(())
}

#[tokio::test]
async fn m01_a_part_that_comes_with_rows_is_mirrored() -> Result<()> {
    let source = "CREATE TABLE spaces (id bigint PRIMARY KEY, name text, path bigint[] NOT NULL DEFAULT '{}', owner integer, archived boolean NOT NULL DEFAULT false) PARTITION BY RANGE (id);
                  CREATE TABLE spaces_1 PARTITION OF spaces FOR VALUES FROM (0) TO (100);
                  CREATE TABLE spaces_2 (LIKE spaces INCLUDING ALL);
                  INSERT INTO spaces_1 VALUES (1, 'One'); INSERT INTO spaces_2 VALUES (150, 'Filled')";
    let pair = Pair::with_schema(source, TARGET).await?;
    let engine = active(&pair).await?;
    fill(&engine).await?;
    pair.main.execute("ALTER TABLE spaces ATTACH PARTITION spaces_2 FOR VALUES FROM (100) TO (200)").await?;
    pair.main.execute("SELECT lfk.cover()").await?;
    drain(&engine).await?;
    is_equal(&pair).await?;
    // Without its rows for a while, and with its triggers all the time.
    pair.main.execute("ALTER TABLE spaces DETACH PARTITION spaces_2; SELECT lfk.cover()").await?;
    drain(&engine).await?;
    is_equal(&pair).await?;
    pair.main
        .execute("ALTER TABLE spaces ATTACH PARTITION spaces_2 FOR VALUES FROM (100) TO (200); SELECT lfk.cover()")
        .await?;
    drain(&engine).await?;
    is_equal(&pair).await
}

#[tokio::test]
async fn m01_a_fill_that_is_asked_for_anew_in_the_middle_of_another_begins_at_the_beginning() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let plain = active(&pair).await?;
    let ci = pair.ci.clone();
    // The source's rows have been looked at; then one of them goes missing, and somebody asks for another fill.
    let hook = At::the(Point::FillPageDone, 2, move || {
        let (ci, plain) = (ci.clone(), plain.clone());
        async move {
            ci.execute("DELETE FROM copies WHERE space_id = 1").await?;
            lfk_mirror::begin_backfill(&plain, NAME, true).await?;
            Ok(())
        }
    });
    let engine = active_with(&pair, hook).await?;
    fill(&engine).await?;
    is_equal(&pair).await
}

#[tokio::test]
async fn f03_a_replay_fills_a_mirror_anew() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = active(&pair).await?;
    fill(&engine).await?;
    // As a restore would: what the fill wrote is in no log.
    pair.ci.execute("DELETE FROM copies WHERE space_id < 5").await?;
    engine.replay(&[NAME.to_owned()], Since::Ago(std::time::Duration::ZERO), false).await?;
    drain(&engine).await?;
    is_equal(&pair).await
}

#[tokio::test]
async fn l08_a_second_look_lets_no_key_out_of_quarantine_that_nobody_did() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, &format!("{TARGET}; ALTER TABLE copies ADD CHECK (owner <> 66)")).await?;
    let engine = lfk_mirror::Mirrors::mirrors(builder(&pair)?.quarantine_after(1), [mirror()?]).build()?;
    let engine = activated(engine).await?;
    fill(&engine).await?;
    pair.main.execute("UPDATE spaces SET owner = 66 WHERE id = 3").await?;
    assert_eq!(engine.run_until_drained(Some(lfk_tests::scenario::PATIENCE)).await?, Drained::NeedsAttention);
    pair.main.execute("UPDATE spaces SET name = 'Changed' WHERE id = 3").await?;
    assert_eq!(engine.run_until_drained(Some(lfk_tests::scenario::PATIENCE)).await?, Drained::NeedsAttention);
    // The second look comes when a tick is older than its time.
    pair.main
        .execute("UPDATE lfk.cursor SET settle = interval '0', stamp = pg_current_xact_id() WHERE settle IS NOT NULL;")
        .await?;
    pair.main.execute("INSERT INTO lfk.tick DEFAULT VALUES").await?;
    let handle = engine.start();
    let looked = "SELECT NOT EXISTS (SELECT FROM lfk.unread('spaces~trailing', 1) u WHERE u.rows > 0)";
    lfk_tests::eventually("the second look", lfk_tests::scenario::PATIENCE, async || pair.main.scalar(looked).await)
        .await?;
    handle.shutdown().await?;
    assert_eq!(engine.status().await?.mirrors[0].quarantined, 1);
    Ok(())
}

#[tokio::test]
async fn l16_a_pause_acts_before_the_next_write_of_a_mirror() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    fill(&active(&pair).await?).await?;
    let plain = active(&pair).await?;
    let pausing = plain.clone();
    let hook = At::the(Point::SourceRead, 1, move || {
        let pausing = pausing.clone();
        async move {
            pausing.set_state(&[NAME.to_owned()], State::Paused, false).await?;
            Ok(())
        }
    });
    let engine = active_with(&pair, hook).await?;
    pair.main.execute("UPDATE spaces SET owner = 70 WHERE id = 1").await?;
    engine.run_once().await?;
    assert_eq!(rows(&pair.ci, "SELECT owner::text FROM copies WHERE owner = 70").await?, [""; 0]);
    plain.set_state(&[NAME.to_owned()], State::Active, false).await?;
    drain(&plain).await?;
    is_equal(&pair).await
}
