//! The writers of the stress, and the ledger of what they did: the oracle is as exact as this ledger.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lfk_tests::TestDb;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

/// A table whose rows are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    Projects,
    Users,
}

impl Parent {
    pub fn table(self) -> &'static str {
        match self {
            Self::Projects => "projects",
            Self::Users => "users",
        }
    }

    fn delete(self) -> &'static str {
        match self {
            Self::Projects => "DELETE FROM projects WHERE id = ANY ($1)",
            Self::Users => "DELETE FROM users WHERE id = ANY ($1)",
        }
    }

    fn insert(self) -> &'static str {
        match self {
            Self::Projects => "INSERT INTO projects SELECT k, 'back' FROM unnest($1::bigint[]) k",
            Self::Users => "INSERT INTO users SELECT k, 'back' FROM unnest($1::bigint[]) k",
        }
    }

    fn change_key(self) -> &'static str {
        match self {
            Self::Projects => "UPDATE projects SET id = id + 1000000000 WHERE id = ANY ($1)",
            Self::Users => "UPDATE users SET id = id + 1000000000 WHERE id = ANY ($1)",
        }
    }
}

/// What became of a key that a writer took. A key that nobody took was never touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Deleted for good: no child may remain.
    Gone,
    /// Deleted and inserted by one transaction: every child must be there.
    Reborn,
    /// Deleted by one transaction and inserted by a later one: in between, its children were orphans.
    Back,
    /// Every delete of it was rolled back: every child must be there, and the log must not know it.
    Undone,
}

impl Fate {
    pub fn name(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Reborn => "reborn",
            Self::Back => "back",
            Self::Undone => "undone",
        }
    }
}

/// Hands out keys, each once, and keeps what became of them.
pub struct Ledger {
    next: [AtomicI64; 2],
    /// The highest key of each table.
    pub last: [i64; 2],
    fates: Mutex<Vec<(Parent, i64, Fate)>>,
    /// Transactions that were committed after every cursor had gone past them.
    pub late: AtomicU64,
}

impl Ledger {
    pub fn new(last: [i64; 2]) -> Self {
        let next = [AtomicI64::new(1), AtomicI64::new(1)];
        Self { next, last, fates: Mutex::default(), late: AtomicU64::new(0) }
    }

    /// About `count` keys that nobody else has: every tenth stays untouched for ever. None when the table is used up.
    fn take(&self, parent: Parent, count: i64) -> Vec<i64> {
        let (next, last) = (&self.next[parent as usize], self.last[parent as usize]);
        let first = next.fetch_add(count + 1, Ordering::Relaxed);
        (first..=first + count).filter(|key| key % 10 != 0 && *key <= last).collect()
    }

    fn record(&self, parent: Parent, keys: &[i64], fate: Fate) {
        self.fates.lock().unwrap_or_else(PoisonError::into_inner).extend(keys.iter().map(|key| (parent, *key, fate)));
    }

    pub fn fates(&self) -> Vec<(Parent, i64, Fate)> {
        self.fates.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// An application that deletes, in every way there is.
pub struct Writer {
    name: String,
    db: TestDb,
    connection: PgConnection,
    ledger: Arc<Ledger>,
    rng: StdRng,
    over: CancellationToken,
}

impl Writer {
    pub async fn new(
        name: String,
        seed: u64,
        db: TestDb,
        ledger: Arc<Ledger>,
        over: CancellationToken,
    ) -> Result<Self> {
        let connection = db.connect().await?;
        Ok(Self { name, db, connection, ledger, rng: StdRng::seed_from_u64(seed), over })
    }

    /// Deletes rows of a table until it is over, in transactions with pauses of so many milliseconds.
    pub async fn run(mut self, parent: Parent, pauses: std::ops::Range<u64>) -> Result<()> {
        while !self.over.is_cancelled() {
            match self.rng.random_range(0..100) {
                0..35 => self.plain(parent, 1..=1).await?,
                35..48 => self.plain(parent, 2..=5).await?,
                48..50 => self.bulk(parent).await?,
                50..58 => self.savepoints(parent).await?,
                58..66 => self.abort(parent).await?,
                66..72 => self.exception(parent).await?,
                72..78 => self.serializable(parent).await?,
                78..88 => self.reborn(parent).await?,
                88..93 => self.back(parent).await?,
                93..96 => self.key_change(parent).await?,
                _ => self.prepared(parent).await?,
            }
            self.pause(pauses.clone()).await;
        }
        Ok(())
    }

    /// Keeps transactions open until every cursor has gone past them, and longer.
    pub async fn run_slowly(mut self) -> Result<()> {
        while !self.over.is_cancelled() {
            let keys = self.take(Parent::Projects, 1..=20);
            sqlx::raw_sql("BEGIN").execute(&mut self.connection).await?;
            self.delete(Parent::Projects, &keys).await?;
            let xid = "SELECT pg_current_xact_id()::text::bigint";
            let xid: i64 = sqlx::query_scalar(xid).fetch_one(&mut self.connection).await?;
            let passed = self.passed(xid).await?;
            self.pause(0..3000).await;
            self.commit().await?;
            self.ledger.record(Parent::Projects, &keys, Fate::Gone);
            self.ledger.late.fetch_add(u64::from(passed), Ordering::Relaxed);
        }
        Ok(())
    }

    async fn plain(&mut self, parent: Parent, statements: std::ops::RangeInclusive<usize>) -> Result<()> {
        let statements = self.rng.random_range(statements);
        sqlx::raw_sql("BEGIN").execute(&mut self.connection).await?;
        let mut all = Vec::new();
        for _ in 0..statements {
            let most = if statements == 1 { 1 } else { 20 };
            let keys = self.take(parent, 1..=most);
            self.delete(parent, &keys).await?;
            all.extend(keys);
        }
        self.commit().await?;
        self.ledger.record(parent, &all, Fate::Gone);
        Ok(())
    }

    async fn bulk(&mut self, parent: Parent) -> Result<()> {
        let keys = self.take(parent, 200..=1500);
        self.delete(parent, &keys).await?;
        self.ledger.record(parent, &keys, Fate::Gone);
        Ok(())
    }

    async fn savepoints(&mut self, parent: Parent) -> Result<()> {
        let [kept, undone, after, released] = [0; 4].map(|_| self.take(parent, 1..=10));
        sqlx::raw_sql("BEGIN").execute(&mut self.connection).await?;
        self.delete(parent, &kept).await?;
        sqlx::raw_sql("SAVEPOINT a").execute(&mut self.connection).await?;
        self.delete(parent, &undone).await?;
        sqlx::raw_sql("ROLLBACK TO a").execute(&mut self.connection).await?;
        self.delete(parent, &after).await?;
        sqlx::raw_sql("SAVEPOINT b").execute(&mut self.connection).await?;
        self.delete(parent, &released).await?;
        sqlx::raw_sql("RELEASE b").execute(&mut self.connection).await?;
        self.commit().await?;
        [kept, after, released].iter().for_each(|keys| self.ledger.record(parent, keys, Fate::Gone));
        self.ledger.record(parent, &undone, Fate::Undone);
        Ok(())
    }

    async fn abort(&mut self, parent: Parent) -> Result<()> {
        let keys = self.take(parent, 1..=50);
        sqlx::raw_sql("BEGIN").execute(&mut self.connection).await?;
        self.delete(parent, &keys).await?;
        sqlx::raw_sql("ROLLBACK").execute(&mut self.connection).await?;
        self.ledger.record(parent, &keys, Fate::Undone);
        Ok(())
    }

    async fn exception(&mut self, parent: Parent) -> Result<()> {
        let (undone, gone) = (self.take(parent, 1..=10), self.take(parent, 1..=10));
        let table = parent.table();
        let sql = format!(
            "DO $$ BEGIN
               BEGIN
                 DELETE FROM {table} WHERE id = ANY ({});
                 RAISE EXCEPTION 'no';
               EXCEPTION WHEN raise_exception THEN NULL;
               END;
               DELETE FROM {table} WHERE id = ANY ({});
             END $$",
            array(&undone),
            array(&gone)
        );
        self.db.execute(&sql).await?;
        self.ledger.record(parent, &undone, Fate::Undone);
        self.ledger.record(parent, &gone, Fate::Gone);
        Ok(())
    }

    async fn serializable(&mut self, parent: Parent) -> Result<()> {
        let keys = self.take(parent, 1..=20);
        sqlx::raw_sql("BEGIN ISOLATION LEVEL SERIALIZABLE").execute(&mut self.connection).await?;
        let outcome = async {
            sqlx::query("SELECT count(*) FROM projects WHERE id < 100").execute(&mut self.connection).await?;
            sqlx::query(parent.delete()).bind(&keys).execute(&mut self.connection).await?;
            sqlx::raw_sql("COMMIT").execute(&mut self.connection).await
        };
        let fate = match outcome.await {
            Ok(_) => Fate::Gone,
            Err(sqlx::Error::Database(e)) if e.code().as_deref() == Some("40001") => {
                sqlx::raw_sql("ROLLBACK").execute(&mut self.connection).await?;
                Fate::Undone
            }
            Err(error) => return Err(error.into()),
        };
        self.ledger.record(parent, &keys, fate);
        Ok(())
    }

    async fn reborn(&mut self, parent: Parent) -> Result<()> {
        let keys = self.take(parent, 1..=20);
        let again = self.rng.random_bool(0.2);
        sqlx::raw_sql("BEGIN").execute(&mut self.connection).await?;
        self.delete(parent, &keys).await?;
        self.pause(0..20).await;
        sqlx::query(parent.insert()).bind(&keys).execute(&mut self.connection).await?;
        if again {
            self.delete(parent, &keys).await?;
        }
        self.commit().await?;
        self.ledger.record(parent, &keys, if again { Fate::Gone } else { Fate::Reborn });
        Ok(())
    }

    async fn back(&mut self, parent: Parent) -> Result<()> {
        let keys = self.take(parent, 1..=20);
        self.delete(parent, &keys).await?;
        self.pause(0..200).await;
        sqlx::query(parent.insert()).bind(&keys).execute(&mut self.connection).await?;
        let again = self.rng.random_bool(0.5);
        if again {
            self.pause(0..200).await;
            self.delete(parent, &keys).await?;
        }
        self.ledger.record(parent, &keys, if again { Fate::Gone } else { Fate::Back });
        Ok(())
    }

    async fn key_change(&mut self, parent: Parent) -> Result<()> {
        let keys = self.take(parent, 1..=5);
        sqlx::query(parent.change_key()).bind(&keys).execute(&mut self.connection).await?;
        self.ledger.record(parent, &keys, Fate::Gone);
        Ok(())
    }

    async fn prepared(&mut self, parent: Parent) -> Result<()> {
        let keys = self.take(parent, 1..=20);
        let (name, table) = (&self.name, parent.table());
        let prepare =
            format!("BEGIN; DELETE FROM {table} WHERE id = ANY ({}); PREPARE TRANSACTION '{name}'", array(&keys));
        self.db.execute(&prepare).await?;
        let xid = format!("SELECT transaction::text::bigint FROM pg_prepared_xacts WHERE gid = '{name}'");
        let xid = self.db.scalar(&xid).await?;
        let passed = self.rng.random_bool(0.3) && self.passed(xid).await?;
        let (verb, fate) = if self.rng.random_bool(0.8) { ("COMMIT", Fate::Gone) } else { ("ROLLBACK", Fate::Undone) };
        self.db.execute(&format!("{verb} PREPARED '{}'", self.name)).await?;
        self.ledger.record(parent, &keys, fate);
        self.ledger.late.fetch_add(u64::from(passed && fate == Fate::Gone), Ordering::Relaxed);
        Ok(())
    }

    fn take(&mut self, parent: Parent, count: std::ops::RangeInclusive<i64>) -> Vec<i64> {
        let count = self.rng.random_range(count);
        self.ledger.take(parent, count)
    }

    async fn delete(&mut self, parent: Parent, keys: &[i64]) -> Result<()> {
        let deleted = sqlx::query(parent.delete()).bind(keys).execute(&mut self.connection).await?.rows_affected();
        anyhow::ensure!(deleted == keys.len() as u64, "a key of the ledger was not there: {keys:?}");
        Ok(())
    }

    async fn commit(&mut self) -> Result<()> {
        sqlx::raw_sql("COMMIT").execute(&mut self.connection).await.context("commit")?;
        Ok(())
    }

    /// Waits, a few seconds at most, until every cursor begins its next window above a transaction that is still open.
    async fn passed(&mut self, xid: i64) -> Result<bool> {
        let all = format!(
            "SELECT bool_and(pg_snapshot_xmax(prev)::text::bigint > {xid}) FROM lfk.cursor WHERE settle IS NULL"
        );
        let begun = Instant::now();
        while !self.over.is_cancelled() && begun.elapsed() < Duration::from_secs(30) {
            if self.db.scalar(&all).await? {
                return Ok(true);
            }
            self.pause(10..50).await;
        }
        Ok(false)
    }

    /// What an application does between two statements; none of our business, but for the time it takes.
    async fn pause(&mut self, milliseconds: std::ops::Range<u64>) {
        let pause = Duration::from_millis(self.rng.random_range(milliseconds));
        let _ = tokio::time::timeout(pause, self.over.cancelled()).await;
    }
}

fn array(keys: &[i64]) -> String {
    let keys: Vec<String> = keys.iter().map(i64::to_string).collect();
    format!("'{{{}}}'::bigint[]", keys.join(","))
}
