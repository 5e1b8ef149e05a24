//! What a mirror may be made of, and what is refused before anything is compared.

use anyhow::Result;
use lfk_core::Database;
use lfk_mirror::{Columns, Mirror, Order};
use lfk_tests::Pair;

const SOURCE: &str = "CREATE TABLE s (id bigint PRIMARY KEY, other int UNIQUE, t text, at timestamptz, price money, f float8 UNIQUE NOT NULL,
      n numeric, u uuid NOT NULL UNIQUE, \"from\" text, many int[]);
    CREATE COLLATION blurred (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    CREATE TABLE blurred_key (id text COLLATE blurred PRIMARY KEY);
    CREATE FUNCTION reads_a_table(bigint) RETURNS bigint STABLE LANGUAGE sql AS 'SELECT max(id) FROM public.s';
    CREATE VIEW v AS SELECT * FROM s";
const TARGET: &str =
    "CREATE TABLE t (id bigint PRIMARY KEY, t text, n int, d date, price money, f float8, u uuid, many bigint[],
      key_text text NOT NULL UNIQUE, plain text)";

async fn databases() -> Result<(Pair, Database, Database)> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let (main, ci) = (Database::connect_lazy("main", &pair.main.url)?, Database::connect_lazy("ci", &pair.ci.url)?);
    Ok((pair, main, ci))
}

fn mirror() -> Result<Mirror> {
    Ok(Mirror::new("m", "main:public.s(id)", "ci:public.t(id)")?)
}

/// The codes of what is refused.
async fn refused(mirror: &Mirror) -> Result<Vec<&'static str>> {
    let (_pair, main, ci) = databases().await?;
    let judged = Columns::load(mirror, &main, &ci).await?;
    let codes: Vec<&str> = judged.findings.iter().filter(|f| f.refuses).map(|f| f.code).collect();
    assert_eq!(judged.columns.is_none(), !codes.is_empty());
    assert!(judged.findings.iter().all(|f| !f.remedy.is_empty()), "{:?}", judged.findings);
    Ok(codes)
}

#[tokio::test]
async fn f7_expressions_that_are_not_immutable_are_refused() -> Result<()> {
    for sql in
        ["now()::text", "random()::text", "to_char(at, 'YYYY')", "at::date::text", "public.reads_a_table(id)::text"]
    {
        assert_eq!(refused(&mirror()?.expression("t", sql)?).await?, ["not_immutable"], "{sql}");
        assert_eq!(refused(&mirror()?.only_where(&format!("{sql} > ''"))?).await?, ["not_immutable"], "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn f7_expressions_that_read_other_rows_are_refused() -> Result<()> {
    for sql in [
        "(SELECT max(t) FROM public.s)",
        "max(t)",
        "row_number() OVER ()::text",
        "unnest(ARRAY['a', 'b'])",
        "ctid::text",
    ] {
        assert_eq!(refused(&mirror()?.expression("t", sql)?).await?, ["reads_other_rows"], "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn f7_expressions_that_cannot_be_read_are_refused() -> Result<()> {
    for sql in ["no_such_column", "no_such_function(t)", "lower(", "t AS x", "id + t"] {
        let Ok(mirror) = mirror()?.expression("t", sql) else { continue };
        assert_eq!(refused(&mirror).await?, ["expression"], "{sql}");
    }
    assert_eq!(refused(&mirror()?.only_where("t")?).await?, ["unreadable"]);
    Ok(())
}

#[tokio::test]
async fn f7_columns_and_keys_that_cannot_be_mirrored_are_refused() -> Result<()> {
    let of =
        |source: &str, target: &str| Mirror::new("m", &format!("main:public.{source}"), &format!("ci:public.{target}"));
    for (mirror, code) in [
        (mirror()?.column("price", "t")?, vec!["money"]),
        (mirror()?.column("nothing", "t")?, vec!["no_column"]),
        (mirror()?.column("t", "nothing")?, vec!["no_column"]),
        (mirror()?.column("t", "n")?, vec!["not_assignable"]),
        (mirror()?.column("t", "u")?, vec!["not_assignable"]),
        (of("nothing(id)", "t(id)")?, vec!["no_table"]),
        (of("v(id)", "t(id)")?, vec!["no_table"]),
        (of("s(f)", "t(f)")?, vec!["key_type", "key_nullable"]),
        (of("s(u)", "t(id)")?, vec!["key_types_differ"]),
        (of("s(other)", "t(id)")?, vec!["key_nullable"]),
        (of("s(id)", "t(n)")?, vec!["key_nullable"]),
        (of("blurred_key(id)", "t(key_text)")?, vec!["key_collation"]),
        (of("s(id, u)", "t(id, u)")?, vec!["key_nullable"]),
    ] {
        assert_eq!(refused(&mirror).await?, code, "{}", mirror.fingerprint());
    }
    Ok(())
}

#[tokio::test]
async fn f7_what_suits_a_mirror_is_taken_and_nothing_is_left_behind() -> Result<()> {
    let mirror = mirror()?
        .column("from", "plain")?
        .column("n", "n")?
        .column("many", "many")?
        .expression("t", "lower(t) || ' ' || \"from\"")?
        .expression("d", "(at AT TIME ZONE 'UTC')::date")?
        .only_where("n > 0 AND NOT (t IS NULL)")?;
    let (pair, main, ci) = databases().await?;
    let judged = Columns::load(&mirror, &main, &ci).await?;
    assert_eq!(judged.findings, []);
    let columns = judged.columns.expect("nothing is refused");
    assert_eq!(columns.order, Order::Native);
    let left = "SELECT count(*) FROM pg_class WHERE relname = 'lfk_try'";
    assert_eq!(pair.main.scalar::<i64>(left).await?, 0);

    let before = Columns::fingerprint_now(&mirror, &main, &ci).await?;
    assert_eq!(columns.fingerprint, before);
    pair.ci.execute("ALTER TABLE t ALTER COLUMN n TYPE bigint").await?;
    assert_ne!(Columns::fingerprint_now(&mirror, &main, &ci).await?, before);
    Ok(())
}
