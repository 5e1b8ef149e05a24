//! C3: a parent that is a tree. Whatever part of it a statement names, the keys are logged under the root, once.

use anyhow::Result;

use crate::capture_support::{database, forget, lines, logged};

/// Partitions of two levels: 0 to 49, 50 to 99, and 100 to 199.
const EVENTS: &str = "
    CREATE TABLE events (id bigint PRIMARY KEY, what text) PARTITION BY RANGE (id);
    CREATE TABLE events_low PARTITION OF events FOR VALUES FROM (0) TO (100) PARTITION BY RANGE (id);
    CREATE TABLE events_0 PARTITION OF events_low FOR VALUES FROM (0) TO (50);
    CREATE TABLE events_50 PARTITION OF events_low FOR VALUES FROM (50) TO (100);
    CREATE TABLE events_100 PARTITION OF events FOR VALUES FROM (100) TO (200);
    INSERT INTO events SELECT n, 'e' || n FROM unnest('{1,2,3,4,51,52,53,101,102,103}'::int[]) n";

/// Vehicles; cars are vehicles; sports cars are cars.
const VEHICLES: &str = "
    CREATE TABLE vehicles (id bigint PRIMARY KEY);
    CREATE TABLE cars (doors int, PRIMARY KEY (id)) INHERITS (vehicles);
    CREATE TABLE sports_cars (PRIMARY KEY (id)) INHERITS (cars);
    INSERT INTO vehicles VALUES (1), (2), (3);
    INSERT INTO cars VALUES (11, 4), (12, 4), (13, 2), (14, 2);
    INSERT INTO sports_cars VALUES (21, 2), (22, 2), (23, 2)";

#[tokio::test]
async fn c03_deletes_aimed_at_root_sub_root_and_leaves_log_once_under_the_root() -> Result<()> {
    let db = database(EVENTS, &[("events", "{id}")]).await?;
    for (aimed_at, ids, expected) in [
        ("events", "1, 51, 101", vec!["events d 1", "events d 101", "events d 51"]),
        ("events_low", "2, 52", vec!["events d 2", "events d 52"]),
        ("events_0", "3", vec!["events d 3"]),
        ("events_50", "53", vec!["events d 53"]),
        ("events_100", "102, 103", vec!["events d 102", "events d 103"]),
    ] {
        forget(&db).await?;
        db.execute(&format!("DELETE FROM {aimed_at} WHERE id IN ({ids})")).await?;
        assert_eq!(logged(&db).await?, expected, "{aimed_at}");
    }
    assert_eq!(lines(&db, "SELECT id FROM events").await?, ["4"]);
    Ok(())
}

#[tokio::test]
async fn c03_updates_aimed_at_any_part_log_once_under_the_root() -> Result<()> {
    let db = database(EVENTS, &[("events", "{id}")]).await?;
    for (aimed_at, from, to) in [("events", 1, 5), ("events_low", 2, 60), ("events_0", 3, 6), ("events_100", 101, 110)]
    {
        forget(&db).await?;
        db.execute(&format!("UPDATE {aimed_at} SET id = {to} WHERE id = {from}")).await?;
        assert_eq!(logged(&db).await?, [format!("events u {from}")], "{aimed_at}");
    }
    Ok(())
}

#[tokio::test]
async fn c03_a_key_that_moves_to_another_partition_is_logged_as_changed() -> Result<()> {
    let db = database(EVENTS, &[("events", "{id}")]).await?;
    db.execute("UPDATE events SET id = id + 100 WHERE id = 4").await?;
    assert_eq!(logged(&db).await?, ["events u 4"]);
    Ok(())
}

#[tokio::test]
async fn c03_truncating_any_part_leaves_markers_and_nothing_else() -> Result<()> {
    let db = database(EVENTS, &[("events", "{id}")]).await?;
    for aimed_at in ["events_50", "events_low", "events"] {
        forget(&db).await?;
        db.execute(&format!("TRUNCATE {aimed_at}")).await?;
        let mut markers = logged(&db).await?;
        markers.dedup();
        assert_eq!(markers, ["events t"], "{aimed_at}");
    }
    Ok(())
}

#[tokio::test]
async fn c03_a_truncate_that_cascades_from_elsewhere_leaves_a_marker() -> Result<()> {
    let db = database(
        "CREATE TABLE shops (id int PRIMARY KEY);
         CREATE TABLE shelves (id int PRIMARY KEY, shop_id int REFERENCES shops)",
        &[("shelves", "{id}")],
    )
    .await?;
    db.execute("TRUNCATE shops CASCADE").await?;
    assert_eq!(logged(&db).await?, ["shelves t"]);
    Ok(())
}

#[tokio::test]
async fn c03_a_truncate_that_is_rolled_back_leaves_nothing() -> Result<()> {
    let db = database(EVENTS, &[("events", "{id}")]).await?;
    db.execute("BEGIN; TRUNCATE events; ROLLBACK").await?;
    assert!(logged(&db).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn c03_deletes_aimed_at_any_level_of_inheritance_log_once_under_the_root() -> Result<()> {
    let db = database(VEHICLES, &[("vehicles", "{id}")]).await?;
    for (aimed_at, ids, expected) in [
        ("vehicles", "1, 11, 21", vec!["vehicles d 1", "vehicles d 11", "vehicles d 21"]),
        ("ONLY vehicles", "2, 12, 22", vec!["vehicles d 2"]),
        ("cars", "12, 22", vec!["vehicles d 12", "vehicles d 22"]),
        ("ONLY cars", "13, 23", vec!["vehicles d 13"]),
        ("sports_cars", "23", vec!["vehicles d 23"]),
    ] {
        forget(&db).await?;
        db.execute(&format!("DELETE FROM {aimed_at} WHERE id IN ({ids})")).await?;
        assert_eq!(logged(&db).await?, expected, "{aimed_at}");
    }
    assert_eq!(lines(&db, "SELECT id FROM vehicles ORDER BY id").await?, ["3", "14"]);
    Ok(())
}

#[tokio::test]
async fn c03_updates_aimed_at_any_level_of_inheritance_log_once_under_the_root() -> Result<()> {
    let db = database(VEHICLES, &[("vehicles", "{id}")]).await?;
    db.execute("UPDATE vehicles SET id = id + 100 WHERE id IN (1, 11, 21)").await?;
    assert_eq!(logged(&db).await?, ["vehicles u 1", "vehicles u 11", "vehicles u 21"]);
    forget(&db).await?;
    db.execute("UPDATE cars SET id = id + 100 WHERE id IN (12, 22); UPDATE sports_cars SET doors = 4").await?;
    assert_eq!(logged(&db).await?, ["vehicles u 12", "vehicles u 22"]);
    Ok(())
}

#[tokio::test]
async fn c03_a_child_of_two_tracked_parents_logs_under_each() -> Result<()> {
    let db = database(
        "CREATE TABLE cars (id bigint PRIMARY KEY); CREATE TABLE boats (id bigint PRIMARY KEY);
         CREATE TABLE amphibians (PRIMARY KEY (id)) INHERITS (cars, boats);
         INSERT INTO cars VALUES (1); INSERT INTO boats VALUES (2); INSERT INTO amphibians VALUES (3), (4), (5)",
        &[("cars", "{id}"), ("boats", "{id}")],
    )
    .await?;
    db.execute("DELETE FROM amphibians WHERE id = 3").await?;
    assert_eq!(logged(&db).await?, ["boats d 3", "cars d 3"]);
    forget(&db).await?;
    // A statement trigger fires for the table that the statement names: the other root does not hear of it.
    db.execute("DELETE FROM cars").await?;
    assert_eq!(logged(&db).await?, ["cars d 1", "cars d 4", "cars d 5"]);
    Ok(())
}

#[tokio::test]
async fn c03_a_partition_with_its_columns_in_another_order_logs_its_keys() -> Result<()> {
    let db = database(
        "CREATE TABLE events (gone int, region text, id bigint, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
         ALTER TABLE events DROP COLUMN gone;
         CREATE TABLE north (id bigint NOT NULL, note text, region text NOT NULL);
         ALTER TABLE north DROP COLUMN note;
         ALTER TABLE events ATTACH PARTITION north FOR VALUES IN ('n');
         CREATE TABLE south PARTITION OF events FOR VALUES IN ('s');
         INSERT INTO events (id, region) VALUES (1, 'n'), (2, 'n'), (3, 's'), (4, 'n')",
        &[("events", "{id,region}")],
    )
    .await?;
    db.execute("DELETE FROM events WHERE id IN (1, 3); DELETE FROM north WHERE id = 2; UPDATE events SET region = 's'")
        .await?;
    assert_eq!(logged(&db).await?, ["events d 1/n", "events d 2/n", "events d 3/s", "events u 4/n"]);
    Ok(())
}
