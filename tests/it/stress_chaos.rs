//! What happens to lfk during the stress: competing workers that are killed, stalled, cut off and robbed of their leases.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use futures::future::BoxFuture;
use lfk_core::sabotage::{Hook, LogSql, Point, Verdict};
use lfk_core::{ErrorKind, LooseForeignKey};
use lfk_tests::scenario::expire_leases;
use lfk_tests::{Pair, TestDb};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio_util::sync::CancellationToken;

use crate::clean_support::builder;

/// How often a worker is killed or stalled where it passes a point.
const KILLED: f64 = 0.006;
const STALLED: f64 = 0.004;

/// How often something happened that the stress is there for: one that did nothing proves nothing.
#[derive(Debug, Default)]
pub struct Count {
    pub killed: AtomicU64,
    pub terminated: AtomicU64,
}

/// Kills or stalls a worker now and then. Once killed, every turn of that engine is dead.
struct Chaos {
    rng: Mutex<StdRng>,
    dead: AtomicBool,
    over: CancellationToken,
}

impl Hook for Chaos {
    fn pass<'a>(&'a self, _: Point, _: &'a str) -> BoxFuture<'a, Verdict> {
        Box::pin(async {
            let (dice, stall) = {
                let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
                (rng.random::<f64>(), Duration::from_millis(rng.random_range(0..1500)))
            };
            if dice < KILLED {
                self.dead.store(true, Ordering::Relaxed);
            } else if dice < KILLED + STALLED {
                let _ = tokio::time::timeout(stall, self.over.cancelled()).await;
            }
            if self.dead.load(Ordering::Relaxed) { Verdict::Die } else { Verdict::GoOn }
        })
    }
}

/// One process after the other: each lives until it is killed.
pub async fn engines(
    seed: u64,
    pair: Pair,
    definitions: Vec<LooseForeignKey>,
    log_sql: LogSql,
    count: Arc<Count>,
    over: CancellationToken,
) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    while !over.is_cancelled() {
        let rng = Mutex::new(StdRng::from_rng(&mut rng));
        let hook = Arc::new(Chaos { rng, dead: AtomicBool::new(false), over: over.clone() });
        let engine = builder(&pair)?.definitions(definitions.clone()).log_sql(log_sql.clone()).hook(hook).build()?;
        let mut handle = engine.start();
        let died = tokio::select! {
            () = over.cancelled() => handle.shutdown().await.err(),
            error = handle.died() => Some(error),
        };
        match died {
            Some(error) if error.kind != ErrorKind::Crashed => return Err(error.into()),
            Some(_) => {
                count.killed.fetch_add(1, Ordering::Relaxed);
                expire_leases(&pair.main).await?;
            }
            None => {}
        }
    }
    Ok(())
}

/// Cuts connections of lfk, and takes leases away from workers that live.
pub async fn cut_off(seed: u64, pair: Pair, count: Arc<Count>, over: CancellationToken) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let one = "SELECT count(pg_terminate_backend(pid)) FROM (
        SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'lfk/%' ORDER BY random() LIMIT 1) s";
    while !over.is_cancelled() {
        let pause = Duration::from_millis(rng.random_range(300..1500));
        let _ = tokio::time::timeout(pause, over.cancelled()).await;
        let db = if rng.random_bool(0.5) { &pair.main } else { &pair.ci };
        let cut: i64 = db.scalar(one).await?;
        count.terminated.fetch_add(u64::try_from(cut)?, Ordering::Relaxed);
        if rng.random_bool(0.3) {
            expire_leases(&pair.main).await?;
        }
    }
    Ok(())
}

/// Holds snapshots, as a report or a backup does.
pub async fn hold_snapshots(seed: u64, db: TestDb, over: CancellationToken) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut reader = db.connect().await?;
    while !over.is_cancelled() {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class";
        sqlx::raw_sql(begin).execute(&mut reader).await?;
        let pause = Duration::from_millis(rng.random_range(500..4000));
        let _ = tokio::time::timeout(pause, over.cancelled()).await;
        sqlx::raw_sql("COMMIT").execute(&mut reader).await?;
    }
    Ok(())
}
