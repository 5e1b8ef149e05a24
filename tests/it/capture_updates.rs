//! C6: a parent whose key changes is seen as its old key gone.

use anyhow::Result;
use lfk_core::{Engine, OnDelete};
use lfk_tests::Pair;
use lfk_tests::scenario::{active, drain, loose};

use crate::capture_support::{database, forget, fruits, in_both, logged, rows};

#[tokio::test]
async fn c06_a_changed_key_is_logged_as_it_was() -> Result<()> {
    let db = fruits().await?;
    db.execute("UPDATE fruits SET id = 20 WHERE id = 2").await?;
    assert_eq!(logged(&db).await?, ["fruits u 2"]);
    Ok(())
}

#[tokio::test]
async fn c06_an_update_that_leaves_the_key_alone_logs_nothing() -> Result<()> {
    let db = fruits().await?;
    db.execute("UPDATE fruits SET name = upper(name); UPDATE fruits SET id = id; UPDATE fruits SET id = 9 WHERE false")
        .await?;
    assert_eq!(db.scalar::<i64>("SELECT count(*) FROM lfk.key_log").await?, 0);
    Ok(())
}

#[tokio::test]
async fn c06_keys_that_are_only_swapped_log_nothing() -> Result<()> {
    let db = database(
        "CREATE TABLE ranks (id int PRIMARY KEY DEFERRABLE, name text); INSERT INTO ranks VALUES (1, 'a'), (2, 'b'), (3, 'c')",
        &[("ranks", "{id}")],
    )
    .await?;
    db.execute("UPDATE ranks SET id = 3 - id WHERE id < 3").await?;
    assert_eq!(rows(&db, "ranks").await?, ["1|b", "2|a", "3|c"]);
    assert!(logged(&db).await?.is_empty());
    db.execute("UPDATE ranks SET id = id + 1").await?;
    assert_eq!(logged(&db).await?, ["ranks u 1"], "2 and 3 are there again");
    Ok(())
}

#[tokio::test]
async fn c06_a_row_that_moves_between_partitions_with_its_key_logs_nothing() -> Result<()> {
    // No unique key of PostgreSQL's own spans these partitions, but the app keeps ids apart.
    let db = database(
        "CREATE TABLE events (id bigint NOT NULL, region text) PARTITION BY LIST (region);
         CREATE TABLE north PARTITION OF events FOR VALUES IN ('n');
         CREATE TABLE south PARTITION OF events FOR VALUES IN ('s');
         INSERT INTO events VALUES (1, 'n'), (2, 'n')",
        &[("events", "{id}")],
    )
    .await?;
    db.execute("UPDATE events SET region = 's' WHERE id = 1").await?;
    assert_eq!(rows(&db, "south").await?, ["1|s"]);
    assert!(logged(&db).await?.is_empty());
    db.execute("UPDATE events SET region = 's', id = 3 WHERE id = 2").await?;
    assert_eq!(logged(&db).await?, ["events u 2"]);
    Ok(())
}

#[tokio::test]
async fn c06_a_key_that_becomes_null_is_logged_and_one_that_was_null_is_not() -> Result<()> {
    let db = database(
        "CREATE TABLE guests (id int PRIMARY KEY, badge int UNIQUE); INSERT INTO guests VALUES (1, 10), (2, NULL)",
        &[("guests", "{badge}")],
    )
    .await?;
    db.execute("UPDATE guests SET badge = 20 WHERE id = 2").await?;
    assert!(logged(&db).await?.is_empty());
    db.execute("UPDATE guests SET badge = NULL WHERE id = 1").await?;
    assert_eq!(logged(&db).await?, ["guests u 10"]);
    Ok(())
}

#[tokio::test]
async fn c06_keys_that_change_by_conflict_merge_and_foreign_key_are_logged() -> Result<()> {
    let db = database(
        "CREATE TABLE shops (id int PRIMARY KEY);
         CREATE TABLE shelves (shop_id int REFERENCES shops ON UPDATE CASCADE, number int, PRIMARY KEY (shop_id, number));
         INSERT INTO shops VALUES (1), (2), (3); INSERT INTO shelves VALUES (1, 7), (1, 8), (2, 7)",
        &[("shops", "{id}"), ("shelves", "{shop_id,number}")],
    )
    .await?;
    db.execute("UPDATE shops SET id = 10 WHERE id = 1").await?;
    assert_eq!(logged(&db).await?, ["shelves u 1/7", "shelves u 1/8", "shops u 1"]);
    forget(&db).await?;
    db.execute("INSERT INTO shops VALUES (3) ON CONFLICT (id) DO UPDATE SET id = 30").await?;
    db.execute(
        "MERGE INTO shelves s USING (VALUES (2)) v(id) ON s.shop_id = v.id WHEN MATCHED THEN UPDATE SET number = 9",
    )
    .await?;
    assert_eq!(logged(&db).await?, ["shelves u 2/7", "shops u 3"]);
    Ok(())
}

#[tokio::test]
async fn c06_one_column_of_a_composite_key_is_enough() -> Result<()> {
    let db = database(
        "CREATE TABLE shelves (shop int, number text, PRIMARY KEY (shop, number), note text);
         INSERT INTO shelves VALUES (1, 'a'), (1, 'b')",
        &[("shelves", "{number,shop}")],
    )
    .await?;
    db.execute("UPDATE shelves SET number = 'c', note = 'moved' WHERE number = 'b'; UPDATE shelves SET note = 'same'")
        .await?;
    assert_eq!(logged(&db).await?, ["shelves u b/1"]);
    Ok(())
}

#[tokio::test]
async fn c06_many_changed_keys_are_logged_each_once() -> Result<()> {
    let db = database("CREATE TABLE many (id int PRIMARY KEY)", &[("many", "{id}")]).await?;
    db.execute("INSERT INTO many SELECT generate_series(1, 2500)").await?;
    db.execute("UPDATE many SET id = id + 10000 WHERE id <= 1001").await?;
    let sizes = db.rows("SELECT cardinality(keys) FROM lfk.key_log ORDER BY 1 DESC").await?;
    assert_eq!(sizes, [[Some("1000".to_owned())], [Some("1".to_owned())]]);
    let mut expected: Vec<String> = (1..=1001).map(|n| format!("many u {n}")).collect();
    expected.sort();
    assert_eq!(logged(&db).await?, expected);
    Ok(())
}

/// Fruits with a jam of each, and one jam of nothing.
async fn jams() -> Result<(Pair, Engine)> {
    let pair = Pair::new().await?;
    in_both(
        &pair,
        "CREATE TABLE fruits (id bigint PRIMARY KEY, name text); INSERT INTO fruits VALUES (1, 'apple'), (2, 'pear'), (3, 'plum')",
        "CREATE TABLE jams (id int PRIMARY KEY, fruit_id bigint); CREATE INDEX ON jams (fruit_id);
         INSERT INTO jams VALUES (10, 1), (20, 2), (30, 3), (40, NULL)",
    )
    .await?;
    let engine = active(&pair, [loose("fruits(id)", "jams(fruit_id)", OnDelete::Delete)?]).await?;
    Ok((pair, engine))
}

#[tokio::test]
async fn c06_children_of_the_old_key_are_cleaned() -> Result<()> {
    let (pair, engine) = jams().await?;
    pair.main.execute("UPDATE fruits SET id = 5 WHERE id = 2").await?;
    drain(&engine).await?;
    assert_eq!(rows(&pair.ci, "jams").await?, ["10|1", "30|3", "40|NULL"]);
    assert_eq!(rows(&pair.main, "fruits").await?, ["1|apple", "3|plum", "5|pear"]);
    Ok(())
}

#[tokio::test]
async fn c06_children_of_a_key_that_came_back_stay() -> Result<()> {
    let (pair, engine) = jams().await?;
    pair.main.execute("UPDATE fruits SET id = 5 WHERE id = 2; UPDATE fruits SET id = 2 WHERE id = 3").await?;
    drain(&engine).await?;
    assert_eq!(logged(&pair.main).await?, ["fruits u 2", "fruits u 3"]);
    assert_eq!(rows(&pair.ci, "jams").await?, ["10|1", "20|2", "40|NULL"]);
    Ok(())
}
