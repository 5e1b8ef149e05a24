//! C1: whatever deletes rows, exactly their keys are logged.

use anyhow::Result;
use lfk_core::OnDelete;
use lfk_tests::Pair;
use lfk_tests::scenario::{installed, loose};

use crate::capture_support::{database, forget, fruits, in_both, lines, logged, rows, run};

#[tokio::test]
async fn c01_a_single_delete_logs_its_key() -> Result<()> {
    let db = fruits().await?;
    db.execute("DELETE FROM fruits WHERE id = 2").await?;
    assert_eq!(logged(&db).await?, ["fruits d 2"]);
    assert_eq!(rows(&db, "fruits").await?, ["1|apple", "3|plum", "4|fig"]);
    Ok(())
}

#[tokio::test]
async fn c01_a_delete_of_many_rows_logs_each_key_once() -> Result<()> {
    let db = fruits().await?;
    db.execute("DELETE FROM fruits f USING (VALUES ('apple'), ('apple'), ('fig')) v(name) WHERE f.name = v.name")
        .await?;
    assert_eq!(logged(&db).await?, ["fruits d 1", "fruits d 4"]);
    Ok(())
}

#[tokio::test]
async fn c01_a_delete_of_no_rows_writes_nothing() -> Result<()> {
    let db = fruits().await?;
    db.execute("DELETE FROM fruits WHERE id = 99").await?;
    db.execute("DELETE FROM fruits WHERE false").await?;
    assert_eq!(db.scalar::<i64>("SELECT count(*) FROM lfk.key_log").await?, 0);
    Ok(())
}

#[tokio::test]
async fn c01_deletes_in_common_table_expressions_log_their_keys() -> Result<()> {
    let db = database(
        "CREATE TABLE trees (id int PRIMARY KEY);
         CREATE TABLE apples (id int PRIMARY KEY, tree_id int NOT NULL);
         INSERT INTO trees VALUES (1), (2);
         INSERT INTO apples VALUES (10, 1), (11, 1), (20, 2)",
        &[("trees", "{id}"), ("apples", "{id}")],
    )
    .await?;
    db.execute(
        "WITH felled AS (DELETE FROM trees WHERE id = 1 RETURNING id),
              picked AS (DELETE FROM apples a USING felled f WHERE a.tree_id = f.id RETURNING a.id)
         SELECT count(*) FROM picked",
    )
    .await?;
    assert_eq!(logged(&db).await?, ["apples d 10", "apples d 11", "trees d 1"]);
    Ok(())
}

#[tokio::test]
async fn c01_two_deletes_of_one_statement_log_both_keys() -> Result<()> {
    let db = fruits().await?;
    db.execute("WITH one AS (DELETE FROM fruits WHERE id = 1) DELETE FROM fruits WHERE id = 3").await?;
    assert_eq!(logged(&db).await?, ["fruits d 1", "fruits d 3"]);
    Ok(())
}

#[tokio::test]
async fn c01_merge_logs_what_it_deletes_and_nothing_else() -> Result<()> {
    let db = fruits().await?;
    db.execute(
        "MERGE INTO fruits f USING (VALUES (1, NULL), (2, 'quince'), (5, 'cherry')) v(id, name) ON f.id = v.id
         WHEN MATCHED AND v.name IS NULL THEN DELETE
         WHEN MATCHED THEN UPDATE SET name = v.name
         WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.name)",
    )
    .await?;
    assert_eq!(logged(&db).await?, ["fruits d 1"]);
    assert_eq!(rows(&db, "fruits").await?, ["2|quince", "3|plum", "4|fig", "5|cherry"]);
    Ok(())
}

#[tokio::test]
async fn c01_rows_that_a_real_foreign_key_deletes_are_logged() -> Result<()> {
    let db = database(
        "CREATE TABLE trees (id int PRIMARY KEY);
         CREATE TABLE boughs (id int PRIMARY KEY, tree_id int REFERENCES trees ON DELETE CASCADE);
         CREATE TABLE apples (id int PRIMARY KEY, bough_id int REFERENCES boughs ON DELETE CASCADE);
         INSERT INTO trees VALUES (1), (2), (3);
         INSERT INTO boughs VALUES (10, 1), (11, 1), (20, 2), (30, 3);
         INSERT INTO apples VALUES (100, 10), (110, 11), (111, 11), (300, 30)",
        &[("trees", "{id}"), ("apples", "{id}")],
    )
    .await?;
    db.execute("DELETE FROM trees WHERE id IN (1, 2)").await?;
    let expected = ["apples d 100", "apples d 110", "apples d 111", "trees d 1", "trees d 2"];
    assert_eq!(logged(&db).await?, expected);
    Ok(())
}

#[tokio::test]
async fn c01_prepared_statements_log_their_keys_each_time() -> Result<()> {
    let db = fruits().await?;
    let mut session = db.connect().await?;
    // Seven times, because the server changes to a generic plan at the sixth.
    for id in [1_i64, 2, 99, 3, 98, 97, 4] {
        sqlx::query("DELETE FROM fruits WHERE id = $1").bind(id).execute(&mut session).await?;
    }
    assert_eq!(logged(&db).await?, ["fruits d 1", "fruits d 2", "fruits d 3", "fruits d 4"]);
    Ok(())
}

#[tokio::test]
async fn c01_deletes_inside_functions_and_cursors_log_their_keys() -> Result<()> {
    let db = fruits().await?;
    db.execute(
        "CREATE FUNCTION eat(fruit text) RETURNS void LANGUAGE plpgsql AS $$
         DECLARE
           c CURSOR FOR SELECT * FROM fruits WHERE name = fruit;
           f fruits;
         BEGIN
           OPEN c;
           FETCH c INTO f;
           DELETE FROM fruits WHERE CURRENT OF c;
           CLOSE c;
         END $$;
         CREATE FUNCTION drop_pears() RETURNS SETOF bigint LANGUAGE sql AS
           $$ DELETE FROM fruits WHERE name = 'pear' RETURNING id $$",
    )
    .await?;
    db.execute("SELECT eat('apple'); SELECT eat('fig')").await?;
    assert_eq!(lines(&db, "SELECT drop_pears()").await?, ["2"]);
    assert_eq!(logged(&db).await?, ["fruits d 1", "fruits d 2", "fruits d 4"]);
    Ok(())
}

#[tokio::test]
async fn c01_a_delete_through_a_view_logs_its_keys() -> Result<()> {
    let db = fruits().await?;
    db.execute("CREATE VIEW stone_fruits AS SELECT name FROM fruits WHERE name IN ('plum', 'cherry')").await?;
    db.execute("DELETE FROM stone_fruits").await?;
    assert_eq!(logged(&db).await?, ["fruits d 3"]);
    Ok(())
}

#[tokio::test]
async fn c01_rows_that_a_trigger_of_the_app_keeps_are_not_logged() -> Result<()> {
    let db = fruits().await?;
    db.execute(
        "CREATE FUNCTION keep_figs() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN IF OLD.name = 'fig' THEN RETURN NULL; END IF; RETURN OLD; END $$;
         CREATE TRIGGER keep_figs BEFORE DELETE ON fruits FOR EACH ROW EXECUTE FUNCTION keep_figs()",
    )
    .await?;
    db.execute("DELETE FROM fruits WHERE id >= 3").await?;
    assert_eq!(logged(&db).await?, ["fruits d 3"]);
    Ok(())
}

#[tokio::test]
async fn c01_a_prepared_transaction_logs_when_it_is_committed() -> Result<()> {
    let db = fruits().await?;
    let mut session = db.connect().await?;
    run(&mut session, "BEGIN; DELETE FROM fruits WHERE id = 1; PREPARE TRANSACTION 'lfk kept'").await?;
    run(&mut session, "BEGIN; DELETE FROM fruits WHERE id = 2; PREPARE TRANSACTION 'lfk undone'").await?;
    let in_between = logged(&db).await?;
    run(&mut session, "COMMIT PREPARED 'lfk kept'").await?;
    run(&mut session, "ROLLBACK PREPARED 'lfk undone'").await?;
    assert!(in_between.is_empty(), "{in_between:?}");
    assert_eq!(logged(&db).await?, ["fruits d 1"]);
    Ok(())
}

#[tokio::test]
async fn c01_a_rolled_back_delete_logs_nothing() -> Result<()> {
    let db = fruits().await?;
    db.execute("BEGIN; DELETE FROM fruits; ROLLBACK").await?;
    assert!(logged(&db).await?.is_empty());
    assert_eq!(rows(&db, "fruits").await?.len(), 4);
    Ok(())
}

#[tokio::test]
async fn c01_a_savepoint_logs_what_it_keeps() -> Result<()> {
    let db = fruits().await?;
    db.execute(
        "BEGIN;
         SAVEPOINT undone; DELETE FROM fruits WHERE id = 1; ROLLBACK TO undone;
         SAVEPOINT kept; DELETE FROM fruits WHERE id = 2; RELEASE kept;
         COMMIT",
    )
    .await?;
    assert_eq!(logged(&db).await?, ["fruits d 2"]);
    Ok(())
}

#[tokio::test]
async fn c01_an_exception_block_logs_what_it_keeps() -> Result<()> {
    let db = fruits().await?;
    db.execute(
        "DO $$ BEGIN
           BEGIN
             DELETE FROM fruits WHERE id = 1;
             RAISE EXCEPTION 'no';
           EXCEPTION WHEN raise_exception THEN
             DELETE FROM fruits WHERE id = 2;
           END;
         END $$",
    )
    .await?;
    assert_eq!(logged(&db).await?, ["fruits d 2"]);
    Ok(())
}

#[tokio::test]
async fn c01_one_transaction_logs_all_its_deletes_under_one_xid() -> Result<()> {
    let db = fruits().await?;
    db.execute(
        "BEGIN; DELETE FROM fruits WHERE id = 1; SAVEPOINT s; DELETE FROM fruits WHERE id = 2; RELEASE s; COMMIT",
    )
    .await?;
    assert_eq!(logged(&db).await?, ["fruits d 1", "fruits d 2"]);
    assert_eq!(db.scalar::<i64>("SELECT count(DISTINCT xid) FROM lfk.key_log").await?, 1);
    Ok(())
}

#[tokio::test]
async fn c01_two_definitions_on_one_parent_log_each_key_once() -> Result<()> {
    let pair = Pair::new().await?;
    in_both(
        &pair,
        "CREATE TABLE trees (id bigint PRIMARY KEY); INSERT INTO trees VALUES (1), (2)",
        "CREATE TABLE apples (id int PRIMARY KEY, tree_id bigint); CREATE INDEX ON apples (tree_id);
         CREATE TABLE nests (id int PRIMARY KEY, tree_id bigint); CREATE INDEX ON nests (tree_id)",
    )
    .await?;
    let apples = loose("trees(id)", "apples(tree_id)", OnDelete::Delete)?;
    let nests = loose("trees(id)", "nests(tree_id)", OnDelete::SetNull)?;
    installed(pair.engine([apples, nests])?).await?;
    pair.main.execute("DELETE FROM trees WHERE id = 1").await?;
    assert_eq!(logged(&pair.main).await?, ["trees d 1"]);
    Ok(())
}

/// Deletes `count` keys at once and answers with the lengths of the arrays that were logged, the longest first.
async fn lengths(count: i32) -> Result<Vec<String>> {
    let db = database("CREATE TABLE many (id int PRIMARY KEY)", &[("many", "{id}")]).await?;
    db.execute(&format!("INSERT INTO many SELECT generate_series(1, {count})")).await?;
    db.execute("DELETE FROM many").await?;
    let keys = "SELECT count(*), count(DISTINCT k), min(k), max(k) FROM lfk.key_log, unnest(keys) k";
    assert_eq!(lines(&db, keys).await?, [format!("{count}|{count}|1|{count}")], "each key is there once");
    lines(&db, "SELECT cardinality(keys) FROM lfk.key_log ORDER BY 1 DESC").await
}

#[tokio::test]
async fn c01_up_to_a_thousand_keys_are_one_row_of_the_log() -> Result<()> {
    assert_eq!(lengths(1).await?, ["1"]);
    assert_eq!(lengths(1000).await?, ["1000"]);
    Ok(())
}

#[tokio::test]
async fn c01_more_than_a_thousand_keys_are_packed_by_the_thousand() -> Result<()> {
    assert_eq!(lengths(1001).await?, ["1000", "1"]);
    assert_eq!(lengths(2500).await?, ["1000", "1000", "500"]);
    Ok(())
}

#[tokio::test]
async fn c01_composite_keys_are_packed_by_the_thousand_too() -> Result<()> {
    let db = database("CREATE TABLE many (a int, b text, PRIMARY KEY (a, b))", &[("many", "{b,a}")]).await?;
    for (count, expected) in [(1000, vec!["2000"]), (1001, vec!["2000", "2"])] {
        forget(&db).await?;
        db.execute(&format!("INSERT INTO many SELECT n, 'x' || n FROM generate_series(1, {count}) n")).await?;
        db.execute("DELETE FROM many").await?;
        let lengths = lines(&db, "SELECT cardinality(tkeys) FROM lfk.key_log ORDER BY 1 DESC").await?;
        assert_eq!(lengths, expected);
        let keys = logged(&db).await?;
        assert_eq!(keys.len(), count);
        assert!(keys.contains(&format!("many d x{count}/{count}")), "the columns of a key stay together");
    }
    Ok(())
}
