//! What goes wrong with a wide parent: neither a lock nor a long statement is the key's fault.

use std::time::Duration;

use anyhow::Result;
use lfk_core::{LooseForeignKey, OnDelete};
use lfk_tests::scenario::{PATIENCE, drain, loose};
use lfk_tests::{Pair, eventually};

use crate::clean_support::{Place, activated, builder, retries};
use crate::scan_support::repair;

const PROJECTS: &str = "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects VALUES (1), (2), (3), (4)";

/// Project 1 has thirty thousand builds, the others have one each.
const BUILDS: &str = "CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint);
    INSERT INTO builds SELECT n, CASE WHEN n <= 30000 THEN 1 ELSE n - 29999 END FROM generate_series(1, 30003) n;
    CREATE INDEX ON builds (project_id);";

/// A statement that takes more than fifteen hundred rows takes too long.
const SLOW: &str = "CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      rows int := coalesce(nullif(current_setting('test.rows', true), ''), '0')::int + 1;
    BEGIN
      PERFORM set_config('test.rows', rows::text, true);
      IF rows > 1500 THEN RAISE EXCEPTION 'too many' USING ERRCODE = '57014'; END IF;
      RETURN NULL;
    END $$;
    CREATE TRIGGER count_up AFTER DELETE ON builds FOR EACH ROW EXECUTE FUNCTION count_up()";

fn builds() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

async fn left(pair: &Pair) -> Result<i64> {
    pair.ci.scalar("SELECT count(*) FROM builds WHERE project_id = 1").await
}

#[tokio::test]
async fn l11_a_locked_child_of_a_wide_parent_holds_up_none_of_the_others_and_blames_nobody() -> Result<()> {
    for place in [Place::AnotherServer, Place::SameDatabase] {
        let pair = place.pair(PROJECTS, BUILDS).await?;
        // With a single attempt before quarantine.
        let engine = activated(builder(&pair)?.quarantine_after(1), [builds()?]).await?;
        let mut application = pair.ci.connect().await?;
        // The first one that any list has.
        sqlx::raw_sql("BEGIN; SELECT FROM builds WHERE id = 1 FOR UPDATE").execute(&mut application).await?;
        pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
        let handle = engine.start();
        let locked = ["({1},locked,55P03,f)"];
        let done = async || Ok(left(&pair).await? == 1 && retries(&pair.main).await? == locked);
        eventually("all but the locked one are gone", PATIENCE, done).await?;
        handle.shutdown().await?;
        sqlx::raw_sql("COMMIT").execute(&mut application).await?;
        drain(&engine).await?;
        assert_eq!(left(&pair).await?, 0, "{place:?}");
        assert_eq!(retries(&pair.main).await?, [""; 0], "{place:?}");
        assert_eq!(pair.ci.scalar::<i64>("SELECT count(*) FROM builds").await?, 3, "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn l09_what_takes_too_long_for_a_wide_parent_becomes_smaller_and_blames_nobody() -> Result<()> {
    for place in [Place::AnotherServer, Place::SameDatabase] {
        let pair = place.pair(PROJECTS, BUILDS).await?;
        pair.ci.execute(SLOW).await?;
        let engine = activated(builder(&pair)?.quarantine_after(1), [builds()?]).await?;
        pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
        drain(&engine).await?;
        assert_eq!(left(&pair).await?, 0, "{place:?}");
        assert_eq!(retries(&pair.main).await?, [""; 0], "{place:?}");
        assert_eq!(pair.ci.scalar::<i64>("SELECT count(*) FROM builds").await?, 3, "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn l09_a_repair_goes_on_when_a_statement_for_a_wide_parent_takes_too_long() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    pair.ci.execute(SLOW).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let engine = pair.engine([builds()?.settle_after(Duration::ZERO)])?;
    let done = repair(&engine).await?;
    assert_eq!((done.repaired_keys, done.rows_changed, done.failed_keys), (1, 30_000, 0), "{done:?}");
    assert_eq!(left(&pair).await?, 0);
    Ok(())
}
