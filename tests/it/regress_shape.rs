//! What becomes of the child's table under a running definition: another type, another collation, a view in its place, a
//! foreign table in its tree. It is refused with a note; no child of a living parent is touched, and nothing counts as done.

use anyhow::{Context as _, Result};
use lfk_core::sabotage::Point;
use lfk_core::{Engine, ErrorKind, LooseForeignKey, OnDelete};
use lfk_tests::scenario::{PATIENCE, active, drain, loose};
use lfk_tests::{Pair, TestDb, eventually};

use crate::clean_support::{
    ALL_BUILDS, BUILDS, Interference, PROJECTS, Place, activated, builder, retries, status, table,
};

fn builds() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

/// Runs the engine as the daemon does, until it says that the definition is blocked. Answers why.
async fn blocked(engine: &Engine) -> Result<String> {
    let handle = engine.start();
    eventually("it is blocked", PATIENCE, async || Ok(status(engine).await?.condition == "blocked")).await?;
    handle.shutdown().await?;
    status(engine).await?.note.context("blocked without a note")
}

/// It is blocked for a reason that has this in it, a bounded run is refused, and the keys wait.
async fn refused(engine: &Engine, reason: &str, keys: i64) -> Result<()> {
    let note = blocked(engine).await?;
    assert!(note.contains(reason) && note.contains("lfk plan"), "{note}");
    for error in [engine.run_until_drained(Some(PATIENCE)).await.err(), engine.run_once().await.err()] {
        let error = error.context("it ran")?;
        assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    }
    let now = status(engine).await?;
    assert_eq!((now.pending_keys, now.retries, now.quarantined), (keys, 0, 0));
    Ok(())
}

/// Parents by a text, of which two differ in case only, and a child of each.
const CODES: &str =
    "CREATE TABLE projects (code text PRIMARY KEY); INSERT INTO projects VALUES ('abc'), ('ABC'), ('xyz')";
const OF_CODES: &str = "CREATE TABLE builds (id int PRIMARY KEY, code text); CREATE INDEX ON builds (code);
    INSERT INTO builds VALUES (1, 'abc'), (2, 'ABC'), (3, 'xyz')";
const IGNORE_CASE: &str =
    "CREATE COLLATION ignore_case (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
    ALTER TABLE builds ALTER code TYPE text COLLATE ignore_case";

fn by_code() -> Result<LooseForeignKey> {
    loose("projects(code)", "builds(code)", OnDelete::Delete)
}

#[tokio::test]
async fn l17_a_collation_that_is_changed_under_a_running_definition_touches_no_child_of_a_living_parent() -> Result<()>
{
    for place in [Place::AnotherServer, Place::SameDatabase] {
        let pair = place.pair(CODES, OF_CODES).await?;
        let engine = active(&pair, [by_code()?]).await?;
        let handle = engine.start();
        pair.main.execute("DELETE FROM projects WHERE code = 'xyz'").await?;
        eventually("it works", PATIENCE, async || Ok(table(&pair.ci, "builds").await?.len() == 2)).await?;
        // Between two batches.
        pair.ci.execute(IGNORE_CASE).await?;
        pair.main.execute("DELETE FROM projects WHERE code = 'abc'").await?;
        eventually("it is blocked", PATIENCE, async || Ok(status(&engine).await?.condition == "blocked")).await?;
        handle.shutdown().await?;
        refused(&engine, "collation", 1).await?;
        assert_eq!(table(&pair.ci, "builds").await?, ["(1,abc)", "(2,ABC)"], "{place:?}");

        pair.ci.execute("ALTER TABLE builds ALTER code TYPE text COLLATE \"default\"").await?;
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "builds").await?, ["(2,ABC)"], "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn l17_a_collation_that_is_changed_after_the_re_check_touches_no_child_of_a_living_parent() -> Result<()> {
    for place in [Place::AnotherServer, Place::SameDatabase] {
        let pair = place.pair(CODES, OF_CODES).await?;
        let ci = pair.ci.clone();
        let meanwhile = Interference::at(Point::Rechecked, async move { ci.execute(IGNORE_CASE).await.map(|_| ()) });
        let engine = activated(builder(&pair)?.hook(meanwhile.clone()), [by_code()?]).await?;
        pair.main.execute("DELETE FROM projects WHERE code = 'abc'").await?;
        let error = engine.run_once().await.err().context("it was not refused")?;
        assert_eq!((meanwhile.passed(), error.kind), (1, ErrorKind::Refused), "{error}");
        assert_eq!(table(&pair.ci, "builds").await?, ["(1,abc)", "(2,ABC)", "(3,xyz)"], "{place:?}");
        assert_eq!(status(&engine).await?.pending_keys, 1);
        pair.ci.execute("ALTER TABLE builds ALTER code TYPE text COLLATE \"default\"").await?;
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "builds").await?, ["(2,ABC)", "(3,xyz)"], "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn l17_a_collation_of_the_parents_that_is_changed_within_a_turn_touches_no_child_of_a_living_one() -> Result<()> {
    let ignore_case = IGNORE_CASE.replace("builds", "projects");
    let pair = Pair::with_schema(&format!("{CODES}; DELETE FROM projects WHERE code = 'ABC'; {ignore_case}"), OF_CODES)
        .await?;
    pair.ci.execute(IGNORE_CASE).await?;
    let main = pair.main.clone();
    let meanwhile = Interference::at(Point::DeadlineSet, async move {
        let alter = "ALTER TABLE projects ALTER code TYPE text COLLATE \"default\"";
        main.execute(alter).await.map(|_| ())
    });
    let engine = activated(builder(&pair)?.hook(meanwhile.clone()), [by_code()?]).await?;
    // To its children, which ignore case, this parent is still there.
    pair.main.execute("DELETE FROM projects WHERE code = 'abc'; INSERT INTO projects VALUES ('ABC')").await?;
    let error = engine.run_once().await.err().context("it was not refused")?;
    assert_eq!((meanwhile.passed(), error.kind), (1, ErrorKind::Refused), "{error}");
    assert_eq!(table(&pair.ci, "builds").await?, ["(1,abc)", "(2,ABC)", "(3,xyz)"]);
    pair.main.execute("ALTER TABLE projects ALTER code TYPE text COLLATE ignore_case").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(1,abc)", "(2,ABC)", "(3,xyz)"]);
    Ok(())
}

#[tokio::test]
async fn l17_a_type_that_takes_two_keys_for_one_touches_no_child_of_a_living_parent() -> Result<()> {
    // Two neighbours that are one number in double precision.
    let parents = "CREATE TABLE projects (id bigint PRIMARY KEY);
        INSERT INTO projects VALUES (5), (9007199254740992), (9007199254740993)";
    let children = "CREATE TABLE builds (id int PRIMARY KEY, project_id bigint); CREATE INDEX ON builds (project_id);
        INSERT INTO builds VALUES (1, 5), (2, 9007199254740992)";
    let pair = Pair::with_schema(parents, children).await?;
    let engine = active(&pair, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 5").await?;
    drain(&engine).await?;
    pair.ci.execute("ALTER TABLE builds ALTER project_id TYPE double precision").await?;
    pair.main.execute("DELETE FROM projects WHERE id = 9007199254740993").await?;
    refused(&engine, "a type", 1).await?;
    assert_eq!(table(&pair.ci, "(SELECT id, project_id::bigint FROM builds) b").await?, ["(2,9007199254740992)"]);
    pair.ci.execute("ALTER TABLE builds ALTER project_id TYPE bigint").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(2,9007199254740992)"]);
    Ok(())
}

/// An empty view where the table was, with every right on it: that is not what is to be noticed.
const VIEW: &str = "ALTER TABLE builds RENAME TO builds_elsewhere;
    CREATE VIEW builds AS SELECT * FROM builds_elsewhere WHERE false; GRANT ALL ON builds TO PUBLIC";
const NO_VIEW: &str = "DROP VIEW builds; ALTER TABLE builds_elsewhere RENAME TO builds";

#[tokio::test]
async fn l17_a_view_in_the_childs_place_is_not_taken_for_a_table_without_children() -> Result<()> {
    for place in [Place::AnotherServer, Place::SameDatabase] {
        let pair = place.pair(PROJECTS, BUILDS).await?;
        let engine = active(&pair, [builds()?]).await?;
        pair.ci.execute(VIEW).await?;
        pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
        refused(&engine, "a view", 1).await?;
        assert_eq!(status(&engine).await?.keys_total, 0, "nothing is done");
        assert_eq!(table(&pair.ci, "builds_elsewhere").await?, ALL_BUILDS, "{place:?}");
        pair.ci.execute(NO_VIEW).await?;
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..], "{place:?}");
        assert_eq!(table(&pair.ci, "bystanders").await?, ALL_BUILDS, "{place:?}");
        assert_eq!(status(&engine).await?.condition, "ok");
    }
    Ok(())
}

#[tokio::test]
async fn l17_a_view_that_takes_the_childs_place_after_the_re_check_is_noticed() -> Result<()> {
    for place in [Place::AnotherServer, Place::SameDatabase] {
        let pair = place.pair(PROJECTS, BUILDS).await?;
        let ci = pair.ci.clone();
        let meanwhile = Interference::at(Point::Rechecked, async move { ci.execute(VIEW).await.map(|_| ()) });
        let engine = activated(builder(&pair)?.hook(meanwhile.clone()), [builds()?]).await?;
        pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
        engine.run_once().await.err().context("it was taken for a table")?;
        assert_eq!((meanwhile.passed(), status(&engine).await?.keys_total), (1, 0));
        assert_eq!(table(&pair.ci, "builds_elsewhere").await?, ALL_BUILDS, "{place:?}");
        pair.ci.execute(NO_VIEW).await?;
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..], "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn c04_a_view_in_the_childs_place_is_not_swept_as_if_it_were_the_table() -> Result<()> {
    for place in [Place::AnotherServer, Place::SameDatabase] {
        let pair = place.pair(PROJECTS, BUILDS).await?;
        let engine = active(&pair, [builds()?.settle_after(std::time::Duration::ZERO)]).await?;
        pair.ci.execute(VIEW).await?;
        pair.main.execute("TRUNCATE projects; INSERT INTO projects VALUES (2, 'two')").await?;
        let note = blocked(&engine).await?;
        assert!(note.contains("a view"), "{note}");
        assert_eq!(retries(&pair.main).await?, [""; 0]);
        pair.ci.execute(NO_VIEW).await?;
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "builds").await?, ["(21,2,0)", "(90,,0)"], "{place:?}");
    }
    Ok(())
}

/// Partitioned builds; the last of them is in a partition that comes and goes.
const PARTITIONED: &str = "CREATE TABLE builds (id bigint, project_id bigint) PARTITION BY LIST (id);
    CREATE INDEX ON builds (project_id);
    CREATE TABLE builds_1 PARTITION OF builds FOR VALUES IN (1); CREATE TABLE builds_2 PARTITION OF builds FOR VALUES IN (2);
    INSERT INTO builds VALUES (1, 1), (1, 2), (2, 1), (2, 2)";

/// Something that is not a table takes the place of the second partition: a foreign table, where the server can make one.
async fn part_of_it_is_no_table(ci: &TestDb) -> Result<bool> {
    let available = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'file_fdw')";
    if !ci.scalar::<bool>(available).await? {
        return Ok(false);
    }
    ci.execute(
        "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
         ALTER TABLE builds DETACH PARTITION builds_2;
         CREATE FOREIGN TABLE far PARTITION OF builds FOR VALUES IN (2) SERVER files
           OPTIONS (program 'echo 2,1; echo 2,2', format 'csv')",
    )
    .await?;
    Ok(true)
}

#[tokio::test]
async fn l17_a_foreign_table_in_the_childs_tree_blocks_it_and_nothing_counts_as_done() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, PARTITIONED).await?;
    let engine = active(&pair, [builds()?]).await?;
    let foreign = part_of_it_is_no_table(&pair.ci).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    if foreign {
        let children = "SELECT array_agg(b::text ORDER BY b)::text FROM builds b";
        let before: String = pair.ci.scalar(children).await?;
        let note = blocked(&engine).await?;
        assert!(note.contains("not a table"), "{note}");
        assert_eq!(pair.ci.scalar::<String>(children).await?, before, "it would be half done");
        let now = status(&engine).await?;
        assert_eq!((now.pending_keys, now.keys_total, now.retries), (1, 0, 0));
        pair.ci
            .execute("DROP FOREIGN TABLE far; ALTER TABLE builds ATTACH PARTITION builds_2 FOR VALUES IN (2)")
            .await?;
    }
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(1,2)", "(2,2)"]);
    Ok(())
}
