//! One turn of one consumer: claim, read, converge, advance, release.
//!
//! ```text
//!   claim ──► verify the pair ──► due retries ──► open a window ──► page ──► converge ──► advance (once a second)
//!     │                                               ▲                         │
//!     └──── somebody else has it                      └──── close ◄── no more ──┘        … release
//! ```
//!
//! The cursor row in the parent's database is authoritative for what is done; this process keeps nothing that it could not
//! lose. A crash at any point leaves the lease to run out and repeats at most what was done since the last advance.

mod ahead;
mod aside;
mod children;
mod converge;
mod pages;

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::ahead::Ahead;
pub(crate) use self::children::Loose;
pub use self::converge::{Batch, Converge};
use self::pages::Pages;
use crate::clean::{Pace, Tally};
use crate::cursor::{self, Claim, Lease, LogSql, Move, Next, Position, Progress};
use crate::database::{Database, Purpose};
use crate::declaration::Definition;
use crate::definition::State;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::limiter::Limiter;
use crate::pair::{self, Paired};
use crate::points::{Point, Points};
use crate::retry::{self, Outcome, RetryPolicy};
use crate::schedule::Lane;
use crate::signals;
use crate::sweep::{self, SweepEnd};

/// The cursor moves about once a second: each move leaves a dead row version behind, and a crash repeats a second of work.
const ADVANCE_EVERY: Duration = Duration::from_secs(1);
/// The share of a turn that work beside the log gets while other keys wait, a wide parent for example: a fifth of the quantum.
const SPARE_SHARE: Duration = Duration::from_millis(400);

/// What a turn needs from the worker that gives it.
#[derive(Debug)]
pub struct Turn<'a> {
    pub(crate) definition: &'a dyn Definition,
    pub(crate) consumer: &'a str,
    pub(crate) lane: Lane,
    pub(crate) home: &'a Database,
    pub(crate) away: &'a Database,
    pub(crate) owner: Uuid,
    pub(crate) limiter: &'a Limiter,
    pub(crate) policy: &'a RetryPolicy,
    pub(crate) points: &'a Points,
    pub(crate) log_sql: &'a LogSql,
    /// Stop between two batches.
    pub(crate) stop: &'a CancellationToken,
    /// Give the lease back after this long, so that others get their turn.
    pub(crate) quantum: Duration,
}

/// What a turn found when it began.
#[derive(Debug, Clone, Copy)]
struct Found {
    state: State,
    /// Whether the definition has keys in quarantine.
    quarantine: bool,
}

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything that could be seen is done.
    Idle,
    /// The time was up, or the engine stops; there is more.
    Interrupted,
    /// Another worker has the lease.
    Elsewhere,
}

/// Keys and rows of a turn, for metrics and logs.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Effort {
    pub(crate) keys: u64,
    pub(crate) rows: u64,
}

impl<'a> Turn<'a> {
    /// Which of the definition's cursors it is for.
    #[must_use]
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// The database of the log.
    #[must_use]
    pub fn home(&self) -> &'a Database {
        self.home
    }

    /// The database where the work is done.
    #[must_use]
    pub fn away(&self) -> &'a Database {
        self.away
    }

    /// How much may be done there.
    #[must_use]
    pub fn limiter(&self) -> &'a Limiter {
        self.limiter
    }

    /// Stop between two batches.
    #[must_use]
    pub fn stop(&self) -> &'a CancellationToken {
        self.stop
    }

    /// Stops between two batches when the engine stops. What was committed stays; the batch is repeated later.
    ///
    /// # Errors
    /// Paused.
    pub fn go_on(&self) -> Result<()> {
        if self.stop.is_cancelled() {
            return Err(Error::new(ErrorKind::Paused, "the engine stops").for_definition(self.consumer));
        }
        Ok(())
    }

    /// Proves that both databases are the pair that was installed.
    ///
    /// # Errors
    /// Refused before anything was changed.
    pub async fn verify(&self, lease: &Lease) -> Result<Paired> {
        pair::verify(self.definition.declaration(), self.lane, lease, self.away, self.points).await
    }

    /// Stores what was done beside the log, and the keys of it that could not be done.
    ///
    /// # Errors
    /// Lease lost, or a database that fails.
    pub async fn keep(&self, lease: &Lease, done: Vec<Key>, tally: Tally, began: Instant) -> Result<()> {
        retry::settle(lease, &Outcome::of(done, tally, began), self.policy).await
    }

    /// A place between two statements, where a test may stop or kill the worker.
    ///
    /// # Errors
    /// When a test killed it.
    pub async fn pass(&self, point: Point) -> Result<()> {
        self.points.pass(point, self.consumer).await
    }
}

impl Turn<'_> {
    /// Takes a turn. On an error the lease is given back at once, unless a test killed the worker, or it is lost
    /// anyway, or its database is away.
    pub(crate) async fn take(&self, pace: &mut Pace, effort: &mut Effort) -> Result<End> {
        let Claim::Taken(lease) = Lease::claim(self.home, self.consumer, self.owner).await? else {
            return Ok(End::Elsewhere);
        };
        let mut result = self.work(&lease, pace, effort).await;
        // Only the head exchanges nonces; the trailing pass finds a pair that has just been sealed, or was never apart.
        if result.is_ok() && effort.rows > 0 && self.lane == Lane::Head {
            let sealed = pair::seal(self.definition.declaration(), &lease, self.away, self.points).await;
            result = result.and_then(|end| sealed.map(|()| end));
        }
        let keep_quiet = match &result {
            Err(e) if e.kind == ErrorKind::Unreachable => e.database.as_deref() == Some(self.home.name()),
            Err(e) => matches!(e.kind, ErrorKind::Crashed | ErrorKind::LeaseLost),
            Ok(_) => false,
        };
        if !keep_quiet {
            let released = lease.release().await;
            if result.is_ok() {
                released?;
                self.points.pass(Point::Released, self.consumer).await?;
            }
        }
        match result {
            Err(e) if e.kind == ErrorKind::Paused && self.stop.is_cancelled() => Ok(End::Interrupted),
            // Somebody paused it while a batch was at work: nothing is wrong, and nothing is left to do here.
            Err(e) if e.kind == ErrorKind::Paused => Ok(End::Idle),
            other => other,
        }
    }

    async fn work(&self, lease: &Lease, pace: &mut Pace, effort: &mut Effort) -> Result<End> {
        self.pass(Point::Claimed).await?;
        let began = Instant::now();
        let state = self.state(lease).await?;
        if !matches!(state, State::Active | State::Observe) {
            return Ok(End::Idle);
        }
        let doer = self.definition.begin(self, lease, state).await?;
        let doer = doer.as_ref();
        let mut found = Found { state, quarantine: false };
        if state == State::Active {
            signals::may_write(self.away).await?;
            found.quarantine = self.retry_due(lease, doer, pace, effort).await?;
            effort.rows += doer.spare(pace, SPARE_SHARE).await?;
        }
        loop {
            // A window that a worker left open is gone on with.
            if !lease.take_open() && !cursor::open(lease, self.log_sql, self.lane).await? {
                return Ok(End::Idle);
            }
            self.pass(Point::Opened).await?;
            match self.drain_window(lease, doer, found, pace, effort, began).await? {
                WindowEnd::Closed { read_any: true } if !self.is_over(began) => {}
                WindowEnd::Closed { read_any: true } | WindowEnd::Interrupted => return Ok(End::Interrupted),
                WindowEnd::Closed { read_any: false } => {
                    // Nothing else waits: the rest of the turn is for what is not in the log, if there is any.
                    let rest = self.quantum.saturating_sub(began.elapsed());
                    if state == State::Active {
                        effort.rows += doer.spare(pace, rest).await?;
                    }
                    return Ok(End::Idle);
                }
            }
        }
    }

    /// Reads the open window to its end. The position moves about once a second and at the end.
    async fn drain_window(
        &self,
        lease: &Lease,
        doer: &dyn Converge,
        found: Found,
        pace: &mut Pace,
        effort: &mut Effort,
        began: Instant,
    ) -> Result<WindowEnd> {
        let state = found.state;
        let mut pages = Pages::new(lease, self.log_sql, doer.width());
        let mut ahead = Ahead::default();
        let mut progress = Progress::default();
        let mut advanced = Instant::now();
        let mut read_any = false;
        // The last row whose keys are all done, never merely handed out.
        let mut done = None;
        loop {
            // Where the network is slow, the way to the first batch may take longer than the whole turn: a turn that ended
            // before it would be followed by another one that does the same.
            let is_over = self.is_over(began) && done.is_some() && !pages.is_inside_a_row();
            if self.stop.is_cancelled() || is_over {
                self.advance(lease, done, &mut progress, advanced).await?;
                return Ok(WindowEnd::Interrupted);
            }
            match pages.take(ahead.keys(doer.batch(pace))) {
                Next::Keys(keys) => {
                    read_any = true;
                    let count = i64::try_from(keys.len()).unwrap_or(i64::MAX);
                    let handed_out = keys.len() as u64;
                    if state == State::Observe {
                        progress.observed += count;
                    } else {
                        let tally = match self
                            .converge_looking_ahead((lease, doer, found), keys, pace, &mut pages, &mut ahead)
                            .await
                        {
                            Ok(tally) => tally,
                            Err(error) => return self.keep_what_is_done(lease, done, progress, advanced, error).await,
                        };
                        effort.rows += tally.rows;
                        progress.add(tally);
                    }
                    progress.keys += count;
                    effort.keys += handed_out;
                    done = pages.done_up_to();
                    self.pass(Point::BatchDone).await?;
                }
                Next::Marker(_) | Next::Unknown if state == State::Observe => {
                    pages.skip_row();
                    done = pages.done_up_to();
                }
                Next::Marker(marker) => {
                    self.advance(lease, done, &mut progress, advanced).await?;
                    advanced = Instant::now();
                    if !doer.only_looks() && !sweep::is_swept(lease, marker).await? {
                        let (end, rows) = doer.sweep(&|| self.is_over(began)).await?;
                        effort.rows += rows;
                        if end == SweepEnd::Interrupted {
                            return Ok(WindowEnd::Interrupted);
                        }
                        continue;
                    }
                    pages.skip_row();
                    done = pages.done_up_to();
                    read_any = true;
                }
                Next::Unknown => {
                    self.advance(lease, done, &mut progress, advanced).await?;
                    return Err(self.unknown_payload());
                }
                Next::Empty if pages.has_more() => {
                    pages.read().await?;
                    self.pass(Point::PageRead).await?;
                    if self.state(lease).await? != state {
                        self.advance(lease, done, &mut progress, advanced).await?;
                        return Ok(WindowEnd::Interrupted);
                    }
                }
                Next::Empty => {
                    self.note_rate(&mut progress, advanced);
                    cursor::advance(lease, Move::Close, &mut progress, self.policy, self.points).await?;
                    self.pass(Point::Closed).await?;
                    return Ok(WindowEnd::Closed { read_any });
                }
            }
            if advanced.elapsed() >= ADVANCE_EVERY {
                self.advance(lease, done, &mut progress, advanced).await?;
                advanced = Instant::now();
            }
        }
    }

    async fn advance(
        &self,
        lease: &Lease,
        done: Option<Position>,
        progress: &mut Progress,
        since: Instant,
    ) -> Result<()> {
        let Some(position) = done else { return Ok(()) };
        self.note_rate(progress, since);
        cursor::advance(lease, Move::To(position), progress, self.policy, self.points).await?;
        self.pass(Point::Advanced).await
    }

    /// A batch failed: what was done before it is stored, so that it is not repeated and not left out of the totals.
    async fn keep_what_is_done(
        &self,
        lease: &Lease,
        done: Option<Position>,
        mut progress: Progress,
        since: Instant,
        error: Error,
    ) -> Result<WindowEnd> {
        if error.kind != ErrorKind::Crashed && error.kind != ErrorKind::LeaseLost {
            let kept = self.advance(lease, done, &mut progress, since).await;
            // The batch's own error is what is reported; a failure here only repeats work. But who died is dead.
            if let Err(end) = kept
                && matches!(end.kind, ErrorKind::Crashed | ErrorKind::LeaseLost)
            {
                return Err(end);
            }
        }
        Err(error)
    }

    fn note_rate(&self, progress: &mut Progress, since: Instant) {
        let seconds = since.elapsed().as_secs_f64().max(0.001);
        let keys = u32::try_from(progress.keys).unwrap_or(u32::MAX);
        progress.keys_per_second = f64::from(keys) / seconds;
    }

    async fn state(&self, lease: &Lease) -> Result<State> {
        let mut tx = self.home.begin(Purpose::Log).await?;
        let state = lease.guard(&mut tx).await?;
        tx.commit().await?;
        Ok(state)
    }

    fn is_over(&self, began: Instant) -> bool {
        self.stop.is_cancelled() || began.elapsed() >= self.quantum
    }

    fn unknown_payload(&self) -> Error {
        let message = "the key log holds an entry that this version does not know; it is left in place";
        Error::new(ErrorKind::NotInstalled, message)
            .in_database(self.home.name())
            .for_definition(&self.definition.declaration().name)
            .with_hint("run the newer version that wrote it")
    }
}

/// How reading a window ended.
enum WindowEnd {
    Closed { read_any: bool },
    Interrupted,
}

impl Progress {
    fn add(&mut self, tally: Tally) {
        self.resurrected += i64::try_from(tally.resurrected).unwrap_or(i64::MAX);
        self.rows += i64::try_from(tally.rows).unwrap_or(i64::MAX);
        self.set_aside.extend(tally.set_aside);
    }
}
