//! The ranges in which a window is read, against the definition of a window: thousands of random pairs of snapshots.

use anyhow::Result;
use lfk_core::OnDelete;
use lfk_sql::statements;
use lfk_tests::Pair;
use lfk_tests::scenario::{active, loose};

/// Reads windows between so many random pairs of snapshots with these statements, each in pages of random sizes. Answers where they differ from the definition, at most five.
async fn differences(page: &str, probe: &str, cases: u32) -> Result<Vec<Vec<Option<String>>>> {
    let seed: u32 = std::env::var("LFK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("LFK_SEED={seed}");
    let pair = Pair::with_schema(
        "CREATE TABLE projects (id bigint PRIMARY KEY)",
        "CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint); CREATE INDEX ON builds (project_id)",
    )
    .await?;
    active(&pair, [loose("projects(id)", "builds(project_id)", OnDelete::Delete)?]).await?;
    let rows = "INSERT INTO lfk.key_log (leaf, table_id, xid, id, keys) OVERRIDING SYSTEM VALUE
         SELECT x % 8, t.table_id, x::text::xid8, n * 100 + x % 7, array_fill(1::bigint, ARRAY[1 + x % 5])
           FROM lfk.tracked t, generate_series(1000, 1019) x, generate_series(1, 2) n";
    pair.main.execute(&format!("{rows}; {}", include_str!("../sabotage/check_ranges.sql"))).await?;
    let begin = statements::BEGIN_LOG;
    let seed = f64::from(seed) / f64::from(u32::MAX);
    let check = format!(
        "{begin};
         SET LOCAL statement_timeout = '100s';
         SET LOCAL plan_cache_mode = force_generic_plan;
         PREPARE page AS {page};
         PREPARE probe AS {probe};
         SELECT * FROM public.check_ranges('builds.project_id', {seed}, {cases}) LIMIT 5;
         ROLLBACK"
    );
    // The first row is what the settings answer with.
    Ok(pair.main.rows(&check).await?.split_off(1))
}

#[tokio::test]
async fn l14_a_window_is_what_its_end_sees_and_its_beginning_does_not() -> Result<()> {
    let none: [Vec<Option<String>>; 0] = [];
    assert_eq!(differences(statements::PAGE, statements::PROBE.as_str(), 2000).await?, none);
    Ok(())
}

/// The check finds the real statements with one piece replaced.
async fn finds(piece: &str, by: &str) -> Result<()> {
    let (page, probe) = (statements::PAGE.replace(piece, by), statements::PROBE.as_str().replace(piece, by));
    assert!(page != statements::PAGE || probe != statements::PROBE.as_str(), "the piece is not there");
    assert!(!differences(&page, &probe, 300).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn l14_sabotage_a_page_without_late_transactions_is_found() -> Result<()> {
    finds("WHERE pg_visible_in_snapshot(x, c.cur)", "WHERE false").await
}

#[tokio::test]
async fn l14_sabotage_a_page_that_reads_what_is_still_running_is_found() -> Result<()> {
    finds("WHERE x >= pg_snapshot_xmax(c.prev)) b", "WHERE false) b").await
}

#[tokio::test]
async fn l14_sabotage_a_page_that_begins_one_transaction_late_is_found() -> Result<()> {
    finds(
        "SELECT pg_snapshot_xmax(c.prev) AS x, -1::bigint AS i",
        "SELECT pg_snapshot_xmax(c.prev) AS x, 9223372036854775807 AS i",
    )
    .await
}

#[tokio::test]
async fn l14_sabotage_a_probe_without_late_transactions_is_found() -> Result<()> {
    finds("FROM pg_snapshot_xip(c.prev) x,", "FROM pg_snapshot_xip(NULL) x,").await
}
