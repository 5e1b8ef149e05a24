//! What the triggers of a mirror's source log, and that the application never notices them.

use anyhow::Result;
use lfk_tests::Pair;

use crate::mirror_support::{SOURCE, TARGET, active, logged};

async fn installed() -> Result<Pair> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    active(&pair).await?;
    Ok(pair)
}

#[tokio::test]
async fn m01_inserts_changes_and_deletes_are_logged_and_nothing_else() -> Result<()> {
    let pair = installed().await?;
    let main = &pair.main;
    for (sql, wanted) in [
        ("INSERT INTO spaces VALUES (20, 'A'), (21, 'B')", vec!["i 20,21"]),
        ("UPDATE spaces SET seen = now()", vec![]),
        ("UPDATE spaces SET owner = owner", vec![]),
        ("UPDATE spaces SET owner = 7 WHERE id IN (1, 2)", vec!["u 1,2"]),
        // A column that only an expression uses, and one that only the filter uses.
        ("UPDATE spaces SET name = 'Other' WHERE id = 3", vec!["u 3"]),
        ("UPDATE spaces SET archived = true WHERE id = 5", vec!["u 5"]),
        ("UPDATE spaces SET id = id + 100 WHERE id IN (1, 2)", vec!["u 1,2,101,102"]),
        ("DELETE FROM spaces WHERE id > 100", vec!["d 101,102"]),
        ("DELETE FROM spaces WHERE false", vec![]),
        ("INSERT INTO spaces VALUES (3, 'Third') ON CONFLICT (id) DO UPDATE SET name = excluded.name", vec!["u 3"]),
        ("INSERT INTO spaces VALUES (3, 'Third') ON CONFLICT DO NOTHING", vec![]),
        (
            "MERGE INTO spaces s USING (VALUES (6), (30)) v(id) ON s.id = v.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (v.id)",
            vec!["d 6", "i 30"],
        ),
        ("TRUNCATE spaces", vec!["t "]),
    ] {
        let before = logged(main).await?.len();
        main.execute(sql).await?;
        let mut now = logged(main).await?.split_off(before);
        now.sort();
        assert_eq!(now, wanted, "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn m01_values_that_differ_in_a_bit_only_are_logged() -> Result<()> {
    let source = "CREATE TABLE spaces (id bigint PRIMARY KEY, name text, path bigint[] NOT NULL DEFAULT '{}', owner integer, archived boolean NOT NULL DEFAULT false, n numeric, f float8, a int[], j jsonb);
                  INSERT INTO spaces VALUES (1, 'x', '{}', 1, false, 1.0, 0, '{1}', '1')";
    let pair = Pair::with_schema(source, "CREATE TABLE copies (space_id bigint PRIMARY KEY, path bigint[], owner integer, handle text, n numeric, f float8, a int[], j jsonb)").await?;
    let mirror =
        crate::mirror_support::mirror()?.column("n", "n")?.column("f", "f")?.column("a", "a")?.column("j", "j")?;
    let builder = lfk_mirror::Mirrors::mirrors(crate::mirror_support::builder(&pair)?, [mirror]);
    crate::mirror_support::activated(builder.build()?).await?;
    for change in ["n = 1.00", "f = -0.0::float8", "a = '[2:2]={1}'", "j = '1.0'", "n = NULL", "path = NULL"] {
        let before = logged(&pair.main).await?.len();
        // A NULL that a constraint forbids is no change.
        if pair.main.execute(&format!("UPDATE spaces SET {change}")).await.is_err() {
            continue;
        }
        assert_eq!(logged(&pair.main).await?.len(), before + 1, "{change}");
    }
    Ok(())
}

#[tokio::test]
async fn m01_a_bulk_change_is_logged_a_thousand_keys_a_row() -> Result<()> {
    let pair = installed().await?;
    pair.main.execute("INSERT INTO spaces SELECT n, 'n' FROM generate_series(1001, 3500) n").await?;
    pair.main.execute("UPDATE spaces SET owner = 1 WHERE id > 1000").await?;
    let sizes = "SELECT op::text || cardinality(keys)::text FROM lfk.key_log ORDER BY op, cardinality(keys)";
    let sizes = crate::mirror_support::rows(&pair.main, sizes).await?;
    assert_eq!(sizes, ["i500", "i1000", "i1000", "u500", "u1000", "u1000"]);
    Ok(())
}

#[tokio::test]
async fn c02_a_watched_column_that_is_renamed_or_dropped_breaks_no_statement_of_the_application() -> Result<()> {
    let pair = installed().await?;
    for (change, write) in [
        ("ALTER TABLE spaces RENAME owner TO holder", "UPDATE spaces SET seen = now() WHERE id = 1"),
        ("ALTER TABLE spaces DROP COLUMN path", "UPDATE spaces SET seen = now() WHERE id = 1"),
        ("ALTER TABLE spaces RENAME id TO number", "INSERT INTO spaces (number) VALUES (50)"),
    ] {
        let before = logged(&pair.main).await?.len();
        pair.main.execute(change).await?;
        pair.main.execute(write).await?;
        assert_eq!(logged(&pair.main).await?.split_off(before), ["s "], "{change}");
    }
    Ok(())
}

#[tokio::test]
async fn c02_the_application_needs_no_rights_of_ours() -> Result<()> {
    let pair = installed().await?;
    pair.main.execute("CREATE ROLE app_of_mirrors").await?;
    pair.main.execute("GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON spaces TO app_of_mirrors").await?;
    let before = logged(&pair.main).await?.len();
    pair.main
        .execute("BEGIN; SET LOCAL ROLE app_of_mirrors; SET LOCAL search_path = pg_temp; INSERT INTO public.spaces VALUES (60); UPDATE public.spaces SET owner = 3 WHERE id = 60; DELETE FROM public.spaces WHERE id = 60; COMMIT")
        .await?;
    assert_eq!(logged(&pair.main).await?.split_off(before), ["i 60", "u 60", "d 60"]);
    pair.main.execute("DROP OWNED BY app_of_mirrors; DROP ROLE app_of_mirrors").await?;
    Ok(())
}
