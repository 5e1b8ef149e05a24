//! The lease of a consumer: who may move its cursor.
//!
//! The cursor row in the parent's database is authoritative: owner, token and end of the lease stand in it, by the server's
//! clock. The token rises with every claim, and every write names it, so that a worker that slept through its lease moves
//! nothing. A crash leaves the lease to run out; a graceful stop gives it back at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use lfk_sql::statements;
use sqlx::Row as _;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::database::{Database, Purpose, Tx};
use crate::definition::State;
use crate::error::{Error, ErrorKind, Result};

/// How long a lease lasts unless it is renewed.
pub(crate) const LEASE: Duration = Duration::from_secs(10);
/// How often work in progress renews it: twice more before the end, should one renewal be lost.
const RENEW: Duration = Duration::from_secs(3);

/// A lease that was taken.
#[derive(Debug)]
pub struct Lease {
    pub(crate) home: Database,
    pub(crate) consumer: String,
    token: Token,
    pub(crate) owner: Uuid,
    /// Whether a window was open when the lease was taken.
    open: AtomicBool,
    /// Cancelled when a renewal finds that somebody else holds it, or that it ran out unrenewed.
    lost: CancellationToken,
    renewal: Option<tokio::task::JoinHandle<()>>,
}

/// The token, which the renewals read, too. They hold it meanwhile: one that was renewed by a token that has just risen would find
/// nothing, and take that for a loss.
#[derive(Debug, Clone)]
struct Token {
    now: Arc<AtomicI64>,
    held: Arc<Mutex<()>>,
}

impl Token {
    fn get(&self) -> i64 {
        self.now.load(Ordering::Relaxed)
    }
}

/// The outcome of a claim.
pub(crate) enum Claim {
    /// Ours now.
    Taken(Lease),
    /// Another worker has it, or there is no such consumer any more.
    Elsewhere,
}

impl Lease {
    /// Takes the lease and keeps it renewed on another connection until it is dropped.
    ///
    /// # Errors
    /// Refused when the cursor row was written by another cluster, or the transaction counter has gone back: then new
    /// deletes would count as consumed.
    pub(crate) async fn claim(home: &Database, consumer: &str, owner: Uuid) -> Result<Claim> {
        let asked = Instant::now();
        let mut tx = home.begin(Purpose::Log).await?;
        let claimed: Option<(i64, bool)> = tx
            .query_as(statements::CLAIM)
            .bind(consumer)
            .bind(owner)
            .bind(LEASE.as_secs_f64())
            .fetch_optional(tx.conn())
            .await
            .map_err(|e| home.error(e))?;
        let Some((token, open)) = claimed else {
            let reason = tx.query(statements::EXPLAIN_CLAIM).bind(consumer).fetch_optional(tx.conn()).await;
            let Some(reason) = reason.map_err(|e| home.error(e))? else { return Ok(Claim::Elsewhere) };
            let foreign: bool = reason.get("foreign_row");
            let went_back: bool = reason.get("counter_went_back");
            return if foreign || went_back { Err(foreign_cursor(home, consumer)) } else { Ok(Claim::Elsewhere) };
        };
        tx.commit().await?;
        let lost = CancellationToken::new();
        let token = Token { now: Arc::new(AtomicI64::new(token)), held: Arc::default() };
        let mut lease = Self {
            home: home.clone(),
            consumer: consumer.to_owned(),
            token: token.clone(),
            owner,
            open: AtomicBool::new(open),
            lost: lost.clone(),
            renewal: None,
        };
        let renewal = renew_until_lost(home.clone(), consumer.to_owned(), token, owner, asked, lost);
        lease.renewal = Some(tokio::spawn(renewal));
        Ok(Claim::Taken(lease))
    }

    /// The consumer that it is for.
    #[must_use]
    pub fn consumer(&self) -> &str {
        &self.consumer
    }

    /// Fences everybody who held the lease before: it rises with every claim.
    #[must_use]
    pub fn token(&self) -> i64 {
        self.token.get()
    }

    /// Raises the token above a fence that is ahead of it, while it is ours; asks for the mirror to be filled anew, and says so in
    /// the audit, in the same transaction.
    ///
    /// Whoever holds the lease has the highest token that this cursor has given. A fence that is as high was raised in a past
    /// that this database has lost: a standby took over that lacked the last commits, or it was installed anew after that.
    /// What the target got meanwhile may be in no log, hence the fill. Who is still at work in that past is kept out by the next raise.
    ///
    /// # Errors
    /// Lease lost, when a newer writer has raised the fence; then nothing has changed.
    pub async fn outrank(&self, fence: i64) -> Result<()> {
        let _renewals = self.token.held.lock().await;
        let error = |e| self.home.error(e);
        let mut tx = self.home.begin(Purpose::Log).await?;
        self.hold(&mut tx).await?;
        let (before, consumer) = (self.token(), &self.consumer);
        let outrank = tx.query_scalar(statements::OUTRANK).bind(consumer).bind(before).bind(self.owner).bind(fence);
        let Some(token) = outrank.fetch_optional(tx.conn()).await.map_err(error)? else { return Err(self.lose()) };
        tx.query(statements::BEGIN_FILL).bind(consumer).bind(true).execute(tx.conn()).await.map_err(error)?;
        let note = tx.query(statements::NOTE_OUTRANKED).bind(consumer).bind(before).bind(fence);
        note.execute(tx.conn()).await.map_err(error)?;
        tx.commit().await?;
        self.token.now.store(token, Ordering::Relaxed);
        tracing::warn!(
            definition = consumer,
            database = self.home.name(),
            token = before,
            fence,
            "the fence of the target is ahead of the cursor: the source's database has lost commits, as after a failover to a standby \
             that was behind; the mirror goes on above it and is filled anew"
        );
        Ok(())
    }

    /// Whether a window was open when the lease was taken; true once.
    pub(crate) fn take_open(&self) -> bool {
        self.open.swap(false, Ordering::Relaxed)
    }

    /// An error once the lease is lost: asked before everything that writes.
    ///
    /// # Errors
    /// Lease lost.
    pub fn check(&self) -> Result<()> {
        if self.lost.is_cancelled() { Err(self.lost_error()) } else { Ok(()) }
    }

    /// What the definition may do now, as its row says. Read before every batch.
    ///
    /// # Errors
    /// Lease lost, or a database that fails.
    pub async fn guard(&self, tx: &mut Tx) -> Result<State> {
        self.check()?;
        let row = tx
            .query(statements::GUARD)
            .bind(&self.consumer)
            .bind(self.token())
            .bind(self.owner)
            .fetch_optional(tx.conn())
            .await
            .map_err(|e| self.home.error(e))?;
        let Some(row) = row else { return Err(self.lose()) };
        if row.get::<bool, _>("stopped") {
            return Ok(State::Paused);
        }
        Ok(State::from_sql(row.get::<&str, _>("state")))
    }

    /// Locks the cursor row in `tx` and proves that it is still ours, so that what follows in `tx` is fenced.
    ///
    /// # Errors
    /// Lease lost, or a database that fails.
    pub async fn hold(&self, tx: &mut Tx) -> Result<()> {
        self.check()?;
        if renew_in(tx, &self.home, &self.consumer, self.token(), self.owner).await? {
            Ok(())
        } else {
            Err(self.lose())
        }
    }

    /// Notes that a fenced write moved no row.
    #[must_use]
    pub fn lose(&self) -> Error {
        self.lost.cancel();
        self.lost_error()
    }

    fn lost_error(&self) -> Error {
        Error::new(ErrorKind::LeaseLost, "the lease went to another worker").for_definition(&self.consumer)
    }

    /// Gives the lease back, so that nobody has to wait for its end.
    pub(crate) async fn release(mut self) -> Result<()> {
        self.stop_renewal();
        let mut tx = self.home.begin(Purpose::Log).await?;
        tx.query(statements::RELEASE)
            .bind(&self.consumer)
            .bind(self.token())
            .bind(self.owner)
            .execute(tx.conn())
            .await
            .map_err(|e| self.home.error(e))?;
        tx.commit().await
    }

    fn stop_renewal(&mut self) {
        if let Some(task) = self.renewal.take() {
            task.abort();
        }
    }
}

impl Drop for Lease {
    /// A worker that dies must not go on renewing.
    fn drop(&mut self) {
        self.stop_renewal();
    }
}

fn foreign_cursor(home: &Database, consumer: &str) -> Error {
    Error::refused("the cursor was written by another cluster: this is a copy or a restored dump of the database that lfk was installed in, and its log cannot be trusted")
        .in_database(home.name())
        .for_definition(consumer)
        .with_hint("if this database shall be cleaned from now on, run `lfk uninstall` and `lfk install` here")
}

/// Renews until a renewal finds another holder. A renewal that fails is tried again; without one for a whole lease, the
/// lease counts as lost, because the server may have given it away. Its end is counted from when a renewal was asked for: the
/// answer may have been long on its way, or never come.
async fn renew_until_lost(
    home: Database,
    consumer: String,
    token: Token,
    owner: Uuid,
    taken: Instant,
    lost: CancellationToken,
) {
    let mut end = taken + LEASE;
    loop {
        tokio::time::sleep(RENEW).await;
        let asked = Instant::now();
        let renewed = async {
            let _alone = token.held.lock().await;
            renew(&home, &consumer, token.get(), owner).await
        };
        match tokio::time::timeout_at(end, renewed).await {
            Ok(Ok(true)) => end = asked + LEASE,
            Ok(Err(_)) if Instant::now() < end => {}
            _ => break,
        }
    }
    lost.cancel();
}

async fn renew(home: &Database, consumer: &str, token: i64, owner: Uuid) -> Result<bool> {
    let mut tx = home.begin(Purpose::Log).await?;
    let renewed = renew_in(&mut tx, home, consumer, token, owner).await?;
    tx.commit().await?;
    Ok(renewed)
}

async fn renew_in(tx: &mut Tx, home: &Database, consumer: &str, token: i64, owner: Uuid) -> Result<bool> {
    let renewed = tx
        .query(statements::RENEW)
        .bind(consumer)
        .bind(token)
        .bind(owner)
        .bind(LEASE.as_secs_f64())
        .execute(tx.conn())
        .await
        .map_err(|e| home.error(e))?;
    Ok(renewed.rows_affected() == 1)
}
