//! Missing, different and extra rows are all found, wherever they stand.

use anyhow::Result;
use lfk_mirror::{Method, Mirror};

use crate::check_support::{Found, ITEM_MIRRORS, ITEMS, Mirrored, NOTHING, by_chunks, filled, items, quick, samples};

#[tokio::test]
async fn m03_equal_tables_have_no_differences_whatever_the_chunks() -> Result<()> {
    let mirrored = filled(1_000).await?;
    for rows in [70, 999, 1_000, 1_001, 50_000] {
        let report = mirrored.check(&by_chunks(rows)).await?;
        assert_eq!(Found::of(&report), NOTHING, "{rows}");
        assert_eq!(report.checked_rows, 1_000, "{rows}");
    }
    Ok(())
}

/// Differences of every kind, also before the first and behind the last key of the other side.
const DAMAGE: &str =
    "INSERT INTO item_mirrors VALUES (-9223372036854775808), (-5), (3), (515), (505), (99999), (9223372036854775807);
    UPDATE item_mirrors SET a = a + 4294967296 WHERE item_id = 10;
    UPDATE item_mirrors SET b = NULL WHERE item_id = 500;
    UPDATE item_mirrors SET b = '' WHERE item_id = 2000;
    UPDATE item_mirrors SET own = 'is nobody else''s affair';
    DELETE FROM item_mirrors WHERE item_id IN (20, 1000, 1990)";

const DAMAGED: Found = Found { missing: 3, different: 3, extra: 7, ..NOTHING };

#[tokio::test]
async fn m03_rows_are_found_before_the_first_behind_the_last_and_between() -> Result<()> {
    let mirrored = filled(200).await?;
    mirrored.target(DAMAGE).await?;
    for rows in [7, 64, 200, 207, 1_000] {
        for method in [Method::Digest, Method::Rows, Method::Streamed, Method::Keys, Method::Physical] {
            let mut options = by_chunks(rows);
            options.method = Some(method);
            let report = mirrored.check(&options).await?;
            assert_eq!(Found::of(&report), DAMAGED, "{method:?} by {rows}");
            assert_eq!(report.checked_rows, 200, "{method:?} by {rows}");
            assert!(samples(&report).contains(&"extra -9223372036854775808".to_owned()), "{method:?} by {rows}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn m03_an_empty_source_and_an_empty_target_are_no_special_cases() -> Result<()> {
    let mirrored = filled(0).await?;
    assert_eq!(mirrored.found().await?, NOTHING);
    mirrored.target("INSERT INTO item_mirrors SELECT n FROM generate_series(-10, 10) n").await?;
    assert_eq!(mirrored.found_by(&by_chunks(4)).await?, Found { extra: 21, ..NOTHING });
    mirrored.target("TRUNCATE item_mirrors").await?;
    mirrored.pair.main.execute("INSERT INTO items SELECT n FROM generate_series(-10, 10) n").await?;
    assert_eq!(mirrored.found_by(&by_chunks(4)).await?, Found { missing: 21, ..NOTHING });
    Ok(())
}

#[tokio::test]
async fn m03_rows_that_leave_the_filter_are_too_many_and_are_not_counted_as_checked() -> Result<()> {
    let mirror = items()?.only_where("flag AND a < 150")?;
    let mirrored = Mirrored::new(mirror, ITEMS, ITEM_MIRRORS).await?;
    mirrored
        .pair
        .main
        .execute("INSERT INTO items SELECT 10 * n, n, 'x', n % 3 > 0 FROM generate_series(1, 200) n")
        .await?;
    mirrored
        .target("INSERT INTO item_mirrors SELECT 10 * n, n, 'x' FROM generate_series(1, 149) n WHERE n % 3 > 0")
        .await?;
    for rows in [13, 50, 1_000] {
        let report = mirrored.check(&by_chunks(rows)).await?;
        assert_eq!((Found::of(&report), report.checked_rows), (NOTHING, 100), "{rows}");
    }
    mirrored.target("INSERT INTO item_mirrors VALUES (30, 3, 'x'), (1700, 170, 'x'); DELETE FROM item_mirrors WHERE item_id = 10").await?;
    for rows in [13, 50, 1_000] {
        for method in [Method::Digest, Method::Rows, Method::Streamed, Method::Keys, Method::Physical] {
            let mut options = by_chunks(rows);
            options.method = Some(method);
            assert_eq!(
                mirrored.found_by(&options).await?,
                Found { missing: 1, extra: 2, ..NOTHING },
                "{method:?} {rows}"
            );
        }
    }
    Ok(())
}

/// A key of any kind: rows in the source, and what is then done to the target.
async fn keys(mirror: Mirror, main: &str, ci: &str, same: &str, damage: &str, found: Found) -> Result<()> {
    let mirrored = Mirrored::new(mirror, main, ci).await?;
    mirrored.pair.main.execute(&format!("INSERT INTO \"s'\" {same}")).await?;
    mirrored.target(&format!("INSERT INTO \"t'\" {same}")).await?;
    for rows in [2, 9, 1_000] {
        assert_eq!(mirrored.found_by(&by_chunks(rows)).await?, NOTHING, "{rows}");
    }
    mirrored.target(damage).await?;
    let usual = mirrored.check(&quick()).await?.method;
    for method in [None, Some(Method::Rows), Some(Method::Streamed), Some(Method::Keys), Some(Method::Physical)] {
        for rows in [1, 7, 1_000] {
            let mut options = by_chunks(rows);
            options.method = method;
            if usual == Method::Keys && matches!(method, Some(Method::Rows | Method::Streamed)) {
                let error = mirrored.check(&options).await.expect_err("there is no order to walk in").to_string();
                assert!(error.contains("in different orders"), "{error}");
                continue;
            }
            assert_eq!(mirrored.found_by(&options).await?, found, "{method:?} by {rows}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn m03_composite_keys_with_odd_names_of_63_bytes() -> Result<()> {
    let long = "ä\"\" '{x}".to_owned() + &"é".repeat(27);
    let table =
        |name: &str| format!("CREATE TABLE \"{name}\" (\"{long}\" int, k2 text, v int, PRIMARY KEY (\"{long}\", k2))");
    let (source, target) = (format!("main:public.\"s'\"(\"{long}\", k2)"), format!("ci:public.\"t'\"(\"{long}\", k2)"));
    let mirror = Mirror::new("composite", &source, &target)?.column("v", "v")?;
    let same = "SELECT n / 3, 'k' || n % 3, n FROM generate_series(-9, 20) n WHERE n < -3 OR n > 3";
    let damage = "INSERT INTO \"t'\" VALUES (-100, ''), (2, 'k0x'), (100, 'z'); UPDATE \"t'\" SET v = v + 1 WHERE k2 = 'k1' AND v > 15; DELETE FROM \"t'\" WHERE v = -9";
    keys(mirror, &table("s'"), &table("t'"), same, damage, Found { missing: 1, different: 2, extra: 3, ..NOTHING })
        .await
}

#[tokio::test]
async fn m03_keys_that_are_uuids() -> Result<()> {
    let table = |name: &str| format!("CREATE TABLE \"{name}\" (id uuid PRIMARY KEY, v text)");
    let mirror = Mirror::new("textuuid", "main:public.\"s'\"(id)", "ci:public.\"t'\"(id)")?.column("v", "v")?;
    let same = "SELECT md5(n::text)::uuid, n FROM generate_series(1, 40) n";
    let damage =
        "INSERT INTO \"t'\" VALUES ('00000000-0000-0000-0000-000000000000'), ('ffffffff-ffff-ffff-ffff-ffffffffffff');
        DELETE FROM \"t'\" WHERE v = '7'; UPDATE \"t'\" SET v = v || ' ' WHERE v IN ('8', '9')";
    keys(mirror, &table("s'"), &table("t'"), same, damage, Found { missing: 1, different: 2, extra: 2, ..NOTHING })
        .await
}

/// Texts that collations sort in other orders than bytes do.
const WORDS: &str = "SELECT w, length(w) FROM unnest(ARRAY['', 'a', 'B', 'ä', 'Z', 'z', 'É', 'e', 'a b', 'ab', 'a-b', 'AB', '1', '10', '9', 'ß', 'ss', '東京']) w";
const WORDS_DAMAGE: &str = "INSERT INTO \"t'\" VALUES ('A', 1), ('ö', 1), (' ', 1), ('zz', 2); DELETE FROM \"t'\" WHERE k IN ('a', '東京'); UPDATE \"t'\" SET v = -v WHERE k IN ('ab', 'É', '10')";
const WORDS_FOUND: Found = Found { missing: 2, different: 3, extra: 4, ..NOTHING };

async fn words(source: &str, target: &str, method: Method) -> Result<()> {
    let mirror = Mirror::new("text", "main:public.\"s'\"(k)", "ci:public.\"t'\"(k)")?.column("v", "v")?;
    let mirrored = Mirrored::new(mirror.clone(), source, target).await?;
    assert_eq!(mirrored.check(&quick()).await?.method, method);
    keys(mirror, source, target, WORDS, WORDS_DAMAGE, WORDS_FOUND).await
}

#[tokio::test]
async fn m03_texts_in_one_collation_on_both_sides() -> Result<()> {
    let table = |name: &str, collation: &str| {
        format!("CREATE TABLE \"{name}\" (k text COLLATE \"{collation}\" PRIMARY KEY, v int)")
    };
    words(&table("s'", "C"), &table("t'", "C"), Method::Digest).await?;
    words(&table("s'", "en-x-icu"), &table("t'", "en-x-icu"), Method::Digest).await
}

#[tokio::test]
async fn m03_texts_that_the_two_servers_sort_differently_are_looked_up_by_key() -> Result<()> {
    let table = |name: &str, collation: &str| {
        format!("CREATE TABLE \"{name}\" (k varchar(40) COLLATE \"{collation}\" PRIMARY KEY, v int)")
    };
    words(&table("s'", "en-x-icu"), &table("t'", "C"), Method::Keys).await?;
    words(&table("s'", "C"), &table("t'", "en-x-icu"), Method::Keys).await
}

#[tokio::test]
async fn m03_texts_that_both_servers_also_sort_by_bytes_need_no_look_up() -> Result<()> {
    let table = |name: &str, collation: &str| {
        format!(
            "CREATE TABLE \"{name}\" (k text COLLATE \"{collation}\" PRIMARY KEY, v int); CREATE INDEX ON \"{name}\" (k COLLATE \"C\")"
        )
    };
    words(&table("s'", "en-x-icu"), &table("t'", "sv-x-icu"), Method::Digest).await
}
