//! Batches that once did not end, gave up too early, or blamed the wrong key: slow triggers, slow rows, locks.

use anyhow::Result;
use futures::future::poll_immediate;
use lfk_core::sabotage::Point;
use lfk_core::{Drained, LooseForeignKey, OnDelete};
use lfk_tests::scenario::{PATIENCE, active, drain, loose};
use lfk_tests::{Cli, Pair};

use crate::clean_support::{ALL_BUILDS, BUILDS, PROJECTS, Place, activated, builder, retries, table};
use crate::fault_hook::{Gate, SOON};

const DEFINITION: &str = "[[loose_foreign_key]]
parent = \"main:public.projects(id)\"
child = \"ci:public.builds(project_id)\"
on_delete = \"delete\"";

/// What `lfk.retry` says when only the children of project 1 are kept.
const FIRST_IS_KEPT: [&str; 1] = ["({1},still_there,,t)"];

fn builds() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

/// Three thousand more children of project 1, and behind them one of project 2.
const CROWD: &str =
    "INSERT INTO builds SELECT n, 1, 0 FROM generate_series(1001, 4000) n; INSERT INTO builds VALUES (5000, 2, 0);";

/// A delete that comes to its n-th row ends as one that took too long does, without taking long; `row` says what becomes of
/// the others. Sequences do not roll back: they count.
fn too_long_at(nth: u32, row: &str) -> String {
    format!(
        "CREATE SEQUENCE rows_of_statement; GRANT USAGE, UPDATE ON SEQUENCE rows_of_statement TO PUBLIC;
         CREATE FUNCTION begin_statement() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN PERFORM setval('rows_of_statement', 1, false); RETURN NULL; END $$;
         CREATE FUNCTION count_row() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN IF nextval('rows_of_statement') >= {nth} THEN
                RAISE 'canceling statement due to statement timeout' USING ERRCODE = '57014';
              END IF; {row} END $$;
         CREATE TRIGGER begin_statement BEFORE DELETE ON builds EXECUTE FUNCTION begin_statement();
         CREATE TRIGGER count_row BEFORE DELETE ON builds FOR EACH ROW EXECUTE FUNCTION count_row();"
    )
}

#[tokio::test]
async fn l09_children_that_a_slow_trigger_keeps_are_set_aside_and_the_others_are_done() -> Result<()> {
    for place in [Place::AnotherServer, Place::SameDatabase] {
        // 3 ms a row: a thousand rows are most of what a statement may take.
        let keeps = too_long_at(1000, "IF OLD.project_id = 1 THEN RETURN NULL; END IF; RETURN OLD;");
        let pair = place.pair(PROJECTS, &format!("{BUILDS} {CROWD} {keeps}")).await?;
        let engine = activated(builder(&pair)?.quarantine_after(2), [builds()?]).await?;
        pair.main.execute("DELETE FROM projects").await?;
        assert_eq!(engine.run_until_drained(Some(PATIENCE)).await?, Drained::NeedsAttention, "{place:?}");
        assert_eq!(retries(&pair.main).await?, FIRST_IS_KEPT, "{place:?}");
        assert_eq!(table(&pair.ci, "builds WHERE project_id <> 1").await?, [""; 0], "{place:?}");
        assert_eq!(table(&pair.ci, "builds WHERE project_id = 1").await?.len(), 3002, "{place:?}");
        assert_eq!(table(&pair.ci, "bystanders").await?, ALL_BUILDS, "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn l09_a_run_ends_in_time_although_a_slow_trigger_keeps_every_child() -> Result<()> {
    let keeps = "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN PERFORM pg_sleep(0.003); RETURN NULL; END $$;
         CREATE TRIGGER keep BEFORE DELETE ON builds FOR EACH ROW EXECUTE FUNCTION keep()";
    let pair = Pair::with_schema(PROJECTS, &format!("{BUILDS} {CROWD} {keeps}")).await?;
    let engine = active(&pair, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drop(engine);
    let cli = Cli::for_pair(&pair, DEFINITION)?;
    let run = cli.spawn(["run", "--until-drained", "--timeout", "1s"])?;
    // The statement that is at work when the time is up may take its 5 s.
    run.wait(SOON).await?.expect(6);
    assert_eq!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.cursor WHERE owner IS NOT NULL").await?, 0);
    assert_eq!(table(&pair.ci, "builds WHERE project_id = 1").await?.len(), 3002);
    Ok(())
}

#[tokio::test]
async fn l16_shutdown_acts_between_two_statements_of_one_batch() -> Result<()> {
    let keeps = too_long_at(1000, "RETURN NULL;");
    let pair = Pair::with_schema(PROJECTS, &format!("{BUILDS} {CROWD} {keeps}")).await?;
    // The first statement was too long, and the second is about to be sent.
    let gate = Gate::at(Point::Rechecked, 2);
    let engine = activated(builder(&pair)?.hook(gate.clone()), [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let handle = engine.start();
    gate.is_held().await?;
    pair.ci.execute("SELECT setval('rows_of_statement', 7777)").await?;
    let shutdown = handle.shutdown();
    tokio::pin!(shutdown);
    assert!(poll_immediate(&mut shutdown).await.is_none(), "it was told to stop, and a batch is at work");
    gate.open();
    tokio::time::timeout(SOON, shutdown).await??;
    assert_eq!(pair.ci.scalar::<i64>("SELECT last_value FROM rows_of_statement").await?, 7777, "a statement was sent");
    assert_eq!(gate.passings.of(Point::Rechecked), 2);
    // Nothing is wrong, nothing is set aside, and nobody has to wait for the lease.
    assert_eq!(retries(&pair.main).await?, [""; 0]);
    let cursor =
        "SELECT d.condition = 'ok' AND c.owner IS NULL FROM lfk.cursor c JOIN lfk.definition d ON c.consumer = d.name";
    assert!(pair.main.scalar::<bool>(cursor).await?);
    Ok(())
}

/// Projects 1 and 2 go: 30 children of project 1 and one of project 2, where no statement may come to its n-th row.
async fn cleaned_with_slow_rows(place: Place, nth: u32) -> Result<()> {
    let children = "INSERT INTO builds SELECT n, 1, 0 FROM generate_series(1001, 1028) n;";
    let slow = too_long_at(nth, "RETURN OLD;");
    let pair = place.pair(PROJECTS, &format!("{BUILDS} {children} {slow}")).await?;
    let engine = active(&pair, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id < 3").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(31,3,)", "(90,,0)"], "{place:?}, {nth}");
    assert_eq!(table(&pair.ci, "bystanders").await?, ALL_BUILDS, "{place:?}, {nth}");
    assert_eq!(retries(&pair.main).await?, [""; 0], "{place:?}, {nth}");
    Ok(())
}

#[tokio::test]
async fn l09_rows_that_take_almost_half_a_second_each_are_cleaned() -> Result<()> {
    for place in [Place::AnotherServer, Place::SameDatabase] {
        cleaned_with_slow_rows(place, 13).await?;
    }
    Ok(())
}

#[tokio::test]
async fn l09_rows_of_which_a_statement_can_take_only_one_are_cleaned_one_by_one() -> Result<()> {
    for place in [Place::AnotherServer, Place::SameDatabase] {
        cleaned_with_slow_rows(place, 2).await?;
    }
    Ok(())
}

/// What a trigger says whenever build 21, the child of project 2, is to go: nothing, or an error of this code.
const MOOD: &str = "CREATE TABLE mood (code text); INSERT INTO mood VALUES (NULL); GRANT SELECT ON mood TO PUBLIC;
    CREATE FUNCTION by_mood() RETURNS trigger LANGUAGE plpgsql AS $$
      DECLARE c text := (SELECT code FROM mood);
      BEGIN IF c IS NOT NULL THEN RAISE 'as it likes' USING ERRCODE = c; END IF; RETURN OLD; END $$;
    CREATE TRIGGER by_mood BEFORE DELETE ON builds FOR EACH ROW WHEN (OLD.id = 21) EXECUTE FUNCTION by_mood();";

#[tokio::test]
async fn l08_locks_and_deadlocks_do_not_bring_a_key_nearer_to_quarantine() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, &format!("{BUILDS} {MOOD}")).await?;
    let engine = active(&pair, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 2").await?;
    // Eight attempts are as many as lead to quarantine.
    for (code, said) in [("55P03", "({2},locked,55P03,f)"), ("40P01", "({2},contended,40P01,f)")] {
        pair.ci.execute(&format!("UPDATE mood SET code = '{code}'")).await?;
        for _ in 0..8 {
            engine.run_once().await?;
            assert_eq!(retries(&pair.main).await?, [said]);
            pair.main.execute("UPDATE lfk.retry SET not_before = '-infinity'").await?;
        }
    }
    assert_eq!(pair.main.scalar::<i32>("SELECT attempts FROM lfk.retry").await?, 16);
    pair.ci.execute("UPDATE mood SET code = 'P0001'").await?;
    engine.run_once().await?;
    assert_eq!(retries(&pair.main).await?, ["({2},poisoned,P0001,f)"], "its first own failure is not its last");
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    pair.ci.execute("UPDATE mood SET code = NULL").await?;
    pair.main.execute("UPDATE lfk.retry SET not_before = '-infinity'").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(11,1,0)", "(12,1,4)", "(31,3,)", "(90,,0)"]);
    Ok(())
}
