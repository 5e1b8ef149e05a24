//! Keys of every type and names of every shape.

use anyhow::Result;
use lfk_core::{LooseForeignKey, OnDelete};
use lfk_tests::Pair;
use lfk_tests::scenario::{active, drain, loose};

use crate::clean_support::{Place, table};

/// The two ways in which keys are compared: with the keys of the log alone, and with the parent's column too.
const BOTH: [Place; 2] = [Place::AnotherServer, Place::SameDatabase];

/// Runs `delete` in the parents' database and expects these rows of `builds` afterwards.
async fn expect(parents: &str, children: &str, key: &LooseForeignKey, delete: &str, left: &[&str]) -> Result<()> {
    for place in BOTH {
        let pair = place.pair(parents, children).await?;
        let engine = active(&pair, [key.clone()]).await?;
        pair.main.execute(delete).await?;
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "builds").await?, left, "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn l17_keys_beyond_smallint_do_no_harm_to_smallint_children() -> Result<()> {
    // Cut to 16 bits, 70000 would be 4464.
    let parents =
        "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects VALUES (5), (6), (4464), (70000)";
    let children = "CREATE TABLE builds (id int, project_id smallint); CREATE INDEX ON builds (project_id);
        INSERT INTO builds VALUES (1, 5), (2, 6), (3, 4464)";
    let key = loose("projects(id)", "builds(project_id)", OnDelete::Delete)?;
    let delete = "DELETE FROM projects WHERE id IN (5, 70000)";
    expect(parents, children, &key, delete, &["(2,6)", "(3,4464)"]).await
}

#[tokio::test]
async fn l01_integers_of_different_widths_match() -> Result<()> {
    let parents = "CREATE TABLE projects (id smallint PRIMARY KEY); INSERT INTO projects VALUES (-1), (2)";
    let children = "CREATE TABLE builds (id int, project_id bigint); CREATE INDEX ON builds (project_id);
        INSERT INTO builds VALUES (1, -1), (2, 2), (3, 4294967295), (4, 65535)";
    let key = loose("projects(id)", "builds(project_id)", OnDelete::Delete)?;
    // The last two are no children of anybody; they are -1 only to those who cut.
    expect(parents, children, &key, "DELETE FROM projects WHERE id = -1", &["(2,2)", "(3,4294967295)", "(4,65535)"])
        .await
}

#[tokio::test]
async fn l01_uuid_keys_match() -> Result<()> {
    let (gone, kept) = ("6f1b1f5e-0000-4000-8000-000000000001", "6f1b1f5e-0000-4000-8000-000000000002");
    let parents =
        format!("CREATE TABLE projects (id uuid PRIMARY KEY); INSERT INTO projects VALUES ('{gone}'), ('{kept}')");
    let children = format!(
        "CREATE TABLE builds (id int, project_id uuid); CREATE INDEX ON builds (project_id);
        INSERT INTO builds VALUES (1, '{gone}'), (2, '{kept}')"
    );
    let key = loose("projects(id)", "builds(project_id)", OnDelete::Delete)?;
    let left = format!("(2,{kept})");
    expect(&parents, &children, &key, &format!("DELETE FROM projects WHERE id = '{gone}'"), &[&left]).await
}

#[tokio::test]
async fn l01_text_keys_match_byte_for_byte() -> Result<()> {
    // Each pair differs in what a careless array literal, a trim or a fold would lose. The second of each stays.
    let pairs = [
        ["NULL", "null"],
        ["", " "],
        ["a,b", "a"],
        ["{}", "{"],
        ["\"q\"", "q"],
        ["back\\slash", "backslash"],
        ["it''s", "its"],
        ["straße", "strasse"],
        ["e\u{301}", "é"],
        ["tab\t", "tab"],
    ];
    let (mut values, mut gone) = (Vec::new(), Vec::new());
    for (number, [first, second]) in (1..).zip(pairs) {
        values.push(format!("({number}, '{first}'), (-{number}, '{second}')"));
        gone.push(format!("'{first}'"));
    }
    let values = values.join(", ");
    let parents = format!(
        "CREATE TABLE projects (id text PRIMARY KEY); INSERT INTO projects SELECT v.k FROM (VALUES {values}) v(n, k)"
    );
    let children = format!(
        "CREATE TABLE builds (id int, project_id varchar(40)); CREATE INDEX ON builds (project_id);
        INSERT INTO builds VALUES {values}"
    );
    let key = loose("projects(id)", "builds(project_id)", OnDelete::Delete)?;
    for place in BOTH {
        let pair = place.pair(&parents, &children).await?;
        let engine = active(&pair, [key.clone()]).await?;
        let kept = table(&pair.ci, "builds WHERE id < 0").await?;
        assert_eq!(pair.main.execute(&format!("DELETE FROM projects WHERE id IN ({})", gone.join(", "))).await?, 10);
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "builds").await?, kept, "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn l01_composite_keys_match_column_by_column() -> Result<()> {
    let parents = "CREATE TABLE projects (code varchar(9), tenant int, PRIMARY KEY (code, tenant));
        INSERT INTO projects VALUES ('a', 1), ('b', 1), ('a', 2), ('b', 2), ('1', 1)";
    let children =
        "CREATE TABLE builds (id int, tenant bigint, project text); CREATE INDEX ON builds (tenant, project);
        INSERT INTO builds VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'a'), (4, 2, 'b'), (5, 1, '1')";
    // The definition names the columns in another order than the parent's key.
    let key = loose("projects(tenant, code)", "builds(tenant, project)", OnDelete::Delete)?;
    // All columns of the keys, combined in any way, would also match the builds 2 and 3.
    let delete = "DELETE FROM projects WHERE (code, tenant) IN (('a', 1), ('b', 2))";
    expect(parents, children, &key, delete, &["(2,1,b)", "(3,2,a)", "(5,1,1)"]).await
}

#[tokio::test]
async fn l01_set_null_of_a_composite_key_nulls_every_column() -> Result<()> {
    let parents = "CREATE TABLE projects (tenant int, id uuid, PRIMARY KEY (tenant, id));
        INSERT INTO projects SELECT n, '6f1b1f5e-0000-4000-8000-000000000001' FROM generate_series(1, 2) n";
    let children =
        "CREATE TABLE builds (id int, tenant int, project_id uuid); CREATE INDEX ON builds (tenant, project_id);
        INSERT INTO builds SELECT n, n, '6f1b1f5e-0000-4000-8000-000000000001' FROM generate_series(1, 2) n";
    let key = loose("projects(tenant, id)", "builds(tenant, project_id)", OnDelete::SetNull)?;
    let left = ["(1,,)", "(2,2,6f1b1f5e-0000-4000-8000-000000000001)"];
    expect(parents, children, &key, "DELETE FROM projects WHERE tenant = 1", &left).await
}

#[tokio::test]
async fn l01_a_unique_key_that_is_not_the_primary_key_is_a_key() -> Result<()> {
    let parents = "CREATE TABLE projects (id bigint PRIMARY KEY, slug text UNIQUE);
        INSERT INTO projects VALUES (1, 'one'), (2, 'two'), (3, NULL)";
    let children = "CREATE TABLE builds (id int, slug text); CREATE INDEX ON builds (slug);
        INSERT INTO builds VALUES (1, 'one'), (2, 'two'), (3, NULL), (4, '1')";
    let key = loose("projects(slug)", "builds(slug)", OnDelete::Delete)?;
    expect(parents, children, &key, "DELETE FROM projects WHERE id IN (1, 3)", &["(2,two)", "(3,)", "(4,1)"]).await
}

#[tokio::test]
async fn l01_names_may_need_quotes() -> Result<()> {
    let long = "é".repeat(31) + "x";
    assert_eq!(long.len(), 63);
    let parents = format!(
        r#"CREATE SCHEMA "Odd; --"; CREATE TABLE "Odd; --"."a ""b"".(c)" ("{long}" bigint PRIMARY KEY);
        INSERT INTO "Odd; --"."a ""b"".(c)" VALUES (1), (2)"#
    );
    let children = format!(
        r#"CREATE SCHEMA "select"; CREATE TABLE "select"."{long}" ("from" int, "key's $1" bigint, "Sta""tus" text);
        CREATE INDEX ON "select"."{long}" ("key's $1"); INSERT INTO "select"."{long}" VALUES (1, 1, 'x'), (2, 2, 'x')"#
    );
    let parent = format!(r#"main:"Odd; --"."a ""b"".(c)"("{long}")"#);
    let child = format!(r#"ci:"select"."{long}"("key's $1")"#);
    let set = OnDelete::Set(vec![(lfk_sql::Ident::new("Sta\"tus")?, Some("it's \\ gone".to_owned()))]);
    for place in BOTH {
        let pair = place.pair(&parents, &children).await?;
        let engine = active(&pair, [LooseForeignKey::new(&parent, &child, set.clone())?]).await?;
        pair.main.execute(r#"DELETE FROM "Odd; --"."a ""b"".(c)" WHERE ctid = '(0,1)'"#).await?;
        drain(&engine).await?;
        let rows = pair.ci.rows(&format!(r#"SELECT * FROM "select"."{long}" ORDER BY 1"#)).await?;
        let texts: Vec<Vec<&str>> = rows.iter().map(|r| r.iter().filter_map(Option::as_deref).collect()).collect();
        assert_eq!(texts, [["1", "1", "it's \\ gone"], ["2", "2", "x"]], "{place:?}");
    }
    Ok(())
}

/// What `abc` and `ABC` are equal in.
const ANY_CASE: &str = "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);";

fn in_any_case() -> (String, String) {
    let parents = format!(
        "{ANY_CASE} CREATE TABLE projects (code text COLLATE any_case PRIMARY KEY);
        INSERT INTO projects VALUES ('ABC'), ('XYZ'), ('kept')"
    );
    let children = format!(
        "{} CREATE TABLE builds (id int, project text COLLATE any_case); CREATE INDEX ON builds (project);
        INSERT INTO builds VALUES (1, 'ABC'), (2, 'abc'), (3, 'xyz'), (4, 'Xyz'), (5, 'KEPT')",
        ANY_CASE.replace("CREATE COLLATION", "CREATE COLLATION IF NOT EXISTS")
    );
    (parents, children)
}

#[tokio::test]
async fn l17_a_living_parent_keeps_its_children_whatever_their_case() -> Result<()> {
    let (parents, children) = in_any_case();
    let key = loose("projects(code)", "builds(project)", OnDelete::Delete)?;
    let delete = "DELETE FROM projects WHERE code IN ('ABC', 'XYZ'); INSERT INTO projects VALUES ('abc')";
    expect(&parents, &children, &key, delete, &["(1,ABC)", "(2,abc)", "(5,KEPT)"]).await
}

#[tokio::test]
async fn l17_a_key_that_only_changes_its_case_is_not_gone() -> Result<()> {
    let (parents, children) = in_any_case();
    let key = loose("projects(code)", "builds(project)", OnDelete::Delete)?;
    let update = "UPDATE projects SET code = lower(code)";
    expect(&parents, &children, &key, update, &["(1,ABC)", "(2,abc)", "(3,xyz)", "(4,Xyz)", "(5,KEPT)"]).await
}

#[tokio::test]
async fn l17_one_side_that_ignores_case_is_refused() -> Result<()> {
    let (parents, _) = in_any_case();
    let children = "CREATE TABLE builds (id int, project text); CREATE INDEX ON builds (project)";
    let pair = Pair::with_schema(&parents, children).await?;
    let engine = pair.engine([loose("projects(code)", "builds(project)", OnDelete::Delete)?])?;
    let plan = engine.plan().await?;
    let codes: Vec<_> = plan.loose_foreign_keys[0].findings.iter().filter(|f| f.refuses).map(|f| f.code).collect();
    assert_eq!(codes, ["collations_differ"]);
    Ok(())
}

#[tokio::test]
async fn l01_both_ends_may_sort_their_texts_differently() -> Result<()> {
    let parents =
        r#"CREATE TABLE projects (code text COLLATE "C" PRIMARY KEY); INSERT INTO projects VALUES ('a'), ('b')"#;
    let children = r#"CREATE TABLE builds (id int, project text COLLATE "POSIX"); CREATE INDEX ON builds (project);
        INSERT INTO builds VALUES (1, 'a'), (2, 'b'), (3, 'A')"#;
    let key = loose("projects(code)", "builds(project)", OnDelete::Delete)?;
    expect(parents, children, &key, "DELETE FROM projects WHERE code = 'a'", &["(2,b)", "(3,A)"]).await
}
