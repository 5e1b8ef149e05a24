//! What was deleted while nobody could see it: found by the coverage check, named, and swept.

use std::time::Duration;

use anyhow::Result;
use lfk_core::Engine;
use lfk_tests::Pair;
use lfk_tests::scenario::{active, drain};

use crate::capture_support::cover;
use crate::clean_support::{ALL_BUILDS, BUILDS, status, table};
use crate::log_support::builds;

/// Project 1 in a partition of its own.
const PARENTS: &str = "CREATE TABLE projects (id bigint PRIMARY KEY) PARTITION BY RANGE (id);
    CREATE TABLE first PARTITION OF projects FOR VALUES FROM (1) TO (2);
    CREATE TABLE others PARTITION OF projects FOR VALUES FROM (2) TO (9);
    INSERT INTO projects VALUES (1), (2), (3);
    ALTER DEFAULT PRIVILEGES GRANT TRIGGER ON TABLES TO PUBLIC";

async fn covered() -> Result<(Pair, Engine)> {
    let pair = Pair::with_schema(PARENTS, BUILDS).await?;
    let engine = active(&pair, [builds()?.settle_after(Duration::ZERO)]).await?;
    drain(&engine).await?;
    assert_eq!(cover(&pair.main).await?, [""; 0]);
    Ok((pair, engine))
}

#[tokio::test]
async fn c05_a_partition_that_was_dropped_or_detached_is_named_and_swept() -> Result<()> {
    for (statement, named) in [
        ("DROP TABLE first", "public.first gone"),
        ("ALTER TABLE projects DETACH PARTITION first", "public.first detached"),
    ] {
        let (pair, engine) = covered().await?;
        pair.main.execute(statement).await?;
        let said = cover(&pair.main).await?;
        assert!(said.len() == 1 && said[0].starts_with(named), "{said:?}");
        assert_eq!(cover(&pair.main).await?, [""; 0], "said once");
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..], "{statement}");
        assert_eq!(table(&pair.ci, "bystanders").await?, ALL_BUILDS, "{statement}");
    }
    Ok(())
}

#[tokio::test]
async fn c05_a_worker_finds_a_dropped_partition_by_itself() -> Result<()> {
    let (pair, engine) = covered().await?;
    pair.main.execute("DROP TABLE first").await?;
    // The first round looks at the coverage after it has looked for work.
    drain(&engine).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    Ok(())
}

#[tokio::test]
async fn c05_deletes_while_a_trigger_was_disabled_or_missing_are_swept() -> Result<()> {
    for (statement, named) in [
        ("ALTER TABLE first DISABLE TRIGGER ALL", "public.first disabled"),
        ("DROP TRIGGER lfk_1_d ON first", "public.first created d"),
    ] {
        let (pair, engine) = covered().await?;
        pair.main.execute(&format!("{statement}; DELETE FROM first")).await?;
        assert_eq!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.key_log").await?, 0, "{statement}: nobody saw it");
        let said = cover(&pair.main).await?;
        assert!(said.len() == 1 && said[0].starts_with(named), "{said:?}");
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..], "{statement}");
        let gaps = status(&engine).await?.not_covered;
        assert_eq!(gaps, i64::from(named.ends_with("disabled")), "{statement}");
    }
    Ok(())
}

#[tokio::test]
async fn c05_what_was_deleted_between_two_checks_of_a_lasting_gap_is_swept_when_it_ends() -> Result<()> {
    let (pair, engine) = covered().await?;
    pair.main.execute("ALTER TABLE others DISABLE TRIGGER ALL").await?;
    cover(&pair.main).await?;
    drain(&engine).await?;
    pair.main.execute("DELETE FROM others WHERE id = 3").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    pair.main.execute("ALTER TABLE others ENABLE TRIGGER ALL").await?;
    assert_eq!(cover(&pair.main).await?, [""; 0]);
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(11,1,0)", "(12,1,4)", "(21,2,0)", "(90,,0)"]);
    assert_eq!(status(&engine).await?.not_covered, 0);
    Ok(())
}

#[tokio::test]
async fn c05_a_new_partition_is_no_gap_and_is_not_swept() -> Result<()> {
    let (pair, _engine) = covered().await?;
    pair.main.execute("CREATE TABLE later PARTITION OF projects FOR VALUES FROM (9) TO (20)").await?;
    assert_eq!(cover(&pair.main).await?, ["public.later created d, u, t"]);
    assert_eq!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.key_log").await?, 0);
    Ok(())
}
