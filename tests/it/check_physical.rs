//! Tables whose rows do not lie in the order of their key are compared page by page, and nothing is missed for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::Result;
use lfk_mirror::{Cursor, Method, Mirror, Options};

use crate::check_support::{Found, Memory, Mirrored, NOTHING, filled, quick, samples};

const ROWS: i64 = 20_000;
const SOURCE: &str = "CREATE TABLE items (id uuid PRIMARY KEY, a bigint, b text, note text)";
const TARGET: &str = "CREATE TABLE item_mirrors (id uuid PRIMARY KEY, a bigint, b text, own text)";

fn mirror() -> Result<Mirror> {
    // Its keys are in the log as texts, see `Mirrored::write`.
    Ok(Mirror::new("text-uuid", "main:public.items(id)", "ci:public.item_mirrors(id)")?
        .column("a", "a")?
        .column("b", "b")?)
}

/// So many equal rows under keys at random, in other places on the two sides.
async fn fill(mirrored: &Mirrored, rows: i64) -> Result<()> {
    let fill = |table: &str, order: &str| {
        format!(
            "INSERT INTO {table} (id, a, b) SELECT md5(n::text)::uuid, n, 'row ' || n FROM generate_series(1, {rows}) n ORDER BY {order}"
        )
    };
    mirrored.pair.main.execute(&fill("items", "n")).await?;
    mirrored.target(&fill("item_mirrors", "md5(n::text || 'x')")).await
}

async fn uuids() -> Result<Mirrored> {
    let mirrored = Mirrored::new(mirror()?, SOURCE, TARGET).await?;
    fill(&mirrored, ROWS).await?;
    Ok(mirrored)
}

/// Page by page where `rows` is small.
fn physical(rows: Option<u32>) -> Options {
    let mut options = quick();
    options.method = Some(Method::Physical);
    options.chunk_rows = rows;
    options
}

/// Another way to write the key of a row.
fn key(n: i64) -> String {
    format!("md5('{n}')::uuid")
}

/// Of every kind, also before the first key of the other side and behind its last one, and at both ends of the table.
fn damage() -> String {
    format!(
        "INSERT INTO item_mirrors VALUES ('00000000-0000-0000-0000-000000000000'), ('ffffffff-ffff-ffff-ffff-ffffffffffff'), ({});
         UPDATE item_mirrors SET a = a + 4294967296 WHERE id = {};
         UPDATE item_mirrors SET b = NULL WHERE id = {};
         DELETE FROM item_mirrors WHERE id IN ({}, {}, {})",
        key(ROWS + 1),
        key(7),
        key(ROWS),
        key(1),
        key(ROWS / 2),
        key(ROWS - 1)
    )
}

const DAMAGED: Found = Found { missing: 3, different: 2, extra: 3, ..NOTHING };

#[tokio::test]
async fn m03_rows_are_found_page_by_page_whatever_the_keys() -> Result<()> {
    let mirrored = uuids().await?;
    for rows in [Some(1), Some(3_000), None] {
        let report = mirrored.check(&physical(rows)).await?;
        assert_eq!((Found::of(&report), report.checked_rows), (NOTHING, ROWS), "{rows:?}");
        assert_eq!((report.method, report.complete), (Method::Physical, true), "{rows:?}");
    }
    mirrored.target(&damage()).await?;
    for rows in [Some(1), Some(3_000), None] {
        let report = mirrored.check(&physical(rows)).await?;
        assert_eq!((Found::of(&report), report.checked_rows), (DAMAGED, ROWS), "{rows:?}");
        assert!(samples(&report).contains(&"extra 00000000-0000-0000-0000-000000000000".to_owned()), "{rows:?}");
    }
    let by_key = mirrored.check(&quick()).await?;
    assert_eq!((Found::of(&by_key), by_key.method), (DAMAGED, Method::Digest), "and by key the same");
    Ok(())
}

#[tokio::test]
async fn m03_page_by_page_empty_sides_are_no_special_cases() -> Result<()> {
    let mirrored = Mirrored::new(mirror()?, SOURCE, TARGET).await?;
    assert_eq!(mirrored.found_by(&physical(None)).await?, NOTHING);
    mirrored.target("INSERT INTO item_mirrors SELECT gen_random_uuid() FROM generate_series(1, 300)").await?;
    assert_eq!(mirrored.found_by(&physical(Some(1))).await?, Found { extra: 300, ..NOTHING });
    mirrored.target("TRUNCATE item_mirrors").await?;
    mirrored.pair.main.execute("INSERT INTO items SELECT gen_random_uuid() FROM generate_series(1, 300)").await?;
    assert_eq!(mirrored.found_by(&physical(Some(1))).await?, Found { missing: 300, ..NOTHING });
    Ok(())
}

#[tokio::test]
async fn m03_page_by_page_rows_that_do_not_pass_the_filter_do_not_count() -> Result<()> {
    let mirrored = Mirrored::new(mirror()?.only_where("a % 3 > 0")?, SOURCE, TARGET).await?;
    fill(&mirrored, 3_000).await?;
    mirrored.target("DELETE FROM item_mirrors WHERE a % 3 = 0").await?;
    let report = mirrored.check(&physical(Some(1))).await?;
    assert_eq!((Found::of(&report), report.checked_rows), (NOTHING, 2_000));
    mirrored.target(&format!("INSERT INTO item_mirrors VALUES ({}, 3, 'row 3')", key(3))).await?;
    assert_eq!(mirrored.found_by(&physical(Some(1))).await?, Found { extra: 1, ..NOTHING });
    Ok(())
}

#[tokio::test]
async fn m03_a_tree_of_leaves_on_one_side_and_one_table_on_the_other() -> Result<()> {
    let source = "CREATE TABLE items (id uuid, a bigint, b text, PRIMARY KEY (id)) PARTITION BY HASH (id);
        CREATE TABLE items_0 PARTITION OF items FOR VALUES WITH (MODULUS 3, REMAINDER 0);
        CREATE TABLE items_1 PARTITION OF items FOR VALUES WITH (MODULUS 3, REMAINDER 1) PARTITION BY RANGE (id);
        CREATE TABLE items_1a PARTITION OF items_1 FOR VALUES FROM (MINVALUE) TO ('80000000-0000-0000-0000-000000000000');
        CREATE TABLE items_1b PARTITION OF items_1 DEFAULT;
        CREATE TABLE items_2 (extra int, b text, id uuid PRIMARY KEY, a bigint);
        ALTER TABLE items_2 DROP COLUMN extra;
        ALTER TABLE items ATTACH PARTITION items_2 FOR VALUES WITH (MODULUS 3, REMAINDER 2)";
    let target = "CREATE TABLE item_mirrors (id uuid PRIMARY KEY, a bigint, b text);
        CREATE TABLE more_mirrors (own int, PRIMARY KEY (id)) INHERITS (item_mirrors)";
    let mirrored = Mirrored::new(mirror()?, source, target).await?;
    fill(&mirrored, 3_000).await?;
    mirrored
        .target("WITH gone AS (DELETE FROM ONLY item_mirrors WHERE a % 4 = 0 RETURNING *) INSERT INTO more_mirrors SELECT * FROM gone")
        .await?;
    let report = mirrored.check(&physical(Some(1))).await?;
    assert_eq!((Found::of(&report), report.checked_rows), (NOTHING, 3_000));
    mirrored.target(&format!("UPDATE item_mirrors SET b = '' WHERE id IN ({}, {})", key(3), key(4))).await?;
    mirrored.target(&format!("DELETE FROM item_mirrors WHERE id = {}", key(8))).await?;
    assert_eq!(mirrored.found_by(&physical(Some(1))).await?, Found { missing: 1, different: 2, ..NOTHING });
    Ok(())
}

fn kept(store: &Memory) -> Options {
    let mut options = physical(Some(1));
    options.cursor = Some(Cursor::new(Arc::new(store.clone()), "check/items"));
    options.resume = true;
    options
}

/// Ends after so many more chunks, between two statements.
fn ends_after(mut options: Options, more: i64) -> Options {
    let (cancel, first) = (options.cancel.clone(), AtomicI64::new(i64::MAX));
    options.progress = Some(Arc::new(move |progress| {
        if progress.chunks - first.fetch_min(progress.chunks, Ordering::SeqCst).min(progress.chunks) + 1 >= more {
            cancel.cancel();
        }
    }));
    options
}

/// The chunks of a whole walk, page by page.
async fn chunks(mirrored: &Mirrored) -> Result<i64> {
    Ok(mirrored.check(&physical(Some(1))).await?.chunks)
}

#[tokio::test]
async fn m07_a_walk_page_by_page_goes_on_where_it_was_ended() -> Result<()> {
    let mirrored = uuids().await?;
    mirrored.target(&damage()).await?;
    let all = chunks(&mirrored).await?;
    let store = Memory::default();
    let mut parts = 0;
    let report = loop {
        let report = mirrored.check(&ends_after(kept(&store), all / 7)).await?;
        parts += 1;
        if report.complete {
            break report;
        }
        assert!(parts < 20, "it does not get on: {report:?}");
    };
    assert!(parts >= 7, "{parts}");
    assert_eq!((Found::of(&report), report.checked_rows), (DAMAGED, ROWS));
    // Each chunk once, and the end once more.
    assert!((all..=all + 1).contains(&report.chunks), "{} of {all}", report.chunks);
    assert!(store.names().is_empty(), "{:?}", store.names());
    Ok(())
}

#[tokio::test]
async fn m07_sums_that_are_lost_make_a_walk_begin_anew() -> Result<()> {
    let mirrored = uuids().await?;
    mirrored.target(&damage()).await?;
    let store = Memory::default();
    assert!(!mirrored.check(&ends_after(kept(&store), 30)).await?.complete);
    let sums = store.names().into_iter().find(|name| name.contains("sums")).expect("they are kept");
    lfk_core::CursorStore::forget(&store, &sums).await?;
    let report = mirrored.check(&kept(&store)).await?;
    assert_eq!((Found::of(&report), report.checked_rows), (DAMAGED, ROWS));
    Ok(())
}

/// The walk is ended after `share` of a hundred of its way through the sums, something is done, and it goes on.
async fn meanwhile(mirrored: &Mirrored, share: i64, main: &str, ci: &str) -> Result<lfk_mirror::Report> {
    // By pages, so that the sums are about half of the chunks or more.
    let pages: i64 = mirrored.pair.main.scalar("SELECT pg_relation_size('items') / 8192").await?;
    let store = Memory::default();
    let first = mirrored.check(&ends_after(kept(&store), 1 + pages * share / 100)).await?;
    assert!(!first.complete && first.checked_rows > 0 && first.checked_rows < ROWS, "{first:?}");
    mirrored.pair.main.execute(main).await?;
    mirrored.target(ci).await?;
    let report = mirrored.check(&kept(&store)).await?;
    assert!(report.complete);
    Ok(report)
}

/// Rows at the end of a table move to its beginning, where deleted rows leave room.
async fn with_room() -> Result<Mirrored> {
    let mirrored = Mirrored::new(mirror()?, SOURCE, TARGET).await?;
    let room =
        |table: &str| format!("INSERT INTO {table} (id, a) SELECT gen_random_uuid(), 0 FROM generate_series(1, 3000)");
    mirrored.pair.main.execute(&room("items")).await?;
    mirrored.target(&room("item_mirrors")).await?;
    fill(&mirrored, ROWS).await?;
    // In the order of the source, so that the ends of both tables have the same rows.
    mirrored.target("DELETE FROM item_mirrors WHERE a > 0").await?;
    mirrored.target(&format!("INSERT INTO item_mirrors (id, a, b) SELECT md5(n::text)::uuid, n, 'row ' || n FROM generate_series(1, {ROWS}) n")).await?;
    for (db, table) in [(&mirrored.pair.main, "items"), (&mirrored.pair.ci, "item_mirrors")] {
        db.execute(&format!("DELETE FROM {table} WHERE a = 0")).await?;
        db.execute(&format!("VACUUM {table}")).await?;
    }
    Ok(mirrored)
}

#[tokio::test]
async fn m03_rows_that_move_before_the_reader_or_behind_it_are_neither_lost_nor_invented() -> Result<()> {
    let mirrored = with_room().await?;
    let moved = |table: &str, set: &str| format!("UPDATE {table} SET {set} = 'moved' WHERE a > {}", ROWS - 1500);
    let damage = format!(
        "UPDATE item_mirrors SET b = 'other' WHERE id = {}; DELETE FROM item_mirrors WHERE id = {}; INSERT INTO item_mirrors VALUES ({}, {})",
        key(ROWS - 10),
        key(ROWS - 20),
        key(ROWS + 5),
        ROWS + 5
    );
    mirrored.target(&damage).await?;
    // Both sides of a pair move to pages that were read: neither is in a sum, and no bucket differs for them.
    let report = meanwhile(&mirrored, 50, &moved("items", "note"), &moved("item_mirrors", "own")).await?;
    let place = "SELECT max((ctid::text::point)[0])::bigint FROM";
    let (end, ours): (i64, i64) = (
        mirrored.pair.ci.scalar(&format!("{place} item_mirrors")).await?,
        mirrored.pair.ci.scalar(&format!("{place} item_mirrors WHERE id = {}", key(ROWS + 5))).await?,
    );
    assert!(ours < end / 3, "the row has moved to the beginning: page {ours} of {end}");
    assert_eq!(Found::of(&report), Found { missing: 1, different: 1, extra: 1, ..NOTHING });
    Ok(())
}

#[tokio::test]
async fn m04_changes_during_a_walk_page_by_page_are_lag_and_no_differences() -> Result<()> {
    let mirrored = uuids().await?;
    let logged = mirrored.logging(&["00000000-0000-0000-0000-000000000001"]);
    let change = format!(
        "UPDATE items SET b = 'new' WHERE a % 10 = 0; DELETE FROM items WHERE a % 10 = 1;
         INSERT INTO items SELECT md5(n::text)::uuid, n, 'late' FROM generate_series({}, {}) n",
        ROWS + 1,
        ROWS + 500
    );
    // The sync has followed with all of it but one row, whose key it still has to look at.
    let followed = change.replace("items", "item_mirrors");
    let one = format!("INSERT INTO items VALUES ('00000000-0000-0000-0000-000000000001', 1, 'x'); {logged}");
    let report = meanwhile(&mirrored, 40, &format!("{change}; {one}"), &followed).await?;
    assert_eq!(Found::of(&report), Found { in_flight: 1, ..NOTHING });
    Ok(())
}

#[tokio::test]
async fn m03_a_table_that_is_written_anew_during_a_walk_is_read_from_the_beginning() -> Result<()> {
    let mirrored = uuids().await?;
    mirrored.target(&damage()).await?;
    for (main, ci) in [("VACUUM FULL items", "SELECT"), ("SELECT", "CLUSTER item_mirrors USING item_mirrors_pkey")] {
        let report = meanwhile(&mirrored, 60, main, ci).await?;
        assert_eq!(
            (Found::of(&report), report.checked_rows, report.method),
            (DAMAGED, ROWS, Method::Physical),
            "{main}{ci}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn m03_large_tables_with_keys_at_random_are_read_page_by_page_and_no_others() -> Result<()> {
    let mirrored = Mirrored::new(mirror()?, SOURCE, TARGET).await?;
    let grow = |table: &str| {
        format!(
            "INSERT INTO {table} (id, a, b) SELECT md5(n::text)::uuid, n, repeat(md5(n::text), 10) FROM generate_series(1, 24000) n; ANALYZE {table}"
        )
    };
    fill(&mirrored, 2_000).await?;
    mirrored.pair.main.execute("ANALYZE items").await?;
    mirrored.target("ANALYZE item_mirrors").await?;
    assert_eq!(mirrored.check(&quick()).await?.method, Method::Digest, "small");
    mirrored.pair.main.execute("TRUNCATE items").await?;
    mirrored.target("TRUNCATE item_mirrors").await?;
    mirrored.pair.main.execute(&grow("items")).await?;
    mirrored.target(&grow("item_mirrors")).await?;
    let report = mirrored.check(&quick()).await?;
    assert_eq!((report.method, Found::of(&report), report.checked_rows), (Method::Physical, NOTHING, 24_000));
    // In the order of the key nothing is won.
    mirrored.pair.main.execute("CLUSTER items USING items_pkey").await?;
    mirrored.pair.main.execute("ANALYZE items").await?;
    mirrored.target("CLUSTER item_mirrors USING item_mirrors_pkey").await?;
    mirrored.target("ANALYZE item_mirrors").await?;
    assert_eq!(mirrored.check(&quick()).await?.method, Method::Digest);
    Ok(())
}

#[tokio::test]
async fn m03_what_has_no_pages_is_refused_or_walked_by_key() -> Result<()> {
    let source = "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
        CREATE TABLE items (id uuid PRIMARY KEY, a bigint, b text);
        CREATE FOREIGN TABLE far_items (id uuid NOT NULL, a bigint, b text) SERVER files OPTIONS (filename '/dev/null');
        ALTER FOREIGN TABLE far_items INHERIT items";
    let target = "CREATE TABLE item_mirrors (id uuid PRIMARY KEY, a bigint, b text)";
    let mirrored = Mirrored::new(mirror()?, source, target).await?;
    fill(&mirrored, 100).await?;
    let error = mirrored.check(&physical(None)).await.expect_err("a foreign table has no pages").to_string();
    assert!(error.contains("cannot be read in physical order"), "{error}");
    assert_eq!(mirrored.check(&quick()).await?.method, Method::Digest);
    Ok(())
}

#[tokio::test]
async fn m07_progress_by_pages_never_goes_back_and_ends_at_one() -> Result<()> {
    let mirrored = filled(20_000).await?;
    let last = Arc::new(AtomicI64::new(0));
    let mut options = physical(Some(1));
    let seen = last.clone();
    options.progress = Some(Arc::new(move |progress| {
        let percent = (progress.fraction.expect("pages are counted") * 100.0).round();
        let percent: i64 = format!("{percent}").parse().expect("a whole number");
        assert!(seen.swap(percent, Ordering::SeqCst) <= percent);
    }));
    mirrored.check(&options).await?;
    assert_eq!(last.load(Ordering::SeqCst), 100);
    Ok(())
}
