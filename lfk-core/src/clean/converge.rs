//! Bringing the children's database to what is true in the parent's: absent parent, no children.
//!
//! The parent's table is authoritative, asked anew before every statement that writes. Each attempt is: the clock of the
//! children's database (A), the re-check in the parent's (B), then one short transaction a leaf (C), which starts nothing
//! after the deadline. No transaction is open in one database while the other works. A crash anywhere repeats the batch,
//! which then finds less or nothing.

use std::time::{Duration, Instant};

use lfk_sql::{Ident, TableName, statements};
use sqlx::Row as _;

use super::batch::{After, Piece};
use super::class::{Class, classify};
use super::pace::{MAX_ROWS, Pace};
use super::recheck::absent_parents;
use super::shape::{Form, Shape};
use crate::cursor::Lease;
use crate::database::{Database, Purpose};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Key, sort_unique};
use crate::limiter::Limiter;
use crate::points::{Point, Points};
use crate::retry::{Reason, SetAside};

/// No statement starts later than this after the clock was read, and none runs longer than 5 s: so nothing acts later than
/// 10 s after its re-check.
const DEADLINE: Duration = Duration::from_secs(5);

/// A re-check older than this is made anew before the next leaf, however long its statement had to wait for its turn.
const FRESH: Duration = Duration::from_secs(2);

/// What converging a batch came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Child rows deleted or changed.
    pub(crate) rows: u64,
    /// Keys whose parent was there.
    pub(crate) resurrected: u64,
    /// Keys that could not be done.
    pub(crate) set_aside: Vec<SetAside>,
}

/// Cleans the children of one definition for the holder of its lease.
pub(crate) struct Cleaner<'a> {
    pub(crate) shape: &'a Shape,
    pub(crate) lease: &'a Lease,
    pub(crate) away: &'a Database,
    pub(crate) limiter: &'a Limiter,
    pub(crate) pace: &'a mut Pace,
    pub(crate) points: &'a Points,
}

/// What both databases said, and until when it may be acted on.
struct Truth {
    seen: Instant,
    /// By the clock of the children's database.
    deadline: f64,
    leaves: Vec<TableName>,
    absent: Vec<Key>,
}

/// What one attempt at a piece came to.
#[derive(Default)]
struct Attempt {
    rows: u64,
    resurrected: u64,
    /// Keys whose children are still there although every statement succeeded.
    stuck: Vec<Key>,
    /// A capped statement was full: these keys have more.
    more: Vec<Key>,
    /// A statement began after the deadline and did nothing.
    late: bool,
}

/// What one statement on one leaf did.
struct LeafDone {
    rows: u64,
    late: bool,
    may_swallow: bool,
    full: bool,
}

impl Cleaner<'_> {
    /// Works until every key is done or set aside.
    ///
    /// # Errors
    /// What ends the batch: a database that is away, a missing right, a lost lease, a pause. What was committed until then
    /// stays, and the batch is repeated later.
    pub(crate) async fn converge(&mut self, mut keys: Vec<Key>) -> Result<Tally> {
        sort_unique(&mut keys);
        let asked = keys.len();
        let began = Instant::now();
        let mut tally = Tally::default();
        let mut work = vec![Piece::new(keys, self.pace.form(), self.pace.cap())];
        while let Some(piece) = work.pop() {
            match self.attempt(&piece).await {
                Ok(attempt) => {
                    tally.rows += attempt.rows;
                    tally.resurrected += attempt.resurrected;
                    self.follow_up(piece, attempt, &mut work, &mut tally);
                }
                Err(error) => self.recover(piece, error, &mut work, &mut tally)?,
            }
        }
        let (rows, resurrected, set_aside) = (tally.rows, tally.resurrected, tally.set_aside.len());
        let duration_ms = began.elapsed().as_secs_f64() * 1000.0;
        tracing::debug!(keys = asked, rows, resurrected, set_aside, duration_ms, "batch converged");
        let settled = usize::try_from(tally.resurrected).unwrap_or(asked) + tally.set_aside.len();
        self.pace.learned(asked.saturating_sub(settled), tally.rows);
        Ok(tally)
    }

    /// After a successful attempt: the next capped round, or a second look at what should be gone.
    fn follow_up(&self, piece: Piece, attempt: Attempt, work: &mut Vec<Piece>, tally: &mut Tally) {
        if !attempt.more.is_empty() {
            work.push(piece.more(attempt.more, self.pace.cap()));
        }
        if attempt.stuck.is_empty() {
            return;
        }
        if piece.stuck {
            let reason = if attempt.late { Reason::TimedOut } else { Reason::StillThere };
            let aside = attempt.stuck.into_iter().map(|key| SetAside::new(key, reason, None));
            tally.set_aside.extend(aside);
        } else {
            work.push(Piece::stuck(attempt.stuck, piece.cap));
        }
    }

    /// After a failed attempt: smaller pieces, keys set aside, or the end of the batch.
    fn recover(&mut self, piece: Piece, error: Error, work: &mut Vec<Piece>, tally: &mut Tally) -> Result<()> {
        let class = classify(&error);
        if class == Class::Slow {
            self.pace.timed_out();
        }
        match piece.after(class) {
            After::Fail => return Err(error),
            // The stack hands out the last first.
            After::Again(pieces) => work.extend(pieces.into_iter().rev()),
            After::SetAside(keys, reason) => {
                tracing::debug!(definition = %self.lease.consumer, reason = reason.as_str(), keys = keys.len(), sqlstate = error.sqlstate(), "keys set aside");
                let aside = keys.into_iter().map(|key| SetAside::new(key, reason, Some(&error)));
                tally.set_aside.extend(aside);
            }
        }
        Ok(())
    }

    async fn attempt(&mut self, piece: &Piece) -> Result<Attempt> {
        let mut truth = self.look(&piece.keys).await?;
        let mut attempt = Attempt::default();
        let mut doubtful = Vec::new();
        let mut full = false;
        for leaf in truth.leaves.clone() {
            self.limiter.statement().await;
            if truth.seen.elapsed() > FRESH {
                truth = self.look(&truth.absent).await?;
            }
            if truth.absent.is_empty() {
                break;
            }
            let columns = Key::by_column(&truth.absent, self.shape.width());
            let done = self.clean_leaf(&leaf, piece, &columns, truth.deadline).await?;
            attempt.rows += done.rows;
            attempt.late |= done.late;
            full |= done.full;
            // A capped statement leaves out what is locked; the others leave out only what a trigger kept.
            if done.late || done.may_swallow || (piece.form == Form::Capped && !done.full) {
                doubtful.push(leaf);
            }
        }
        attempt.resurrected = (piece.keys.len() - truth.absent.len()) as u64;
        if full {
            // More rows of the same keys: the next round re-checks them anew, and its last one proves that none is left.
            attempt.more = truth.absent;
        } else if !truth.absent.is_empty() {
            if attempt.rows == 0 && self.pace.expects_rows(truth.absent.len()) {
                doubtful = truth.leaves;
            }
            attempt.stuck = self.remaining(&doubtful, &truth.absent).await?;
        }
        Ok(attempt)
    }

    /// Steps A and B: from now until the deadline, these keys have no parent.
    async fn look(&self, keys: &[Key]) -> Result<Truth> {
        let seen = Instant::now();
        let (deadline, leaves) = self.read_deadline().await?;
        self.points.pass(Point::DeadlineSet, &self.lease.consumer).await?;
        let absent = absent_parents(self.lease, self.shape, keys).await?;
        self.points.pass(Point::Rechecked, &self.lease.consumer).await?;
        Ok(Truth { seen, deadline, leaves, absent })
    }

    /// (A) The clock of the children's database, and the tables that hold rows.
    async fn read_deadline(&self) -> Result<(f64, Vec<TableName>)> {
        let mut tx = self.away.begin(Purpose::Recheck).await?;
        let rows = sqlx::query(statements::DEADLINE)
            .bind(self.shape.child.to_string())
            .bind(DEADLINE.as_secs_f64())
            .fetch_all(tx.conn())
            .await
            .map_err(|e| self.away.error(e))?;
        tx.commit().await?;
        let Some(first) = rows.first().filter(|row| row.get("found")) else { return Err(self.no_child()) };
        let deadline = first.get("deadline");
        let name = |row: &sqlx::postgres::PgRow, column: &str| -> Option<Ident> {
            Ident::new(row.get::<Option<String>, _>(column)?).ok()
        };
        // A partitioned child without partitions has no leaf, and no children.
        let leaves = rows.iter().filter_map(|row| Some(TableName::new(name(row, "schema")?, name(row, "name")?)));
        Ok((deadline, leaves.collect()))
    }

    fn no_child(&self) -> Error {
        Error::new(ErrorKind::Refused, format!("the child table {} is not there", self.shape.child))
            .in_database(self.away.name())
            .for_definition(&self.lease.consumer)
            .with_hint("run `lfk plan`; a definition whose child is gone for good is removed with `lfk uninstall NAME`")
    }

    /// (C) One statement on one leaf, in a transaction of its own.
    async fn clean_leaf(
        &mut self,
        leaf: &TableName,
        piece: &Piece,
        columns: &[Vec<String>],
        deadline: f64,
    ) -> Result<LeafDone> {
        self.lease.check()?;
        let began = Instant::now();
        let consumer = &self.lease.consumer;
        let limit = if piece.form == Form::Capped { piece.cap } else { MAX_ROWS };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut tx = self.away.begin(Purpose::Write).await?;
        let mut locked: Vec<String> = Vec::new();
        if self.shape.same_database {
            // A whole statement locks all of them: the limit is only for the capped form.
            let most = if piece.form == Form::Capped { limit } else { i64::MAX };
            let mut query = sqlx::query_scalar(self.shape.lock(leaf, piece.form).into_sql_str());
            for column in columns {
                query = query.bind(column);
            }
            locked = query.bind(most).fetch_all(tx.conn()).await.map_err(|e| self.away.error(e))?;
            self.points.pass(Point::ChildrenLocked, consumer).await?;
        }
        let locked_rows = locked.len();
        let mut query = sqlx::query(self.shape.clean(leaf, piece.form).into_sql_str());
        for column in columns {
            query = query.bind(column);
        }
        query = query.bind(deadline);
        if self.shape.same_database {
            query = query.bind(locked);
        } else if piece.form == Form::Capped {
            query = query.bind(limit);
        }
        let row = query.fetch_one(tx.conn()).await.map_err(|e| self.away.error(e))?;
        self.points.pass(Point::CleanedUncommitted, consumer).await?;
        tx.commit().await?;
        self.points.pass(Point::LeafCleaned, consumer).await?;
        let rows = u64::try_from(row.get::<i64, _>("rows")).unwrap_or(0);
        self.pace.took(piece.form, rows, began.elapsed());
        self.limiter.rows(rows).await;
        let reached = if self.shape.same_database { locked_rows as u64 } else { rows };
        let full = piece.form == Form::Capped && rows > 0 && reached >= piece.cap as u64;
        Ok(LeafDone { rows, late: row.get("late"), may_swallow: row.get("may_swallow"), full })
    }

    /// The keys that still have children in one of these leaves.
    async fn remaining(&self, leaves: &[TableName], keys: &[Key]) -> Result<Vec<Key>> {
        let columns = Key::by_column(keys, self.shape.width());
        let mut left = vec![false; keys.len()];
        for leaf in leaves {
            let mut tx = self.away.begin(Purpose::Recheck).await?;
            let mut query = sqlx::query_scalar::<_, i64>(self.shape.remaining(leaf).into_sql_str());
            for column in &columns {
                query = query.bind(column);
            }
            let ordinals = query.fetch_all(tx.conn()).await.map_err(|e| self.away.error(e))?;
            tx.commit().await?;
            for ordinal in ordinals {
                let index = usize::try_from(ordinal).unwrap_or(0).checked_sub(1);
                if let Some(slot) = index.and_then(|i| left.get_mut(i)) {
                    *slot = true;
                }
            }
        }
        Ok(keys.iter().zip(left).filter(|(_, left)| *left).map(|(key, _)| key.clone()).collect())
    }
}
