//! M1 and F7 for the columns of mirrors: what assignments do in silence, and what triggers cannot see.

use anyhow::{Context as _, Result};
use lfk_core::{Drained, SetAsideFilter};
use lfk_mirror::{Mirror, Mirrors as _, Options};
use lfk_tests::Pair;
use lfk_tests::scenario::{PATIENCE, drain};

use crate::mirror_support::{NAME, activated, builder, fill, rows};

async fn codes(pair: &Pair, mirror: Mirror) -> Result<Vec<(String, &'static str)>> {
    let plan = builder(pair)?.mirrors([mirror]).build()?.plan().await?.mirrors.pop().context("no plan")?;
    Ok(plan
        .findings
        .into_iter()
        .filter(|f| f.refuses)
        .map(|f| (f.message + " " + &f.remedy.join(" "), f.code))
        .collect())
}

#[tokio::test]
async fn m01_blanks_that_an_assignment_cuts_are_no_difference_and_what_it_refuses_is_set_aside() -> Result<()> {
    let pair = Pair::with_schema(
        "CREATE TABLE items (id bigint PRIMARY KEY, v text, c text, n text, d text);
         INSERT INTO items SELECT n, 'abc', 'abc', 'abc', 'abc' FROM generate_series(1, 5) n",
        "CREATE DOMAIN short AS varchar(3); CREATE TABLE copies (id bigint PRIMARY KEY, v varchar(3), c char(3), n name, d short)",
    )
    .await?;
    let mirror = ["v", "c", "n", "d"]
        .iter()
        .try_fold(Mirror::new(NAME, "main:public.items(id)", "ci:public.copies(id)")?, |m, c| m.column(c, c))?;
    let engine = activated(builder(&pair)?.mirrors([mirror.clone()]).build()?).await?;
    fill(&engine).await?;
    let (main, ci) = (&engine.databases()[0], &engine.databases()[1]);
    pair.main
        .execute("UPDATE items SET v = 'ab' || repeat(' ', 7) WHERE id = 1; UPDATE items SET c = 'ab' || repeat(' ', 7) WHERE id = 2;
                  UPDATE items SET n = repeat('n', 70) WHERE id = 3; UPDATE items SET d = 'abc' || repeat(' ', 7) WHERE id = 4")
        .await?;
    drain(&engine).await?;
    let report = lfk_mirror::check(&mirror, main, ci, &Options::default()).await?;
    assert_eq!((report.checked_rows, report.confirmed.total()), (5, 0), "{report:?}");
    assert_eq!(rows(&pair.ci, "SELECT v || '|' FROM copies WHERE id = 1").await?, ["ab |"]);
    // One blank more or less within the limit is a difference as ever.
    pair.ci.execute("UPDATE copies SET v = 'ab' WHERE id = 1").await?;
    let report = lfk_mirror::check(&mirror, main, ci, &Options::default()).await?;
    assert_eq!(report.confirmed.different, 1, "{report:?}");
    pair.ci.execute("UPDATE copies SET v = 'ab ' WHERE id = 1").await?;
    // Longer than blanks: the target refuses it, the row is set aside, and the check says so.
    pair.main.execute("UPDATE items SET v = 'abc  d ' WHERE id = 5").await?;
    assert_ne!(engine.run_until_drained(Some(std::time::Duration::from_secs(3))).await?, Drained::Drained);
    let aside = engine.retries(&SetAsideFilter::default(), 10).await?.set_aside;
    let aside: Vec<_> = aside.iter().map(|one| (one.key.join(","), one.sqlstate.clone())).collect();
    assert_eq!(aside, [("5".to_owned(), Some("22001".to_owned()))]);
    pair.main.execute("UPDATE items SET v = 'x' WHERE id = 5").await?;
    engine.retry_now(&SetAsideFilter::default()).await?;
    assert_eq!(engine.run_until_drained(Some(PATIENCE)).await?, Drained::Drained);
    Ok(())
}

#[tokio::test]
async fn f07_a_key_that_the_target_would_cut_is_refused() -> Result<()> {
    for (source, target, refused) in [
        ("text", "varchar(9)", true),
        ("varchar(10)", "varchar(9)", true),
        ("varchar(9)", "varchar(9)", false),
        ("varchar(9)", "text", false),
    ] {
        let pair = Pair::with_schema(
            &format!("CREATE TABLE items (id {source} PRIMARY KEY)"),
            &format!("CREATE TABLE copies (id {target} PRIMARY KEY)"),
        )
        .await?;
        let codes = codes(&pair, Mirror::new(NAME, "main:public.items(id)", "ci:public.copies(id)")?).await?;
        let narrow = codes.iter().any(|(said, code)| *code == "key_too_narrow" && said.contains("the type"));
        assert_eq!((narrow, codes.len()), (refused, usize::from(refused)), "{source} to {target}: {codes:?}");
    }
    Ok(())
}

#[tokio::test]
async fn f07_virtual_generated_columns_of_a_source_are_refused_and_stored_ones_are_followed() -> Result<()> {
    let pair = Pair::with_schema("SELECT 1", "CREATE TABLE copies (id bigint PRIMARY KEY, v integer)").await?;
    let virtual_columns: bool = pair.main.scalar("SELECT current_setting('server_version_num')::int >= 180000").await?;
    let kinds: &[&str] = if virtual_columns { &["STORED", "VIRTUAL"] } else { &["STORED"] };
    for kind in kinds {
        pair.main
            .execute(&format!(
                "DROP TABLE IF EXISTS items CASCADE; CREATE TABLE items (id bigint PRIMARY KEY, a integer, v integer GENERATED ALWAYS AS (a * 2) {kind})"
            ))
            .await?;
        let new = || Mirror::new(NAME, "main:public.items(id)", "ci:public.copies(id)");
        for mirror in [new()?.column("v", "v")?, new()?.expression("v", "v + 1")?, new()?.only_where("v > 1")?] {
            let codes = codes(&pair, mirror).await?;
            let refused = codes.iter().any(|(said, code)| *code == "generated_column" && said.contains("STORED"));
            assert_eq!(refused, *kind == "VIRTUAL", "{kind}: {codes:?}");
        }
    }
    pair.main
        .execute("DROP TABLE items CASCADE; CREATE TABLE items (id bigint PRIMARY KEY, a integer, v integer GENERATED ALWAYS AS (a * 2) STORED)")
        .await?;
    let mirror = Mirror::new(NAME, "main:public.items(id)", "ci:public.copies(id)")?.column("v", "v")?;
    let engine = activated(builder(&pair)?.mirrors([mirror]).build()?).await?;
    pair.main.execute("INSERT INTO items (id, a) VALUES (1, 1), (2, 2); UPDATE items SET a = 5 WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(rows(&pair.ci, "SELECT (id, v)::text FROM copies ORDER BY id").await?, ["(1,10)", "(2,4)"]);
    Ok(())
}
