//! Children that are parents themselves: chains, cycles and trees come to their end in one run.

use anyhow::Result;
use lfk_core::{LooseForeignKey, OnDelete};
use lfk_tests::Pair;
use lfk_tests::scenario::{active, drain};

use crate::clean_support::table;

fn key(parent: &str, child: &str) -> Result<LooseForeignKey> {
    Ok(LooseForeignKey::new(parent, child, OnDelete::Delete)?)
}

#[tokio::test]
async fn l12_a_chain_over_two_databases_is_drained_by_one_run() -> Result<()> {
    let main = "CREATE TABLE groups (id bigint PRIMARY KEY); INSERT INTO groups VALUES (1), (2);
        CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint); CREATE INDEX ON builds (project_id);
        INSERT INTO builds VALUES (111, 11), (121, 12), (211, 21)";
    let ci = "CREATE TABLE projects (id bigint PRIMARY KEY, group_id bigint); CREATE INDEX ON projects (group_id);
        INSERT INTO projects VALUES (11, 1), (12, 1), (21, 2);
        CREATE TABLE steps (id bigint PRIMARY KEY, build_id bigint); CREATE INDEX ON steps (build_id);
        INSERT INTO steps VALUES (1111, 111), (2111, 211)";
    for pair in [Pair::with_schema(main, ci).await?, in_one_database(main, ci).await?] {
        let chain = [
            key("main:public.groups(id)", "ci:public.projects(group_id)")?,
            key("ci:public.projects(id)", "main:public.builds(project_id)")?,
            key("main:public.builds(id)", "ci:public.steps(build_id)")?,
        ];
        let engine = active(&pair, chain).await?;
        pair.main.execute("DELETE FROM groups WHERE id = 1").await?;
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "projects").await?, ["(21,2)"]);
        assert_eq!(table(&pair.main, "builds").await?, ["(211,21)"]);
        assert_eq!(table(&pair.ci, "steps").await?, ["(2111,211)"]);
    }
    Ok(())
}

async fn in_one_database(main: &str, ci: &str) -> Result<Pair> {
    let pair = Pair::single().await?;
    pair.main.execute(main).await?;
    pair.main.execute(ci).await?;
    Ok(pair)
}

#[tokio::test]
async fn l12_a_chain_ends_where_children_are_only_nulled() -> Result<()> {
    let main = "CREATE TABLE groups (id bigint PRIMARY KEY); INSERT INTO groups VALUES (1);
        CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint); CREATE INDEX ON builds (project_id);
        INSERT INTO builds VALUES (111, 11)";
    let ci = "CREATE TABLE projects (id bigint PRIMARY KEY, group_id bigint); CREATE INDEX ON projects (group_id);
        INSERT INTO projects VALUES (11, 1)";
    let pair = Pair::with_schema(main, ci).await?;
    let nulled = LooseForeignKey::new("main:public.groups(id)", "ci:public.projects(group_id)", OnDelete::SetNull)?;
    let engine = active(&pair, [nulled, key("ci:public.projects(id)", "main:public.builds(project_id)")?]).await?;
    pair.main.execute("DELETE FROM groups").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "projects").await?, ["(11,)"]);
    assert_eq!(table(&pair.main, "builds").await?, ["(111,11)"]);
    Ok(())
}

#[tokio::test]
async fn l12_a_cycle_over_two_databases_ends() -> Result<()> {
    // a1 <- b1 <- a2 <- b2 <- a1, and a pair of their own.
    let main = "CREATE TABLE a (id bigint PRIMARY KEY, b_id bigint); CREATE INDEX ON a (b_id);
        INSERT INTO a VALUES (1, 2), (2, 1), (9, 9)";
    let ci = "CREATE TABLE b (id bigint PRIMARY KEY, a_id bigint); CREATE INDEX ON b (a_id);
        INSERT INTO b VALUES (1, 1), (2, 2), (9, 9)";
    let pair = Pair::with_schema(main, ci).await?;
    let there = key("main:public.a(id)", "ci:public.b(a_id)")?;
    let engine = active(&pair, [there, key("ci:public.b(id)", "main:public.a(b_id)")?]).await?;
    pair.main.execute("DELETE FROM a WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.main, "a").await?, ["(9,9)"]);
    assert_eq!(table(&pair.ci, "b").await?, ["(9,9)"]);
    Ok(())
}

#[tokio::test]
async fn l12_a_tree_that_refers_to_itself_is_removed_to_its_leaves() -> Result<()> {
    let pair = Pair::single().await?;
    pair.main
        .execute(
            "CREATE TABLE nodes (id bigint PRIMARY KEY, parent_id bigint); CREATE INDEX ON nodes (parent_id);
            INSERT INTO nodes VALUES (1, NULL), (2, 1), (3, 1), (4, 2), (5, 4), (6, 5), (10, NULL), (11, 10), (12, 12)",
        )
        .await?;
    let engine = active(&pair, [key("main:public.nodes(id)", "main:public.nodes(parent_id)")?]).await?;
    pair.main.execute("DELETE FROM nodes WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.main, "nodes").await?, ["(10,)", "(11,10)", "(12,12)"]);
    Ok(())
}
