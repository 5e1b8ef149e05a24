//! Integer keys, which a scan reads as numbers: pages of thousands, and parents that lie densely, far apart, or in a tree.

use anyhow::Result;
use lfk_core::OnDelete;
use lfk_tests::Pair;
use lfk_tests::scenario::loose;

use crate::scan_support::{counts, scan};

const CHILDREN: &str = "CREATE TABLE children (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent int); CREATE INDEX ON children (parent)";

/// Checked keys, orphans, rows. The children are vacuumed, so that statistics make a scan read entry by entry.
async fn expect(parents: &str, children: &str, found: (u64, u64, u64)) -> Result<()> {
    let pair = Pair::with_schema(parents, &format!("{CHILDREN}; {children}")).await?;
    pair.ci.execute("VACUUM ANALYZE children").await?;
    let scan = scan(&pair.engine([loose("parents(id)", "children(parent)", OnDelete::Delete)?])?).await?;
    assert_eq!(counts(&scan), (found.0, found.1, found.2, 0, 0), "{children}");
    assert!(!scan.orphan_rows_is_lower_bound && !scan.checked_keys_is_upper_bound, "{scan:?}");
    Ok(())
}

#[tokio::test]
async fn m07_each_number_is_looked_at_where_parents_lie_densely() -> Result<()> {
    let parents = "CREATE TABLE parents (id bigint PRIMARY KEY);
        INSERT INTO parents SELECT n FROM generate_series(-5000, 20000) n WHERE n % 100 <> 3";
    let children = "INSERT INTO children (parent) SELECT n FROM generate_series(-6000, 21000) n;
        INSERT INTO children (parent) VALUES (NULL), (3), (2147483647), (-2147483648)";
    expect(parents, children, (27_003, 2_202, 2_203)).await
}

#[tokio::test]
async fn m07_each_number_is_looked_at_where_parents_lie_far_apart_and_where_that_changes() -> Result<()> {
    let parents = "CREATE TABLE parents (id int PRIMARY KEY);
        INSERT INTO parents SELECT n FROM generate_series(1, 60000) n WHERE n % 400 <> 0";
    // Of the first page, only the beginning is as dense as the parents.
    let children = "INSERT INTO children (parent) SELECT n FROM generate_series(1, 1000) n;
        INSERT INTO children (parent) SELECT n FROM generate_series(1020, 60000, 20) n";
    expect(parents, children, (3_950, 150, 150)).await
}

#[tokio::test]
async fn m07_a_number_that_repeats_counts_once_with_all_its_rows() -> Result<()> {
    let parents = "CREATE TABLE parents (id smallint PRIMARY KEY);
        INSERT INTO parents SELECT n FROM generate_series(1, 3000) n WHERE n % 30 <> 7";
    for each in [2, 10] {
        let children = format!(
            "INSERT INTO children (parent) SELECT n FROM generate_series(1, 3000) n, generate_series(1, {each}) ORDER BY random()"
        );
        expect(parents, &children, (3_000, 100, 100 * each)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn m07_each_number_is_looked_at_in_a_tree_of_parents() -> Result<()> {
    let parents = "CREATE TABLE parents (id bigint PRIMARY KEY) PARTITION BY HASH (id);
        CREATE TABLE p0 PARTITION OF parents FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE p1 PARTITION OF parents FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        INSERT INTO parents SELECT n FROM generate_series(1, 8000) n WHERE n % 80 <> 0";
    let children = "INSERT INTO children (parent) SELECT n FROM generate_series(1, 8000) n";
    expect(parents, children, (8_000, 100, 100)).await
}
