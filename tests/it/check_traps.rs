//! Values that well-known digests do not tell apart, and ours do.

use anyhow::Result;
use lfk_mirror::{Method, Mirror};

use crate::check_support::{Found, Mirrored, NOTHING, by_chunks, text};

/// One column of a type, with a value on each side that differ, and an expression over the row `t(id, v)` of which one equal
/// outcome over all rows is what a weak digest takes for equal tables.
struct Trap {
    of: &'static str,
    here: &'static str,
    there: &'static str,
    weak: Option<&'static str>,
}

const UNGUARDED: Option<&str> = Some("bit_xor(hash_record_extended(ROW(t.id, t.v), 42))");
const JOINED: Option<&str> = Some("md5(string_agg(concat_ws('|', t.id, coalesce(t.v::text, '')), ',' ORDER BY t.id))");
const NONE: Option<&str> = None;

const fn trap(of: &'static str, here: &'static str, there: &'static str, weak: Option<&'static str>) -> Trap {
    Trap { of, here, there, weak }
}

const TRAPS: &[Trap] = &[
    // 64 bits fold to 32, whatever the seed.
    trap("bigint", "1", "4294967296", UNGUARDED),
    trap("timestamp", "'2024-01-01'", "'2024-01-01'::timestamp + interval '4294.967296 s' ", NONE),
    trap("timestamptz", "'1999-12-31 23:59:59Z'", "'1999-12-31 22:00:00Z'", NONE),
    trap("time", "'00:00:00.000001'", "'01:11:34.967296'", UNGUARDED),
    trap("int8range", "'[1,5)'", "'[4294967296,4294967300)'", NONE),
    trap("bigint[]", "'{1}'", "'{4294967296}'", UNGUARDED),
    // Arrays forget their shape.
    trap("int[]", "'{{1,2},{3,4}}'", "'{1,2,3,4}'", UNGUARDED),
    trap("int[]", "'[2:3]={1,2}'", "'{1,2}'", UNGUARDED),
    trap("text[]", "'{}'", "NULL", NONE),
    trap("text[]", "'{NULL}'", "'{\"NULL\"}'", NONE),
    trap("interval", "'1 day'", "'24 hours'", UNGUARDED),
    trap("interval", "'1 month'", "'30 days'", UNGUARDED),
    // NULL and nothing.
    trap("text", "NULL", "''", JOINED),
    trap("text", "'a'", "'a '", NONE),
    trap("text", "'e' || U&'\\0301'", "'é'", NONE),
    trap("bytea", "'\\x'", "NULL", NONE),
    trap("bytea", "'\\x00'", "'\\x0000'", NONE),
    trap("boolean", "NULL", "false", NONE),
    // Equal by their operator, and not the same.
    trap("numeric", "1.0", "1.00", UNGUARDED),
    trap("double precision", "0.0", "'-0.0'", UNGUARDED),
    trap("real", "0.0", "'-0.0'", UNGUARDED),
    trap("double precision", "0.1::float8", "0.1::float8 + 1e-17::float8 * 2", NONE),
    trap("jsonb", "'{\"a\":1}'", "'{\"a\":1.0}'", UNGUARDED),
    trap("json", "'{\"a\":1}'", "'{\"a\": 1}'", NONE),
    trap("xml", "'<a/>'", "'<a></a>'", NONE),
    trap("point", "'(1,2)'", "'(1,2.0000000000000004)'", NONE),
    trap("bit(4)", "B'0010'", "B'0011'", NONE),
    trap("varbit", "B'10'", "B'100'", NONE),
    trap("char(4)", "'a'", "'b'", NONE),
    trap("timetz", "'12:00+00'", "'13:00+01'", NONE),
    trap("inet", "'10.0.0.1/8'", "'10.0.0.1/16'", NONE),
    trap("date", "'0044-03-15 BC'", "'0044-03-15'", NONE),
    trap("int4multirange", "'{[1,3)}'", "'{[1,3),[5,6)}'", NONE),
    trap("tsvector", "'a:1'", "'a:2'", NONE),
    trap("mood", "'happy'", "'sad'", NONE),
    trap("mood[]", "'{happy,sad}'", "'[0:1]={happy,sad}'", NONE),
    trap("positive", "1", "4294967297", NONE),
    trap("pair", "'(1,a)'", "'(1,)'", NONE),
    trap("regclass", "'pg_class'", "'pg_type'", NONE),
    trap("text COLLATE blurred", "'A'", "'a'", UNGUARDED),
];

/// Types of the application, made in another order in each database, so that their numbers differ.
const TYPES: &str = "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN positive AS bigint CHECK (VALUE > 0);
    CREATE TYPE pair AS (n int, t text);
    CREATE COLLATION blurred (provider = icu, locale = 'und-u-ks-level2', deterministic = false);";

fn types_in_another_order() -> String {
    format!("CREATE TABLE before_them (id int); CREATE TYPE another AS ENUM ('x'); {TYPES}")
}

fn columns() -> impl Iterator<Item = String> {
    (0..TRAPS.len()).map(|n| format!("v{n}"))
}

/// A table with a column for each trap.
fn table(name: &str) -> String {
    let columns: Vec<String> = TRAPS.iter().zip(columns()).map(|(t, c)| format!("{c} {}", t.of)).collect();
    format!("CREATE TABLE {name} (id bigint PRIMARY KEY, {})", columns.join(", "))
}

async fn mirrored() -> Result<Mirrored> {
    let mut mirror = Mirror::new("traps", "main:public.s(id)", "ci:public.t(id)")?;
    for column in columns() {
        mirror = mirror.column(&column, &column)?;
    }
    let main = format!("{TYPES} {}", table("s"));
    let ci = format!("{} {}", types_in_another_order(), table("t"));
    Mirrored::new(mirror, &main, &ci).await
}

/// One row for each trap, in which only its own column has a value.
fn rows(table: &str, value: impl Fn(&Trap) -> &'static str) -> String {
    let one = |(n, trap): (usize, &Trap)| format!("INSERT INTO {table} (id, v{n}) VALUES ({n}, {})", value(trap));
    let all: Vec<String> = TRAPS.iter().enumerate().map(one).collect();
    all.join("; ")
}

#[tokio::test]
async fn m06_every_trap_is_told_apart() -> Result<()> {
    let mirrored = mirrored().await?;
    mirrored.pair.main.execute(&rows("s", |t| t.here)).await?;
    mirrored.target(&rows("t", |t| t.there)).await?;
    let all = i64::try_from(TRAPS.len())?;
    // Each in a chunk of its own: no other difference helps.
    assert_eq!(mirrored.found_by(&by_chunks(1)).await?, Found { different: all, ..NOTHING });
    // And as they are; and in buckets of keys, two of which may share one: then both are listed.
    for method in [Method::Rows, Method::Streamed, Method::Physical] {
        let mut options = by_chunks(1);
        options.method = Some(method);
        assert_eq!(mirrored.found_by(&options).await?, Found { different: all, ..NOTHING }, "{method:?}");
    }
    Ok(())
}

#[tokio::test]
async fn m06_values_of_every_type_that_are_the_same_are_no_difference() -> Result<()> {
    let mirrored = mirrored().await?;
    for value in [|t: &Trap| t.here, |t: &Trap| t.there] {
        mirrored.pair.main.execute(&format!("TRUNCATE s; {}", rows("s", value))).await?;
        mirrored.target(&format!("TRUNCATE t; {}", rows("t", value))).await?;
        for method in [Method::Digest, Method::Streamed, Method::Physical] {
            let mut options = by_chunks(1_000);
            options.method = Some(method);
            assert_eq!(mirrored.found_by(&options).await?, NOTHING, "{method:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn m06_well_known_digests_do_not_tell_the_traps_apart() -> Result<()> {
    let mirrored = mirrored().await?;
    let mut shown = 0;
    for trap in TRAPS {
        let Some(weak) = trap.weak else { continue };
        let digest =
            |value: &str| format!("SELECT {weak} FROM (SELECT 7::bigint AS id, ({value})::{} AS v) t", trap.of);
        let (here, there) = (digest(trap.here), digest(trap.there));
        let main = &mirrored.pair.main;
        assert_eq!(
            text(main, &here).await?,
            text(main, &there).await?,
            "{}: {} and {}",
            trap.of,
            trap.here,
            trap.there
        );
        shown += 1;
    }
    assert!(shown >= 12, "only {shown}");
    Ok(())
}
