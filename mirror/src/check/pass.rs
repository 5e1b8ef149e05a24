//! One pass over both tables, chunk by chunk, and what it tells, keeps and reports.
//!
//! The cursor store is authoritative for how far a pass is, and a crash leaves the position that was kept last there: the chunks
//! behind it are compared again. What looked different is in memory only, and is proven before a position behind it is kept.

use std::time::{Duration, Instant};

use lfk_core::Result;
use lfk_core::parts::Key;

use super::cursor::State;
use super::gathered::Gathered;
use super::guard::{self, Alarm};
use super::report::{Progress, Repaired, Report, Sample, Stopped, Unverifiable};
use super::suspects::Suspects;
use super::walk::Walk;
use super::{Begin, Cursor, Plan, as_float, repair};

/// How often a position is kept.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// A position in physical order is kept a second less often for so many buckets (32 KiB in the store).
const BUCKETS_A_SECOND: u32 = 1024;
/// How often keys in flight are looked at again while the walk goes on.
const LOOK_AGAIN_EVERY: Duration = Duration::from_secs(1);
/// How many keys are shown.
const SHOWN: usize = 20;

/// One pass over both tables, or the rest of one.
pub(super) struct Pass<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) walk: Walk<'a>,
    /// Not proven yet.
    pub(super) gathered: Gathered,
    pub(super) suspects: Suspects,
    /// What an earlier part of the pass has counted, and what this one has so far.
    pub(super) state: State,
    /// Counts of the earlier parts.
    before: State,
    alarm: Alarm,
    pub(super) cursor: Option<Cursor>,
    begun: Instant,
    saved: Instant,
    looked: Instant,
    estimate: f64,
}

impl<'a> Pass<'a> {
    pub(super) fn new(plan: &'a Plan<'a>, begin: Begin, begun: Instant) -> Self {
        let Begin { state, sums, cursor, estimate } = begin;
        let (options, position) = (plan.options, state.position.clone());
        let walk = Walk::new(&plan.ends, position, plan.method, options.chunk_rows, options.target, sums);
        let alarm = Alarm { rung: state.alarm, ..Alarm::default() };
        let before = state.clone();
        let (gathered, suspects) = (Gathered::default(), Suspects::default());
        Self {
            plan,
            walk,
            gathered,
            suspects,
            state,
            before,
            alarm,
            cursor,
            begun,
            saved: begun,
            looked: begun,
            estimate,
        }
    }

    /// Until the end of both tables, or until the time is over.
    pub(super) async fn walk(&mut self) -> Result<()> {
        self.open().await?;
        while !self.walk.position.done && !self.plan.is_over() {
            self.step().await?;
            self.save().await?;
            self.tell();
        }
        self.prove().await
    }

    /// Looks at what an earlier part of the pass has left for another look.
    pub(super) async fn open(&mut self) -> Result<()> {
        let open: Vec<Key> = self.before.open.iter().cloned().map(Key).collect();
        self.suspects.look(&self.plan.ends, self.plan.consumer(), open).await.map(|_| ())
    }

    /// Proves what looked different so far.
    pub(super) async fn prove(&mut self) -> Result<()> {
        let (ends, consumer) = (&self.plan.ends, self.plan.consumer());
        self.gathered.prove(ends, consumer, &mut self.suspects, &mut self.alarm).await
    }

    /// Compares the next chunk. What looks different in it is proven now or later, see [`Gathered`]. Answers the source rows that were read.
    pub(super) async fn step(&mut self) -> Result<i64> {
        let chunk = self.walk.next().await?;
        if chunk.anew {
            self.begin_anew();
        }
        self.gathered.add(chunk.among, chunk.suspects);
        if self.gathered.is_due() || self.walk.position.done {
            self.prove().await?;
        }
        self.state.checked_rows += chunk.rows;
        self.state.read_rows += chunk.read;
        self.state.chunks += 1;
        self.state.position.clone_from(&self.walk.position);
        if !self.suspects.is_settled() && self.looked.elapsed() >= LOOK_AGAIN_EVERY {
            self.suspects.look_again(&self.plan.ends, self.plan.consumer()).await?;
            self.looked = Instant::now();
        }
        Ok(chunk.read)
    }

    pub(super) async fn finish(mut self) -> Result<Report> {
        let plan = self.plan;
        let complete = self.walk.position.done;
        let mut unverifiable = None;
        if complete {
            let settled = self.suspects.settle(&plan.ends, plan.consumer(), plan.until(), || plan.is_over());
            unverifiable = settled.await?;
        }
        self.count();
        let repair = if plan.options.repair { Some(self.repair(complete).await?) } else { None };
        if complete {
            if let Some(cursor) = &mut self.cursor {
                cursor.forget().await?;
            }
        } else {
            self.keep().await?;
        }
        Ok(self.report(complete, unverifiable, repair))
    }

    async fn repair(&mut self, complete: bool) -> Result<Repaired> {
        let stopped = if !complete {
            Some(Stopped::TimedOut)
        } else if let Some(stopped) = guard::judge(self.state.checked_rows, &self.state.confirmed, self.alarm) {
            Some(stopped)
        } else {
            repair::forbidden(self.plan).await?
        };
        if stopped.is_some() {
            return Ok(Repaired { stopped, ..Repaired::default() });
        }
        let keys = self.suspects.proven.iter().map(|(key, _)| key.clone()).collect();
        repair::repair(self.plan, keys).await
    }

    /// Adds what this part has found to what the earlier parts had.
    pub(super) fn count(&mut self) {
        let (before, now) = (&self.before, &self.suspects);
        self.state.confirmed = before.confirmed;
        self.state.confirmed.missing += now.confirmed.missing;
        self.state.confirmed.different += now.confirmed.different;
        self.state.confirmed.extra += now.confirmed.extra;
        self.state.not_yet = before.not_yet + now.not_yet;
        self.state.quarantined = before.quarantined + now.quarantined;
        self.state.seconds = before.seconds + self.begun.elapsed().as_secs_f64();
        self.state.alarm = self.alarm.rung;
    }

    /// What was found so far counts no more, nor what earlier parts of the pass have.
    fn begin_anew(&mut self) {
        let State { seed, schema, .. } = self.state;
        self.before = State { seed, schema, seconds: self.before.seconds, ..State::default() };
        self.state = State { position: self.walk.position.clone(), ..self.before.clone() };
        (self.gathered, self.suspects, self.alarm) = Default::default();
    }

    /// Keeps the position now and then: the more belongs to it, the less often.
    pub(super) async fn save(&mut self) -> Result<()> {
        let parts = self.walk.position.needs_sums().map_or(1, |(buckets, _)| 1 + buckets / BUCKETS_A_SECOND);
        if self.saved.elapsed() < SAVE_EVERY * parts { Ok(()) } else { self.keep().await }
    }

    /// Keeps the position, if everything before it that still takes a look can be kept with it.
    pub(super) async fn keep(&mut self) -> Result<()> {
        if self.cursor.is_some() {
            // Nobody would know of them once the position is past them.
            self.prove().await?;
        }
        self.count();
        self.saved = Instant::now();
        let Some(cursor) = &mut self.cursor else { return Ok(()) };
        let mut state = self.state.clone();
        // What is to be repaired must be known at the end, and is proven once more then.
        let proven = self.suspects.proven.iter().filter(|_| self.plan.options.repair).map(|(key, _)| key);
        let kept = self.suspects.keeps_open() && (!self.plan.options.repair || self.suspects.keeps_proven());
        let fits = kept && state.keep_open(self.suspects.open().chain(proven));
        if self.plan.options.repair {
            state.confirmed = self.before.confirmed;
        }
        if !fits {
            return Ok(());
        }
        cursor.save(&mut state, self.walk.sums()).await?;
        // The next sums are kept beside these.
        self.walk.position.clone_from(&state.position);
        self.state.position = state.position;
        Ok(())
    }

    fn tell(&self) {
        let Some(tell) = &self.plan.options.progress else { return };
        let (done, seconds) = (as_float(self.state.read_rows), self.begun.elapsed().as_secs_f64());
        let here = as_float(self.state.read_rows - self.before.read_rows);
        let known = self.walk.fraction();
        let fraction = (self.estimate > 0.0).then(|| (done / self.estimate.max(done)).clamp(0.0, 1.0));
        let left = (self.estimate > 0.0 && here > 0.0).then(|| (self.estimate - done).max(0.0) * seconds / here);
        let by_pages = |share: f64| (share > 0.0).then(|| (1.0 - share) * (self.before.seconds + seconds) / share);
        let (fraction, left) = if known.is_some() { (known, known.and_then(by_pages)) } else { (fraction, left) };
        tell(&Progress {
            checked_rows: self.state.checked_rows,
            chunks: self.state.chunks,
            confirmed: self.before.confirmed.total() + self.suspects.confirmed.total(),
            fraction: if self.walk.position.done { Some(1.0) } else { fraction },
            left: left.and_then(|left| Duration::try_from_secs_f64(left).ok()),
        });
    }

    fn report(self, complete: bool, unverifiable: Option<Unverifiable>, repair: Option<Repaired>) -> Report {
        let (in_flight, hot) = self.suspects.unsettled();
        let shown = if self.plan.options.show_keys { SHOWN } else { 0 };
        let samples = self.suspects.proven.iter().take(shown);
        let seconds = self.before.seconds + self.begun.elapsed().as_secs_f64();
        Report {
            mirror: self.plan.mirror.name.clone(),
            checked_rows: self.state.checked_rows,
            chunks: self.state.chunks,
            confirmed: self.state.confirmed,
            in_flight,
            hot,
            not_yet: self.state.not_yet,
            quarantined: self.state.quarantined,
            unverifiable,
            method: self.walk.method(),
            complete,
            repair,
            samples: samples.filter_map(|(key, verdict)| Sample::new(key, *verdict)).collect(),
            seconds,
            rows_per_second: if seconds > 0.0 { as_float(self.state.checked_rows) / seconds } else { 0.0 },
        }
    }
}
