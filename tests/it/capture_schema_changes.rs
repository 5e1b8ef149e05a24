//! C2: the app changes its own tables. Its statements go on, nothing of ours stands in the way of its DDL, and where keys
//! cannot be named any more a sweep marker is logged.

use std::time::Duration;

use anyhow::Result;
use lfk_core::OnDelete;
use lfk_tests::Pair;
use lfk_tests::scenario::{active, drain, loose};

use crate::capture_support::{FRUITS, cover, database, forget, fruits, in_both, logged, rows, run};

/// Changes the table while a session has our trigger's plans cached; then deletes and updates in that session and in a
/// fresh one. Every statement must succeed. Answers with what was logged.
async fn after(change: &str) -> Result<Vec<String>> {
    let db = fruits().await?;
    db.execute("INSERT INTO fruits VALUES (5, 'kiwi'), (6, 'lime'), (7, 'date'), (8, 'olive')").await?;
    let mut cached = db.connect().await?;
    run(&mut cached, "DELETE FROM fruits WHERE name = 'apple'; UPDATE fruits SET name = 'Pear' WHERE name = 'pear'")
        .await?;
    forget(&db).await?;

    db.execute(change).await?;
    run(&mut cached, "DELETE FROM fruits WHERE name = 'plum'").await?;
    run(&mut cached, "UPDATE fruits SET name = 'Fig' WHERE name = 'fig'").await?;
    let mut fresh = db.connect().await?;
    run(&mut fresh, "DELETE FROM fruits WHERE name = 'kiwi'").await?;
    run(&mut fresh, "UPDATE fruits SET name = 'Lime' WHERE name = 'lime'").await?;
    run(&mut fresh, "DELETE FROM fruits WHERE name = 'no such fruit'").await?;
    assert_eq!(
        db.scalar::<String>("SELECT string_agg(name, ' ' ORDER BY name) FROM fruits").await?,
        "Fig Lime Pear date olive"
    );
    logged(&db).await
}

const FOUR_MARKERS: [&str; 4] = ["fruits s"; 4];

#[tokio::test]
async fn c02_a_renamed_key_column_leaves_sweep_markers() -> Result<()> {
    assert_eq!(after("ALTER TABLE fruits RENAME COLUMN id TO fruit_id").await?, FOUR_MARKERS);
    Ok(())
}

#[tokio::test]
async fn c02_a_dropped_key_column_leaves_sweep_markers() -> Result<()> {
    assert_eq!(after("ALTER TABLE fruits DROP COLUMN id").await?, FOUR_MARKERS);
    Ok(())
}

#[tokio::test]
async fn c02_a_key_column_of_another_type_leaves_sweep_markers() -> Result<()> {
    assert_eq!(after("ALTER TABLE fruits ALTER COLUMN id TYPE text").await?, FOUR_MARKERS);
    assert_eq!(after("ALTER TABLE fruits ALTER COLUMN id TYPE numeric").await?, FOUR_MARKERS);
    Ok(())
}

#[tokio::test]
async fn c02_another_column_under_the_old_name_is_logged_by_its_name() -> Result<()> {
    let change = "ALTER TABLE fruits ADD COLUMN new_id bigint;
                  UPDATE fruits SET new_id = id * 10;
                  ALTER TABLE fruits RENAME COLUMN id TO old_id;
                  ALTER TABLE fruits RENAME COLUMN new_id TO id";
    assert_eq!(after(change).await?, ["fruits d 30", "fruits d 50"]);
    Ok(())
}

#[tokio::test]
async fn c02_a_wider_integer_goes_on_being_logged() -> Result<()> {
    let db = database(
        "CREATE TABLE ids (id int PRIMARY KEY); INSERT INTO ids SELECT generate_series(1, 6)",
        &[("ids", "{id}")],
    )
    .await?;
    let mut cached = db.connect().await?;
    run(&mut cached, "DELETE FROM ids WHERE id = 1; UPDATE ids SET id = 20 WHERE id = 2").await?;
    db.execute("ALTER TABLE ids ALTER COLUMN id TYPE bigint").await?;
    run(&mut cached, "INSERT INTO ids VALUES (3000000000); DELETE FROM ids WHERE id IN (3, 3000000000)").await?;
    run(&mut cached, "UPDATE ids SET id = 4000000000 WHERE id = 4").await?;
    db.execute("DELETE FROM ids WHERE id = 5").await?;
    let expected = ["ids d 1", "ids d 3", "ids d 3000000000", "ids d 5", "ids u 2", "ids u 4"];
    assert_eq!(logged(&db).await?, expected);
    Ok(())
}

#[tokio::test]
async fn c02_unrelated_changes_of_the_table_go_on_being_logged() -> Result<()> {
    let change = "ALTER TABLE fruits ADD COLUMN colour text DEFAULT 'red', DROP CONSTRAINT fruits_pkey;
                  ALTER TABLE fruits ALTER COLUMN colour TYPE varchar(20);
                  CREATE UNIQUE INDEX ON fruits (id); CLUSTER fruits USING fruits_id_idx; ANALYZE fruits";
    assert_eq!(after(change).await?, ["fruits d 3", "fruits d 5"]);
    Ok(())
}

#[tokio::test]
async fn c02_a_table_that_is_renamed_and_moved_goes_on_being_logged() -> Result<()> {
    let db = fruits().await?;
    db.execute("DELETE FROM fruits WHERE id = 1").await?;
    db.execute("CREATE SCHEMA shop; ALTER TABLE fruits RENAME TO goods; ALTER TABLE goods SET SCHEMA shop").await?;
    db.execute("DELETE FROM shop.goods WHERE id = 2").await?;
    assert_eq!(logged(&db).await?, ["shop.goods d 1", "shop.goods d 2"]);
    Ok(())
}

#[tokio::test]
async fn c02_an_old_snapshot_meets_a_renamed_key_column() -> Result<()> {
    let db = fruits().await?;
    let mut session = db.connect().await?;
    run(&mut session, "DELETE FROM fruits WHERE name = 'apple'").await?;
    forget(&db).await?;
    run(&mut session, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM lfk.control").await?;
    db.execute("ALTER TABLE fruits RENAME COLUMN id TO fruit_id").await?;
    run(
        &mut session,
        "DELETE FROM fruits WHERE name = 'plum'; UPDATE fruits SET name = 'Fig' WHERE name = 'fig'; COMMIT",
    )
    .await?;
    assert_eq!(logged(&db).await?, ["fruits s", "fruits s"]);
    assert_eq!(rows(&db, "fruits").await?, ["2|pear", "4|Fig"]);
    Ok(())
}

#[tokio::test]
async fn c02_an_old_snapshot_meets_another_column_under_the_old_name() -> Result<()> {
    let db = fruits().await?;
    let mut session = db.connect().await?;
    run(&mut session, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM lfk.control").await?;
    db.execute("ALTER TABLE fruits RENAME COLUMN id TO old_id; ALTER TABLE fruits ADD COLUMN id text").await?;
    run(&mut session, "DELETE FROM fruits WHERE name = 'plum'; COMMIT").await?;
    assert_eq!(logged(&db).await?, ["fruits s"]);
    Ok(())
}

#[tokio::test]
async fn c02_part_of_a_composite_key_that_is_renamed_leaves_a_marker() -> Result<()> {
    let db = database(
        "CREATE TABLE shelves (shop int, number text, PRIMARY KEY (shop, number));
         INSERT INTO shelves VALUES (1, 'a'), (1, 'b'), (2, 'a')",
        &[("shelves", "{shop,number}")],
    )
    .await?;
    db.execute("DELETE FROM shelves WHERE number = 'b'").await?;
    db.execute("ALTER TABLE shelves RENAME COLUMN number TO label").await?;
    db.execute("DELETE FROM shelves WHERE label = 'a' AND shop = 1").await?;
    assert_eq!(logged(&db).await?, ["shelves d 1/b", "shelves s"]);
    Ok(())
}

#[tokio::test]
async fn c02_after_a_key_column_came_back_its_keys_are_logged_again() -> Result<()> {
    let db = fruits().await?;
    let mut session = db.connect().await?;
    run(
        &mut session,
        "ALTER TABLE fruits RENAME COLUMN id TO gone; DELETE FROM fruits WHERE gone = 1;
         ALTER TABLE fruits RENAME COLUMN gone TO id; DELETE FROM fruits WHERE id = 2",
    )
    .await?;
    assert_eq!(logged(&db).await?, ["fruits d 2", "fruits s"]);
    Ok(())
}

#[tokio::test]
async fn c02_our_triggers_stand_in_the_way_of_no_change() -> Result<()> {
    let db = database(
        &format!(
            "{FRUITS}; CREATE TABLE crates (id int PRIMARY KEY, note text) PARTITION BY RANGE (id);
             CREATE TABLE crates_1 PARTITION OF crates FOR VALUES FROM (0) TO (100)"
        ),
        &[("fruits", "{id}"), ("crates", "{id}")],
    )
    .await?;
    for change in [
        "ALTER TABLE fruits ALTER COLUMN id TYPE int",
        "ALTER TABLE fruits ALTER COLUMN id TYPE text",
        "ALTER TABLE fruits ALTER COLUMN name TYPE varchar(100)",
        "ALTER TABLE fruits RENAME COLUMN id TO fruit_id",
        "ALTER TABLE fruits DROP COLUMN id",
        "ALTER TABLE fruits DROP COLUMN name, ADD COLUMN name int",
        "ALTER TABLE fruits SET UNLOGGED",
        "ALTER TABLE fruits RENAME TO goods",
        "TRUNCATE fruits",
        "DROP TABLE fruits",
        "ALTER TABLE crates ALTER COLUMN note TYPE varchar(100)",
        "ALTER TABLE crates DROP COLUMN note",
        "ALTER TABLE crates RENAME COLUMN id TO crate_id",
        "CREATE TABLE crates_2 PARTITION OF crates FOR VALUES FROM (100) TO (200)",
        "ALTER TABLE crates DETACH PARTITION crates_1",
        "DROP TABLE crates_1",
        "DROP TABLE crates",
    ] {
        db.execute(&format!("BEGIN; {change}; ROLLBACK")).await?;
    }
    assert!(logged(&db).await?.is_empty(), "all of it was rolled back");
    Ok(())
}

#[tokio::test]
async fn c02_a_change_of_type_is_tracked_anew_and_asks_for_a_sweep() -> Result<()> {
    let db = fruits().await?;
    db.execute("ALTER TABLE fruits ALTER COLUMN id TYPE text USING 'F' || id").await?;
    db.execute("SELECT lfk.track('fruits', '{id}')").await?;
    assert!(cover(&db).await?.is_empty(), "the triggers are those that were there");
    assert_eq!(logged(&db).await?, ["fruits s"]);
    db.execute("DELETE FROM fruits WHERE id = 'F2'").await?;
    assert_eq!(logged(&db).await?, ["fruits d F2", "fruits s"]);
    Ok(())
}

#[tokio::test]
async fn c02_what_was_deleted_while_the_key_had_another_name_is_swept() -> Result<()> {
    let pair = Pair::new().await?;
    in_both(
        &pair,
        FRUITS,
        "CREATE TABLE jams (id int PRIMARY KEY, fruit_id bigint); CREATE INDEX ON jams (fruit_id);
         INSERT INTO jams VALUES (10, 1), (20, 2)",
    )
    .await?;
    let jams = loose("fruits(id)", "jams(fruit_id)", OnDelete::Delete)?.settle_after(Duration::ZERO);
    let engine = active(&pair, [jams]).await?;
    pair.main
        .execute(
            "ALTER TABLE fruits RENAME COLUMN id TO fruit_id; DELETE FROM fruits WHERE fruit_id = 1;
             ALTER TABLE fruits RENAME COLUMN fruit_id TO id",
        )
        .await?;
    assert_eq!(logged(&pair.main).await?, ["fruits s"]);
    drain(&engine).await?;
    assert_eq!(rows(&pair.ci, "jams").await?, ["20|2"]);
    Ok(())
}
