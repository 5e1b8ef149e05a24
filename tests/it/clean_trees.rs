//! Children that are partitioned or inherited, and parents with many of them.

use anyhow::Result;
use lfk_core::sabotage::Point;
use lfk_core::{LooseForeignKey, OnDelete};
use lfk_tests::Pair;
use lfk_tests::scenario::{active, drain, let_again, loose};

use crate::clean_support::{Interference, PROJECTS, Place, activated, builder, status, table};

fn builds(on_delete: OnDelete) -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", on_delete)
}

/// The same row addresses in every leaf, each time with another parent.
const PARTITIONED: &str = "CREATE TABLE builds (id bigint, project_id bigint) PARTITION BY RANGE (id);
    CREATE INDEX ON builds (project_id);
    CREATE TABLE builds_10 PARTITION OF builds FOR VALUES FROM (10) TO (20);
    CREATE TABLE builds_20 PARTITION OF builds FOR VALUES FROM (20) TO (30) PARTITION BY HASH (id);
    CREATE TABLE builds_20_0 PARTITION OF builds_20 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE builds_20_1 PARTITION OF builds_20 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    CREATE TABLE builds_rest PARTITION OF builds DEFAULT;
    INSERT INTO builds SELECT 10 * leaf + n, (leaf + n) % 3 + 1 FROM generate_series(1, 4) leaf, generate_series(1, 6) n;";

/// The same with inheritance, three levels of it; the root and the middle hold rows too.
const INHERITED: &str = "CREATE TABLE builds (id bigint, project_id bigint);
    CREATE TABLE builds_2 (reason text) INHERITS (builds);
    CREATE TABLE builds_3 () INHERITS (builds_2);
    CREATE INDEX ON builds (project_id); CREATE INDEX ON builds_2 (project_id); CREATE INDEX ON builds_3 (project_id);
    INSERT INTO builds SELECT 10 + n, n % 3 + 1 FROM generate_series(1, 6) n;
    INSERT INTO builds_2 SELECT 20 + n, (n + 1) % 3 + 1 FROM generate_series(1, 6) n;
    INSERT INTO builds_3 SELECT 30 + n, (n + 2) % 3 + 1 FROM generate_series(1, 6) n;";

/// Deletes project 1 and expects that exactly its builds are gone, in every leaf.
async fn expect_builds_of_1_gone(tree: &str) -> Result<()> {
    for place in Place::ALL {
        let pair = place.pair(PROJECTS, tree).await?;
        let engine = active(&pair, [builds(OnDelete::Delete)?]).await?;
        let leaves = "(SELECT id, tableoid::regclass::text, project_id FROM builds) b";
        let (all, kept) =
            (table(&pair.ci, leaves).await?, table(&pair.ci, &format!("{leaves} WHERE project_id <> 1")).await?);
        assert!(kept.len() < all.len());
        pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, leaves).await?, kept, "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn l17_equal_row_addresses_in_several_partitions_are_told_apart() -> Result<()> {
    expect_builds_of_1_gone(PARTITIONED).await
}

#[tokio::test]
async fn l17_equal_row_addresses_in_an_inheritance_tree_are_told_apart() -> Result<()> {
    expect_builds_of_1_gone(INHERITED).await
}

#[tokio::test]
async fn l01_set_null_moves_children_out_of_a_partition_that_null_does_not_fit() -> Result<()> {
    let tree = "CREATE TABLE builds (id bigint, project_id bigint) PARTITION BY LIST (id);
        CREATE INDEX ON builds (project_id);
        CREATE TABLE builds_odd PARTITION OF builds FOR VALUES IN (1, 3); CREATE TABLE builds_even PARTITION OF builds DEFAULT;
        INSERT INTO builds VALUES (1, 1), (2, 1), (3, 2), (4, 2)";
    let pair = Pair::with_schema(PROJECTS, tree).await?;
    let engine = active(&pair, [builds(OnDelete::SetNull)?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(1,)", "(2,)", "(3,2)", "(4,2)"]);
    Ok(())
}

#[tokio::test]
async fn l01_a_partition_that_came_after_the_installation_is_cleaned_too() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, PARTITIONED).await?;
    let engine = active(&pair, [builds(OnDelete::Delete)?]).await?;
    pair.ci
        .execute(
            "CREATE TABLE builds_90 PARTITION OF builds FOR VALUES FROM (90) TO (99);
            INSERT INTO builds VALUES (91, 1), (92, 2)",
        )
        .await?;
    let_again(&engine).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds_90").await?, ["(92,2)"]);
    assert_eq!(pair.ci.scalar::<i64>("SELECT count(*) FROM builds WHERE project_id = 1").await?, 0);
    Ok(())
}

/// One parent with 4,500 children in two tables, between children of others.
const WIDE: &str = "CREATE TABLE builds (id bigint, project_id bigint, status int);
    CREATE TABLE old_builds () INHERITS (builds);
    CREATE INDEX ON builds (project_id); CREATE INDEX ON old_builds (project_id);
    INSERT INTO builds SELECT n, CASE WHEN n % 10 = 0 THEN 2 ELSE 1 END FROM generate_series(1, 2500) n;
    INSERT INTO old_builds SELECT n, CASE WHEN n % 10 = 0 THEN 2 ELSE 1 END FROM generate_series(2501, 5000) n;";

#[tokio::test]
async fn l01_a_wide_parent_is_cleaned_in_rounds() -> Result<()> {
    for place in Place::ALL {
        let pair = place.pair(PROJECTS, WIDE).await?;
        let rounds = Interference::at(Point::Rechecked, async { Ok(()) });
        let engine = activated(builder(&pair)?.hook(rounds.clone()), [builds(OnDelete::Delete)?]).await?;
        let kept = table(&pair.ci, "builds WHERE project_id = 2").await?;
        pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "builds").await?, kept, "{place:?}");
        assert!(rounds.passed() >= 2, "{place:?}: the first form takes at most 2,000 rows of a table");
        assert_eq!(status(&engine).await?.rows_affected_total, 4500, "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn l01_set_on_a_wide_parent_ends() -> Result<()> {
    let set = OnDelete::Set(vec![(lfk_sql::Ident::new("status")?, Some("4".to_owned()))]);
    for place in [Place::AnotherServer, Place::SameDatabase] {
        let pair = place.pair(PROJECTS, WIDE).await?;
        let engine = active(&pair, [builds(set.clone())?]).await?;
        pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
        drain(&engine).await?;
        let groups = "(SELECT project_id, status, count(*) FROM builds GROUP BY 1, 2) g";
        assert_eq!(table(&pair.ci, groups).await?, ["(1,4,4500)", "(2,,500)"], "{place:?}");
        assert_eq!(status(&engine).await?.rows_affected_total, 4500, "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn l01_whole_statements_go_leaf_by_leaf_too() -> Result<()> {
    // After the first 500 keys the fan-out is known, and the statements are no longer capped.
    let projects =
        "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects SELECT generate_series(1, 1500)";
    let tree = "CREATE TABLE builds (id bigint, project_id bigint);
        CREATE TABLE old_builds () INHERITS (builds);
        CREATE INDEX ON builds (project_id); CREATE INDEX ON old_builds (project_id);
        INSERT INTO builds SELECT n, n FROM generate_series(1, 1500) n;
        INSERT INTO old_builds SELECT -n, 1501 - n FROM generate_series(1, 1500) n;";
    for place in Place::ALL {
        let pair = place.pair(projects, tree).await?;
        let engine = active(&pair, [builds(OnDelete::Delete)?]).await?;
        pair.main.execute("DELETE FROM projects WHERE id NOT IN (7, 1400)").await?;
        drain(&engine).await?;
        let left = ["(-1494,7)", "(-101,1400)", "(7,7)", "(1400,1400)"];
        assert_eq!(table(&pair.ci, "builds").await?, left, "{place:?}");
    }
    Ok(())
}
