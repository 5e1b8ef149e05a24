//! Every kind of key and table is walked whole, each key once; a scan that ended early goes on.

use std::time::Duration;

use anyhow::Result;
use lfk_core::sabotage::{self, Point};
use lfk_core::{ErrorKind, LooseForeignKey, OnDelete, ScanEnd};
use lfk_sql::{Ident, TableName, statements};
use lfk_tests::scenario::loose;
use lfk_tests::{Cli, Pair, eventually};

use crate::clean_support::{Interference, builder};
use crate::log_support::{When, builds};
use crate::scan_support::{CursorFile, NAME, counts, many, scan, scan_error, scan_with};

const PARENTS: &str =
    "CREATE TABLE parents (id bigint PRIMARY KEY); INSERT INTO parents SELECT generate_series(1, 100)";

/// Checked keys, orphans, rows.
async fn expect(parents: &str, children: &str, key: LooseForeignKey, found: (u64, u64, u64)) -> Result<()> {
    let pair = Pair::new().await?;
    tokio::try_join!(pair.main.execute(parents), pair.ci.execute(children))?;
    let scan = scan(&pair.engine([key])?).await?;
    assert_eq!((scan.checked_keys, scan.orphan_keys, scan.orphan_rows), found, "{children}");
    assert!(!scan.orphan_rows_is_lower_bound && !scan.checked_keys_is_upper_bound, "{scan:?}");
    Ok(())
}

fn of(parent: &str, child: &str) -> Result<LooseForeignKey> {
    loose(&format!("parents({parent})"), &format!("children({child})"), OnDelete::Delete)
}

#[tokio::test]
async fn m07_composite_keys_are_walked_in_whatever_order_their_index_has() -> Result<()> {
    let parents = "CREATE TABLE parents (shop int, number text, PRIMARY KEY (shop, number));
        INSERT INTO parents SELECT s, n::text FROM generate_series(1, 30) s, generate_series(1, 30) n";
    for index in ["shop, number", "number, shop", "number, shop, id"] {
        let children = format!(
            r#"CREATE TABLE children (id serial PRIMARY KEY, shop smallint, number varchar(9) COLLATE "und-x-icu");
            CREATE INDEX ON children ({index});
            INSERT INTO children (shop, number) SELECT s, n::text FROM generate_series(1, 31) s, generate_series(1, 31) n, generate_series(1, 3);
            INSERT INTO children (shop, number) VALUES (NULL, '1'), (99, NULL), (NULL, NULL); ANALYZE children"#
        );
        expect(parents, &children, of("shop, number", "shop, number")?, (961, 61, 183)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn m07_text_keys_are_walked_in_the_order_of_the_childs_own_collation() -> Result<()> {
    let parents = r#"CREATE TABLE parents (id text COLLATE "C" PRIMARY KEY);
        INSERT INTO parents SELECT v FROM unnest(ARRAY['a', 'B', 'b', 'ä', 'z', 'Z', 'A-1', 'a1', '%', E'\\']) v"#;
    let children = r#"CREATE TABLE children (id int PRIMARY KEY, parent text COLLATE "und-x-icu"); CREATE INDEX ON children (parent);
        INSERT INTO children SELECT n, v FROM unnest(ARRAY['a', 'B', 'b', 'ä', 'z', 'Z', 'A-1', 'a1', '%', E'\\', '', 'A', 'Ä', 'a 1', 'ß', NULL]) WITH ORDINALITY u(v, n)"#;
    expect(parents, children, of("id", "parent")?, (15, 5, 5)).await
}

#[tokio::test]
async fn m07_uuids_and_narrow_integers_are_walked() -> Result<()> {
    let parents = "CREATE TABLE parents (id uuid PRIMARY KEY); INSERT INTO parents SELECT md5(n::text)::uuid FROM generate_series(1, 500) n";
    let children = "CREATE TABLE children (id int PRIMARY KEY, parent uuid); CREATE INDEX ON children (parent);
        INSERT INTO children SELECT n, md5((n % 600)::text)::uuid FROM generate_series(0, 1199) n";
    expect(parents, children, of("id", "parent")?, (600, 100, 200)).await?;
    let children = "CREATE TABLE children (id int PRIMARY KEY, parent smallint); CREATE INDEX ON children (parent);
        INSERT INTO children VALUES (1, -32768), (2, 1), (3, 100), (4, 32767), (5, NULL)";
    expect(PARENTS, children, of("id", "parent")?, (4, 2, 2)).await
}

#[tokio::test]
async fn m07_only_children_that_the_condition_means_count_whether_an_index_helps_or_not() -> Result<()> {
    for index in ["CREATE INDEX ON children (kind, parent)", "CREATE INDEX ON children (parent)", "SELECT"] {
        let children = format!(
            "CREATE TABLE children (id int PRIMARY KEY, kind text, parent bigint); {index};
             INSERT INTO children SELECT n, CASE n % 5 WHEN 0 THEN 'Post' WHEN 1 THEN NULL ELSE 'Wiki' END, 1 + n % 200
               FROM generate_series(1, 20000) n; ANALYZE children"
        );
        expect(PARENTS, &children, of("id", "parent")?.only_where("kind", "Post")?, (40, 20, 2000)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn m07_children_that_are_already_as_they_shall_be_are_no_orphans() -> Result<()> {
    let children =
        "CREATE TABLE children (id int PRIMARY KEY, parent bigint, status int); CREATE INDEX ON children (parent);
        INSERT INTO children VALUES (1, 500, 4), (2, 501, NULL), (3, 501, 4), (4, 502, 0), (5, 1, 0)";
    let set = OnDelete::Set(vec![(Ident::new("status")?, Some("4".to_owned()))]);
    expect(PARENTS, children, loose("parents(id)", "children(parent)", set)?, (3, 2, 2)).await
}

#[tokio::test]
async fn m07_a_key_in_several_tables_of_a_tree_counts_once_with_all_its_rows() -> Result<()> {
    let partitions = "CREATE TABLE children (id int PRIMARY KEY, parent bigint) PARTITION BY RANGE (id);
        CREATE TABLE low PARTITION OF children FOR VALUES FROM (0) TO (1000);
        CREATE TABLE high PARTITION OF children FOR VALUES FROM (1000) TO (9000) PARTITION BY RANGE (id);
        CREATE TABLE high_1 PARTITION OF high FOR VALUES FROM (1000) TO (5000);
        CREATE TABLE high_2 PARTITION OF high DEFAULT;
        CREATE INDEX ON children (parent);
        INSERT INTO children SELECT n, 1 + n % 110 FROM generate_series(0, 5499) n";
    expect(PARENTS, partitions, of("id", "parent")?, (110, 10, 500)).await?;
    // One leaf has an index, one has none, the root is empty.
    let inherited = "CREATE TABLE children (id int PRIMARY KEY, parent bigint);
        CREATE TABLE a (PRIMARY KEY (id)) INHERITS (children); CREATE INDEX ON a (parent);
        CREATE TABLE b (more text, PRIMARY KEY (id)) INHERITS (children);
        INSERT INTO a SELECT n, 1 + n % 110 FROM generate_series(0, 1099) n;
        INSERT INTO b SELECT n, 1 + n % 110 FROM generate_series(0, 1099) n";
    expect(PARENTS, inherited, of("id", "parent")?, (110, 10, 200)).await
}

#[tokio::test]
async fn m07_without_an_index_the_rows_are_walked_by_their_own_key() -> Result<()> {
    let rows = "SELECT n, 1 + n % 110 FROM generate_series(0, 32999) n";
    for (key, more) in [
        ("id int PRIMARY KEY, parent bigint", ""),
        (r#"id text COLLATE "und-x-icu" PRIMARY KEY, parent bigint"#, "::text"),
        ("at timestamptz, parent bigint, PRIMARY KEY (parent, at)", ""),
        ("id numeric NOT NULL UNIQUE, parent bigint", ""),
    ] {
        let rows = match key {
            key if key.starts_with("at") => {
                "SELECT to_timestamp(n + 0.123456), 1 + n % 110 FROM generate_series(0, 32999) n".to_owned()
            }
            _ => rows.replacen("n,", &format!("n{more},"), 1),
        };
        let children = format!(
            "CREATE TABLE children ({key}); INSERT INTO children {rows};
             DROP TABLE IF EXISTS nothing; ANALYZE children"
        );
        expect(PARENTS, &children, of("id", "parent")?, (110, 10, 3000)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn m07_a_table_without_any_key_is_read_at_once_when_it_is_small_and_refused_when_it_is_not() -> Result<()> {
    let children = "CREATE TABLE children (parent bigint); INSERT INTO children SELECT 1 + n % 110 FROM generate_series(0, 1099) n";
    expect(PARENTS, children, of("id", "parent")?, (110, 10, 100)).await?;
    let pair = Pair::with_schema(PARENTS, "CREATE TABLE children (parent bigint)").await?;
    pair.ci.execute("INSERT INTO children SELECT n FROM generate_series(1, 300000) n").await?;
    let error = scan_error(&pair.engine([of("id", "parent")?])?).await?;
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.hint.is_some_and(|hint| hint.contains("CREATE INDEX CONCURRENTLY ON public.children")));
    Ok(())
}

#[tokio::test]
async fn m07_keys_with_many_children_are_found_and_counted() -> Result<()> {
    let children = "CREATE TABLE children (id int PRIMARY KEY, parent bigint);
        INSERT INTO children SELECT n, CASE WHEN n <= 25000 THEN 500 ELSE 1 + n % 100 END FROM generate_series(1, 60000) n;
        CREATE INDEX ON children (parent); ANALYZE children";
    expect(PARENTS, children, of("id", "parent")?, (101, 1, 25_000)).await
}

#[tokio::test]
async fn l07_both_ways_through_an_index_read_no_more_than_they_answer() -> Result<()> {
    let pair = Pair::with_schema("", "").await?;
    pair.ci
        .execute(
            "CREATE TABLE children (id int PRIMARY KEY, kind text, parent bigint);
             INSERT INTO children SELECT n, 'Post', n / 100 FROM generate_series(1, 100000) n;
             CREATE INDEX ON children (parent); ANALYZE children",
        )
        .await?;
    let leaf = TableName::new(Ident::new("public")?, Ident::new("children")?);
    for behind in [false, true] {
        let walks = sabotage::walks(&of("id", "parent")?, &["int8"], &leaf, false, behind);
        for (walk, most) in walks.into_iter().flatten().zip([60, 60]) {
            let arguments = if behind { "('500', 10)" } else { "(10)" };
            let plan = pair
                .ci
                .rows(&format!(
                    "{}; PREPARE asked AS {walk}; EXPLAIN (ANALYZE, BUFFERS, TIMING off, FORMAT JSON) EXECUTE asked{arguments}; ROLLBACK; DEALLOCATE asked",
                    statements::BEGIN_RECHECK
                ))
                .await?;
            // The settings answer with a row as well.
            let text = plan.last().and_then(|row| row[0].clone()).unwrap_or_default();
            let json: serde_json::Value = serde_json::from_str(&text)?;
            let top = &json[0]["Plan"];
            let blocks =
                top["Shared Hit Blocks"].as_i64().unwrap_or(i64::MAX) + top["Shared Read Blocks"].as_i64().unwrap_or(0);
            assert!(blocks <= most, "{blocks} blocks: {walk}\n{text}");
            assert!(!text.contains("Seq Scan") && text.contains("children_parent_idx"), "{walk}\n{text}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn m07_a_scan_that_was_killed_goes_on_and_counts_as_if_it_had_not_been() -> Result<()> {
    // The first page has no suspects, and is stored at once; those behind it have.
    let pair = many(60_000, 7_000, 1).await?;
    let whole = scan(&pair.engine([builds()?])?).await?;
    assert_eq!(counts(&whole), (60_000, 8, 8, 0, 0));
    let file = CursorFile::new();
    let dies = When::dies(Point::ScanLooked, NAME, 4);
    let killed = builder(&pair)?.hook(dies).definitions([builds()?]).build()?;
    let report = killed.scan(&[NAME.to_owned()], &file.options(false)).await?;
    assert_eq!(report.failures.first().map(|e| e.kind), Some(ErrorKind::Crashed));
    assert_eq!(report.scans[0].result, ScanEnd::Failed);
    let resumed = scan_with(&pair.engine([builds()?])?, &file.options(true)).await?;
    assert_eq!((resumed.resumed, counts(&resumed)), (true, counts(&whole)));
    // It came to its end: the next one begins at the beginning.
    let again = scan_with(&pair.engine([builds()?])?, &file.options(true)).await?;
    assert_eq!((again.resumed, counts(&again)), (false, counts(&whole)));
    Ok(())
}

#[tokio::test]
async fn m07_a_scan_that_was_stopped_goes_on_from_where_it_was() -> Result<()> {
    let pair = many(60_000, 7_000, 1).await?;
    let file = CursorFile::new();
    let (asked, asking) = tokio::sync::oneshot::channel::<()>();
    let stop = Interference::at_turn(3, Point::ScanLooked, async move {
        let _ = asked.send(());
        // The scan notices between two pages.
        Ok(())
    });
    let engine = builder(&pair)?.hook(stop).definitions([builds()?]).build()?;
    let names = [NAME.to_owned()];
    let report = engine.scan_or(&names, &file.options(false), async { asking.await.unwrap_or(()) }).await?;
    let first = &report.scans[0];
    assert_eq!(first.result, ScanEnd::Stopped);
    assert!((1..60_000).contains(&first.checked_keys), "{first:?}");
    let resumed = scan_with(&pair.engine([builds()?])?, &file.options(true)).await?;
    assert_eq!((resumed.resumed, counts(&resumed)), (true, (60_000, 8, 8, 0, 0)));
    Ok(())
}

#[tokio::test]
async fn m07_a_lost_cursor_or_that_of_another_definition_means_a_new_start() -> Result<()> {
    let pair = many(5_000, 100, 1).await?;
    let file = CursorFile::new();
    let engine = pair.engine([builds()?])?;
    let expected = (5_000, 50, 50, 0, 0);
    let mut ended = file.options(false);
    ended.timeout = Some(Duration::ZERO);
    for damage in ["", "{", "{\"scan/builds.project_id\":{\"version\":3,\"value\":\"{}\"}}"] {
        assert_eq!(scan_with(&engine, &ended).await?.result, ScanEnd::TimedOut);
        if damage.is_empty() {
            let _ = std::fs::remove_file(&file.0);
        } else {
            std::fs::write(&file.0, damage)?;
        }
        let again = scan_with(&engine, &file.options(true)).await?;
        assert_eq!((again.resumed, counts(&again)), (false, expected), "{damage}");
    }
    let nulls = loose("projects(id)", "builds(project_id)", OnDelete::SetNull)?;
    let text = r#"{"format":1,"fingerprint":"another","table":null,"method":"","behind":null,"counts":{"checked":1,"checked_is_upper_bound":false,"orphans":0,"rows":0,"rows_is_lower_bound":false,"in_flight":0,"unconfirmed":0}}"#;
    let entry = serde_json::json!({ "scan/builds.project_id": { "version": 1, "value": text } });
    std::fs::write(&file.0, entry.to_string())?;
    let again = scan_with(&pair.engine([nulls])?, &file.options(true)).await?;
    assert_eq!((again.resumed, counts(&again)), (false, expected));
    Ok(())
}

#[tokio::test]
async fn m07_two_scans_at_once_do_no_harm() -> Result<()> {
    let pair = many(20_000, 500, 1).await?;
    let file = CursorFile::new();
    let (one, two) = (pair.engine([builds()?])?, pair.engine([builds()?])?);
    let options = file.options(false);
    let (one, two) = tokio::try_join!(scan_with(&one, &options), scan_with(&two, &options))?;
    assert_eq!(counts(&one), (20_000, 40, 40, 0, 0));
    assert_eq!(counts(&two), counts(&one));
    Ok(())
}

#[tokio::test]
async fn m07_a_signal_ends_a_scan_with_130_and_it_can_be_resumed() -> Result<()> {
    let pair = many(5_000, 100, 1).await?;
    // Something is open, so that the scan is there to be interrupted.
    let mut writer = pair.main.connect().await?;
    sqlx::raw_sql("BEGIN; SELECT pg_current_xact_id()").execute(&mut writer).await?;
    let cli = Cli::for_pair(
        &pair,
        "[[loose_foreign_key]]\nparent = \"main:public.projects(id)\"\nchild = \"ci:public.builds(project_id)\"\non_delete = \"delete\"\n",
    )?;
    let file = CursorFile::new();
    let path = file.0.display().to_string();
    let mut running = cli.spawn(["scan", NAME, "-v", "--cursor-file", &path])?;
    eventually("it waits", Duration::from_secs(60), async || Ok(running.stderr().contains("waiting for"))).await?;
    running.signal(lfk_tests::Signal::Interrupt)?;
    let ended = running.wait(Duration::from_secs(60)).await?.expect(130);
    assert!(ended.stderr.contains("--resume"), "{ended:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut writer).await?;
    let found = cli.run(["scan", NAME, "--resume", "--cursor-file", &path, "--format", "json"]).await?.expect(3);
    assert_eq!(found.json()?["scans"][0]["orphan_keys"], 50);
    Ok(())
}
