//! F7: what cannot work is refused before the first change: one message with the place, and the remedy that works.

use anyhow::{Context as _, Result};
use lfk_core::{ErrorKind, Finding, LooseForeignKey, OnDelete, State};
use lfk_tests::scenario::loose;
use lfk_tests::{Cluster, Pair, Role, TestDb, engine};

use crate::capture_support::{in_both, run};

/// Trees here, apples there, and everything in order.
pub(crate) const TREES: &str = "CREATE TABLE trees (id bigint PRIMARY KEY, name text)";
pub(crate) const APPLES: &str = "
    CREATE TABLE apples (id int PRIMARY KEY, tree_id bigint, kind text, weight int);
    CREATE INDEX ON apples (tree_id)";

/// A pair with these tables.
pub(crate) async fn pair(main: &str, ci: &str) -> Result<Pair> {
    let pair = Pair::new().await?;
    in_both(&pair, main, ci).await?;
    Ok(pair)
}

/// Apples are deleted with their tree.
pub(crate) fn apples() -> Result<LooseForeignKey> {
    loose("trees(id)", "apples(tree_id)", OnDelete::Delete)
}

/// The one reason why the definition is refused, with `code` and with `place` in its message. Installing it must fail alike
/// and leave nothing behind.
pub(crate) async fn refused(pair: &Pair, definition: &LooseForeignKey, code: &str, place: &str) -> Result<Finding> {
    refused_as(pair, [&pair.main.url, &pair.ci.url], definition, code, place).await
}

/// The same for other roles: the URLs of main and ci.
pub(crate) async fn refused_as(
    pair: &Pair,
    urls: [&str; 2],
    definition: &LooseForeignKey,
    code: &str,
    place: &str,
) -> Result<Finding> {
    let engine = engine(&[("main", urls[0]), ("ci", urls[1])], [definition.clone()])?;
    let plan = engine.plan().await?;
    assert!(plan.is_refused());
    let findings = &plan.loose_foreign_keys[0].findings;
    let refusals: Vec<&Finding> = findings.iter().filter(|f| f.refuses).collect();
    let codes: Vec<&str> = refusals.iter().map(|f| f.code).collect();
    assert_eq!(codes, [code], "{findings:?}");
    let finding = refusals[0].clone();
    assert!(finding.message.contains(place), "{finding:?}");
    assert!(!finding.remedy.is_empty(), "{finding:?}");

    // What concerns the work is refused when the work begins: another role may be the one that works.
    let refused = match finding.forbids_install() {
        true => engine.install().await.map(drop),
        false => engine.set_state(std::slice::from_ref(&definition.name), State::Active, false).await.map(drop),
    };
    let error = refused.expect_err("what plan refuses must be refused");
    assert_eq!(error.kind, ErrorKind::Refused);
    assert_eq!(error.message, finding.message);
    assert_eq!(error.definition.as_deref(), Some(definition.name.as_str()));
    assert_eq!(error.hint, Some(finding.remedy.join("\n")));
    for db in [&pair.main, &pair.ci] {
        assert!(db.scalar::<bool>("SELECT to_regnamespace('lfk') IS NULL").await?, "something was installed");
    }
    Ok(finding)
}

/// Runs the SQL of the remedy as its reader would, statement by statement. Returns how many there were.
pub(crate) async fn follow(finding: &Finding, db: &TestDb) -> Result<usize> {
    // Behind a statement may stand the database to run it in.
    let statements = finding.remedy.iter().map(|line| line.split_once(" -- ").map_or(line.as_str(), |(sql, _)| sql));
    let statements: Vec<&str> = statements.filter(|sql| sql.ends_with(';')).collect();
    for statement in &statements {
        db.execute(statement).await?;
    }
    Ok(statements.len())
}

/// The definition can be planned and installed now.
pub(crate) async fn accepted(pair: &Pair, definition: &LooseForeignKey) -> Result<()> {
    accepted_as([&pair.main.url, &pair.ci.url], definition).await
}

pub(crate) async fn accepted_as(urls: [&str; 2], definition: &LooseForeignKey) -> Result<()> {
    let engine = engine(&[("main", urls[0]), ("ci", urls[1])], [definition.clone()])?;
    let plan = engine.plan().await?;
    assert!(!plan.is_refused(), "{plan:?}");
    assert_eq!(engine.install().await?[0].outcome, "created");
    Ok(())
}

#[tokio::test]
async fn f07_what_is_in_order_is_accepted_without_a_word() -> Result<()> {
    let pair = pair(TREES, APPLES).await?;
    let plan = pair.engine([apples()?])?.plan().await?;
    assert_eq!(plan.loose_foreign_keys[0].findings, []);
    accepted(&pair, &apples()?).await
}

#[tokio::test]
async fn f07_a_table_that_is_not_there_is_refused_with_the_one_that_is() -> Result<()> {
    let pair = pair(TREES, APPLES).await?;
    let wrong = loose("tree(id)", "apples(tree_id)", OnDelete::Delete)?;
    let finding = refused(&pair, &wrong, "table_missing", "database main has no table public.tree").await?;
    assert_eq!(finding.remedy, ["did you mean public.trees?"]);
    let wrong = loose("trees(id)", "aples(tree_id)", OnDelete::Delete)?;
    let finding = refused(&pair, &wrong, "table_missing", "database ci has no table public.aples").await?;
    assert_eq!(finding.remedy, ["did you mean public.apples?"]);
    accepted(&pair, &apples()?).await
}

#[tokio::test]
async fn f07_a_table_in_another_schema_is_named() -> Result<()> {
    let pair = pair("CREATE SCHEMA garden; CREATE TABLE garden.trees (id bigint PRIMARY KEY)", APPLES).await?;
    let finding = refused(&pair, &apples()?, "table_missing", "database main has no table public.trees").await?;
    assert_eq!(finding.remedy, ["did you mean garden.trees?"]);
    let wrong = LooseForeignKey::new("main:graden.trees(id)", "ci:public.apples(tree_id)", OnDelete::Delete)?;
    refused(&pair, &wrong, "table_missing", "database main has no schema graden").await?;
    Ok(())
}

#[tokio::test]
async fn f07_a_column_that_is_not_there_is_refused_with_the_one_that_is() -> Result<()> {
    let pair = pair(TREES, APPLES).await?;
    let wrong = loose("trees(idd)", "apples(tree_id)", OnDelete::Delete)?;
    let finding = refused(&pair, &wrong, "column_missing", "database main has no column public.trees.idd").await?;
    assert_eq!(finding.remedy, ["did you mean public.trees.id?"]);
    let wrong = loose("trees(id)", "apples(treeid)", OnDelete::Delete)?;
    let finding = refused(&pair, &wrong, "column_missing", "database ci has no column public.apples.treeid").await?;
    assert_eq!(finding.remedy, ["did you mean public.apples.tree_id?"]);
    let wrong = apples()?.only_where("colour", "red")?;
    let finding = refused(&pair, &wrong, "column_missing", "public.apples.colour").await?;
    assert_eq!(finding.remedy, ["columns of the table: id, tree_id, kind, weight"]);
    Ok(())
}

#[tokio::test]
async fn f07_a_view_is_no_end_of_a_loose_foreign_key() -> Result<()> {
    let pair = pair(&format!("{TREES}; CREATE VIEW all_trees AS SELECT * FROM trees"), APPLES).await?;
    pair.ci.execute("CREATE MATERIALIZED VIEW all_apples AS SELECT * FROM apples").await?;
    let wrong = loose("all_trees(id)", "apples(tree_id)", OnDelete::Delete)?;
    refused(&pair, &wrong, "not_a_table", "public.all_trees is a view").await?;
    let wrong = loose("trees(id)", "all_apples(tree_id)", OnDelete::Delete)?;
    refused(&pair, &wrong, "not_a_table", "public.all_apples is a materialized view").await?;
    Ok(())
}

#[tokio::test]
async fn f07_a_temporary_table_is_no_end_of_a_loose_foreign_key() -> Result<()> {
    let pair = pair(TREES, APPLES).await?;
    let mut session = pair.main.connect().await?;
    run(&mut session, "CREATE TEMP TABLE saplings (id bigint PRIMARY KEY)").await?;
    let place: String =
        pair.main.scalar("SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = 'saplings'").await?;
    let wrong =
        LooseForeignKey::new(&format!("main:{place}.saplings(id)"), "ci:public.apples(tree_id)", OnDelete::Delete)?;
    refused(&pair, &wrong, "temporary_table", &format!("{place}.saplings is a temporary table")).await?;
    Ok(())
}

#[tokio::test]
async fn f07_a_table_of_the_server_is_no_end_of_a_loose_foreign_key() -> Result<()> {
    let pair = pair(TREES, APPLES).await?;
    let wrong = LooseForeignKey::new("main:pg_catalog.pg_class(oid)", "ci:public.apples(tree_id)", OnDelete::Delete)?;
    refused(&pair, &wrong, "system_table", "pg_catalog.pg_class").await?;
    Ok(())
}

const ELSEWHERE: &str = "CREATE FOREIGN DATA WRAPPER elsewhere; CREATE SERVER elsewhere FOREIGN DATA WRAPPER elsewhere";

#[tokio::test]
async fn f07_a_foreign_table_in_either_tree_is_refused() -> Result<()> {
    let pair = pair(TREES, APPLES).await?;
    in_both(
        &pair,
        &format!("{ELSEWHERE}; CREATE FOREIGN TABLE far_trees () INHERITS (trees) SERVER elsewhere"),
        &format!("{ELSEWHERE}; CREATE FOREIGN TABLE far_apples () INHERITS (apples) SERVER elsewhere"),
    )
    .await?;
    let plan = pair.engine([apples()?])?.plan().await?;
    let refusals = plan.loose_foreign_keys[0].findings.iter().filter(|f| f.refuses);
    assert_eq!(refusals.map(|f| f.code).collect::<Vec<_>>(), ["foreign_table", "foreign_table"]);
    pair.main.execute("DROP FOREIGN TABLE far_trees").await?;
    refused(
        &pair,
        &apples()?,
        "foreign_table",
        "public.apples has a foreign table among its partitions or children: public.far_apples",
    )
    .await?;
    pair.ci.execute("ALTER FOREIGN TABLE far_apples NO INHERIT apples").await?;
    accepted(&pair, &apples()?).await
}

#[tokio::test]
async fn f07_a_foreign_table_itself_is_refused() -> Result<()> {
    let pair = pair(&format!("{ELSEWHERE}; CREATE FOREIGN TABLE trees (id bigint) SERVER elsewhere"), APPLES).await?;
    refused(&pair, &apples()?, "not_a_table", "public.trees is a foreign table").await?;
    Ok(())
}

#[tokio::test]
async fn f07_a_partition_is_no_parent_but_its_root_is() -> Result<()> {
    let pair = pair(
        "CREATE TABLE trees (id bigint PRIMARY KEY) PARTITION BY RANGE (id);
         CREATE TABLE trees_0 PARTITION OF trees FOR VALUES FROM (0) TO (100)",
        APPLES,
    )
    .await?;
    let wrong = loose("trees_0(id)", "apples(tree_id)", OnDelete::Delete)?;
    let finding =
        refused(&pair, &wrong, "part_of_another", "public.trees_0 is a partition or inheritance child of public.trees")
            .await?;
    assert_eq!(finding.remedy, ["name public.trees as the parent"]);
    accepted(&pair, &apples()?).await
}

#[tokio::test]
async fn f07_a_key_of_another_type_is_refused() -> Result<()> {
    let pair = pair("CREATE DOMAIN citizen AS bigint", APPLES).await?;
    for of_type in ["numeric", "date", "char(8)", "text[]", "citizen"] {
        pair.main
            .execute(&format!("DROP TABLE IF EXISTS trees; CREATE TABLE trees (id {of_type} PRIMARY KEY)"))
            .await?;
        refused(&pair, &apples()?, "key_type", "public.trees.id has the type").await?;
    }
    Ok(())
}

#[tokio::test]
async fn f07_a_key_that_is_not_unique_is_refused_with_the_index_that_makes_it_so() -> Result<()> {
    let pair = pair("CREATE TABLE trees (id bigint)", APPLES).await?;
    let finding =
        refused(&pair, &apples()?, "key_not_unique", "public.trees(id) is no primary key or unique key").await?;
    assert_eq!(finding.remedy, ["CREATE UNIQUE INDEX CONCURRENTLY ON public.trees (id);"]);
    follow(&finding, &pair.main).await?;
    accepted(&pair, &apples()?).await
}

#[tokio::test]
async fn f07_a_partitioned_key_that_is_not_unique_is_refused_with_the_constraint() -> Result<()> {
    let pair = pair(
        "CREATE TABLE trees (id bigint) PARTITION BY RANGE (id);
         CREATE TABLE trees_0 PARTITION OF trees FOR VALUES FROM (0) TO (100)",
        APPLES,
    )
    .await?;
    let finding = refused(&pair, &apples()?, "key_not_unique", "public.trees(id)").await?;
    assert_eq!(follow(&finding, &pair.main).await?, 1);
    accepted(&pair, &apples()?).await
}

#[tokio::test]
async fn f07_columns_beside_a_unique_key_are_refused_with_its_name() -> Result<()> {
    let pair = pair("CREATE TABLE trees (id bigint PRIMARY KEY, tree_no bigint, UNIQUE (id, tree_no))", APPLES).await?;
    let wrong = loose("trees(tree_no)", "apples(tree_id)", OnDelete::Delete)?;
    let finding = refused(&pair, &wrong, "key_not_unique", "public.trees(tree_no)").await?;
    assert_eq!(finding.remedy, ["name the columns of a unique key: (id, tree_no), (id)"]);
    Ok(())
}

#[tokio::test]
async fn f07_unique_indexes_that_do_not_cover_every_row_are_refused() -> Result<()> {
    let pair = pair("", APPLES).await?;
    for index in [
        "CREATE UNIQUE INDEX ON trees (id) WHERE name IS NOT NULL",
        "CREATE UNIQUE INDEX ON trees ((id + 0))",
        "CREATE UNIQUE INDEX ON trees (id, name)",
        "CREATE INDEX ON trees (id)",
    ] {
        let trees = "DROP TABLE IF EXISTS trees; CREATE TABLE trees (id bigint, name text)";
        pair.main.execute(&format!("{trees}; {index}")).await?;
        refused(&pair, &apples()?, "key_not_unique", "public.trees(id)").await?;
    }
    Ok(())
}

#[tokio::test]
async fn f07_an_unfinished_unique_index_is_refused_with_what_finishes_it() -> Result<()> {
    let pair = pair("CREATE TABLE trees (id bigint); CREATE UNIQUE INDEX by_id ON trees (id)", APPLES).await?;
    pair.main.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'by_id'::regclass").await?;
    let finding = refused(&pair, &apples()?, "key_not_unique", "public.trees(id)").await?;
    assert_eq!(finding.remedy, ["REINDEX INDEX CONCURRENTLY public.by_id;"]);
    follow(&finding, &pair.main).await?;
    accepted(&pair, &apples()?).await
}

#[tokio::test]
async fn f07_types_that_cannot_be_compared_are_refused() -> Result<()> {
    let pair = pair("CREATE TABLE trees (id uuid PRIMARY KEY)", APPLES).await?;
    refused(&pair, &apples()?, "types_differ", "public.trees.id (uuid) and public.apples.tree_id (bigint)").await?;
    pair.ci.execute("ALTER TABLE apples ALTER tree_id TYPE uuid USING NULL").await?;
    accepted(&pair, &apples()?).await
}

#[tokio::test]
async fn f07_collations_that_disagree_on_what_is_equal_are_refused() -> Result<()> {
    let collations = "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
        CREATE COLLATION any_accent (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
        CREATE TABLE trees (id text PRIMARY KEY);
        CREATE TABLE apples (id int PRIMARY KEY, tree_id text); CREATE INDEX ON apples (tree_id)";
    let pair = pair(collations, collations).await?;
    for (parent, child, why) in [
        ("\"C\"", "any_case", "a deterministic collation there, a nondeterministic one here"),
        ("any_case", "\"C\"", "a nondeterministic collation there, a deterministic one here"),
        ("any_case", "any_accent", "different nondeterministic collations"),
    ] {
        pair.main.execute(&format!("ALTER TABLE trees ALTER id TYPE text COLLATE {parent}")).await?;
        pair.ci.execute(&format!("ALTER TABLE apples ALTER tree_id TYPE text COLLATE {child}")).await?;
        let finding = refused(&pair, &apples()?, "collations_differ", why).await?;
        assert!(finding.message.contains("public.trees.id (text) and public.apples.tree_id (text)"), "{finding:?}");
    }
    pair.ci.execute("ALTER TABLE apples ALTER tree_id TYPE text COLLATE any_case").await?;
    accepted(&pair, &apples()?).await
}

#[tokio::test]
async fn f07_two_columns_of_the_wrong_count_are_no_definition() -> Result<()> {
    let error = loose("trees(id, name)", "apples(tree_id)", OnDelete::Delete).expect_err("one column is missing");
    assert!(error.to_string().contains("the parent has 2 columns and the child 1"), "{error:#}");
    Ok(())
}

#[tokio::test]
async fn f07_triggers_that_would_not_fire_are_refused() -> Result<()> {
    let pair = pair(TREES, APPLES).await?;
    pair.main.execute(&format!("ALTER DATABASE {} SET session_replication_role = replica", pair.main.name)).await?;
    let finding = refused(
        &pair,
        &apples()?,
        "replication_role",
        "session_replication_role is replica for postgres in database main",
    )
    .await?;
    assert_eq!(follow(&finding, &pair.main).await?, 2);
    accepted(&pair, &apples()?).await
}

#[tokio::test]
async fn f07_a_standby_is_refused_on_either_side() -> Result<()> {
    let cluster = Cluster::start().await?;
    let standby = TestDb::on(&cluster).await?;
    standby.execute(&format!("{TREES}; {APPLES}")).await?;
    cluster.stop_fast().await?;
    std::fs::write(cluster.home().join("pg/standby.signal"), "")?;
    cluster.restart().await?;

    let (main, ci) = (TestDb::with_schema(Role::Main, TREES).await?, TestDb::with_schema(Role::Ci, APPLES).await?);
    let pair = Pair { main: standby.clone(), ci };
    let finding = refused(&pair, &apples()?, "in_recovery", "database main is a standby, or read only").await?;
    assert_eq!(finding.remedy, ["point the url of main at the primary"]);
    let pair = Pair { main, ci: standby };
    refused(&pair, &apples()?, "in_recovery", "database ci is a standby, or read only").await?;
    Ok(())
}

#[tokio::test]
async fn f07_one_definition_that_is_refused_keeps_all_from_being_installed() -> Result<()> {
    let pair = pair(TREES, APPLES).await?;
    let wrong = loose("trees(id)", "pears(tree_id)", OnDelete::Delete)?;
    let engine = pair.engine([apples()?, wrong])?;
    let plan = engine.plan().await?;
    assert_eq!(plan.loose_foreign_keys[0].findings, []);
    assert_eq!(plan.loose_foreign_keys[1].findings[0].code, "table_missing");
    let error = engine.install().await.expect_err("one of two is wrong");
    assert_eq!(error.definition.as_deref(), Some("pears.tree_id"));
    assert!(pair.main.scalar::<bool>("SELECT to_regnamespace('lfk') IS NULL").await?);
    Ok(())
}

#[tokio::test]
async fn f07_activating_and_running_refuse_what_became_impossible() -> Result<()> {
    let pair = pair(TREES, APPLES).await?;
    let engine = pair.engine([apples()?])?;
    engine.install().await?;
    pair.ci.execute("DROP INDEX apples_tree_id_idx").await?;
    let name = engine.definitions().first().context("there is one")?.name.clone();
    let activated = engine.set_state(&[name], State::Active, false).await.expect_err("activate refuses");
    assert_eq!(activated.kind, ErrorKind::Refused);
    let ran = engine.run_once().await.expect_err("run refuses");
    assert_eq!((ran.kind, ran.message), (ErrorKind::Refused, activated.message));
    Ok(())
}
