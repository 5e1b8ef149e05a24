//! Retiring leaves of the key log, so that it does not grow for ever.
//!
//! The rows themselves are authoritative: a leaf is emptied when every row in it has been seen by every consumer that holds
//! the log and is older than the retention, which is checked once without a lock and once more under it. A crash leaves the
//! leaf as it was or empty. Any number of workers may try.

use lfk_sql::{Ident, TableName, statements};
use sqlx::Row as _;

use crate::context::Context;
use crate::database::{Database, Purpose, Tx};
use crate::error::{Error, Result};
use crate::points::Point;

/// The numbered leaves, and -1 for the DEFAULT leaf.
const LEAVES: std::ops::RangeInclusive<i32> = -1..=7;

/// What trying to retire a leaf came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Retired,
    /// Empty, current, or needed by somebody.
    Kept,
    /// Somebody writes to it, or holds the ring: the next round tries again.
    Busy,
}

/// Retires every leaf that nobody needs any more, and forgets old ticks.
pub(super) async fn retire(ctx: &Context, home: &Database) -> Result<()> {
    for number in LEAVES {
        let leaf = Leaf { ctx, home, number, name: leaf_name(number)? };
        if leaf.retire().await? == Outcome::Retired {
            tracing::info!(database = home.name(), leaf = number, "a leaf of the key log was retired");
        }
    }
    let mut tx = home.begin(Purpose::Log).await?;
    tx.query(statements::FORGET_TICKS)
        .bind(ctx.retention.as_secs_f64())
        .execute(tx.conn())
        .await
        .map_err(|e| home.error(e))?;
    tx.commit().await
}

/// One leaf of one database's key log.
struct Leaf<'a> {
    ctx: &'a Context,
    home: &'a Database,
    number: i32,
    name: TableName,
}

impl Leaf<'_> {
    async fn retire(&self) -> Result<Outcome> {
        let mut tx = self.home.begin(Purpose::Log).await?;
        let wanted = self.is_retirable(&mut tx).await;
        drop(tx);
        match wanted {
            Ok(true) => {}
            Ok(false) => return Ok(Outcome::Kept),
            // A missing leaf has nothing to retire; lfk.cover() makes it again.
            Err(error) if error.sqlstate().as_deref() == Some("42P01") => return Ok(Outcome::Kept),
            Err(error) => return Err(error),
        }
        self.pass(Point::LeafChecked).await?;
        match self.empty_under_lock().await {
            Err(error) if error.sqlstate().as_deref() == Some("55P03") => Ok(Outcome::Busy),
            other => other,
        }
    }

    /// The check again under the lock: a new statement, hence a new snapshot, and nothing can appear after it.
    async fn empty_under_lock(&self) -> Result<Outcome> {
        let error = |e| self.home.error(e);
        let mut tx = self.home.begin(Purpose::Log).await?;
        tx.query(statements::WAIT_BRIEFLY).execute(tx.conn()).await.map_err(error)?;
        let ring: bool = tx.query_scalar(statements::TRY_RING_LOCK).fetch_one(tx.conn()).await.map_err(error)?;
        if !ring {
            return Ok(Outcome::Busy);
        }
        let lock = statements::lock_leaf(&self.name).into_sql_str();
        tx.query(lock).execute(tx.conn()).await.map_err(error)?;
        self.pass(Point::LeafLocked).await?;
        if self.ctx.log_sql.leaf_checked_twice && !self.is_retirable(&mut tx).await? {
            return Ok(Outcome::Kept);
        }
        let retention = self.ctx.retention.as_secs_f64();
        tx.query(statements::NOTE_RETIRED).bind(retention).execute(tx.conn()).await.map_err(error)?;
        let empty = statements::empty_leaf(&self.name).into_sql_str();
        tx.query(empty).execute(tx.conn()).await.map_err(error)?;
        tx.commit().await?;
        Ok(Outcome::Retired)
    }

    async fn is_retirable(&self, tx: &mut Tx) -> Result<bool> {
        let error = |e| self.home.error(e);
        let current: bool =
            tx.query_scalar(statements::LEAF_CURRENT).bind(self.number).fetch_one(tx.conn()).await.map_err(error)?;
        if current {
            return Ok(false);
        }
        let needed = (self.ctx.log_sql.leaf_needed)(&self.name);
        let row = tx.query(needed).bind(self.ctx.retention.as_secs_f64()).fetch_one(tx.conn()).await.map_err(error)?;
        Ok(!row.get::<bool, _>("empty") && !row.get::<bool, _>("needed"))
    }

    async fn pass(&self, point: Point) -> Result<()> {
        self.ctx.points.pass(point, self.name.table.as_str()).await
    }
}

fn leaf_name(number: i32) -> Result<TableName> {
    let name = if number < 0 { "key_log_default".to_owned() } else { format!("key_log_{number}") };
    let ident = |name: &str| Ident::new(name).map_err(|e| Error::config(e.to_string()));
    Ok(TableName::new(ident("lfk")?, ident(&name)?))
}
