//! Bringing the children's database to what is true in the parent's: absent parent, no children.
//!
//! The parent's table is authoritative, asked anew before every statement that writes. Each attempt is: the clock of the
//! children's database (A), the re-check in the parent's (B), then one short transaction a leaf (C), which starts nothing
//! after the deadline. No transaction is open in one database while the other works. A crash anywhere repeats the batch,
//! which then finds less or nothing.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use lfk_sql::TableName;

use super::batch::{After, Piece};
use super::class::{Class, classify};
use super::look::{FORESEEN, Foresight, Looker, Truth};
use super::pace::Pace;
use super::shape::Form;
use super::statement::Target;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Key, sort_unique};
use crate::limiter::Limiter;
use crate::retry::{Reason, SetAside};

/// A re-check older than this is made anew before the next leaf; one before which its statement had to wait longer than [`FORESEEN`], too.
const FRESH: Duration = Duration::from_secs(2);

/// What converging a batch came to.
#[derive(Debug, Default)]
pub struct Tally {
    /// Child rows deleted or changed.
    pub rows: u64,
    /// Keys whose parent was there.
    pub resurrected: u64,
    /// Keys that could not be done.
    pub set_aside: Vec<SetAside>,
}

impl Tally {
    /// Notes keys that could not be done.
    pub fn set_aside(&mut self, keys: Vec<Key>, reason: Reason, error: &Error) {
        self.set_aside.extend(keys.into_iter().map(|key| SetAside::new(key, reason, Some(error))));
    }
}

/// Cleans the children of one definition for whoever has the permit.
pub(crate) struct Cleaner<'a> {
    /// Whose children, in which databases, on whose behalf.
    pub(crate) looker: Looker<'a>,
    pub(crate) limiter: &'a Limiter,
    /// Stop between two statements.
    pub(crate) stop: &'a CancellationToken,
    pub(crate) pace: &'a mut Pace,
    /// Keys that were denied something while others of their batch were cleaned: their fault, and no missing right.
    pub(crate) denied_before: HashSet<Key>,
    /// What was seen of the keys before their turn came.
    pub(crate) foresight: Option<Foresight>,
}

/// What one attempt at a piece came to.
#[derive(Default)]
pub(super) struct Attempt {
    pub(super) rows: u64,
    pub(super) resurrected: u64,
    /// Keys whose children are still there although every statement succeeded.
    pub(super) stuck: Vec<Key>,
    /// A capped statement was full: these keys have more.
    pub(super) more: Vec<Key>,
    /// The leaves in which it was.
    pub(super) full: Vec<TableName>,
    /// Some keys turned out to be wide: most of the rows were theirs, and say nothing about the others.
    pub(super) of_wide: bool,
    /// A statement began after the deadline and did nothing.
    late: bool,
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
        self.see_room().await;
        self.pace.begins(asked);
        let began = Instant::now();
        let mut tally = Tally::default();
        let mut of_wide = 0;
        let (form, cap) = (self.pace.form(), self.pace.cap().min(self.limiter.most_rows()));
        let (mut work, size) = (Vec::new(), self.pace.piece(asked));
        // The stack hands out the last first.
        while keys.len() > size {
            let last = (keys.len() - 1) / size * size;
            work.push(Piece::new(keys.split_off(last), form, cap));
        }
        work.push(Piece::new(keys, form, cap));
        while let Some(piece) = work.pop() {
            self.go_on()?;
            match self.attempt(&piece).await {
                Ok(attempt) => {
                    tally.rows += attempt.rows;
                    tally.resurrected += attempt.resurrected;
                    let (piece, attempt) = self.part_from_wide(piece, attempt, &mut tally).await?;
                    if attempt.of_wide {
                        of_wide += attempt.rows;
                    }
                    self.follow_up(piece, attempt, &mut work, &mut tally);
                }
                Err(error) => self.recover(piece, error, &mut work, &mut tally)?,
            }
        }
        let (rows, resurrected, set_aside) = (tally.rows, tally.resurrected, tally.set_aside.len());
        let duration_ms = began.elapsed().as_secs_f64() * 1000.0;
        tracing::debug!(keys = asked, rows, resurrected, set_aside, duration_ms, "batch converged");
        let settled = usize::try_from(tally.resurrected).unwrap_or(asked) + tally.set_aside.len();
        self.pace.learned(asked.saturating_sub(settled), tally.rows.saturating_sub(of_wide));
        Ok(tally)
    }

    /// Asks who else is at work by now, for what is decided next.
    pub(super) async fn see_room(&mut self) {
        self.pace.has(self.limiter.room(self.looker.away).await);
    }

    /// Waits until the next statement may be sent; an error when the engine stops.
    pub(super) async fn await_turn(&self) -> Result<()> {
        self.limiter.rest(self.stop).await;
        self.limiter.statement(self.stop).await;
        self.go_on()
    }

    /// Stops between two statements when the engine stops. What was committed stays; the batch is repeated later.
    pub(super) fn go_on(&self) -> Result<()> {
        if self.stop.is_cancelled() {
            return Err(Error::new(ErrorKind::Paused, "the engine stops").for_definition(self.looker.permit.consumer));
        }
        Ok(())
    }

    /// After a successful attempt: the next capped round, or a second look at what should be gone.
    fn follow_up(&self, piece: Piece, attempt: Attempt, work: &mut Vec<Piece>, tally: &mut Tally) {
        let after = if !attempt.more.is_empty() {
            piece.more(attempt.more, self.pace.cap().min(self.limiter.most_rows()))
        } else if attempt.stuck.is_empty() {
            return;
        } else {
            piece.still_there(attempt.stuck, attempt.rows, attempt.late)
        };
        match after {
            After::SetAside(keys, reason) => {
                tally.set_aside.extend(keys.into_iter().map(|key| SetAside::new(key, reason, None)));
            }
            After::Again(pieces) => work.extend(pieces),
            After::Fail | After::SecondFirst(_) => {}
        }
    }

    /// After a failed attempt: smaller pieces, keys set aside, or the end of the batch.
    fn recover(&mut self, piece: Piece, error: Error, work: &mut Vec<Piece>, tally: &mut Tally) -> Result<()> {
        let class = classify(&error);
        if class == Class::Slow {
            self.pace.timed_out();
        }
        let excused = tally.rows > 0 || piece.keys.iter().all(|key| self.denied_before.contains(key));
        match piece.after(class, excused) {
            After::Fail => return Err(error),
            After::SecondFirst(first) => {
                let second = work.pop().map(Piece::of_denied);
                work.push(first);
                work.extend(second);
            }
            // The stack hands out the last first.
            After::Again(pieces) => work.extend(pieces.into_iter().rev()),
            After::SetAside(keys, reason) => {
                tracing::debug!(definition = %self.looker.permit.consumer, reason = reason.as_str(), keys = keys.len(), sqlstate = error.sqlstate(), "keys set aside");
                let aside = keys.into_iter().map(|key| SetAside::new(key, reason, Some(&error)));
                tally.set_aside.extend(aside);
            }
        }
        Ok(())
    }

    pub(super) async fn attempt(&mut self, piece: &Piece) -> Result<Attempt> {
        // Before the look: what it sees is acted on at once.
        self.await_turn().await?;
        let mut truth = self.truth(&piece.keys).await?;
        let mut attempt = Attempt::default();
        let mut doubtful = Vec::new();
        let target = if piece.form == Form::Capped { Target::Capped(piece.cap) } else { Target::Whole };
        for (number, leaf) in truth.leaves.clone().into_iter().enumerate() {
            let began = Instant::now();
            if number > 0 {
                self.see_room().await;
                self.await_turn().await?;
            }
            self.go_on()?;
            if began.elapsed() > FORESEEN || truth.seen.elapsed() > FRESH {
                truth = self.looker.look(&truth.absent).await?;
            }
            if truth.absent.is_empty() {
                break;
            }
            let columns = Key::by_column(&truth.absent, self.looker.shape.width());
            let done = self.clean_leaf(&leaf, target, &columns, truth.deadline).await?;
            attempt.rows += done.rows;
            attempt.late |= done.late;
            // A capped statement leaves out what is locked; the others leave out only what a trigger kept.
            if done.late || done.may_swallow || (done.capped && !done.full) {
                doubtful.push(leaf.clone());
            }
            if done.full {
                attempt.full.push(leaf);
            }
        }
        attempt.resurrected = (piece.keys.len() - truth.absent.len()) as u64;
        if !attempt.full.is_empty() {
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

    /// What was foreseen of these keys, if it still holds, else what is true of them now.
    async fn truth(&mut self, keys: &[Key]) -> Result<Truth> {
        let Some(truth) = self.foresight.take().and_then(|foresight| foresight.of(keys)) else {
            return self.looker.look(keys).await;
        };
        self.looker.still_permitted().await?;
        Ok(truth)
    }
}
