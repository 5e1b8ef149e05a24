//! Parents with more children than anybody waits for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_core::sabotage::{self, Point, Statements, Verdict};
use lfk_core::{ErrorKind, LooseForeignKey, OnDelete};
use lfk_sql::{Ident, TableName};
use lfk_tests::scenario::{PATIENCE, drain, expire_leases};
use lfk_tests::{Pair, Role, TestDb};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::clean_support::{Interference, Place, activated, builder, retries, status, table, unresting};
use crate::log_support::{When, builds, notes};

const NAME: &str = "builds.project_id";

const PROJECTS: &str = "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects VALUES (1), (2), (3), (4)";

/// Project 1 has so many builds, the others have one each.
fn children(count: u32) -> String {
    format!(
        "CREATE TABLE builds (id bigint, project_id bigint); INSERT INTO builds SELECT n, 1 FROM generate_series(1, {count}) n;
         INSERT INTO builds VALUES (-2, 2), (-3, 3), (-4, 4), (-5, NULL); CREATE INDEX ON builds (project_id);
         CREATE TABLE notes AS SELECT * FROM builds WHERE id < 0; CREATE INDEX ON notes (project_id);"
    )
}

async fn of_project(ci: &TestDb, relation: &str, project: u32) -> Result<i64> {
    ci.scalar(&format!("SELECT count(*) FROM {relation} WHERE project_id = {project}")).await
}

#[tokio::test]
async fn l07_a_wide_parent_delays_no_other_key_of_its_own_or_another_definition() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, &children(30_000)).await?;
    // Every statement takes a while, so that there is a time in which the wide parent is being worked on: longer than half of
    // the target, so that slices do not grow, and so much shorter that a busy machine does not make them shrink without end.
    pair.ci
        .execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.6); RETURN NULL; END';
             CREATE TRIGGER dawdle BEFORE DELETE ON builds FOR EACH STATEMENT EXECUTE FUNCTION dawdle()",
        )
        .await?;
    let (main, ci) = (pair.main.clone(), pair.ci.clone());
    let begun = Arc::new(AtomicBool::new(false));
    let overtaken = Arc::new(AtomicBool::new(false));
    let seen = overtaken.clone();
    let hook = When::passing(move |point, who| {
        let (main, ci, begun, seen) = (main.clone(), ci.clone(), begun.clone(), seen.clone());
        async move {
            let between_slices = point == Point::DeadlineSet && who == NAME;
            if between_slices && retries(&main).await?.iter().any(|row| row.starts_with("({1},wide")) {
                if !begun.swap(true, Ordering::SeqCst) {
                    main.execute("DELETE FROM projects WHERE id = 3").await?;
                }
                let others = of_project(&ci, "builds", 3).await? + of_project(&ci, "notes", 3).await?;
                if others == 0 && of_project(&ci, "builds", 1).await? > 0 {
                    seen.store(true, Ordering::SeqCst);
                }
            }
            Ok(Verdict::GoOn)
        }
    });
    let builder = unresting(&pair)?.target_time(Duration::from_secs(1)).hook(hook);
    let engine = activated(builder, [builds()?, notes()?]).await?;
    // Project 2 comes in the same batch as the wide one.
    pair.main.execute("DELETE FROM projects WHERE id IN (1, 2)").await?;
    drain(&engine).await?;
    assert!(overtaken.load(Ordering::SeqCst), "project 3 had to wait for project 1");
    assert_eq!(table(&pair.ci, "builds").await?, ["(-5,)", "(-4,4)"]);
    assert_eq!(table(&pair.ci, "notes").await?, ["(-5,)", "(-4,4)"]);
    assert_eq!(retries(&pair.main).await?, [""; 0]);
    Ok(())
}

/// Wide parents among small ones, and what of their children is to go or to be set.
struct Crowd {
    parents: &'static str,
    children: String,
    definition: LooseForeignKey,
    /// The last wide one: small ones have higher numbers.
    wide: u32,
    to_do: &'static str,
}

/// Rows of wide parents that are still to do when no small one has any left.
async fn left_when_the_small_were_done(place: Place, crowd: Crowd) -> Result<i64> {
    let Crowd { parents, children, definition, wide, to_do } = crowd;
    let pair = place.pair(parents, &children).await?;
    let (ci, left) = (pair.ci.clone(), Arc::new(AtomicI64::new(-1)));
    let seen = left.clone();
    let hook = When::passing(move |point, _| {
        let (ci, seen) = (ci.clone(), seen.clone());
        async move {
            if point == Point::LeafCleaned && seen.load(Ordering::SeqCst) < 0 {
                let count = async |which: &str| {
                    let rows = format!("SELECT count(*) FROM builds WHERE {to_do} AND project_id {which} {wide}");
                    ci.scalar::<i64>(&rows).await
                };
                if count(">").await? == 0 {
                    seen.store(count("<=").await?, Ordering::SeqCst);
                }
            }
            Ok(Verdict::GoOn)
        }
    });
    let engine = activated(unresting(&pair)?.hook(hook), [definition]).await?;
    // The wide ones come first in the log: in a batch with some of the small ones, and before the others.
    pair.main.execute(&format!("DELETE FROM projects WHERE id <= {wide}")).await?;
    pair.main.execute("DELETE FROM projects").await?;
    drain(&engine).await?;
    assert_eq!(pair.ci.scalar::<i64>(&format!("SELECT count(*) FROM builds WHERE {to_do}")).await?, 0, "{place:?}");
    assert_eq!(retries(&pair.main).await?, [""; 0], "{place:?}");
    Ok(left.load(Ordering::SeqCst))
}

const MANY_PROJECTS: &str =
    "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects SELECT generate_series(1, 3000)";

/// The first projects have so many builds, the others one each.
fn crowd(wide: u32, rows: u32) -> String {
    format!(
        "CREATE TABLE builds (id bigint, project_id bigint); CREATE INDEX ON builds (project_id);
         INSERT INTO builds SELECT n, p FROM generate_series(1, {wide}) p, generate_series(1, {rows}) n;
         INSERT INTO builds SELECT n, n FROM generate_series({wide} + 1, 3000) n; INSERT INTO builds VALUES (0, NULL);"
    )
}

#[tokio::test]
async fn l07_small_parents_beside_and_behind_a_wide_one_are_done_before_it_has_lost_a_third() -> Result<()> {
    for place in [Place::AnotherServer, Place::SameDatabase] {
        let children = crowd(1, 60_000);
        let crowd =
            Crowd { parents: MANY_PROJECTS, children, definition: builds()?, wide: 1, to_do: "project_id IS NOT NULL" };
        let left = left_when_the_small_were_done(place, crowd).await?;
        // One statement takes two thousand, and the first slices not many more.
        assert!(left >= 40_000, "{place:?}: {left} of 60,000 were left");
    }
    Ok(())
}

#[tokio::test]
async fn l07_small_parents_do_not_wait_for_more_wide_ones_than_are_counted_at_once() -> Result<()> {
    let children = crowd(7, 30_000);
    let crowd =
        Crowd { parents: MANY_PROJECTS, children, definition: builds()?, wide: 7, to_do: "project_id IS NOT NULL" };
    let left = left_when_the_small_were_done(Place::AnotherServer, crowd).await?;
    assert!(left >= 170_000, "{left} of 210,000 were left");
    Ok(())
}

#[tokio::test]
async fn l07_wide_parents_are_found_by_composite_keys_and_conditions_in_partitions_and_by_what_is_still_to_set()
-> Result<()> {
    for place in [Place::AnotherServer, Place::SameDatabase] {
        let parents = "CREATE TABLE projects (org text, id bigint, PRIMARY KEY (org, id));
            INSERT INTO projects SELECT 'Ö', n FROM generate_series(1, 3000) n";
        // Project 2 looks wide, and is not: of all its builds one is meant.
        let children = "CREATE TABLE builds (id bigint, org text COLLATE \"C\", project_id int, kind text, status int)
              PARTITION BY RANGE (id);
            CREATE TABLE low PARTITION OF builds FOR VALUES FROM (MINVALUE) TO (30001);
            CREATE TABLE high PARTITION OF builds FOR VALUES FROM (30001) TO (MAXVALUE);
            CREATE INDEX ON builds (org, project_id);
            INSERT INTO builds SELECT n, 'Ö', 1, 'a', NULL FROM generate_series(1, 60000) n;
            INSERT INTO builds SELECT n, 'Ö', 2, 'b', 0 FROM generate_series(1, 30000) n;
            INSERT INTO builds SELECT n, 'Ö', 2, 'a', 9 FROM generate_series(1, 30000) n;
            INSERT INTO builds SELECT n, 'Ö', n, 'a', 0 FROM generate_series(2, 3000) n;";
        let mut definition = LooseForeignKey::new(
            "main:public.projects(org, id)",
            "ci:public.builds(org, project_id)",
            OnDelete::Set(vec![(Ident::new("status")?, Some("9".to_owned()))]),
        )?;
        definition.condition = vec![(Ident::new("kind")?, "a".to_owned())];
        let to_do = "kind = 'a' AND status IS DISTINCT FROM 9";
        let crowd = Crowd { parents, children: children.to_owned(), definition, wide: 1, to_do };
        let left = left_when_the_small_were_done(place, crowd).await?;
        assert!(left >= 35_000, "{place:?}: {left} of 60,000 were left");
    }
    Ok(())
}

#[tokio::test]
async fn l07_a_worker_that_dies_between_two_slices_leaves_the_rest_to_the_next() -> Result<()> {
    for (place, point) in [
        (Place::AnotherServer, Point::CleanedUncommitted),
        (Place::AnotherServer, Point::LeafCleaned),
        (Place::SameDatabase, Point::ChildrenLocked),
        (Place::SameDatabase, Point::LeafCleaned),
    ] {
        let pair = place.pair(PROJECTS, &children(120_000)).await?;
        // One statement finds out that it is wide; this is a slice.
        let hook = When::dies(point, NAME, 3);
        let engine = activated(builder(&pair)?.hook(hook), [builds()?]).await?;
        pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
        let error = engine.run_until_drained(Some(PATIENCE)).await.err().context("it did not die")?;
        assert_eq!(error.kind, ErrorKind::Crashed, "{error}");
        assert_eq!(retries(&pair.main).await?, ["({1},wide,,f)"], "{point:?}");
        let left = of_project(&pair.ci, "builds", 1).await?;
        assert!(left > 0 && left < 120_000, "{left}, {point:?}");
        expire_leases(&pair.main).await?;
        drain(&pair.engine([builds()?])?).await?;
        assert_eq!(table(&pair.ci, "builds").await?, ["(-5,)", "(-4,4)", "(-3,3)", "(-2,2)"], "{point:?}");
        assert_eq!(retries(&pair.main).await?, [""; 0], "{point:?}");
    }
    Ok(())
}

#[tokio::test]
async fn l02_a_wide_parent_that_comes_back_keeps_the_children_that_are_left() -> Result<()> {
    for place in [Place::AnotherServer, Place::SameDatabase] {
        let pair = place.pair(PROJECTS, &children(120_000)).await?;
        let main = pair.main.clone();
        let comes_back = Interference::at_turn(3, Point::LeafCleaned, async move {
            assert_eq!(retries(&main).await?, ["({1},wide,,f)"]);
            main.execute("INSERT INTO projects VALUES (1)").await?;
            Ok(())
        });
        let engine = activated(builder(&pair)?.hook(comes_back.clone()), [builds()?]).await?;
        pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
        drain(&engine).await?;
        let left = of_project(&pair.ci, "builds", 1).await?;
        // Statements take ten thousand rows at most.
        assert!(left > 0, "{place:?}");
        let status = status(&engine).await?;
        assert_eq!(status.rows_affected_total, 120_000 - left, "{place:?}");
        assert_eq!((status.resurrected_total, status.retries), (1, 0), "{place:?}");
        let slices = comes_back.passed();
        assert!(slices <= 4, "{place:?}: {slices} statements, and one of them saw that it is back");
        let others = "builds WHERE project_id IS DISTINCT FROM 1";
        assert_eq!(table(&pair.ci, others).await?, ["(-5,)", "(-4,4)", "(-3,3)", "(-2,2)"], "{place:?}");
    }
    Ok(())
}

/// Rows of a slice.
const SLICE: usize = 2_000;

/// Project 1 has forty thousand builds, and somebody holds a snapshot; a worker, and the statements it would send.
async fn many_and_a_held_snapshot(same_database: bool) -> Result<(TestDb, PgConnection, PgConnection, Statements)> {
    let db = TestDb::with_schema(Role::Ci, PROJECTS).await?;
    db.execute(&children(40_000)).await?;
    db.execute("DELETE FROM projects WHERE id = 1").await?;
    let mut reader = db.connect().await?;
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_class LIMIT 1").execute(&mut reader).await?;
    let leaf = TableName::new(Ident::new("public")?, Ident::new("builds")?);
    let sql = sabotage::statements(&builds()?, &["int8"], &leaf, same_database).context("no key type")?;
    let worker = db.connect().await?;
    Ok((db, reader, worker, sql))
}

/// Half of the builds of project 1, as a worker lists them, slice by slice.
async fn slices(worker: &mut PgConnection, sql: &Statements) -> Result<Vec<String>> {
    let rows = listed(worker, sql).await?;
    Ok(rows.chunks(SLICE).map(array).collect())
}

async fn listed(worker: &mut PgConnection, sql: &Statements) -> Result<Vec<String>> {
    let list = with_values(&sql.list, &["ARRAY['1']", "20000"]);
    let rows: Vec<u8> = sqlx::query_scalar(trusted(list)).fetch_one(worker).await?;
    let place = |row: &[u8]| {
        Some((u32::from_be_bytes(row.get(..4)?.try_into().ok()?), u16::from_be_bytes(row.get(4..)?.try_into().ok()?)))
    };
    rows.chunks(6)
        .map(|row| place(row).map(|(page, place)| format!("({page},{place})")).context("no address"))
        .collect()
}

fn array(rows: &[String]) -> String {
    format!("ARRAY['{}']", rows.join("','"))
}

#[tokio::test]
async fn l07_a_slice_is_read_by_its_addresses_however_long_it_is() -> Result<()> {
    for same_database in [false, true] {
        let (db, _reader, mut worker, sql) = many_and_a_held_snapshot(same_database).await?;
        db.execute("ANALYZE builds").await?;
        let rows = listed(&mut worker, &sql).await?;
        assert_eq!(rows.len(), 20_000);
        let slice = array(&rows);
        let mut statements = vec![with_values(&sql.listed, &["ARRAY['1']", "1e11", &slice])];
        if same_database {
            statements.push(with_values(&sql.lock_listed, &["ARRAY['1']", &i64::MAX.to_string(), &slice]));
        }
        for statement in statements {
            let explain = format!("SET enable_seqscan = off; EXPLAIN (COSTS off) {statement}");
            let plan: Vec<String> = sqlx::Executor::fetch_all(&mut worker, sqlx::raw_sql(trusted(explain)))
                .await?
                .iter()
                .map(|row| sqlx::Row::try_get_unchecked(row, 0))
                .collect::<Result<_, _>>()?;
            let plan = plan.join("\n");
            let mut scans = plan.lines().filter(|line| line.contains("Scan") && line.contains(" on builds")).peekable();
            assert!(scans.peek().is_some() && scans.all(|scan| scan.contains("Tid Scan")), "{plan}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn l07_the_slices_of_a_wide_parent_cost_the_same_to_the_end_while_a_snapshot_is_held() -> Result<()> {
    let (db, _reader, mut worker, sql) = many_and_a_held_snapshot(false).await?;
    let mut listed = Vec::new();
    for slice in slices(&mut worker, &sql).await? {
        listed.push(buffers_of(&mut worker, &with_values(&sql.listed, &["ARRAY['1']", "1e11", &slice])).await?);
    }
    assert_eq!((listed.len(), of_project(&db, "builds", 1).await?), (10, 20_000));
    let (first, last) = (listed[0], listed[9]);
    assert!(last <= first + first / 2, "{listed:?}");
    // What the list is for: a limit in each statement walks over what the ones before have emptied.
    let mut capped = Vec::new();
    for _ in 0..10 {
        let limit = SLICE.to_string();
        capped.push(buffers_of(&mut worker, &with_values(&sql.capped, &["ARRAY['1']", "1e11", &limit])).await?);
    }
    assert_eq!(of_project(&db, "builds", 1).await?, 0);
    assert!(capped[9] > last + last / 4 && capped[9] > capped[0], "the measure shows nothing: {listed:?} {capped:?}");
    Ok(())
}

#[tokio::test]
async fn l07_in_one_database_the_slices_of_a_wide_parent_cost_the_same_to_the_end_too() -> Result<()> {
    let (db, _reader, mut worker, sql) = many_and_a_held_snapshot(true).await?;
    let most = i64::MAX.to_string();
    let mut listed = Vec::new();
    for slice in slices(&mut worker, &sql).await? {
        let lock = buffers_of(&mut worker, &with_values(&sql.lock_listed, &["ARRAY['1']", &most, &slice])).await?;
        let clean = buffers_of(&mut worker, &with_values(&sql.listed, &["ARRAY['1']", "1e11", &slice])).await?;
        listed.push((lock, clean));
    }
    assert_eq!((listed.len(), of_project(&db, "builds", 1).await?), (10, 20_000));
    let ((lock, clean), (last_lock, last_clean)) = (listed[0], listed[9]);
    assert!(last_lock <= lock + lock / 100 && last_clean <= clean + clean / 100, "{listed:?}");
    // Locking under a limit, as it is done for other keys, gets dearer with each.
    let mut limited = Vec::new();
    for _ in 0..10 {
        let lock = with_values(&sql.lock, &["ARRAY['1']", &SLICE.to_string()]);
        let rows: Vec<String> = sqlx::query_scalar(trusted(lock.clone())).fetch_all(&mut worker).await?;
        limited.push(buffers_of(&mut worker, &lock).await?);
        let rows = array(&rows);
        buffers_of(&mut worker, &with_values(&sql.capped, &["ARRAY['1']", "1e11", &rows])).await?;
    }
    assert_eq!(of_project(&db, "builds", 1).await?, 0);
    assert!(limited[9] > limited[0] + limited[0] / 50, "the measure shows nothing: {listed:?} {limited:?}");
    Ok(())
}

/// The statement with its parameters written in.
fn with_values(sql: &str, values: &[&str]) -> String {
    (1..).zip(values).fold(sql.to_owned(), |sql, (n, value)| sql.replace(&format!("${n}"), &format!("({value})")))
}

/// Buffers that a statement touches, with the settings of a worker.
async fn buffers_of(worker: &mut PgConnection, sql: &str) -> Result<i64> {
    let mut tx = worker.begin().await?;
    sqlx::raw_sql("SET LOCAL enable_seqscan = off; SET LOCAL jit = off").execute(&mut *tx).await?;
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}");
    let row = sqlx::Executor::fetch_one(&mut *tx, sqlx::raw_sql(trusted(explain))).await?;
    tx.commit().await?;
    let json: serde_json::Value = serde_json::from_str(sqlx::Row::try_get_unchecked(&row, 0)?)?;
    let plan = &json[0]["Plan"];
    let count = |name: &str| plan[name].as_i64().context("no buffers");
    Ok(count("Shared Hit Blocks")? + count("Shared Read Blocks")?)
}

#[expect(clippy::disallowed_methods, reason = "EXPLAIN takes no parameters")]
fn trusted(sql: String) -> AssertSqlSafe<String> {
    AssertSqlSafe(sql)
}
