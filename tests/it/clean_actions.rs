//! What happens to the children of a parent that is gone: exactly what was declared, and nothing to anybody else.

use anyhow::Result;
use lfk_core::{LooseForeignKey, OnDelete};
use lfk_sql::Ident;
use lfk_tests::Pair;
use lfk_tests::scenario::{active, drain, loose};

use crate::clean_support::{ALL_BUILDS, BUILDS, PROJECTS, Place, status, table};

fn builds(on_delete: OnDelete) -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", on_delete)
}

fn set(column: &str, value: Option<&str>) -> Result<OnDelete> {
    Ok(OnDelete::Set(vec![(Ident::new(column)?, value.map(ToOwned::to_owned))]))
}

/// Deletes projects 1 and 3 and expects these builds afterwards, wherever they live.
async fn without_projects_1_and_3(on_delete: OnDelete, expected: &[&str]) -> Result<()> {
    for place in Place::ALL {
        let pair = place.pair(PROJECTS, BUILDS).await?;
        let engine = active(&pair, [builds(on_delete.clone())?]).await?;
        pair.main.execute("DELETE FROM projects WHERE id IN (1, 3)").await?;
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "builds").await?, expected, "{place:?}");
        assert_eq!(table(&pair.ci, "bystanders").await?, ALL_BUILDS, "{place:?}");
        assert_eq!(table(&pair.main, "projects").await?, ["(2,two)"], "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn l01_delete_takes_the_children_and_no_other_row() -> Result<()> {
    without_projects_1_and_3(OnDelete::Delete, &["(21,2,0)", "(90,,0)"]).await
}

#[tokio::test]
async fn l01_set_null_forgets_the_parent_and_changes_no_other_column() -> Result<()> {
    without_projects_1_and_3(OnDelete::SetNull, &["(11,,0)", "(12,,4)", "(21,2,0)", "(31,,)", "(90,,0)"]).await
}

#[tokio::test]
async fn l10_set_reaches_children_whose_column_is_null() -> Result<()> {
    let expected = ["(11,1,4)", "(12,1,4)", "(21,2,0)", "(31,3,4)", "(90,,0)"];
    without_projects_1_and_3(set("status", Some("4"))?, &expected).await
}

#[tokio::test]
async fn l10_set_may_set_null() -> Result<()> {
    without_projects_1_and_3(set("status", None)?, &["(11,1,)", "(12,1,)", "(21,2,0)", "(31,3,)", "(90,,0)"]).await
}

#[tokio::test]
async fn l10_set_leaves_alone_what_is_already_as_it_shall_be() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds(set("status", Some("4"))?)?]).await?;
    let version = "SELECT xmin::text FROM builds WHERE id = 12";
    let before: String = pair.ci.scalar(version).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(pair.ci.scalar::<String>(version).await?, before);
    assert_eq!(status(&engine).await?.rows_affected_total, 1);
    Ok(())
}

#[tokio::test]
async fn l01_set_writes_several_columns_at_once() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let values = vec![(Ident::new("project_id")?, None), (Ident::new("status")?, Some("7".to_owned()))];
    let engine = active(&pair, [builds(OnDelete::Set(values))?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(11,,7)", "(12,,7)", "(21,2,0)", "(31,3,)", "(90,,0)"]);
    Ok(())
}

#[tokio::test]
async fn l01_where_chooses_the_children_of_a_polymorphic_key() -> Result<()> {
    let notes = "CREATE TABLE notes (id bigint PRIMARY KEY, noteable_type text, noteable_id bigint);
        CREATE INDEX ON notes (noteable_type, noteable_id);
        INSERT INTO notes VALUES (1, 'Project', 1), (2, 'Issue', 1), (3, NULL, 1), (4, 'Project', 2), (5, 'project', 1)";
    for place in Place::ALL {
        let pair = place.pair(PROJECTS, notes).await?;
        let key = loose("projects(id)", "notes(noteable_id)", OnDelete::Delete)?;
        let engine = active(&pair, [key.only_where("noteable_type", "Project")?]).await?;
        pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
        drain(&engine).await?;
        let rest = ["(2,Issue,1)", "(3,,1)", "(4,Project,2)", "(5,project,1)"];
        assert_eq!(table(&pair.ci, "notes").await?, rest, "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn l01_each_definition_on_a_parent_does_its_own_work() -> Result<()> {
    let notes = "CREATE TABLE notes (id bigint PRIMARY KEY, project_id bigint); CREATE INDEX ON notes (project_id);
        INSERT INTO notes VALUES (1, 1), (2, 2)";
    let pair = Pair::with_schema(PROJECTS, &format!("{BUILDS} {notes}")).await?;
    let nulled = loose("projects(id)", "notes(project_id)", OnDelete::SetNull)?;
    let engine = active(&pair, [builds(OnDelete::Delete)?, nulled]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    assert_eq!(table(&pair.ci, "notes").await?, ["(1,)", "(2,2)"]);
    Ok(())
}

#[tokio::test]
async fn l01_a_parent_without_children_is_done_like_any_other() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds(OnDelete::Delete)?]).await?;
    pair.main.execute("INSERT INTO projects VALUES (8, 'childless'); DELETE FROM projects WHERE id = 8").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    let status = status(&engine).await?;
    assert_eq!((status.keys_total, status.rows_affected_total, status.pending_keys), (1, 0, 0));
    Ok(())
}

#[tokio::test]
async fn l01_a_key_that_is_logged_twice_is_cleaned_once() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds(OnDelete::Delete)?]).await?;
    for sql in ["DELETE FROM projects WHERE id = 1", "INSERT INTO projects VALUES (1, 'again')"].repeat(2) {
        pair.main.execute(sql).await?;
    }
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    let status = status(&engine).await?;
    assert_eq!((status.keys_total, status.rows_affected_total), (3, 2));
    Ok(())
}

#[tokio::test]
async fn l01_a_second_run_finds_nothing_to_do() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds(OnDelete::Delete)?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    // Whoever goes back to the start of the log repeats work that is done, and must not touch a row that came since.
    pair.ci.execute("INSERT INTO builds VALUES (22, 2, 1)").await?;
    pair.main.execute("UPDATE lfk.cursor SET prev = '1:1:', stamp = pg_current_xact_id()").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(21,2,0)", "(22,2,1)", "(31,3,)", "(90,,0)"]);
    let status = status(&engine).await?;
    assert_eq!((status.keys_total, status.rows_affected_total), (2, 2));
    Ok(())
}

#[tokio::test]
async fn l01_thousands_of_parents_deleted_by_one_statement_are_done() -> Result<()> {
    let projects =
        "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects SELECT generate_series(1, 5500)";
    let builds_of_each = "CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint);
        CREATE INDEX ON builds (project_id);
        INSERT INTO builds SELECT i, (i + 1) / 2 FROM generate_series(1, 11000) i";
    for place in [Place::AnotherServer, Place::SameDatabase] {
        let pair = place.pair(projects, builds_of_each).await?;
        let engine = active(&pair, [builds(OnDelete::Delete)?]).await?;
        pair.main.execute("DELETE FROM projects WHERE id <> 2500").await?;
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "builds").await?, ["(4999,2500)", "(5000,2500)"], "{place:?}");
        assert_eq!(status(&engine).await?.rows_affected_total, 10_998, "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn c08_null_refers_to_nobody() -> Result<()> {
    let projects = "CREATE TABLE projects (id bigint UNIQUE); INSERT INTO projects VALUES (1), (NULL)";
    for on_delete in [OnDelete::Delete, set("status", Some("9"))?] {
        let pair = Pair::with_schema(projects, BUILDS).await?;
        pair.ci.execute("DELETE FROM builds WHERE project_id IS NOT NULL").await?;
        let engine = active(&pair, [builds(on_delete)?]).await?;
        pair.main.execute("DELETE FROM projects").await?;
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "builds").await?, ["(90,,0)"]);
    }
    Ok(())
}

#[tokio::test]
async fn c08_a_composite_key_with_one_null_refers_to_nobody() -> Result<()> {
    let projects = "CREATE TABLE projects (tenant int, id int, UNIQUE (tenant, id));
        INSERT INTO projects VALUES (1, 1), (1, NULL), (NULL, 1)";
    let children =
        "CREATE TABLE builds (name text, tenant int, project_id int); CREATE INDEX ON builds (tenant, project_id);
        INSERT INTO builds VALUES ('a', 1, 1), ('b', 1, NULL), ('c', NULL, 1), ('d', NULL, NULL)";
    for place in [Place::AnotherServer, Place::SameDatabase] {
        let pair = place.pair(projects, children).await?;
        let key = loose("projects(tenant, id)", "builds(tenant, project_id)", OnDelete::Delete)?;
        let engine = active(&pair, [key]).await?;
        pair.main.execute("DELETE FROM projects").await?;
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "builds").await?, ["(b,1,)", "(c,,1)", "(d,,)"], "{place:?}");
    }
    Ok(())
}
