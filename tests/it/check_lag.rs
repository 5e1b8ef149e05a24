//! Lag is never reported as a difference, and a difference never explained away as lag: what may happen between the looks at
//! source, target and source, one step after the other, and what weaker rules say of the same steps.

use anyhow::Result;
use lfk_core::parts::Key;
use lfk_mirror::Mirror;
use lfk_mirror::parts::{Probe, Verdict};

use crate::check_support::{Found, ITEM_MIRRORS, ITEMS, Mirrored, NOTHING, filled, items, quick, text};

/// What happens between the first look and the target, and between the target and the second look.
struct Steps<'a> {
    before: &'a [Step<'a>],
    after: &'a [Step<'a>],
}

enum Step<'a> {
    /// The application changes the source; the key is logged.
    Write(&'a str),
    /// It changes what is not mirrored; nothing is logged.
    Aside(&'a str),
    /// The target changes.
    Target(&'a str),
    /// The sync acknowledges.
    Acknowledge,
}

use Step::{Acknowledge, Aside, Target, Write};

async fn run(mirrored: &Mirrored, steps: &[Step<'_>]) -> Result<()> {
    for step in steps {
        match step {
            Write(sql) => mirrored.write(sql, &["7"]).await?,
            Aside(sql) => mirrored.pair.main.execute(sql).await.map(|_| ())?,
            Target(sql) => mirrored.target(sql).await?,
            Acknowledge => mirrored.acknowledge().await?,
        }
    }
    Ok(())
}

/// What each rule says of key 7.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    verdict: Verdict,
    /// Confirmed by a rule that does not look a second time.
    without_second_look: bool,
    /// Confirmed by a rule that compares the row's version (`xmin`) instead of asking the log.
    by_row_version: bool,
}

const SOURCE_ROW: &str = "SELECT coalesce((SELECT (a, b)::text FROM items WHERE id = 7 AND flag), 'absent')";
const ROW_VERSION: &str = "SELECT coalesce((SELECT xmin::text FROM items WHERE id = 7 AND flag), 'absent')";
const TARGET_ROW: &str = "SELECT coalesce((SELECT (a, b)::text FROM item_mirrors WHERE item_id = 7), 'absent')";

/// Item 7 of a mirror that is in step.
async fn item(sql: &str, target: &str) -> Result<Mirrored> {
    let mirrored = Mirrored::new(items()?.only_where("flag")?, ITEMS, ITEM_MIRRORS).await?;
    mirrored.pair.main.execute(sql).await?;
    mirrored.target(target).await?;
    Ok(mirrored)
}

async fn said(mirrored: &Mirrored, steps: Steps<'_>) -> Result<Said> {
    let main = &mirrored.pair.main;
    let probe =
        Probe::new(&mirrored.mirror, &mirrored.source, &mirrored.target, vec![Key(vec!["7".to_owned()])]).await?;
    let (row, version) = (text(main, SOURCE_ROW).await?, text(main, ROW_VERSION).await?);
    let mut sandwich = probe.first().await?;
    run(mirrored, steps.before).await?;
    let there = text(&mirrored.pair.ci, TARGET_ROW).await?;
    sandwich.target().await?;
    run(mirrored, steps.after).await?;
    let (row_again, version_again) = (text(main, SOURCE_ROW).await?, text(main, ROW_VERSION).await?);
    let verdicts = sandwich.second().await?.verdicts;
    assert_eq!(verdicts.len(), 1);
    // At both looks nothing was pending, in all of these cases: every step ends acknowledged.
    Ok(Said {
        verdict: verdicts[0],
        without_second_look: row != there,
        by_row_version: row != there && row == row_again && version == version_again,
    })
}

const ROW_A: (&str, &str) = ("INSERT INTO items VALUES (7, 1, 'A')", "INSERT INTO item_mirrors VALUES (7, 1, 'A')");

#[tokio::test]
async fn m04_a_row_that_comes_and_goes_in_between_is_no_extra_row() -> Result<()> {
    let mirrored = item("SELECT 1", "SELECT 1").await?;
    let said = said(
        &mirrored,
        Steps {
            before: &[Write(ROW_A.0), Target(ROW_A.1), Acknowledge],
            after: &[Write("DELETE FROM items WHERE id = 7"), Target("DELETE FROM item_mirrors"), Acknowledge],
        },
    );
    assert_eq!(said.await?, Said { verdict: Verdict::Hot, without_second_look: true, by_row_version: true });
    Ok(())
}

#[tokio::test]
async fn m04_a_row_that_enters_and_leaves_the_filter_in_between_is_no_extra_row() -> Result<()> {
    let mirrored = item("INSERT INTO items VALUES (7, 1, 'A', false)", "SELECT 1").await?;
    let said = said(
        &mirrored,
        Steps {
            before: &[Write("UPDATE items SET flag = true"), Target(ROW_A.1), Acknowledge],
            after: &[Write("UPDATE items SET flag = false"), Target("DELETE FROM item_mirrors"), Acknowledge],
        },
    );
    assert_eq!(said.await?, Said { verdict: Verdict::Hot, without_second_look: true, by_row_version: true });
    Ok(())
}

#[tokio::test]
async fn m04_a_value_that_changes_and_changes_back_in_between_is_no_difference() -> Result<()> {
    let mirrored = item(ROW_A.0, ROW_A.1).await?;
    let said = said(
        &mirrored,
        Steps {
            before: &[Write("UPDATE items SET b = 'B'"), Target("UPDATE item_mirrors SET b = 'B'"), Acknowledge],
            after: &[Write("UPDATE items SET b = 'A'"), Target("UPDATE item_mirrors SET b = 'A'"), Acknowledge],
        },
    );
    assert_eq!(said.await?, Said { verdict: Verdict::Hot, without_second_look: true, by_row_version: false });
    Ok(())
}

#[tokio::test]
async fn m04_damage_is_proven_although_columns_that_are_not_mirrored_change_all_the_time() -> Result<()> {
    let mirrored = item(ROW_A.0, ROW_A.1).await?;
    mirrored.target("UPDATE item_mirrors SET b = 'damaged'").await?;
    let said = said(
        &mirrored,
        Steps { before: &[Aside("UPDATE items SET note = 'x'")], after: &[Aside("UPDATE items SET note = 'y'")] },
    );
    assert_eq!(said.await?, Said { verdict: Verdict::Different, without_second_look: true, by_row_version: false });
    Ok(())
}

#[tokio::test]
async fn m04_a_change_that_is_written_while_it_is_looked_at_is_no_difference() -> Result<()> {
    let mirrored = item(ROW_A.0, ROW_A.1).await?;
    let said = said(&mirrored, Steps { before: &[], after: &[] });
    assert_eq!(said.await?.verdict, Verdict::Cleared);
    let said = self::said(
        &mirrored,
        Steps { before: &[Write("UPDATE items SET a = 2"), Target("UPDATE item_mirrors SET a = 2")], after: &[] },
    );
    assert_eq!(said.await?.verdict, Verdict::Hot);
    Ok(())
}

#[tokio::test]
async fn m04_a_truncate_in_between_makes_every_key_hot() -> Result<()> {
    let mirrored = item(ROW_A.0, "INSERT INTO item_mirrors VALUES (7, 1, 'damaged')").await?;
    let marker = "INSERT INTO lfk.key_log (table_id, op) SELECT table_id, 't' FROM lfk.cursor WHERE consumer = 'items'";
    let said = said(&mirrored, Steps { before: &[], after: &[Aside(marker)] }).await?;
    assert_eq!(said.verdict, Verdict::Hot);
    // And afterwards everything is pending until the marker is acknowledged.
    assert_eq!(mirrored.found().await?, Found { in_flight: 1, ..NOTHING });
    mirrored.acknowledge().await?;
    assert_eq!(mirrored.found().await?, Found { different: 1, ..NOTHING });
    Ok(())
}

const LATER: &str = "INSERT INTO items VALUES (7, 1, 'A'); INSERT INTO items VALUES (8, 1, 'A')";

#[tokio::test]
async fn m04_what_the_sync_has_not_read_is_in_flight() -> Result<()> {
    let mirrored = filled(50).await?;
    mirrored.write(LATER, &["7", "8"]).await?;
    mirrored.write("UPDATE items SET a = 0 WHERE id = 10; DELETE FROM items WHERE id = 20", &["10", "20"]).await?;
    assert_eq!(mirrored.found().await?, Found { in_flight: 4, ..NOTHING });
    // A difference beside the backlog is proven all the same.
    mirrored.target("DELETE FROM item_mirrors WHERE item_id = 30").await?;
    assert_eq!(mirrored.found().await?, Found { missing: 1, in_flight: 4, ..NOTHING });
    // Acknowledged, but never written: now these are differences.
    mirrored.acknowledge().await?;
    assert_eq!(mirrored.found().await?, Found { missing: 3, different: 1, extra: 1, ..NOTHING });
    Ok(())
}

#[tokio::test]
async fn m04_keys_of_several_columns_and_texts_are_found_in_the_log() -> Result<()> {
    for (name, keys, types) in [
        ("composite", "(a, b)", "a int, b text, v int, PRIMARY KEY (a, b)"),
        ("textkey", "(b)", "a int, b text PRIMARY KEY, v int"),
    ] {
        let mirror =
            Mirror::new(name, &format!("main:public.s{keys}"), &format!("ci:public.t{keys}"))?.column("v", "v")?;
        let mirrored =
            Mirrored::new(mirror, &format!("CREATE TABLE s ({types})"), &format!("CREATE TABLE t ({types})")).await?;
        let rows = "INSERT INTO s VALUES (1, 'é:1', 1), (1, '', 2), (-1, '{\"a\",NULL}', 3), (11, '東', 4), (1, 'é', 5), (1, '1', 6)";
        let logged: &[&str] = if name == "composite" {
            &["1", "é:1", "1", "", "-1", "{\"a\",NULL}", "11", "東"]
        } else {
            &["é:1", "", "{\"a\",NULL}", "東"]
        };
        mirrored.write(rows, logged).await?;
        // Two were not logged, although their columns stand in the log among others.
        assert_eq!(mirrored.found().await?, Found { missing: 2, in_flight: 4, ..NOTHING }, "{name}");
        mirrored.acknowledge().await?;
        assert_eq!(mirrored.found().await?, Found { missing: 6, ..NOTHING }, "{name}");
        mirrored.pair.main.execute("UPDATE lfk.sweep SET done = false, behind = (SELECT CASE consumer WHEN 'composite' THEN '{1,é}' ELSE '{é}' END::text[]) WHERE consumer IN ('composite', 'textkey')").await?;
        let behind = "SELECT count(*) FROM s WHERE";
        let behind =
            if name == "composite" { format!("{behind} (a, b) > (1, 'é')") } else { format!("{behind} b > 'é'") };
        let not_yet: i64 = mirrored.pair.main.scalar(&behind).await?;
        assert!(not_yet > 0);
        assert_eq!(mirrored.found().await?, Found { missing: 6 - not_yet, not_yet, ..NOTHING }, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn m04_of_an_open_window_only_what_is_acknowledged_counts_as_done() -> Result<()> {
    let mirrored = filled(5).await?;
    mirrored.write("INSERT INTO items VALUES (7)", &["7"]).await?;
    mirrored.write("INSERT INTO items VALUES (8)", &["8"]).await?;
    mirrored.pair.main.execute("UPDATE lfk.cursor SET cur = pg_current_snapshot() WHERE consumer = 'items'").await?;
    assert_eq!(mirrored.found().await?, Found { in_flight: 2, ..NOTHING });
    let first = "UPDATE lfk.cursor c SET pos_xid = l.xid, pos_id = l.id FROM lfk.key_log l WHERE c.consumer = 'items' AND l.keys = '{7}'";
    mirrored.pair.main.execute(first).await?;
    assert_eq!(mirrored.found().await?, Found { missing: 1, in_flight: 1, ..NOTHING });
    // Beyond the window.
    mirrored.write("INSERT INTO items VALUES (9)", &["9"]).await?;
    assert_eq!(mirrored.found().await?, Found { missing: 1, in_flight: 2, ..NOTHING });
    Ok(())
}

#[tokio::test]
async fn m04_a_transaction_that_the_cursor_saw_running_is_in_flight_once_it_is_committed() -> Result<()> {
    let mirrored = filled(5).await?;
    let mut open = mirrored.pair.main.connect().await?;
    sqlx::raw_sql("BEGIN; INSERT INTO items VALUES (7)").execute(&mut open).await?;
    let log = "INSERT INTO lfk.key_log (table_id, op, keys) SELECT table_id, 'u', '{7}' FROM lfk.cursor WHERE consumer = 'items'";
    sqlx::raw_sql(log).execute(&mut open).await?;
    // Others commit behind it, and the cursor moves past them.
    mirrored.write("INSERT INTO items VALUES (8)", &["8"]).await?;
    mirrored.target("INSERT INTO item_mirrors VALUES (8)").await?;
    mirrored.acknowledge().await?;
    assert_eq!(mirrored.found().await?, NOTHING);
    sqlx::raw_sql("COMMIT").execute(&mut open).await?;
    assert_eq!(mirrored.found().await?, Found { in_flight: 1, ..NOTHING });
    Ok(())
}

#[tokio::test]
async fn m04_a_key_set_aside_is_in_flight_and_one_in_quarantine_is_a_class_of_its_own() -> Result<()> {
    let mirrored = filled(50).await?;
    mirrored.target("DELETE FROM item_mirrors WHERE item_id <= 30").await?;
    mirrored
        .pair
        .main
        .execute(
            "INSERT INTO lfk.retry (consumer, key, reason) VALUES ('items', '{10}', 'locked');
             INSERT INTO lfk.retry (consumer, key, reason, quarantined_at) VALUES ('items', '{20}', 'poisoned', now())",
        )
        .await?;
    assert_eq!(mirrored.found().await?, Found { missing: 1, in_flight: 1, quarantined: 1, ..NOTHING });
    Ok(())
}

#[tokio::test]
async fn m04_keys_that_a_backfill_has_not_come_to_are_not_yet_there() -> Result<()> {
    let mirrored = filled(50).await?;
    let sweep = async |sql: &str| {
        mirrored.pair.main.execute(&format!("UPDATE lfk.sweep SET done = false, {sql} WHERE consumer = 'items'")).await
    };
    mirrored.target("DELETE FROM item_mirrors WHERE item_id IN (100, 200, 210)").await?;
    mirrored
        .target("INSERT INTO item_mirrors VALUES (5), (495); UPDATE item_mirrors SET a = 0 WHERE item_id IN (110, 300)")
        .await?;
    // It reads the source: only what it has written there can be missing, and no row too many was removed.
    sweep("part = 0, behind = '{200}'").await?;
    assert_eq!(mirrored.found().await?, Found { missing: 2, different: 1, not_yet: 4, ..NOTHING });
    sweep("part = 0, behind = NULL").await?;
    assert_eq!(mirrored.found().await?, Found { not_yet: 7, ..NOTHING });
    // It reads the target: every row of the source was written.
    sweep("part = 1, behind = NULL").await?;
    assert_eq!(mirrored.found().await?, Found { missing: 3, different: 2, not_yet: 2, ..NOTHING });
    sweep("part = 1, behind = '{200}'").await?;
    assert_eq!(mirrored.found().await?, Found { missing: 3, different: 2, extra: 1, not_yet: 1, ..NOTHING });
    mirrored.pair.main.execute("DELETE FROM lfk.sweep WHERE consumer = 'items'").await?;
    assert_eq!(mirrored.found().await?, Found { different: 2, extra: 2, not_yet: 3, ..NOTHING });
    Ok(())
}

#[tokio::test]
async fn m04_keys_in_flight_are_looked_at_again_when_the_sync_has_passed_them() -> Result<()> {
    let mirrored = filled(50).await?;
    mirrored.write(LATER, &["7", "8"]).await?;
    let mut options = quick();
    options.patience = std::time::Duration::from_secs(60);
    let sync = async {
        // The sync works while the check waits: it writes one of two rows, and acknowledges both.
        mirrored.target("INSERT INTO item_mirrors VALUES (7, 1, 'A')").await?;
        mirrored.acknowledge().await
    };
    let (report, synced) = tokio::join!(mirrored.check(&options), sync);
    synced?;
    let report = report?;
    assert_eq!(Found::of(&report), Found { missing: 1, ..NOTHING });
    assert!(report.unverifiable.is_none());
    Ok(())
}

#[tokio::test]
async fn m04_a_sync_that_stands_still_makes_keys_unverifiable_and_not_different() -> Result<()> {
    let mirrored = filled(50).await?;
    mirrored.write(LATER, &["7", "8"]).await?;
    let report = mirrored.check(&quick()).await?;
    assert_eq!(Found::of(&report), Found { in_flight: 2, ..NOTHING });
    assert_eq!(report.unverifiable.map(|u| u.keys), Some(2));
    Ok(())
}
