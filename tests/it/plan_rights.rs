//! F7: rights that are missing, each with the statement that grants it.

use anyhow::Result;
use lfk_core::{Drained, Finding, LooseForeignKey, OnDelete};
use lfk_sql::Ident;
use lfk_tests::scenario::{PATIENCE, activate, loose};
use lfk_tests::{TestDb, engine};

use crate::capture_support::{role, url_as};
use crate::plan::{APPLES, TREES, accepted_as, apples, follow, pair, refused_as};

/// A role that may connect to the database and nothing else, and its URL.
async fn stranger(db: &TestDb) -> Result<(String, String)> {
    let role = role(db, "lfk").await?;
    let url = url_as(db, &role);
    Ok((role, url))
}

#[tokio::test]
async fn f07_rights_that_are_missing_on_the_parent_are_named_with_their_grants() -> Result<()> {
    let pair = pair("CREATE SCHEMA app; CREATE TABLE app.trees (id bigint PRIMARY KEY)", APPLES).await?;
    let definition = LooseForeignKey::new("main:app.trees(id)", "ci:public.apples(tree_id)", OnDelete::Delete)?;
    let (role, url) = stranger(&pair.main).await?;
    let urls = [url.as_str(), &pair.ci.url];
    let main = &pair.main;
    let steps = [
        format!("GRANT USAGE ON SCHEMA app TO {role}; -- in database main"),
        format!("GRANT TRIGGER ON app.trees TO {role}; -- in database main"),
        format!("GRANT CREATE ON DATABASE {} TO {role}; -- in database main", main.name),
        format!("GRANT SELECT (id) ON app.trees TO {role}; -- in database main"),
    ];
    let engine = engine(&[("main", urls[0]), ("ci", urls[1])], [definition.clone()])?;
    let plan = engine.plan().await?;
    let findings = &plan.loose_foreign_keys[0].findings;
    assert!(
        findings
            .iter()
            .all(|f| f.code == "missing_privilege" && f.message.contains(&role) && f.message.contains("database main")),
        "{findings:?}"
    );
    let remedies: Vec<&String> = findings.iter().flat_map(|f| &f.remedy).collect();
    assert_eq!(remedies, steps.iter().collect::<Vec<_>>());
    // All but the last, which must then be the only one asked for.
    for step in &steps[..3] {
        main.execute(step).await?;
    }
    let finding = refused_as(&pair, urls, &definition, "missing_privilege", "app.trees(id)").await?;
    follow(&finding, main).await?;
    accepted_as(urls, &definition).await
}

#[tokio::test]
async fn f07_rights_that_are_missing_on_the_child_are_named_with_their_grants() -> Result<()> {
    for (action, grants) in [
        (OnDelete::Delete, "DELETE, SELECT (ctid, tree_id, kind), UPDATE (tree_id)"),
        (OnDelete::SetNull, "SELECT (ctid, tree_id, kind), UPDATE (tree_id)"),
        (
            OnDelete::Set(vec![(Ident::new("weight")?, Some("0".to_owned()))]),
            "SELECT (ctid, tree_id, kind, weight), UPDATE (weight)",
        ),
    ] {
        let pair = pair(TREES, APPLES).await?;
        let definition = loose("trees(id)", "apples(tree_id)", action)?.only_where("kind", "fallen")?;
        let (role, url) = stranger(&pair.ci).await?;
        pair.ci.execute(&format!("GRANT CREATE ON DATABASE {} TO {role}", pair.ci.name)).await?;
        let urls = [pair.main.url.as_str(), &url];
        let finding = refused_as(&pair, urls, &definition, "missing_privilege", "public.apples").await?;
        assert_eq!(finding.remedy, [format!("GRANT {grants} ON public.apples TO {role}; -- in database ci")]);
        follow(&finding, &pair.ci).await?;
        accepted_as(urls, &definition).await?;

        // What plan asks for is enough to do the work.
        pair.ci.execute("INSERT INTO apples VALUES (1, 1, 'fallen', 7), (2, 1, 'ripe', 7)").await?;
        pair.main.execute("INSERT INTO trees VALUES (1); DELETE FROM trees").await?;
        let engine = engine(&[("main", urls[0]), ("ci", urls[1])], [definition])?;
        activate(&engine).await?;
        assert_eq!(engine.run_until_drained(Some(PATIENCE)).await?, Drained::Drained);
        let affected = engine.status().await?.loose_foreign_keys[0].rows_affected_total;
        assert_eq!(affected, 1, "{grants}");
    }
    Ok(())
}

#[tokio::test]
async fn f07_row_level_security_that_could_hide_rows_is_refused() -> Result<()> {
    let pair = pair(TREES, APPLES).await?;
    let (role, url) = stranger(&pair.main).await?;
    pair.main
        .execute(&format!(
            "GRANT CREATE ON DATABASE {} TO {role}; GRANT TRIGGER, SELECT ON trees TO {role};
             ALTER TABLE trees ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON trees USING (false)",
            pair.main.name
        ))
        .await?;
    let urls = [url.as_str(), &pair.ci.url];
    let finding = refused_as(&pair, urls, &apples()?, "row_security", "public.trees").await?;
    assert_eq!(finding.remedy[0], format!("ALTER ROLE {role} BYPASSRLS; -- in database main"));
    follow(&finding, &pair.main).await?;
    accepted_as(urls, &apples()?).await
}

#[tokio::test]
async fn f07_row_level_security_on_a_leaf_of_the_children_is_refused() -> Result<()> {
    let pair = pair(
        TREES,
        "CREATE TABLE apples (id int, tree_id bigint) PARTITION BY RANGE (id); CREATE INDEX ON apples (tree_id);
         CREATE TABLE apples_0 PARTITION OF apples FOR VALUES FROM (0) TO (100)",
    )
    .await?;
    let (role, url) = stranger(&pair.ci).await?;
    pair.ci
        .execute(&format!(
            "GRANT CREATE ON DATABASE {} TO {role}; ALTER TABLE apples OWNER TO {role}; ALTER TABLE apples_0 OWNER TO {role};
             ALTER TABLE apples_0 ENABLE ROW LEVEL SECURITY; ALTER TABLE apples_0 FORCE ROW LEVEL SECURITY",
            pair.ci.name
        ))
        .await?;
    let urls = [pair.main.url.as_str(), &url];
    let finding = refused_as(&pair, urls, &apples()?, "row_security", "public.apples_0").await?;
    follow(&finding, &pair.ci).await?;
    accepted_as(urls, &apples()?).await
}

#[tokio::test]
async fn f07_a_role_that_does_not_own_schema_lfk_cannot_track_another_table() -> Result<()> {
    let pair = pair(&format!("{TREES}; CREATE TABLE bushes (id bigint PRIMARY KEY)"), APPLES).await?;
    pair.engine([apples()?])?.install().await?;
    let (role, url) = stranger(&pair.main).await?;
    pair.main
        .execute(&format!("GRANT TRIGGER, SELECT ON bushes TO {role}; GRANT USAGE ON SCHEMA lfk TO {role}"))
        .await?;
    let bushes = loose("bushes(id)", "apples(tree_id)", OnDelete::Delete)?.named("bushes");
    let engine = engine(&[("main", &url), ("ci", &pair.ci.url)], [bushes])?;
    let plan = engine.plan().await?;
    let refusals: Vec<&Finding> = plan.loose_foreign_keys[0].findings.iter().filter(|f| f.refuses).collect();
    assert!(refusals.iter().all(|f| f.code == "missing_privilege"), "{refusals:?}");
    let to_install: Vec<&&Finding> = refusals.iter().filter(|f| f.forbids_install()).collect();
    assert_eq!(to_install.len(), 1, "{refusals:?}");
    assert_eq!(to_install[0].message, format!("{role} may not create functions in schema lfk in database main"));
    assert_eq!(to_install[0].remedy, ["run lfk install as the role that owns schema lfk in database main"]);
    let to_work: Vec<&&Finding> = refusals.iter().filter(|f| f.forbids_work()).collect();
    assert_eq!(to_work.len(), 1, "{refusals:?}");
    assert_eq!(to_work[0].message, format!("{role} may not work with the tables of schema lfk in database main"));
    assert!(to_work[0].remedy[0].contains("lfk grants --database main"), "{refusals:?}");
    assert!(engine.install().await.is_err());
    assert_eq!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.tracked").await?, 1);
    Ok(())
}
