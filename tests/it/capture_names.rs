//! C7: names that need quoting, or look like something else, or nearly coincide.

use anyhow::{Context as _, Result};
use lfk_core::{LooseForeignKey, OnDelete};
use lfk_sql::Ident;
use lfk_tests::Pair;
use lfk_tests::scenario::{active, as_installer, drain};

use crate::capture_support::{database, in_both, lines, logged, rows};

/// Names that have broken other people's SQL.
const ODD: &[&str] = &[
    "Capital",
    "with space",
    "We\"ird",
    "it's",
    "back\\slash",
    "dot.ted",
    "par(en)s",
    "com,ma",
    "{child}",
    "$1",
    "dollar$$quote",
    "%s %I",
    "--",
    "/* x */",
    "NULL",
    "select",
    "new\nline",
    "ключ",
    "木",
    "😀",
];

/// Every name as schema, table, key column, child table and child column at once.
#[tokio::test]
async fn c07_odd_names_are_tracked_and_cleaned_everywhere() -> Result<()> {
    let pair = Pair::new().await?;
    let (mut main, mut ci, mut definitions) = (String::new(), String::new(), Vec::new());
    for name in ODD {
        let q = Ident::new(*name)?.to_string();
        main += &format!(
            "CREATE SCHEMA {q}; CREATE TABLE {q}.{q} ({q} bigint PRIMARY KEY); INSERT INTO {q}.{q} VALUES (1), (2);"
        );
        ci += &format!(
            "CREATE SCHEMA {q}; CREATE TABLE {q}.{q} (id int PRIMARY KEY, {q} bigint); CREATE INDEX ON {q}.{q} ({q});
             INSERT INTO {q}.{q} VALUES (10, 1), (20, 2);"
        );
        let (parent, child) = (format!("main:{q}.{q}({q})"), format!("ci:{q}.{q}({q})"));
        definitions.push(LooseForeignKey::new(&parent, &child, OnDelete::Delete).with_context(|| parent.clone())?);
    }
    in_both(&pair, &main, &ci).await?;
    let engine = active(&pair, definitions).await?;
    for name in ODD {
        let q = Ident::new(*name)?;
        pair.main.execute(&format!("DELETE FROM {q}.{q} WHERE {q} = 1")).await?;
    }
    drain(&engine).await?;
    for name in ODD {
        let q = Ident::new(*name)?;
        assert_eq!(rows(&pair.ci, &format!("{q}.{q}")).await?, ["20|2"], "{name}");
    }
    let names: Vec<String> = engine.definitions().iter().map(|d| d.name.clone()).collect();
    assert_eq!(as_installer(&engine)?.uninstall(&names).await?.len(), ODD.len());
    assert!(!pair.main.scalar::<bool>("SELECT EXISTS (SELECT FROM pg_trigger WHERE tgname LIKE 'lfk%')").await?);
    Ok(())
}

#[tokio::test]
async fn c07_odd_columns_of_composite_keys_are_set() -> Result<()> {
    let pair = Pair::new().await?;
    in_both(
        &pair,
        "CREATE TABLE t (\"{a}\" int, \"$b\" text, PRIMARY KEY (\"{a}\", \"$b\")); INSERT INTO t VALUES (1, 'x'), (2, 'x')",
        "CREATE TABLE c (id int PRIMARY KEY, \"{columns}\" int, \"{keys}\" text, \"'{value}'\" text, \"{match}\" text);
         CREATE INDEX ON c (\"{columns}\", \"{keys}\");
         INSERT INTO c VALUES (1, 1, 'x', 'old', '{leaf}'), (2, 2, 'x', 'old', '{leaf}'), (3, 1, 'x', 'old', 'other')",
    )
    .await?;
    let set = vec![(Ident::new("'{value}'")?, Some("'{column}' \"{leaf}\" $1 \\ %".to_owned()))];
    let definition = LooseForeignKey::new(
        "main:public.t(\"{a}\", \"$b\")",
        "ci:public.c(\"{columns}\", \"{keys}\")",
        OnDelete::Set(set),
    )?
    .only_where("{match}", "{leaf}")?;
    let engine = active(&pair, [definition]).await?;
    pair.main.execute("DELETE FROM t WHERE \"{a}\" = 1").await?;
    drain(&engine).await?;
    let expected = ["1|1|x|'{column}' \"{leaf}\" $1 \\ %|{leaf}", "2|2|x|old|{leaf}", "3|1|x|old|other"];
    assert_eq!(rows(&pair.ci, "c").await?, expected);
    Ok(())
}

#[tokio::test]
async fn c07_names_of_63_bytes_that_differ_at_the_end_are_logged_apart() -> Result<()> {
    let long = |last: &str| format!("{}{last}", "x".repeat(62));
    let (a, b, s) = (long("a"), long("b"), long("s"));
    let db = database(
        &format!(
            "CREATE SCHEMA {s};
             CREATE TABLE {a} ({a} int PRIMARY KEY, {b} int UNIQUE); CREATE TABLE {b} ({a} int PRIMARY KEY);
             CREATE TABLE {s}.{a} ({a} int PRIMARY KEY);
             INSERT INTO {a} VALUES (1, 2); INSERT INTO {b} VALUES (3); INSERT INTO {s}.{a} VALUES (4)"
        ),
        &[
            (&a, &format!("{{{a}}}")),
            (&a, &format!("{{{b}}}")),
            (&b, &format!("{{{a}}}")),
            (&format!("{s}.{a}"), &format!("{{{a}}}")),
        ],
    )
    .await?;
    db.execute(&format!("DELETE FROM {a}; DELETE FROM {b}; DELETE FROM {s}.{a}")).await?;
    let mut expected = [format!("{a} d 1"), format!("{a} d 2"), format!("{b} d 3"), format!("{s}.{a} d 4")];
    expected.sort();
    assert_eq!(logged(&db).await?, expected);
    let triggers =
        lines(&db, "SELECT count(*), count(DISTINCT (tgrelid, tgname)) FROM pg_trigger WHERE tgname LIKE 'lfk%'");
    assert_eq!(triggers.await?, ["12|12"]);
    Ok(())
}

#[tokio::test]
async fn c07_a_name_of_63_bytes_is_cleaned_from_end_to_end() -> Result<()> {
    let pair = Pair::new().await?;
    // 21 letters of three bytes.
    let q = "木".repeat(21);
    in_both(
        &pair,
        &format!("CREATE TABLE {q} ({q} int PRIMARY KEY); INSERT INTO {q} VALUES (1), (2)"),
        &format!("CREATE TABLE {q} (id int PRIMARY KEY, {q} int); CREATE INDEX i ON {q} ({q}); INSERT INTO {q} VALUES (10, 1), (20, 2)"),
    )
    .await?;
    let definition =
        LooseForeignKey::new(&format!("main:public.{q}({q})"), &format!("ci:public.{q}({q})"), OnDelete::SetNull)?;
    let engine = active(&pair, [definition]).await?;
    pair.main.execute(&format!("DELETE FROM {q} WHERE {q} = 2")).await?;
    drain(&engine).await?;
    assert_eq!(rows(&pair.ci, &q).await?, ["10|1", "20|NULL"]);
    Ok(())
}
