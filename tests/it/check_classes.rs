//! Whole tables that well-known digests take for equal.

use anyhow::Result;
use lfk_mirror::Mirror;

use crate::check_support::{Found, Mirrored, NOTHING, quick, text};

const TABLE: &str = "(id bigint PRIMARY KEY, a text, b text, n int)";

async fn mirrored() -> Result<Mirrored> {
    let mirror = Mirror::new("m", "main:public.s(id)", "ci:public.t(id)")?;
    let mirror = mirror.column("a", "a")?.column("b", "b")?.column("n", "n")?;
    Mirrored::new(mirror, &format!("CREATE TABLE s {TABLE}"), &format!("CREATE TABLE t {TABLE}")).await
}

/// The weak digest says the same of both tables, and ours finds this many different rows.
async fn missed(rows: (&str, &str), weak: &str, different: i64) -> Result<()> {
    let mirrored = mirrored().await?;
    mirrored.pair.main.execute(&format!("INSERT INTO s {}", rows.0)).await?;
    mirrored.target(&format!("INSERT INTO t {}", rows.1)).await?;
    let here = text(&mirrored.pair.main, &format!("SELECT {weak} FROM s t")).await?;
    let there = text(&mirrored.pair.ci, &format!("SELECT {weak} FROM t")).await?;
    assert_eq!(here, there, "the weak digest does tell them apart");
    assert_eq!(mirrored.found_by(&quick()).await?, Found { different, ..NOTHING });
    Ok(())
}

/// CRC-32, as checksum tools compute it, over the row's text.
const CRC: &str = "CREATE FUNCTION crc32(t text) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS $$
    DECLARE c bigint := 4294967295; b bytea := convert_to(t, 'UTF8');
    BEGIN
      FOR i IN 0..length(b) - 1 LOOP
        c := c # get_byte(b, i);
        FOR j IN 1..8 LOOP c := CASE WHEN c & 1 = 1 THEN (c >> 1) # 3988292384 ELSE c >> 1 END; END LOOP;
      END LOOP;
      RETURN c # 4294967295;
    END $$";

#[tokio::test]
async fn m06_the_same_change_in_an_even_number_of_rows_is_seen_where_crc_and_xor_see_nothing() -> Result<()> {
    let mirrored = mirrored().await?;
    for db in [&mirrored.pair.main, &mirrored.pair.ci] {
        db.execute(CRC).await?;
    }
    let rows = |n: i32| format!("SELECT id, 'row', 'x', {n} FROM generate_series(1001, 1004) id");
    mirrored.pair.main.execute(&format!("INSERT INTO s {}", rows(0))).await?;
    mirrored.target(&format!("INSERT INTO t {}", rows(1))).await?;
    let weak = "SELECT bit_xor(public.crc32(concat_ws('#', id, a, b, n)))";
    let here = text(&mirrored.pair.main, &format!("{weak} FROM s")).await?;
    assert_eq!(here, text(&mirrored.pair.ci, &format!("{weak} FROM t")).await?);
    assert_eq!(mirrored.found_by(&quick()).await?, Found { different: 4, ..NOTHING });
    Ok(())
}

#[tokio::test]
async fn m06_null_and_shifted_texts_are_seen_where_joined_texts_see_nothing() -> Result<()> {
    let weak = "md5(string_agg(concat_ws('|', t.id, coalesce(t.a, ''), coalesce(t.b, '')), ',' ORDER BY t.id))";
    missed(("VALUES (1, NULL, 'x', 1), (2, 'a|b', 'c', 2)", "VALUES (1, '', 'x', 1), (2, 'a', 'b|c', 2)"), weak, 2)
        .await
}

#[tokio::test]
async fn m06_swapped_columns_are_seen_where_a_sum_of_column_hashes_sees_nothing() -> Result<()> {
    let weak = "sum(hashtextextended(t.a, 0)::numeric + hashtextextended(t.b, 0))";
    missed(("VALUES (1, 'x', 'y', 1)", "VALUES (1, 'y', 'x', 1)"), weak, 1).await
}

#[tokio::test]
async fn m06_rows_that_changed_places_are_seen_where_a_hash_without_the_key_sees_nothing() -> Result<()> {
    let weak = "bit_xor(hash_record_extended(ROW(t.a, t.b, t.n), 42))";
    missed(("VALUES (1, 'x', 'x', 1), (2, 'y', 'y', 2)", "VALUES (1, 'y', 'y', 2), (2, 'x', 'x', 1)"), weak, 2).await
}

#[tokio::test]
async fn m06_counts_and_sums_see_nothing_where_values_move_between_rows() -> Result<()> {
    missed(
        ("VALUES (1, '', '', 5), (2, '', '', 1)", "VALUES (1, '', '', 1), (2, '', '', 5)"),
        "(count(*), sum(t.n), max(t.id))",
        2,
    )
    .await
}
