//! Parents that come back: their children stay.

use anyhow::Result;
use lfk_core::sabotage::Point;
use lfk_core::{Engine, LooseForeignKey, OnDelete};
use lfk_tests::Pair;
use lfk_tests::scenario::{activate, active, drain, installed, loose};

use crate::clean_support::{
    ALL_BUILDS, BUILDS, Interference, PROJECTS, Place, THOUSAND_BUILDS, THOUSAND_PROJECTS, activated, builder, status,
    table,
};

fn builds(on_delete: OnDelete) -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", on_delete)
}

/// Nothing was deleted, nothing waits, and so many keys were found alive.
async fn expect_untouched(pair: &Pair, engine: &Engine, resurrected: i64) -> Result<()> {
    drain(engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    let status = status(engine).await?;
    assert_eq!((status.resurrected_total, status.rows_affected_total, status.retries), (resurrected, 0, 0));
    Ok(())
}

#[tokio::test]
async fn l02_a_parent_that_came_back_keeps_its_children() -> Result<()> {
    for place in Place::ALL {
        let pair = place.pair(PROJECTS, BUILDS).await?;
        let engine = active(&pair, [builds(OnDelete::Delete)?]).await?;
        pair.main.execute("DELETE FROM projects WHERE id IN (1, 2)").await?;
        pair.main.execute("INSERT INTO projects VALUES (1, 'again'), (2, 'again')").await?;
        expect_untouched(&pair, &engine, 2).await?;
    }
    Ok(())
}

#[tokio::test]
async fn l02_only_those_that_came_back_are_spared() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds(OnDelete::Delete)?]).await?;
    pair.main.execute("DELETE FROM projects").await?;
    pair.main.execute("INSERT INTO projects VALUES (2, 'again')").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(21,2,0)", "(90,,0)"]);
    assert_eq!(status(&engine).await?.resurrected_total, 1);
    Ok(())
}

/// Eight hundred projects, some of which come back: some also in the heir of their table, where no key forbids it.
async fn expect_those_that_came_back(key_type: &str, distance: i64) -> Result<()> {
    let parents = format!(
        "CREATE TABLE projects (id {key_type} PRIMARY KEY); CREATE TABLE heirs (PRIMARY KEY (id)) INHERITS (projects);
        INSERT INTO projects SELECT {distance} * n FROM generate_series(-400, 399) n"
    );
    let children = format!(
        "CREATE TABLE builds (id int PRIMARY KEY, project_id bigint); CREATE INDEX ON builds (project_id);
        INSERT INTO builds SELECT n, {distance} * n FROM generate_series(-400, 399) n"
    );
    let pair = Pair::with_schema(&parents, &children).await?;
    let engine = active(&pair, [builds(OnDelete::Delete)?]).await?;
    pair.main.execute("DELETE FROM projects").await?;
    pair.main
        .execute(&format!(
            "INSERT INTO projects SELECT {distance} * n FROM generate_series(-400, 399, 7) n;
            INSERT INTO heirs SELECT {distance} * n FROM generate_series(-400, 399, 14) n;
            INSERT INTO heirs VALUES ({distance} * 1), ({distance} * 399)"
        ))
        .await?;
    drain(&engine).await?;
    let mut left: Vec<i32> = (-400..400).step_by(7).chain([1, 399]).collect();
    left.sort_unstable();
    let builds: Vec<i32> = pair.ci.scalar("SELECT array_agg(id ORDER BY id) FROM builds").await?;
    assert_eq!(builds, left, "{key_type}, {distance} apart");
    assert_eq!(status(&engine).await?.resurrected_total, i64::try_from(left.len())?);
    Ok(())
}

#[tokio::test]
async fn l02_of_neighbouring_keys_only_those_that_came_back_are_spared() -> Result<()> {
    for key_type in ["smallint", "int", "bigint"] {
        expect_those_that_came_back(key_type, 1).await?;
    }
    Ok(())
}

#[tokio::test]
async fn l02_of_keys_far_apart_only_those_that_came_back_are_spared() -> Result<()> {
    expect_those_that_came_back("smallint", 80).await?;
    expect_those_that_came_back("bigint", 20_000_000_000_000_000).await
}

#[tokio::test]
async fn l02_a_parent_that_came_back_while_observed_keeps_its_children() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = installed(pair.engine([builds(OnDelete::SetNull)?])?).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    pair.main.execute("INSERT INTO projects VALUES (1, 'again')").await?;
    activate(&engine).await?;
    expect_untouched(&pair, &engine, 1).await
}

#[tokio::test]
async fn l02_a_parent_that_comes_back_after_its_key_was_read_keeps_its_children() -> Result<()> {
    for point in [Point::PageRead, Point::DeadlineSet] {
        let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
        let main = pair.main.clone();
        let comes_back = Interference::at(point, async move {
            main.execute("INSERT INTO projects VALUES (1, 'again')").await?;
            Ok(())
        });
        let engine = activated(builder(&pair)?.hook(comes_back.clone()), [builds(OnDelete::Delete)?]).await?;
        pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
        expect_untouched(&pair, &engine, 1).await?;
        assert!(comes_back.passed() > 0);
    }
    Ok(())
}

/// In one database: at `point`, parent 1 comes back with one more child.
async fn expect_kept_in_one_database(point: Point, on_delete: OnDelete) -> Result<()> {
    let pair = Place::SameDatabase.pair(PROJECTS, BUILDS).await?;
    let main = pair.main.clone();
    let comes_back = Interference::at(point, async move {
        main.execute("INSERT INTO projects VALUES (1, 'again'); INSERT INTO builds VALUES (13, 1, 0)").await?;
        Ok(())
    });
    let engine = activated(builder(&pair)?.hook(comes_back.clone()), [builds(on_delete)?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id IN (1, 3)").await?;
    drain(&engine).await?;
    assert!(comes_back.passed() > 0);
    let of_living = table(&pair.ci, "builds WHERE project_id IN (1, 2)").await?;
    assert_eq!(of_living, ["(11,1,0)", "(12,1,4)", "(13,1,0)", "(21,2,0)"], "{point:?}");
    assert_eq!(pair.ci.scalar::<i64>("SELECT count(*) FROM builds WHERE project_id = 3").await?, 0, "{point:?}");
    assert_eq!(status(&engine).await?.retries, 0);
    Ok(())
}

#[tokio::test]
async fn l02_in_one_database_a_parent_that_comes_back_after_the_recheck_keeps_its_children() -> Result<()> {
    expect_kept_in_one_database(Point::Rechecked, OnDelete::Delete).await?;
    expect_kept_in_one_database(Point::Rechecked, OnDelete::SetNull).await
}

#[tokio::test]
async fn l02_in_one_database_a_parent_that_comes_back_while_its_children_are_locked_keeps_them() -> Result<()> {
    expect_kept_in_one_database(Point::ChildrenLocked, OnDelete::Delete).await?;
    expect_kept_in_one_database(Point::ChildrenLocked, OnDelete::SetNull).await
}

#[tokio::test]
async fn l02_in_one_database_whole_statements_look_for_the_parent_too() -> Result<()> {
    let pair = Place::SameDatabase.pair(THOUSAND_PROJECTS, THOUSAND_BUILDS).await?;
    let main = pair.main.clone();
    let comes_back = Interference::at_turn(2, Point::ChildrenLocked, async move {
        main.execute("INSERT INTO projects VALUES (900); INSERT INTO builds VALUES (1900, 900)").await?;
        Ok(())
    });
    let engine = activated(builder(&pair)?.hook(comes_back.clone()), [builds(OnDelete::Delete)?]).await?;
    pair.main.execute("DELETE FROM projects").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(900,900)", "(1900,900)"]);
    assert_eq!(comes_back.passed(), 2);
    Ok(())
}

#[tokio::test]
async fn l03_delete_and_insert_in_one_transaction_keep_the_children() -> Result<()> {
    for place in Place::ALL {
        let pair = place.pair(PROJECTS, BUILDS).await?;
        let engine = active(&pair, [builds(OnDelete::Delete)?]).await?;
        let both = "DELETE FROM projects WHERE id = 1; INSERT INTO projects VALUES (1, 'again')";
        pair.main.execute(both).await?;
        expect_untouched(&pair, &engine, 1).await?;
    }
    Ok(())
}

#[tokio::test]
async fn l03_a_key_that_goes_away_and_comes_back_in_one_transaction_keeps_the_children() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds(OnDelete::Delete)?]).await?;
    pair.main.execute("UPDATE projects SET id = -1 WHERE id = 1; UPDATE projects SET id = 1 WHERE id = -1").await?;
    expect_untouched(&pair, &engine, 1).await?;
    Ok(())
}
