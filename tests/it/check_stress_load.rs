//! What goes on around the checks of the stress: applications that write few keys again and again, a table that is emptied now
//! and then, and somebody who damages the target where nobody writes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Result;
use lfk_tests::{Pair, TestDb};
use rand::Rng as _;
use rand::rngs::StdRng;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::soak_writers::add;

/// Keys that are written all the time.
const HOT: i64 = 60;
/// Keys that nobody writes, but for columns that are not mirrored, and when the table is emptied.
pub const QUIET: std::ops::RangeInclusive<i64> = 1000..=4000;
/// Rows that no source has, above and below all others.
const ABOVE: i64 = 10_000;

/// What happened.
#[derive(Debug, Default)]
pub struct Load {
    pub written: AtomicU64,
    pub failed: AtomicU64,
    pub slow: AtomicU64,
    pub truncates: AtomicU64,
    /// Held by who empties the table, and by who has damaged the target and waits for it to be found: the sync would repair the
    /// damage, because all rows of an emptied table are written anew.
    pub calm: Mutex<()>,
}

/// What the application has beside the mirrored table: which transactions have emptied it.
pub const EMPTIED: &str = "CREATE TABLE emptied (xid xid8 NOT NULL DEFAULT pg_current_xact_id())";

/// A statement of an application.
fn write(random: &mut StdRng) -> String {
    let key = random.random_range(1..HOT);
    let other = random.random_range(1..HOT);
    let quiet = random.random_range(QUIET);
    match random.random_range(0..16) {
        0..=2 => format!(
            "INSERT INTO spaces VALUES ({key}, 'n{other}', '{{{other}}}')
               ON CONFLICT (id) DO UPDATE SET path = spaces.path[1:40] || excluded.path"
        ),
        3 => format!("UPDATE spaces SET owner = {other} WHERE id BETWEEN {key} AND {key} + 9"),
        // Neither is mirrored; the rows get other versions all the same.
        4 => format!("UPDATE spaces SET seen = now() WHERE id = {key} OR id BETWEEN {quiet} AND {quiet} + 20"),
        5 => format!("UPDATE spaces SET archived = NOT archived WHERE id = {key}"),
        6 => format!("DELETE FROM spaces WHERE id = {key}"),
        7 => format!("DELETE FROM spaces WHERE id = {key}; INSERT INTO spaces VALUES ({key}, 'again')"),
        8 => format!("INSERT INTO spaces VALUES ({key}, 'once'); DELETE FROM spaces WHERE id = {key}"),
        9 => format!(
            "UPDATE spaces SET id = {key} WHERE id = {other} AND NOT EXISTS (SELECT FROM spaces WHERE id = {key})"
        ),
        10 => format!("UPDATE spaces SET id = id + {HOT} WHERE id = {key}; UPDATE spaces SET id = id - {HOT} WHERE id = {key} + {HOT}"),
        11 => format!(
            "SAVEPOINT s; DELETE FROM spaces WHERE id < {HOT}; ROLLBACK TO s; UPDATE spaces SET name = 'x{other}' WHERE id = {key};
             SAVEPOINT t; DELETE FROM spaces WHERE id = {other}; RELEASE t"
        ),
        12 => format!("UPDATE spaces SET name = upper(name), path = path[1:3] WHERE id = {key}; SELECT pg_sleep(0.05)"),
        13 => format!("INSERT INTO spaces SELECT n, 'many' FROM generate_series({key}, {key} + 5) n ON CONFLICT DO NOTHING"),
        14 => format!("DELETE FROM spaces WHERE id BETWEEN {key} AND {key} + 20; INSERT INTO spaces SELECT n, 'bulk' FROM generate_series({key}, {key} + 20, 2) n"),
        // Away and back: what is mirrored is as it was.
        _ => format!("UPDATE spaces SET owner = owner + 1 WHERE id = {key}; UPDATE spaces SET owner = owner - 1 WHERE id = {key}"),
    }
}

/// An application. Each text is one transaction, which an error rolls back.
pub async fn writer(db: TestDb, mut random: StdRng, load: Arc<Load>, over: CancellationToken) -> Result<()> {
    while !over.is_cancelled() {
        let end = if random.random_bool(0.15) { "SELECT 1 / 0" } else { "SELECT 1" };
        // Deadlocks and duplicate keys are the application's own affair.
        let done = db.execute(&format!("{}; {end}", write(&mut random))).await.is_ok();
        add(if done { &load.written } else { &load.failed }, 1);
    }
    Ok(())
}

/// An application whose transactions stay open for seconds.
pub async fn slow_writer(db: TestDb, mut random: StdRng, load: Arc<Load>, over: CancellationToken) -> Result<()> {
    while !over.is_cancelled() {
        let seconds = random.random_range(0.2..4.0);
        let text = format!("{}; SELECT pg_sleep({seconds}); {}", write(&mut random), write(&mut random));
        add(if db.execute(&text).await.is_ok() { &load.slow } else { &load.failed }, 1);
    }
    Ok(())
}

/// Empties the table now and then; most rows come back in the same transaction.
pub async fn truncater(db: TestDb, mut random: StdRng, load: Arc<Load>, over: CancellationToken) -> Result<()> {
    while !over.is_cancelled() {
        let pause = Duration::from_millis(random.random_range(3_000..9_000));
        let _ = tokio::time::timeout(pause, over.cancelled()).await;
        let _calm = load.calm.lock().await;
        let gone = random.random_range(0..5);
        let text = format!(
            "SET LOCAL lock_timeout = '6s'; LOCK TABLE spaces IN ACCESS EXCLUSIVE MODE;
             CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM spaces WHERE id > 900 OR id % 5 <> {gone};
             TRUNCATE spaces; INSERT INTO spaces SELECT * FROM kept; INSERT INTO emptied DEFAULT VALUES"
        );
        if db.execute(&text).await.is_ok() {
            add(&load.truncates, 1);
        }
    }
    Ok(())
}

/// Whether the sync has nothing to do with the quiet keys: whatever is found there from now on is damage.
pub async fn is_quiet(main: &TestDb) -> Result<bool> {
    let quiet = format!(
        "SELECT coalesce((SELECT bool_and(pg_visible_in_snapshot(e.xid, c.prev)) FROM emptied e), true)
                AND (SELECT s.done FROM lfk.sweep s WHERE s.consumer = c.consumer)
                AND NOT EXISTS (SELECT FROM lfk.retry r WHERE r.consumer = c.consumer AND r.key[1]::bigint NOT BETWEEN 1 AND {last})
           FROM lfk.cursor c WHERE c.consumer = 'spaces'",
        last = QUIET.start() - 1
    );
    main.scalar(&quiet).await
}

/// Changes the target beside the sync. Answers with `class key` of each row that differs then.
pub async fn damage(pair: &Pair, random: &mut StdRng) -> Result<BTreeSet<String>> {
    let (mut sql, mut found) = (String::new(), BTreeSet::new());
    let mut keys = BTreeSet::new();
    for _ in 0..random.random_range(1..=9) {
        keys.insert(random.random_range(QUIET));
    }
    for key in keys {
        let (class, at, one) = match random.random_range(0..9) {
            0 => ("missing", key, format!("DELETE FROM copies WHERE space_id = {key}")),
            1 => ("different", key, format!("UPDATE copies SET path[2] = path[2] - 4294967296 WHERE space_id = {key}")),
            2 => ("different", key, format!("UPDATE copies SET handle = handle || ' ' WHERE space_id = {key}")),
            3 => ("different", key, format!("UPDATE copies SET owner = 0 WHERE space_id = {key}")),
            4 => ("different", key, format!("UPDATE copies SET path = NULL, handle = '' WHERE space_id = {key}")),
            5 => ("different", key, format!("UPDATE copies SET path = ARRAY[path] WHERE space_id = {key}")),
            6 => ("extra", key + ABOVE, format!("INSERT INTO copies VALUES ({key} + {ABOVE})")),
            7 => (
                "extra",
                -key,
                format!("INSERT INTO copies SELECT -space_id, path, owner, handle FROM copies WHERE space_id = {key}"),
            ),
            // A row of a space that is archived: it would be right if there were no filter.
            _ => ("extra", key + 4000, format!("INSERT INTO copies VALUES ({key} + 4000, '{{}}', NULL, 'archived')")),
        };
        sql.push_str(&one);
        sql.push_str("; ");
        found.insert(format!("{class} {at}"));
    }
    pair.ci.execute(&sql).await?;
    Ok(found)
}
