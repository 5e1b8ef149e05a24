//! Looks that cannot be made: a backlog that is too long, a statement that takes too long, a connection that is lost between the two
//! looks at the source, and servers that hash differently. Nothing of it makes a difference of what is none, or hides one.

use anyhow::{Context as _, Result};
use lfk_core::parts::Key;
use lfk_core::{Database, ErrorKind};
use lfk_mirror::parts::{Probe, Verdict};
use lfk_mirror::{Method, Mirror};
use lfk_tests::{Mode, Pair, Proxy, Role, TestDb};

use crate::check_support::{Found, ITEM_MIRRORS, ITEMS, Mirrored, NOTHING, filled, items, quick, samples};

#[tokio::test]
async fn m04_behind_a_backlog_that_is_too_long_to_be_read_everything_is_in_flight() -> Result<()> {
    let mirrored = filled(50).await?;
    // As many log rows as a look reads, of keys that nobody has; what is behind them is not read.
    let backlog = "INSERT INTO lfk.key_log (table_id, op, keys)
                     SELECT c.table_id, 'u', ARRAY[-n] FROM lfk.cursor c, generate_series(1, 10000) n WHERE c.consumer = 'items'";
    mirrored.pair.main.execute(backlog).await?;
    mirrored.write("DELETE FROM items WHERE id = 10", &["10"]).await?;
    mirrored.target("DELETE FROM item_mirrors WHERE item_id = 30").await?;
    assert_eq!(mirrored.found().await?, Found { in_flight: 2, ..NOTHING });
    mirrored.target("DELETE FROM item_mirrors WHERE item_id = 10").await?;
    mirrored.acknowledge().await?;
    assert_eq!(mirrored.found().await?, Found { missing: 1, ..NOTHING });
    Ok(())
}

/// A source whose value takes for ever in one of the two looks that a sandwich has at it: the first or the second one of its
/// transaction, as `slow_look` says.
const SLOW: &str = "
    CREATE TABLE slow_look (look integer);
    CREATE FUNCTION slow(value text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
    DECLARE
      this text := statement_timestamp()::text;
      wanted integer;
    BEGIN
      IF current_query() LIKE '%AS quarantined%' THEN
        IF coalesce(current_setting('test.first_look', true), '') = '' THEN
          PERFORM set_config('test.first_look', this, true);
        END IF;
        SELECT look INTO wanted FROM public.slow_look;
        IF wanted = (CASE WHEN current_setting('test.first_look') = this THEN 1 ELSE 2 END) THEN
          PERFORM pg_sleep(600);
        END IF;
      END IF;
      RETURN value;
    END $$";

/// Fifty equal rows but for one, which is missing.
async fn slow(look: u32) -> Result<Mirrored> {
    let mirror = Mirror::new("items", "main:public.items(id)", "ci:public.item_mirrors(item_id)")?;
    let mirror = mirror.column("a", "a")?.expression("b", "public.slow(b)")?;
    let mirrored = Mirrored::new(mirror, &format!("{ITEMS}; {SLOW}"), ITEM_MIRRORS).await?;
    let rows = |table: &str, columns| {
        format!("INSERT INTO {table} ({columns}) SELECT n, n, 'row ' || n FROM generate_series(1, 50) n")
    };
    mirrored
        .pair
        .main
        .execute(&format!("{}; INSERT INTO slow_look VALUES ({look})", rows("items", "id, a, b")))
        .await?;
    mirrored.target(&rows("item_mirrors", "item_id, a, b")).await?;
    mirrored.target("DELETE FROM item_mirrors WHERE item_id = 30").await?;
    Ok(mirrored)
}

/// Does something to each look that sleeps, and something else `then`, until the check ends; answers how often.
async fn checked_while(mirrored: &Mirrored, each: &str, then: &str) -> Result<(Found, i64)> {
    let asleep = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep' AND application_name LIKE 'lfk/%'";
    let strike = format!("SELECT count({each}) {asleep}");
    let (options, mut struck) = (quick(), 0);
    let check = mirrored.check(&options);
    tokio::pin!(check);
    loop {
        tokio::select! {
            biased;
            report = &mut check => return Ok((Found::of(&report?), struck)),
            hit = mirrored.pair.main.scalar::<i64>(&strike) => {
                let hit = hit?;
                struck += hit;
                if hit > 0 {
                    mirrored.pair.main.execute(then).await?;
                }
            }
        }
    }
}

#[tokio::test]
async fn m04_a_look_that_takes_too_long_leaves_its_keys_in_flight() -> Result<()> {
    for look in [1, 2] {
        let mirrored = slow(look).await?;
        // As `statement_timeout` does after its time, with the same code.
        let (found, struck) = checked_while(&mirrored, "pg_cancel_backend(pid)", "SELECT 1").await?;
        assert_eq!(found, Found { in_flight: 1, ..NOTHING }, "look {look}");
        assert!(struck > 0, "no look was slow");
        mirrored.pair.main.execute("DELETE FROM slow_look").await?;
        assert_eq!(mirrored.found().await?, Found { missing: 1, ..NOTHING }, "look {look}");
    }
    Ok(())
}

#[tokio::test]
async fn f02_a_look_whose_session_is_ended_is_made_anew_with_everything_before_it() -> Result<()> {
    for look in [1, 2] {
        let mirrored = slow(look).await?;
        // The looks after it are not slow.
        let (found, struck) = checked_while(&mirrored, "pg_terminate_backend(pid)", "DELETE FROM slow_look").await?;
        assert_eq!(found, Found { missing: 1, ..NOTHING }, "look {look}");
        assert!(struck > 0, "no session was ended");
    }
    Ok(())
}

#[tokio::test]
async fn f02_a_connection_that_is_lost_between_the_two_looks_takes_the_evidence_with_it() -> Result<()> {
    let mirrored = filled(50).await?;
    mirrored.target("DELETE FROM item_mirrors WHERE item_id = 30").await?;
    let proxy = Proxy::in_front_of(&Role::Main.cluster().await?).await?;
    let behind = Database::connect_lazy("main", &proxy.url(&mirrored.pair.main.name))?;
    let key = || vec![Key(vec!["30".to_owned()])];
    for mode in [Mode::Pass, Mode::Refuse] {
        let probe = Probe::new(&mirrored.mirror, &behind, &mirrored.target, key()).await?;
        let mut sandwich = probe.first().await?;
        // Before or after the target is read: it makes no difference.
        if mode == Mode::Pass {
            sandwich.target().await?;
        }
        proxy.cut().await?;
        proxy.set(mode).await?;
        if mode != Mode::Pass {
            sandwich.target().await?;
        }
        // The row does differ; but with one look alone nobody knows.
        assert_eq!(sandwich.second().await.expect_err("half of a sandwich").kind, ErrorKind::Unreachable);
    }
    proxy.set(Mode::Pass).await?;
    let probe = Probe::new(&mirrored.mirror, &behind, &mirrored.target, key()).await?;
    let mut sandwich = probe.first().await?;
    sandwich.target().await?;
    assert_eq!(sandwich.second().await?.verdicts, [Verdict::Missing]);
    let report = lfk_mirror::check(&mirrored.mirror, &behind, &mirrored.target, &quick()).await?;
    assert_eq!(Found::of(&report), Found { missing: 1, ..NOTHING });
    Ok(())
}

/// In Latin-1 a letter is another byte than in UTF-8, so the servers hash equal texts differently.
#[tokio::test]
async fn m03_servers_of_different_encodings_are_compared() -> Result<()> {
    let pair = Pair { main: TestDb::new(Role::Main).await?, ci: TestDb::in_encoding(Role::Ci, "LATIN1").await? };
    pair.main.execute(ITEMS).await?;
    pair.ci.execute(ITEM_MIRRORS).await?;
    let mirrored = Mirrored::on(pair, items()?).await?;
    let fill = |table: &str, columns| {
        format!("INSERT INTO {table} ({columns}) SELECT n, n, 'Straße ' || n FROM generate_series(1, 500) n")
    };
    mirrored.pair.main.execute(&fill("items", "id, a, b")).await?;
    mirrored.target(&fill("item_mirrors", "item_id, a, b")).await?;
    let of_a_row = "SELECT hash_record_extended(ROW('Straße'::text), 1)";
    let (here, there): (i64, i64) =
        (mirrored.pair.main.scalar(of_a_row).await?, mirrored.pair.ci.scalar(of_a_row).await?);
    assert_ne!(here, there, "the servers hash alike: nothing is tested");
    let mut options = quick();
    options.chunk_rows = Some(50);
    let mut streamed = options.clone();
    streamed.method = Some(Method::Streamed);
    for options in [&options, &streamed] {
        let report = mirrored.check(options).await?;
        assert_eq!((Found::of(&report), report.checked_rows, report.chunks), (NOTHING, 500, 11), "{report:?}");
    }
    mirrored
        .target("UPDATE item_mirrors SET b = 'Strasse 7' WHERE item_id = 7; UPDATE item_mirrors SET a = a + 4294967296 WHERE item_id = 8;
                 DELETE FROM item_mirrors WHERE item_id = 9; INSERT INTO item_mirrors VALUES (-1, 1, 'ß'), (501, 1, 'ß')")
        .await?;
    for options in [&options, &streamed] {
        let report = mirrored.check(options).await?;
        assert_eq!(samples(&report), ["different 7", "different 8", "extra -1", "extra 501", "missing 9"]);
    }
    // What the target cannot even hold is a difference as any other.
    mirrored.pair.main.execute("UPDATE items SET b = '東京' WHERE id = 10").await?;
    for options in [&options, &streamed] {
        let found = mirrored.found_by(options).await.context("a text that the target cannot hold")?;
        assert_eq!(found, Found { missing: 1, different: 3, extra: 2, ..NOTHING });
    }
    Ok(())
}
