//! Rows that are compared as they are, by COPY: what happens when one does not come to its end, and when rows are too large.

use std::ops::ControlFlow;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use lfk_core::parts::Purpose;
use lfk_core::{Database, Pooler};
use lfk_mirror::{Cursor, Method, Mirror, Options, check};
use lfk_tests::{PgBouncer, Role, TestDb};
use sqlx::postgres::PgPoolOptions;

use crate::check_support::{Found, ITEM_MIRRORS, ITEMS, Memory, Mirrored, NOTHING, by_chunks, filled, items, samples};

fn streamed(rows: u32) -> Options {
    let mut options = by_chunks(rows);
    options.method = Some(Method::Streamed);
    options
}

/// A source one of whose values does something when a COPY comes to it, as long as `at_copy` has a row: it takes for ever, it
/// is an error, or its session is told apart from others.
const AT_COPY: &str = "
    CREATE TABLE at_copy (what text);
    CREATE FUNCTION met(value text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
    DECLARE
      what text;
    BEGIN
      IF value = 'row 700' AND current_query() LIKE 'COPY%' THEN
        SELECT a.what INTO what FROM public.at_copy a;
        IF what = 'sleep' THEN
          PERFORM pg_sleep(600);
        ELSIF what = 'fail' THEN
          RAISE EXCEPTION 'cannot be sent' USING ERRCODE = '22021';
        ELSIF what = 'tell' THEN
          PERFORM set_config('application_name', 'was told', false);
        END IF;
      END IF;
      RETURN value;
    END $$";

const WERE_TOLD: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'was told'";

/// A thousand rows, of which three are not the same.
async fn at_copy(what: &str) -> Result<Mirrored> {
    let mirror = Mirror::new("items", "main:public.items(id)", "ci:public.item_mirrors(item_id)")?;
    let mirror = mirror.column("a", "a")?.expression("b", "public.met(b)")?;
    let mirrored = Mirrored::new(mirror, &format!("{ITEMS}; {AT_COPY}"), ITEM_MIRRORS).await?;
    let rows =
        |table: &str| format!("INSERT INTO {table} SELECT 10 * n, n, 'row ' || n FROM generate_series(1, 1000) n");
    mirrored.pair.main.execute(&format!("{}; INSERT INTO at_copy VALUES ('{what}')", rows("items"))).await?;
    mirrored.target(&rows("item_mirrors")).await?;
    mirrored.target(DAMAGE).await?;
    Ok(mirrored)
}

const DAMAGE: &str = "DELETE FROM item_mirrors WHERE item_id = 30; INSERT INTO item_mirrors VALUES (9995);
    UPDATE item_mirrors SET b = NULL WHERE item_id = 5000";
const DAMAGED: Found = Found { missing: 1, different: 1, extra: 1, ..NOTHING };

/// Does something to a COPY that sleeps, and lets the next ones pass; answers what the check has found, and in how many chunks.
async fn struck(mirrored: &Mirrored, strike: &str) -> Result<(Found, i64, Method)> {
    let asleep = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep' AND application_name LIKE 'lfk/%'";
    let strike = format!("SELECT count({strike}) {asleep}");
    let options = streamed(400);
    let check = mirrored.check(&options);
    tokio::pin!(check);
    let mut struck = false;
    loop {
        tokio::select! {
            biased;
            report = &mut check => {
                let report = report?;
                assert!(struck && report.complete, "{report:?}");
                return Ok((Found::of(&report), report.chunks, report.method));
            }
            asleep = mirrored.pair.main.scalar::<i64>(&strike) => if asleep? > 0 {
                struck = true;
                mirrored.pair.main.execute("DELETE FROM at_copy").await?;
            }
        }
    }
}

#[tokio::test]
async fn m03_a_copy_that_takes_too_long_is_made_anew_with_fewer_rows() -> Result<()> {
    let mirrored = at_copy("sleep").await?;
    // As `statement_timeout` does after its time, with the same code.
    let (found, chunks, method) = struck(&mirrored, "pg_cancel_backend(pid)").await?;
    assert_eq!((found, method), (DAMAGED, Method::Streamed));
    assert!(chunks > 6, "400 rows, and then 100 a time: {chunks} chunks");
    Ok(())
}

#[tokio::test]
async fn f02_a_copy_whose_session_is_ended_is_made_anew() -> Result<()> {
    let mirrored = at_copy("sleep").await?;
    let (found, chunks, method) = struck(&mirrored, "pg_terminate_backend(pid)").await?;
    assert_eq!((found, chunks, method), (DAMAGED, 3, Method::Streamed));
    Ok(())
}

#[tokio::test]
async fn m03_rows_that_a_server_cannot_send_are_compared_by_their_hashes() -> Result<()> {
    let mirrored = at_copy("fail").await?;
    let report = mirrored.check(&streamed(100)).await?;
    assert_eq!((Found::of(&report), report.method, report.complete), (DAMAGED, Method::Digest, true));
    assert_eq!(report.checked_rows, 1_000);
    Ok(())
}

#[tokio::test]
async fn m07_a_check_that_is_given_up_during_a_copy_leaves_nothing_behind() -> Result<()> {
    let mirrored = at_copy("sleep").await?;
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep' AND application_name LIKE 'lfk/%'";
    let options = streamed(400);
    {
        let check = mirrored.check(&options);
        tokio::pin!(check);
        loop {
            tokio::select! {
                biased;
                report = &mut check => anyhow::bail!("{report:?}"),
                sleeps = mirrored.pair.main.scalar::<i64>(asleep) => if sleeps? > 0 { break },
            }
        }
    }
    mirrored.pair.main.execute("DELETE FROM at_copy").await?;
    // The same handles, and so their connections.
    for _ in 0..3 {
        assert_eq!(mirrored.found_by(&options).await?, DAMAGED);
    }
    Ok(())
}

#[tokio::test]
async fn m07_a_check_of_rows_as_they_are_that_was_ended_goes_on_and_finds_the_same() -> Result<()> {
    let mirrored = filled(200).await?;
    mirrored
        .target("DELETE FROM item_mirrors WHERE item_id IN (50, 1000); INSERT INTO item_mirrors VALUES (105), (1999)")
        .await?;
    let store = Memory::default();
    let part = |chunks: i64| {
        let mut options = streamed(10);
        options.cursor = Some(Cursor::new(Arc::new(store.clone()), "check/items"));
        options.resume = true;
        let cancel = options.cancel.clone();
        options.progress = Some(Arc::new(move |progress| {
            if progress.chunks >= chunks {
                cancel.cancel();
            }
        }));
        options
    };
    for chunks in [7, 14] {
        let report = mirrored.check(&part(chunks)).await?;
        assert!(!report.complete && (60..200).contains(&report.checked_rows), "{report:?}");
    }
    let report = mirrored.check(&part(i64::MAX)).await?;
    assert_eq!(Found::of(&report), Found { missing: 2, extra: 2, ..NOTHING });
    assert_eq!((report.checked_rows, report.complete, report.method), (200, true, Method::Streamed));
    Ok(())
}

#[tokio::test]
async fn m03_rows_are_sent_as_they_are_while_most_chunks_differ_and_only_then() -> Result<()> {
    let mirrored = at_copy("tell").await?;
    let were_told = async || mirrored.pair.main.scalar::<i64>(WERE_TOLD).await;
    // One chunk of ten differs, and row 700 is in none of the first.
    assert_eq!(mirrored.found_by(&by_chunks(100)).await?, DAMAGED);
    assert_eq!(were_told().await?, 0);
    mirrored.target("DELETE FROM item_mirrors WHERE item_id % 200 = 0").await?;
    let report = mirrored.check(&by_chunks(100)).await?;
    assert_eq!((report.confirmed.missing, report.method), (51, Method::Digest));
    assert!(were_told().await? > 0, "nothing was sent as it is");
    Ok(())
}

#[tokio::test]
async fn m03_wide_rows_are_compared_by_their_hashes_while_most_chunks_differ() -> Result<()> {
    let mirrored = at_copy("tell").await?;
    mirrored.pair.main.execute("UPDATE items SET b = repeat('wide ', 40) WHERE b <> 'row 700'").await?;
    mirrored.target("UPDATE item_mirrors SET b = repeat('wide ', 40) WHERE b <> 'row 700'").await?;
    mirrored.target("DELETE FROM item_mirrors WHERE item_id % 200 = 0").await?;
    let report = mirrored.check(&by_chunks(100)).await?;
    assert_eq!((report.confirmed.missing, report.confirmed.extra, report.method), (51, 1, Method::Digest));
    // The first chunk that was sent as it is has shown how large they are.
    assert_eq!(mirrored.pair.main.scalar::<i64>(WERE_TOLD).await?, 0);
    Ok(())
}

#[tokio::test]
async fn m03_rows_that_are_too_large_to_be_held_in_memory_are_not() -> Result<()> {
    let mirrored = Mirrored::new(items()?, ITEMS, ITEM_MIRRORS).await?;
    let fill = |table: &str, bytes| {
        format!(
            "TRUNCATE {table}; INSERT INTO {table} SELECT n, n, repeat('x', {bytes}) FROM generate_series(1, 110) n"
        )
    };
    // Fifty of the smaller ones are 20 MiB, of the larger ones 50 MiB.
    for (bytes, method) in [(400 * 1024, Method::Streamed), (1024 * 1024, Method::Digest)] {
        mirrored.pair.main.execute(&fill("items", bytes)).await?;
        mirrored.target(&fill("item_mirrors", bytes)).await?;
        mirrored
            .target(
                "UPDATE item_mirrors SET b = b || 'x' WHERE item_id = 77; DELETE FROM item_mirrors WHERE item_id = 1",
            )
            .await?;
        let report = mirrored.check(&streamed(200)).await?;
        assert_eq!((Found::of(&report), report.method), (Found { missing: 1, different: 1, ..NOTHING }, method));
        assert_eq!(
            (samples(&report), report.checked_rows),
            (vec!["different 77".to_owned(), "missing 1".to_owned()], 110)
        );
    }
    Ok(())
}

#[tokio::test]
async fn m06_columns_of_other_types_are_compared_as_the_targets() -> Result<()> {
    let mut mirror = Mirror::new("kinds", "main:public.s(id)", "ci:public.t(id)")?;
    for column in ["a", "b", "c", "d", "e"] {
        mirror = mirror.column(column, column)?;
    }
    let source = "CREATE TABLE s (id int PRIMARY KEY, a bigint, b varchar(20), c numeric, d timestamp, e char(6))";
    let target =
        "CREATE TABLE t (id bigint PRIMARY KEY, a int, b text, c numeric(12,2), d timestamptz(0), e varchar(4))";
    let mirrored = Mirrored::new(mirror, source, target).await?;
    mirrored
        .pair
        .main
        .execute(
            "INSERT INTO s SELECT n, n, 'row ' || n, n / 7.0, timestamp '2026-01-01' + n * interval '1.3 s', n % 1000 FROM generate_series(1, 200) n;
             UPDATE s SET a = 4294967296 + id WHERE id = 40",
        )
        .await?;
    mirrored
        .target(
            "INSERT INTO t SELECT n, n, 'row ' || n, n / 7.0, (timestamp '2026-01-01' + n * interval '1.3 s') AT TIME ZONE 'UTC', n % 1000 FROM generate_series(1, 200) n;
             UPDATE t SET c = c + 0.01 WHERE id = 50; UPDATE t SET b = b || ' ' WHERE id = 60",
        )
        .await?;
    for method in [Method::Digest, Method::Rows, Method::Streamed] {
        let mut options = by_chunks(30);
        options.method = Some(method);
        let report = mirrored.check(&options).await?;
        assert_eq!(samples(&report), ["different 40", "different 50", "different 60"], "{method:?}");
    }
    Ok(())
}

#[tokio::test]
async fn f05_rows_are_sent_as_they_are_through_a_pooler_too() -> Result<()> {
    let mirrored = at_copy("fail").await?;
    let (main, ci) = (Role::Main.cluster().await?, Role::Ci.cluster().await?);
    let (main, ci) = (PgBouncer::in_front_of(&main, &[]).await?, PgBouncer::in_front_of(&ci, &[]).await?);
    let through = |bouncer: &PgBouncer, name: &str, database: &str| {
        Database::connect_lazy_through(name, &bouncer.url(database), Pooler::Transaction)
    };
    let source = through(&main, "main", &mirrored.pair.main.name)?;
    let target = through(&ci, "ci", &mirrored.pair.ci.name)?;
    for method in [Method::Digest, Method::Streamed] {
        // First a COPY fails half-way, then none does: the pooler hands out the same connections.
        let report = check(&mirrored.mirror, &source, &target, &streamed(100)).await.context("through the pooler")?;
        assert_eq!((Found::of(&report), report.method), (DAMAGED, method));
        mirrored.pair.main.execute("DELETE FROM at_copy").await?;
    }
    Ok(())
}

#[tokio::test]
async fn f02_behind_a_copy_that_did_not_come_to_its_end_nobody_gets_its_answers() -> Result<()> {
    let db = TestDb::new(Role::Main).await?;
    // One connection: whoever comes next has the same, or a new one in its place.
    let pool = PgPoolOptions::new().max_connections(1).connect(&db.url).await?;
    let database = Database::new("main", pool);
    for (copy, breaks_off) in [
        ("COPY (SELECT 1 FROM nowhere) TO STDOUT", false),
        ("COPY (SELECT 1 / (n - 500) FROM generate_series(1, 1000) n) TO STDOUT", false),
        ("COPY (SELECT repeat('x', 1000) FROM generate_series(1, 10000)) TO STDOUT", true),
        ("SELECT 7", false),
    ] {
        let mut tx = database.begin(Purpose::Check).await?;
        let flow = if breaks_off { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let copied = tx.copy_out(copy, |_| flow).await;
        assert!(if breaks_off { copied? == flow } else { copied.is_err() }, "{copy}");
        drop(tx);
        for number in 1..4_i64 {
            let mut tx = database.begin(Purpose::Check).await.with_context(|| copy)?;
            let query = tx.query_scalar::<i64>("SELECT $1::int8").bind(number);
            assert_eq!(query.fetch_one(tx.conn()).await?, number, "{copy}");
            tx.commit().await?;
        }
    }
    // One that does come to its end leaves the connection as it was.
    let mut connections = Vec::new();
    for _ in 0..2 {
        let mut tx = database.begin(Purpose::Check).await?;
        let pid = tx.query_scalar::<i32>("SELECT pg_backend_pid()");
        connections.push(pid.fetch_one(tx.conn()).await?);
        let mut bytes = 0;
        let take = |message: &[u8]| {
            bytes += message.len();
            ControlFlow::Continue(())
        };
        assert!(tx.copy_out("COPY (SELECT 'abc' FROM generate_series(1, 1000)) TO STDOUT", take).await?.is_continue());
        assert_eq!(bytes, 4_000);
        tx.commit().await?;
    }
    assert_eq!(connections[0], connections[1]);
    Ok(())
}
