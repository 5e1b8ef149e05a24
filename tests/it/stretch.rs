//! Children of a wide parent that lie close together are read page by page.

use anyhow::{Context as _, Result, ensure};
use lfk_core::sabotage::{self, Point};
use lfk_core::{LooseForeignKey, OnDelete};
use lfk_sql::{Ident, TableName, statements};
use lfk_tests::scenario::{active, drain, loose};
use lfk_tests::{Pair, Role, TestDb};
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use crate::clean_support::{Interference, activated, builder};

const PROJECTS: &str = "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects VALUES (1), (2)";

/// Builds of the projects 1 and 2 side by side in the same pages, thirty thousand of each; and what every statement that cleans
/// them was.
const BUILDS: &str = "CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint, status int NOT NULL DEFAULT 0);
    INSERT INTO builds SELECT n, 1 + n % 2 FROM generate_series(1, 60000) n; CREATE INDEX ON builds (project_id);
    CREATE TABLE statements (query text); ALTER TABLE statements OWNER TO CURRENT_USER;
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
      'BEGIN INSERT INTO public.statements VALUES (current_query()); RETURN NULL; END';
    CREATE TRIGGER note BEFORE DELETE OR UPDATE ON builds FOR EACH STATEMENT EXECUTE FUNCTION note();
    ANALYZE builds;";

fn builds(on_delete: OnDelete) -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", on_delete)
}

/// How many statements went by pages.
async fn by_pages(ci: &TestDb) -> Result<i64> {
    ci.scalar("SELECT count(*) FROM statements WHERE query LIKE '%ctid OPERATOR(pg_catalog.>=)%'").await
}

#[tokio::test]
async fn l01_a_wide_parent_loses_the_children_that_share_their_pages_with_others() -> Result<()> {
    let set = OnDelete::Set(vec![(Ident::new("status")?, Some("4".to_owned()))]);
    for (action, touched, kept) in [
        (OnDelete::Delete, "SELECT count(*) = 0 FROM builds WHERE project_id = 1", "project_id = 2 AND status = 0"),
        (
            OnDelete::SetNull,
            "SELECT count(*) = 30000 FROM builds WHERE project_id IS NULL AND id % 2 = 0",
            "project_id = 2 AND status = 0",
        ),
        (
            set,
            "SELECT count(*) = 30000 FROM builds WHERE project_id = 1 AND status = 4",
            "project_id = 2 AND status = 0",
        ),
    ] {
        let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
        let engine = active(&pair, [builds(action.clone())?]).await?;
        pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
        drain(&engine).await?;
        assert!(pair.ci.scalar::<bool>(touched).await?, "{action:?}");
        let others = format!("SELECT count(*) FROM builds WHERE {kept}");
        assert_eq!(pair.ci.scalar::<i64>(&others).await?, 30_000, "{action:?}");
        assert!(by_pages(&pair.ci).await? > 0, "{action:?}: no statement went by pages");
    }
    Ok(())
}

#[tokio::test]
async fn l01_children_that_move_behind_the_walk_are_found_too() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let ci = pair.ci.clone();
    // The first statement finds out that it is wide; the next ones walk. What was deleted makes room for what is moved.
    let moves = Interference::at_turn(3, Point::LeafCleaned, async move {
        ci.execute("VACUUM builds").await?;
        ci.execute("UPDATE builds SET status = 1 WHERE id IN (SELECT id FROM builds WHERE project_id = 1 ORDER BY id DESC LIMIT 500)")
            .await?;
        ci.execute("INSERT INTO builds SELECT -n, 1 FROM generate_series(1, 500) n").await?;
        let walked: i64 = ci.scalar("SELECT count(*) FROM builds WHERE project_id = 1 AND ctid < '(30,0)'").await?;
        ensure!(walked > 0, "nothing lies behind the walk");
        Ok(())
    });
    let engine = activated(builder(&pair)?.hook(moves.clone()), [builds(OnDelete::Delete)?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    assert!(moves.passed() > 3 && by_pages(&pair.ci).await? > 1);
    assert_eq!(pair.ci.scalar::<i64>("SELECT count(*) FROM builds WHERE project_id = 1").await?, 0);
    assert_eq!(pair.ci.scalar::<i64>("SELECT count(*) FROM builds").await?, 30_000);
    Ok(())
}

#[tokio::test]
async fn l07_pages_are_read_by_their_numbers_whatever_the_statistics_say() -> Result<()> {
    let db = TestDb::with_schema(Role::Ci, PROJECTS).await?;
    db.execute(BUILDS).await?;
    let leaf = TableName::new(Ident::new("public")?, Ident::new("builds")?);
    let within =
        sabotage::statements(&builds(OnDelete::Delete)?, &["int8"], &leaf, false).context("no key type")?.within;
    for mode in ["force_generic_plan", "force_custom_plan"] {
        let mut connection = db.connect().await?;
        connection.execute(statements::BEGIN_WRITE).await?;
        let prepare = format!("SET LOCAL plan_cache_mode = {mode}; PREPARE within AS {within}");
        connection.execute(sqlx::raw_sql(trusted(prepare))).await?;
        let explain = "EXPLAIN (COSTS off) EXECUTE within ('{1}', 1e11, '(10,0)', '(20,65535)')";
        let plan: Vec<String> = connection
            .fetch_all(sqlx::raw_sql(explain))
            .await?
            .iter()
            .map(|row| row.try_get_unchecked(0))
            .collect::<Result<_, _>>()?;
        let plan = plan.join("\n");
        let scans: Vec<&str> = plan.lines().filter(|line| line.contains("Scan")).collect();
        assert!(scans.len() == 1 && scans[0].contains("Tid Range Scan on builds"), "{mode}: {plan}");
        let per_row: Vec<&str> =
            plan.lines().filter(|line| line.contains("Filter") && line.contains("text[]")).collect();
        assert!(per_row.is_empty(), "the keys are read anew for every row: {per_row:?}");
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "statements of lfk, with values of this file")]
fn trusted(sql: String) -> AssertSqlSafe<String> {
    AssertSqlSafe(sql)
}
