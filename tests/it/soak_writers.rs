//! The applications of the soak: they make, delete and bring back parents, and write children, each with its entry in the
//! ledger. None of it may ever fail because of lfk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::soak_setup::{Arena, CHILDREN, Child, PARENTS, Side, trusted};

/// A child is committed this long after its parent was read, or not at all: well before the second visit.
const FRESH: Duration = Duration::from_secs(8);

/// What was done. A soak that did nothing proves nothing.
#[derive(Debug, Default)]
pub struct Count {
    pub keys_deleted: AtomicU64,
    pub keys_back: AtomicU64,
    pub reborn: AtomicU64,
    pub children: AtomicU64,
    /// Children committed after the delete of the parent that their writer had seen.
    pub late_children: AtomicU64,
    pub moved: AtomicU64,
    /// Transactions that the server ended: deadlocks of writers, partitions that were just dropped.
    pub failed: AtomicU64,
}

pub fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

/// A parent as its reader saw it.
struct Seen {
    ids: Vec<i64>,
    born: Vec<i64>,
    claim: Vec<bool>,
    at: Instant,
}

pub struct Writer {
    main: PgConnection,
    ci: PgConnection,
    first: i64,
    rng: StdRng,
    count: Arc<Count>,
    over: CancellationToken,
}

impl Writer {
    pub async fn new(arena: &Arena, seed: u64, count: Arc<Count>, over: CancellationToken) -> Result<Self> {
        let (main, ci) = (arena.pair.main.connect().await?, arena.pair.ci.connect().await?);
        Ok(Self { main, ci, first: arena.first, rng: StdRng::seed_from_u64(seed), count, over })
    }

    /// One short transaction after the other.
    pub async fn run(mut self) -> Result<()> {
        while !self.over.is_cancelled() {
            let (parent, last) = *PARENTS.choose(&mut self.rng).context("there are parents")?;
            let done = match self.rng.random_range(0..100) {
                0..16 => self.delete(parent, last, 1..=20, false).await,
                16..18 => self.delete(parent, last, 200..=400, false).await,
                18..22 => self.delete(parent, last, 1..=50, true).await,
                22..38 => self.bring_back(parent, last).await,
                38..46 => self.reborn(parent, last).await,
                46..50 => self.change(parent, last).await,
                50..54 => self.delete_groups().await,
                54..60 => self.move_children().await,
                _ => self.insert_children().await,
            };
            self.tolerate(done).await?;
            self.pause(2..40).await;
        }
        Ok(())
    }

    /// Transactions that stay open for seconds.
    pub async fn run_slowly(mut self) -> Result<()> {
        while !self.over.is_cancelled() {
            let done = self.long_transaction().await;
            self.tolerate(done).await?;
            self.pause(100..1000).await;
        }
        Ok(())
    }

    /// What the server may do to any application, lfk or not: end one of two that wait for each other (40P01), or have no
    /// partition for a row (23514). Everything else is a failure of the soak.
    async fn tolerate(&mut self, done: Result<()>) -> Result<()> {
        let Err(error) = done else { return Ok(()) };
        let code = error.downcast_ref::<sqlx::Error>().and_then(|e| e.as_database_error()?.code()).unwrap_or_default();
        if !["40P01", "23514"].contains(&&*code) {
            return Err(error.context("the application was hurt"));
        }
        add(&self.count.failed, 1);
        for connection in [&mut self.main, &mut self.ci] {
            sqlx::raw_sql("ROLLBACK").execute(connection).await?;
        }
        Ok(())
    }

    async fn delete(&mut self, parent: &str, last: i64, n: std::ops::RangeInclusive<usize>, undo: bool) -> Result<()> {
        let keys = self.keys(last, n);
        sqlx::raw_sql("BEGIN").execute(&mut self.main).await?;
        let gone = self.on_keys(&format!("DELETE FROM {parent} WHERE id = ANY ($1)"), &keys).await?;
        sqlx::raw_sql(if undo { "ROLLBACK" } else { "COMMIT" }).execute(&mut self.main).await?;
        add(&self.count.keys_deleted, if undo { 0 } else { gone });
        Ok(())
    }

    /// Brings keys back in a later transaction: they are born again.
    async fn bring_back(&mut self, parent: &str, last: i64) -> Result<()> {
        let n = if self.rng.random_bool(0.1) { 100..=300 } else { 1..=30 };
        let keys = self.keys(last, n);
        let insert = format!("INSERT INTO {parent} (id) SELECT unnest($1::bigint[]) ORDER BY 1 ON CONFLICT DO NOTHING");
        let back = self.on_keys(&insert, &keys).await?;
        add(&self.count.keys_back, back);
        Ok(())
    }

    /// Deletes and inserts keys in one transaction: nobody ever sees them absent, and they keep their births.
    async fn reborn(&mut self, parent: &str, last: i64) -> Result<()> {
        let keys = self.keys(last, 1..=20);
        sqlx::raw_sql("BEGIN").execute(&mut self.main).await?;
        let delete = format!("DELETE FROM {parent} WHERE id = ANY ($1) RETURNING id, born");
        let rows: Vec<(i64, i64)> = sqlx::query_as(trusted(&delete)).bind(&keys).fetch_all(&mut self.main).await?;
        self.pause(0..300).await;
        let (ids, born): (Vec<i64>, Vec<i64>) = rows.into_iter().unzip();
        let insert = format!("INSERT INTO {parent} (id, born) SELECT * FROM unnest($1::bigint[], $2::bigint[])");
        sqlx::query(trusted(&insert)).bind(&ids).bind(&born).execute(&mut self.main).await?;
        sqlx::raw_sql("COMMIT").execute(&mut self.main).await?;
        add(&self.count.reborn, u64::try_from(ids.len())?);
        Ok(())
    }

    /// Changes what does not matter, and now and then the key.
    async fn change(&mut self, parent: &str, last: i64) -> Result<()> {
        let keys = self.keys(last, 1..=10);
        self.on_keys(&format!("UPDATE {parent} SET name = 'changed' WHERE id = ANY ($1)"), &keys).await?;
        if parent == "projects" {
            let change = "UPDATE projects SET id = id + 1000000 + born * 100000000, born = nextval('births') WHERE id = ANY ($1)";
            let gone = self.on_keys(change, &keys).await?;
            add(&self.count.keys_deleted, gone);
        }
        Ok(())
    }

    async fn long_transaction(&mut self) -> Result<()> {
        let mut gone = 0;
        sqlx::raw_sql("BEGIN").execute(&mut self.main).await?;
        for _ in 0..self.rng.random_range(1..4) {
            let (parent, last) = *PARENTS[..2].choose(&mut self.rng).context("there are parents")?;
            let keys = self.keys(last, 1..=10);
            gone += self.on_keys(&format!("DELETE FROM {parent} WHERE id = ANY ($1)"), &keys).await?;
            self.pause(100..4000).await;
        }
        sqlx::raw_sql("COMMIT").execute(&mut self.main).await?;
        add(&self.count.keys_deleted, gone);
        Ok(())
    }

    /// The application's own deletes in the middle of the chain.
    async fn delete_groups(&mut self) -> Result<()> {
        let some = "SELECT id FROM groups TABLESAMPLE system (20) LIMIT 5";
        let mut ids: Vec<i64> = sqlx::query_scalar(some).fetch_all(&mut self.ci).await?;
        ids.sort_unstable();
        sqlx::raw_sql("BEGIN").execute(&mut self.ci).await?;
        let delete = "DELETE FROM groups WHERE id = ANY ($1) RETURNING id, parent_id, born";
        let rows: Vec<(i64, i64, i64)> = sqlx::query_as(delete).bind(&ids).fetch_all(&mut self.ci).await?;
        if self.rng.random_bool(0.5) {
            for (id, org, born) in rows {
                sqlx::query("INSERT INTO groups VALUES ($1, $2, $3)")
                    .bind(id)
                    .bind(org)
                    .bind(born)
                    .execute(&mut self.ci)
                    .await?;
            }
        } else {
            add(&self.count.keys_deleted, u64::try_from(rows.len())?);
            let forget = "DELETE FROM ledger WHERE child = 'groups' AND id = ANY ($1)";
            sqlx::query(forget).bind(&ids).execute(&mut self.ci).await?;
        }
        sqlx::raw_sql("COMMIT").execute(&mut self.ci).await?;
        Ok(())
    }

    /// Reads parents, and writes children of them a while later, in a transaction that may stay open for seconds.
    async fn insert_children(&mut self) -> Result<()> {
        let child = CHILDREN.choose(&mut self.rng).context("there are children")?;
        let seen = self.see(child).await?;
        self.dawdle().await;
        let kinds = if child.table == "notes" { &["Project", "Other"][..] } else { &[""] };
        let connection = self.connection(child.side);
        sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
        for kind in kinds {
            let (columns, values, ledger) = match *kind {
                "Other" => ("parent_id, kind", "id, 'Other'", "decoys"),
                _ => ("parent_id", "id", child.table),
            };
            let insert = format!(
                "WITH seen AS MATERIALIZED (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::boolean[]) s (id, born, claim)),
                      c AS (INSERT INTO {} ({columns}) SELECT {values} FROM seen RETURNING id, parent_id)
                 INSERT INTO ledger SELECT '{ledger}', c.id, s.id, s.born, s.claim FROM c JOIN seen s ON s.id = c.parent_id",
                child.table
            );
            let insert = sqlx::query(trusted(&insert)).bind(&seen.ids).bind(&seen.born).bind(&seen.claim);
            insert.execute(&mut *connection).await?;
        }
        self.finish_children(child, &seen).await
    }

    /// Gives children of one parent to another one.
    async fn move_children(&mut self) -> Result<()> {
        let child = CHILDREN.choose(&mut self.rng).context("there are children")?;
        let mut seen = self.see(child).await?;
        seen.ids.truncate(1);
        self.dawdle().await;
        let table = child.table;
        let reset = if table == "jobs" { ", status = 0" } else { "" };
        let filter = if table == "notes" { "AND kind = 'Project'" } else { "" };
        let some =
            format!("SELECT id FROM ledger TABLESAMPLE system (5) WHERE child = '{table}' AND key < 1000000 LIMIT 3");
        let connection = self.connection(child.side);
        let mut ids: Vec<i64> = sqlx::query_scalar(trusted(&some)).fetch_all(&mut *connection).await?;
        ids.sort_unstable();
        let Some(to) = seen.ids.first() else { return Ok(()) };
        sqlx::raw_sql("BEGIN").execute(&mut *connection).await?;
        let update = format!("UPDATE {table} SET parent_id = $1{reset} WHERE id = ANY ($2) {filter} RETURNING id");
        let moved: Vec<i64> =
            sqlx::query_scalar(trusted(&update)).bind(to).bind(&ids).fetch_all(&mut *connection).await?;
        let update = "UPDATE ledger SET key = $1, born = $2, claim = $3 WHERE child = $4 AND id = ANY ($5)";
        let update = sqlx::query(update).bind(to).bind(seen.born[0]).bind(seen.claim[0]).bind(table).bind(&moved);
        update.execute(connection).await?;
        add(&self.count.moved, u64::try_from(moved.len())?);
        self.finish_children(child, &seen).await
    }

    /// Commits what was written in time, and rolls back the rest.
    async fn finish_children(&mut self, child: &Child, seen: &Seen) -> Result<()> {
        self.dawdle().await;
        let ends = if seen.at.elapsed() < FRESH && !self.rng.random_bool(0.05) { "COMMIT" } else { "ROLLBACK" };
        sqlx::raw_sql(ends).execute(self.connection(child.side)).await?;
        if ends == "COMMIT" {
            add(&self.count.children, u64::try_from(seen.ids.len())?);
            let there = format!("SELECT count(*) FROM {} WHERE id = ANY ($1)", child.parent);
            let there = sqlx::query_scalar::<_, i64>(trusted(&there)).bind(&seen.ids);
            let there = there.fetch_one(self.connection(child.parents)).await?;
            add(&self.count.late_children, u64::try_from(seen.ids.len())?.saturating_sub(u64::try_from(there)?));
        }
        Ok(())
    }

    /// Parents that live, and whether lfk may never touch a child that is written for them from now on.
    async fn see(&mut self, child: &Child) -> Result<Seen> {
        let (parent, at) = (child.parent, Instant::now());
        let last = PARENTS.iter().find(|(table, _)| *table == parent).map(|(_, last)| *last);
        let keys = last.map(|last| self.keys(last, 1..=20));
        let first = self.first;
        let read = match keys {
            Some(_) => format!(
                "SELECT id, born, born <= {first} OR coalesce(clock_timestamp() - pg_xact_commit_timestamp(xmin) > interval '12 s', false)
                   FROM {parent} WHERE id = ANY ($1) ORDER BY id"
            ),
            // A group that was deleted never comes back.
            None => format!("SELECT id, born, true FROM {parent} TABLESAMPLE system (30) WHERE $1::bigint[] IS NULL LIMIT 10"),
        };
        let rows: Vec<(i64, i64, bool)> =
            sqlx::query_as(trusted(&read)).bind(keys).fetch_all(self.connection(child.parents)).await?;
        Ok(Seen {
            ids: rows.iter().map(|row| row.0).collect(),
            born: rows.iter().map(|row| row.1).collect(),
            claim: rows.iter().map(|row| row.2).collect(),
            at,
        })
    }

    async fn on_keys(&mut self, sql: &str, keys: &[i64]) -> Result<u64> {
        Ok(sqlx::query(trusted(sql)).bind(keys).execute(&mut self.main).await?.rows_affected())
    }

    fn connection(&mut self, side: Side) -> &mut PgConnection {
        match side {
            Side::Main => &mut self.main,
            Side::Ci => &mut self.ci,
        }
    }

    /// Distinct keys in their order, so that writers seldom wait for each other in a circle.
    fn keys(&mut self, last: i64, n: std::ops::RangeInclusive<usize>) -> Vec<i64> {
        let n = self.rng.random_range(n);
        let mut keys: Vec<i64> = (0..n).map(|_| self.rng.random_range(0..last)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// One in ten writes late.
    async fn dawdle(&mut self) {
        if self.rng.random_bool(0.1) {
            self.pause(100..4500).await;
        }
    }

    async fn pause(&mut self, milliseconds: std::ops::Range<u64>) {
        let pause = Duration::from_millis(self.rng.random_range(milliseconds));
        let _ = tokio::time::timeout(pause, self.over.cancelled()).await;
    }
}
