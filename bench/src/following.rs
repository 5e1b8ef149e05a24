//! From a commit in one database to the commit of its effect in the other, as who listens there is told by the server.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use sqlx::postgres::PgListener;
use tokio::task::JoinHandle;
use tokio::time::{self, MissedTickBehavior};

use crate::latencies::Latencies;
use crate::server::{Server, Servers};

/// What triggers of the bench notify, with the keys, when they are done.
const CHANNEL: &str = "done";
/// A bound, never a measure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who is told of effects.
pub struct Ear {
    heard: JoinHandle<Result<HashMap<i64, Instant>>>,
}

impl Ear {
    /// Listens until all these keys were heard of.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn of(server: &Server, keys: &[i64]) -> Result<Self> {
        let mut listener = PgListener::connect(&server.url()).await?;
        listener.listen(CHANNEL).await?;
        let mut open: std::collections::HashSet<i64> = keys.iter().copied().collect();
        let heard = tokio::spawn(async move {
            let mut heard = HashMap::new();
            while !open.is_empty() {
                let told = listener.recv().await?;
                let now = Instant::now();
                for key in told.payload().split(',') {
                    let key = key.parse()?;
                    open.remove(&key);
                    // Of several effects of one key the last one counts.
                    heard.insert(key, now);
                }
            }
            Ok(heard)
        });
        Ok(Self { heard })
    }
}

/// Runs a statement for each key, one every `pace`, and waits for all effects.
///
/// # Errors
/// When a statement fails, or an effect does not come.
pub async fn follow(servers: &Servers, statement: &'static str, keys: &[i64], pace: Duration) -> Result<Latencies> {
    let ear = Ear::of(&servers.ci, keys).await?;
    let mut writer = servers.main.connect().await?;
    let mut due = time::interval(pace);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut committed = Vec::new();
    for key in keys {
        due.tick().await;
        sqlx::query(statement).bind(*key).execute(&mut writer).await?;
        committed.push((*key, Instant::now()));
    }
    let heard = time::timeout(PATIENCE, ear.heard).await.context("not every commit had its effect")???;
    let mut all = Latencies::default();
    for (key, at) in committed {
        all.add(heard.get(&key).context("a key was not heard of")?.saturating_duration_since(at));
    }
    Ok(all)
}
