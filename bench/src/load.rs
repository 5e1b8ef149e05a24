//! An application: clients that each send a statement at fixed times, whether or not the one before was late.

use std::time::{Duration, Instant};

use anyhow::Result;
use sqlx::Connection as _;
use tokio::task::JoinSet;
use tokio::time::{self, MissedTickBehavior};

use crate::latencies::Latencies;
use crate::server::Server;

/// What clients of one kind send.
#[derive(Debug, Clone)]
pub struct Kind {
    /// The statement, with one number.
    pub statement: &'static str,
    /// The numbers, in turn; each client begins at another one.
    pub numbers: Vec<i64>,
    /// How many clients.
    pub clients: usize,
    /// How often each of them sends it.
    pub pace: Duration,
}

/// Clients at work.
pub struct Load {
    clients: JoinSet<Result<(usize, Latencies)>>,
    stop: tokio::sync::watch::Sender<bool>,
    kinds: usize,
}

impl Load {
    /// Connects all clients and lets them begin.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn start(server: &Server, kinds: &[Kind]) -> Result<Self> {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut clients = JoinSet::new();
        for (at, kind) in kinds.iter().enumerate() {
            for client in 0..kind.clients {
                let connection = server.connect().await?;
                let (kind, stopped) = (kind.clone(), stopped.clone());
                clients.spawn(async move { Ok((at, work(connection, kind, client, stopped).await?)) });
            }
        }
        Ok(Self { clients, stop, kinds: kinds.len() })
    }

    /// Ends after the statements that are under way; the times of each kind. Counted from the moment at which a statement was to be
    /// sent where the one before kept it from that: who waits does not get fewer and shorter times.
    ///
    /// # Errors
    /// When a statement has failed.
    pub async fn end(mut self) -> Result<Vec<Latencies>> {
        let _ = self.stop.send(true);
        let mut all = vec![Latencies::default(); self.kinds];
        while let Some(ended) = self.clients.join_next().await {
            let (kind, latencies) = ended??;
            all[kind].append(&latencies);
        }
        Ok(all)
    }
}

async fn work(
    mut connection: sqlx::PgConnection,
    kind: Kind,
    client: usize,
    stopped: tokio::sync::watch::Receiver<bool>,
) -> Result<Latencies> {
    let mut due = time::interval(kind.pace);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut all = Latencies::default();
    let mut free = Instant::now();
    let first = kind.numbers.len() / kind.clients * client;
    for number in kind.numbers.iter().cycle().skip(first) {
        let at = due.tick().await.into_std();
        if *stopped.borrow() {
            break;
        }
        // The timer itself may be late by a millisecond, which is nobody's wait.
        let begun = if free > at { at } else { Instant::now() };
        sqlx::query(kind.statement).bind(*number).execute(&mut connection).await?;
        free = Instant::now();
        all.add(free.duration_since(begun));
    }
    connection.close().await?;
    Ok(all)
}
