//! What else goes on in the databases of the soak: locks, held snapshots, TRUNCATE, partitions that come and go, children that
//! cannot be deleted, and parents with very many of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_tests::{Cli, Pair, TestDb};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tokio_util::sync::CancellationToken;

use crate::soak_setup::{
    CHILDREN, PARENTS, PARTITION, POISONED, Side, WIDE, create_partition, let_a_day_pass, trusted,
};
use crate::soak_writers::add;

/// What happens to a partition.
#[derive(Debug, Clone, Copy)]
enum Part {
    Created,
    Dropped,
    Detached,
    Attached,
}

/// How often each of it happened.
#[derive(Debug, Default)]
pub struct Events {
    pub locks: AtomicU64,
    pub truncates: AtomicU64,
    /// In the order of [`Part`].
    pub partitions: [AtomicU64; 4],
    pub wide: AtomicU64,
    pub held_snapshots: AtomicU64,
    /// The longest that a key was in the log and not yet visited, in seconds. For people.
    pub longest_wait: AtomicU64,
    /// Deleted projects whose invoices are frozen: key, and whether it was released since.
    pub poisoned: Mutex<Vec<(i64, bool)>>,
}

impl Events {
    pub fn poisoned(&self) -> Vec<(i64, bool)> {
        self.poisoned.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Some that are to be released now.
    fn release(&self, rng: &mut StdRng) -> Vec<i64> {
        let mut all = self.poisoned.lock().unwrap_or_else(PoisonError::into_inner);
        let chosen = all.iter_mut().filter(|(_, released)| !released && rng.random_bool(0.5));
        chosen
            .map(|(key, released)| {
                *released = true;
                *key
            })
            .collect()
    }
}

/// One who makes trouble.
pub struct Trouble {
    pub pair: Pair,
    pub rng: StdRng,
    pub events: Arc<Events>,
    pub over: CancellationToken,
}

impl Trouble {
    pub fn new(seed: u64, pair: &Pair, events: &Arc<Events>, over: &CancellationToken) -> Self {
        Self { pair: pair.clone(), rng: StdRng::seed_from_u64(seed), events: events.clone(), over: over.clone() }
    }

    /// Sessions that lock tables for a moment and rows for longer: children, parents and leaves of the log.
    pub async fn locks(mut self) -> Result<()> {
        while !self.over.is_cancelled() {
            let side = if self.rng.random_bool(0.5) { Side::Main } else { Side::Ci };
            let child = CHILDREN.choose(&mut self.rng).context("there are children")?;
            let (parent, last) = PARENTS.choose(&mut self.rng).context("there are parents")?;
            let from = self.rng.random_range(0..*last);
            let (side, lock, hold) = match self.rng.random_range(0..100) {
                0..25 => (child.side, format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", child.table), 50..1500),
                25..35 => (Side::Main, format!("LOCK TABLE {parent} IN ACCESS EXCLUSIVE MODE"), 50..800),
                35..65 => (
                    child.side,
                    format!("SELECT FROM {} WHERE parent_id BETWEEN {from} AND {from} + 500 FOR UPDATE", child.table),
                    200..4000,
                ),
                65..80 => (
                    Side::Main,
                    format!("SELECT FROM {parent} WHERE id BETWEEN {from} AND {from} + 100 FOR UPDATE"),
                    100..2000,
                ),
                _ => (side, format!("LOCK TABLE lfk.key_log_{} IN ACCESS EXCLUSIVE MODE", from % 8), 20..400),
            };
            let db = self.db(side).clone();
            if self.transaction(&db, &[&lock], hold).await? {
                add(&self.events.locks, 1);
            }
            self.pause(20..400).await;
        }
        Ok(())
    }

    /// Reports that take most of the run: nothing that was deleted since can be vacuumed.
    pub async fn snapshots(self, lasts: Duration) -> Result<()> {
        let _ = tokio::time::timeout(lasts.mul_f64(0.1), self.over.cancelled()).await;
        let mut readers = [self.pair.main.connect().await?, self.pair.ci.connect().await?];
        for reader in &mut readers {
            sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class")
                .execute(reader)
                .await?;
            add(&self.events.held_snapshots, 1);
        }
        let _ = tokio::time::timeout(lasts.mul_f64(0.8), self.over.cancelled()).await;
        for reader in &mut readers {
            sqlx::raw_sql("SELECT count(*) FROM pg_class; COMMIT").execute(reader).await?;
        }
        Ok(())
    }

    /// Empties tenants; most come back in the same transaction as they were, and some others in later ones.
    pub async fn truncates(mut self) -> Result<()> {
        let db = self.pair.main.clone();
        while !self.over.is_cancelled() {
            self.pause(3000..10_000).await;
            let gone = self.rng.random_range(0..5);
            let keep = format!("CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM tenants WHERE id % 5 <> {gone}");
            let statements = [
                "LOCK TABLE tenants IN ACCESS EXCLUSIVE MODE",
                &keep,
                "TRUNCATE tenants",
                "INSERT INTO tenants SELECT * FROM kept",
            ];
            if self.transaction(&db, &statements, 0..300).await? {
                add(&self.events.truncates, 1);
            }
        }
        Ok(())
    }

    /// Partitions of events: made, dropped, detached, and attached again with other births.
    pub async fn partitions(mut self) -> Result<()> {
        let db = self.pair.main.clone();
        let mut detached = None;
        while !self.over.is_cancelled() {
            self.pause(500..4000).await;
            // What was detached is seen to next.
            let any = self.rng.random_range(0..PARENTS[3].1 / PARTITION);
            let n = detached.take().unwrap_or(any);
            let (from, to) = (n * PARTITION, (n + 1) * PARTITION);
            let is = format!("SELECT CASE WHEN to_regclass('events_{n}') IS NULL THEN 'absent'
                                WHEN (SELECT relispartition FROM pg_class WHERE oid = to_regclass('events_{n}')) THEN 'part' ELSE 'apart' END");
            let is: String = db.scalar(&is).await?;
            let (statements, what) = match (&*is, self.rng.random_bool(if is == "apart" { 0.2 } else { 0.5 })) {
                ("absent", _) => {
                    let fill = format!("INSERT INTO events (id) SELECT generate_series({from}, {to} - 1, 2)");
                    ([create_partition(n), fill], Part::Created)
                }
                ("part", true) | ("apart", true) => ([format!("DROP TABLE events_{n}"), String::new()], Part::Dropped),
                ("part", false) => {
                    ([format!("ALTER TABLE events DETACH PARTITION events_{n}"), String::new()], Part::Detached)
                }
                _ => {
                    // They were away, so they are born again.
                    let anew = format!("UPDATE events_{n} SET born = nextval('births')");
                    let attach =
                        format!("ALTER TABLE events ATTACH PARTITION events_{n} FOR VALUES FROM ({from}) TO ({to})");
                    ([anew, attach], Part::Attached)
                }
            };
            if self.transaction(&db, &[&statements[0], &statements[1]], 0..50).await? {
                add(&self.events.partitions[what as usize], 1);
                detached = matches!(what, Part::Detached).then_some(n);
            }
        }
        Ok(())
    }

    fn db(&self, side: Side) -> &TestDb {
        match side {
            Side::Main => &self.pair.main,
            Side::Ci => &self.pair.ci,
        }
    }

    /// Runs statements that never queue for long, and commits some milliseconds later. False: a lock was not free.
    async fn transaction(&mut self, db: &TestDb, statements: &[&str], hold: std::ops::Range<u64>) -> Result<bool> {
        let mut session = db.connect().await?;
        sqlx::raw_sql("BEGIN; SET LOCAL lock_timeout = '300ms'").execute(&mut session).await?;
        for statement in statements {
            match sqlx::raw_sql(trusted(statement)).execute(&mut session).await {
                Ok(_) => {}
                Err(sqlx::Error::Database(e)) if matches!(e.code().as_deref(), Some("55P03" | "40P01")) => {
                    return Ok(false);
                }
                Err(error) => return Err(error).with_context(|| (*statement).to_owned()),
            }
        }
        self.pause(hold).await;
        sqlx::raw_sql("COMMIT").execute(&mut session).await?;
        Ok(true)
    }

    async fn pause(&mut self, milliseconds: std::ops::Range<u64>) {
        let pause = Duration::from_millis(self.rng.random_range(milliseconds));
        let _ = tokio::time::timeout(pause, self.over.cancelled()).await;
    }
}

/// Lets days pass for what everybody has visited twice, and notes how long keys wait.
pub async fn days(pair: Pair, events: Arc<Events>, over: CancellationToken) -> Result<()> {
    while !over.is_cancelled() {
        let _ = tokio::time::timeout(Duration::from_secs(3), over.cancelled()).await;
        for db in [&pair.main, &pair.ci] {
            let_a_day_pass(db).await?;
            // Without what is poisoned or locked.
            let oldest = "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - u.oldest_at)), 0)::bigint
                FROM lfk.cursor c, lfk.unread(c.consumer, 1) u WHERE c.settle IS NULL";
            let oldest = u64::try_from(db.scalar::<i64>(oldest).await?).unwrap_or(0);
            events.longest_wait.fetch_max(oldest, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Deletes a parent with very many children in each third of the run.
pub async fn wide_parents(pair: Pair, events: Arc<Events>, lasts: Duration, over: CancellationToken) -> Result<()> {
    let mut before = 0.0;
    for (key, at) in WIDE.zip([0.15, 0.45, 0.75]) {
        let _ = tokio::time::timeout(lasts.mul_f64(at - before), over.cancelled()).await;
        before = at;
        let gone = pair.main.execute(&format!("DELETE FROM projects WHERE id = {key}")).await?;
        add(&events.wide, gone);
    }
    Ok(())
}

/// Deletes projects whose invoice cannot be deleted, and thaws most of those later.
pub async fn poison(mut trouble: Trouble, cli: Arc<Cli>) -> Result<()> {
    let Pair { main, ci } = trouble.pair.clone();
    for key in POISONED.. {
        if trouble.over.is_cancelled() {
            break;
        }
        let born: Vec<Vec<Option<String>>> =
            main.rows(&format!("INSERT INTO projects (id) VALUES ({key}) RETURNING born")).await?;
        let born = born[0][0].as_deref().context("it is born")?;
        ci.execute(&format!(
            "WITH c AS (INSERT INTO invoices (parent_id, frozen) VALUES ({key}, true) RETURNING id)
             INSERT INTO ledger SELECT 'invoices', c.id, {key}, {born}, false FROM c"
        ))
        .await?;
        main.execute(&format!("DELETE FROM projects WHERE id = {key}")).await?;
        trouble.events.poisoned.lock().unwrap_or_else(PoisonError::into_inner).push((key, false));
        if key % 5 == 4 {
            let these = trouble.events.release(&mut trouble.rng);
            thaw(&ci, &these).await?;
            cli.run(["retry", "now", "invoices.parent_id"]).await?;
        }
        trouble.pause(500..2500).await;
    }
    Ok(())
}

/// Lets the invoices of these projects be deleted.
pub async fn thaw(ci: &TestDb, keys: &[i64]) -> Result<()> {
    let thaw = "UPDATE invoices SET frozen = false WHERE parent_id = ANY ($1)";
    sqlx::query(thaw).bind(keys).execute(&ci.pool).await?;
    Ok(())
}
