//! C2: nothing that lfk does or lacks makes the app's statements fail or wait.

use std::time::Duration;

use anyhow::Result;
use lfk_core::OnDelete;
use lfk_tests::scenario::loose;
use lfk_tests::{Pair, TestDb, eventually};

use crate::capture_support::{FRUITS, cover, fruits, in_both, lines, logged, rows, run};

/// The leaf of the key log that takes rows now, and what stands in for it.
const CURRENT: &str = "(extract(epoch FROM clock_timestamp())::bigint / 14400) % 8";

async fn drop_current_leaf(db: &TestDb) -> Result<()> {
    db.execute(&format!("DO $$ BEGIN EXECUTE format('DROP TABLE lfk.key_log_%s', {CURRENT}); END $$")).await?;
    Ok(())
}

#[tokio::test]
async fn c02_without_its_leaf_of_the_log_a_delete_goes_to_the_default_leaf() -> Result<()> {
    let db = fruits().await?;
    drop_current_leaf(&db).await?;
    db.execute("DELETE FROM fruits WHERE id <= 2").await?;
    assert_eq!(logged(&db).await?, ["fruits d 1", "fruits d 2"]);
    assert_eq!(lines(&db, "SELECT tableoid::regclass FROM lfk.key_log").await?, ["lfk.key_log_default"]);
    Ok(())
}

#[tokio::test]
async fn c02_a_restored_leaf_takes_over_the_rows_of_the_default_leaf() -> Result<()> {
    let db = fruits().await?;
    drop_current_leaf(&db).await?;
    db.execute("DELETE FROM fruits WHERE id = 1").await?;
    db.execute("DELETE FROM fruits WHERE id = 2").await?;
    let everything = "SELECT xid, id, leaf, table_id, op, at, keys FROM lfk.key_log ORDER BY id";
    let before = lines(&db, everything).await?;

    let said = cover(&db).await?;
    let leaf: String = lines(&db, "SELECT DISTINCT leaf FROM lfk.key_log").await?.concat();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with(&format!("lfk.key_log_{leaf} leaf_restored")), "{said:?}");

    assert_eq!(lines(&db, everything).await?, before, "every row keeps its place in the order of the log");
    let homes = lines(&db, "SELECT DISTINCT tableoid::regclass FROM lfk.key_log").await?;
    assert_eq!(homes, [format!("lfk.key_log_{leaf}")]);
    db.execute("DELETE FROM fruits WHERE id = 3").await?;
    assert_eq!(db.scalar::<i64>("SELECT count(*) FROM lfk.key_log_default").await?, 0);
    assert_eq!(logged(&db).await?, ["fruits d 1", "fruits d 2", "fruits d 3"]);
    assert!(cover(&db).await?.is_empty(), "nothing is left to do");
    Ok(())
}

#[tokio::test]
async fn c02_a_leaf_is_restored_only_when_nobody_writes() -> Result<()> {
    let db = fruits().await?;
    drop_current_leaf(&db).await?;
    let mut app = db.connect().await?;
    run(&mut app, "BEGIN; DELETE FROM fruits WHERE id = 1").await?;

    let said = cover(&db).await?;
    assert!(said.len() == 1 && said[0].starts_with("lfk.key_log locked"), "{said:?}");
    run(&mut app, "SET LOCAL lock_timeout = '1s'; DELETE FROM fruits WHERE id = 2; COMMIT").await?;

    let said = cover(&db).await?;
    assert!(said.len() == 1 && said[0].contains("leaf_restored"), "{said:?}");
    assert_eq!(logged(&db).await?, ["fruits d 1", "fruits d 2"]);
    Ok(())
}

#[tokio::test]
async fn c02_rows_that_arrive_while_a_leaf_is_restored_are_moved_too() -> Result<()> {
    let db = fruits().await?;
    // A leaf that is not the current one is restored beside writers; here they write its rows all the same.
    db.execute(&format!("DO $$ BEGIN EXECUTE format('DROP TABLE lfk.key_log_%s', ({CURRENT} + 4) % 8); END $$"))
        .await?;
    let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'lfk.key_log_default'::regclass AND NOT granted)";
    let mut written = Vec::new();
    for key in 1.. {
        let mut app = db.connect().await?;
        run(&mut app, "BEGIN").await?;
        let insert = "INSERT INTO lfk.key_log (leaf, table_id, op, keys)
                      SELECT ((extract(epoch FROM clock_timestamp())::bigint / 14400) + 4) % 8, 1, 'd', ARRAY[$1::bigint]";
        sqlx::query(insert).bind(key).execute(&mut app).await?;
        written.push(format!("fruits d {key}"));
        let restoring = tokio::spawn({
            let db = db.clone();
            async move { cover(&db).await }
        });
        eventually("the DEFAULT leaf is asked for, or too busy", Duration::from_secs(20), async || {
            Ok(restoring.is_finished() || db.scalar::<bool>(waits).await?)
        })
        .await?;
        run(&mut app, "COMMIT").await?;
        let said = restoring.await??;
        if said[0].contains("leaf_restored") {
            break;
        }
        assert!(said[0].starts_with("lfk.key_log locked") && key < 50, "{said:?}");
    }
    written.sort();
    assert_eq!(logged(&db).await?, written);
    assert_eq!(db.scalar::<i64>("SELECT count(*) FROM lfk.key_log_default").await?, 0);
    Ok(())
}

#[tokio::test]
async fn c02_a_log_without_any_leaf_but_the_default_still_takes_keys() -> Result<()> {
    let db = fruits().await?;
    db.execute("DO $$ BEGIN FOR n IN 0..7 LOOP EXECUTE format('DROP TABLE lfk.key_log_%s', n); END LOOP; END $$")
        .await?;
    db.execute("DELETE FROM fruits WHERE id = 1").await?;
    assert_eq!(cover(&db).await?.len(), 8, "all are made again");
    db.execute("DELETE FROM fruits WHERE id = 2").await?;
    assert_eq!(logged(&db).await?, ["fruits d 1", "fruits d 2"]);
    Ok(())
}

#[tokio::test]
async fn c02_a_leaf_that_is_being_retired_holds_nobody_up() -> Result<()> {
    let db = fruits().await?;
    let mut retirer = db.connect().await?;
    run(
        &mut retirer,
        "BEGIN;
         DO $$ BEGIN
           EXECUTE format('TRUNCATE lfk.key_log_%s', ((extract(epoch FROM clock_timestamp())::bigint / 14400) + 4) % 8);
         END $$",
    )
    .await?;
    db.execute("BEGIN; SET LOCAL lock_timeout = '1s'; DELETE FROM fruits WHERE id = 1; COMMIT").await?;
    run(&mut retirer, "COMMIT").await?;
    assert_eq!(logged(&db).await?, ["fruits d 1"]);
    Ok(())
}

#[tokio::test]
async fn c02_a_worker_that_died_with_everything_locked_holds_nobody_up() -> Result<()> {
    let db = fruits().await?;
    let mut worker = db.connect().await?;
    run(
        &mut worker,
        "BEGIN;
         LOCK TABLE lfk.cursor, lfk.definition, lfk.tracked, lfk.covered, lfk.retry, lfk.worker, lfk.control, lfk.identity,
                    lfk.peer, lfk.tick IN ACCESS EXCLUSIVE MODE;
         SELECT * FROM lfk.key_log FOR UPDATE;
         SELECT pg_advisory_xact_lock(n) FROM unnest('{7813284109,7813284111,7813284112}'::bigint[]) n",
    )
    .await?;
    db.execute(
        "BEGIN; SET LOCAL lock_timeout = '1s';
         DELETE FROM fruits WHERE id = 1; UPDATE fruits SET id = 20 WHERE id = 2; TRUNCATE fruits; COMMIT",
    )
    .await?;
    run(&mut worker, "ROLLBACK").await?;
    assert_eq!(logged(&db).await?, ["fruits d 1", "fruits t", "fruits u 2"]);
    Ok(())
}

#[tokio::test]
async fn c02_writers_of_the_same_table_do_not_wait_for_each_other() -> Result<()> {
    let db = fruits().await?;
    let (mut one, mut two) = (db.connect().await?, db.connect().await?);
    run(&mut one, "BEGIN; DELETE FROM fruits WHERE id = 1").await?;
    run(&mut two, "BEGIN; SET LOCAL lock_timeout = '1s'; DELETE FROM fruits WHERE id = 2; COMMIT").await?;
    assert_eq!(logged(&db).await?, ["fruits d 2"]);
    run(&mut one, "COMMIT").await?;
    assert_eq!(logged(&db).await?, ["fruits d 1", "fruits d 2"]);
    Ok(())
}

#[tokio::test]
async fn c02_a_tracked_table_is_copied_out_and_in_as_before() -> Result<()> {
    use futures::TryStreamExt as _;

    let db = fruits().await?;
    let mut dump = db.connect().await?;
    // As a logical dump reads: in one snapshot, while the app goes on.
    run(&mut dump, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1").await?;
    db.execute("DELETE FROM fruits WHERE id = 1").await?;
    let chunks: Vec<_> = dump.copy_out_raw("COPY fruits TO STDOUT").await?.try_collect().await?;
    run(&mut dump, "COMMIT").await?;
    let text = chunks.concat();
    assert_eq!(String::from_utf8(text.clone())?, "1\tapple\n2\tpear\n3\tplum\n4\tfig\n");

    db.execute("DELETE FROM fruits").await?;
    let mut copy = dump.copy_in_raw("COPY fruits FROM STDIN").await?;
    copy.send(text).await?;
    assert_eq!(copy.finish().await?, 4);
    assert_eq!(logged(&db).await?, ["fruits d 1", "fruits d 2", "fruits d 3", "fruits d 4"]);
    Ok(())
}

#[tokio::test]
async fn c02_installing_beside_a_long_transaction_holds_nobody_up() -> Result<()> {
    let pair = Pair::new().await?;
    in_both(&pair, FRUITS, "CREATE TABLE jams (id int PRIMARY KEY, fruit_id bigint); CREATE INDEX ON jams (fruit_id)")
        .await?;
    let mut long = pair.main.connect().await?;
    run(&mut long, "BEGIN; DELETE FROM fruits WHERE id = 1").await?;

    let engine = pair.engine([loose("fruits(id)", "jams(fruit_id)", OnDelete::Delete)?])?;
    let installing = tokio::spawn(async move { engine.install().await });
    let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'fruits'::regclass AND NOT granted)";
    eventually("the installation tries to take its lock", Duration::from_secs(20), async || {
        pair.main.scalar::<bool>(waits).await
    })
    .await?;
    pair.main.execute("BEGIN; SET LOCAL lock_timeout = '2s'; DELETE FROM fruits WHERE id = 2; COMMIT").await?;
    assert!(!installing.is_finished());

    run(&mut long, "COMMIT").await?;
    assert_eq!(installing.await??[0].triggers_created, 1);
    assert_eq!(rows(&pair.main, "fruits").await?, ["3|plum", "4|fig"]);
    pair.main.execute("DELETE FROM fruits WHERE id = 3").await?;
    assert_eq!(logged(&pair.main).await?, ["fruits d 3"]);
    Ok(())
}
