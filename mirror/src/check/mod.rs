//! Checks: proof that a mirror is equal to its source, or which rows are not.
//!
//! A pass walks both tables in the order of the key ([`walk`]), compares chunks by digests that the servers compute, and lists
//! only chunks that differ. Large tables whose rows do not lie in that order are walked page by page ([`physical`]). What looks
//! different is a suspect; [`sandwich`] proves it, without waiting: lag is never reported as a difference, and a difference
//! never explained away as lag.

mod ahead;
mod cursor;
mod ends;
mod gathered;
mod guard;
mod leaves;
mod listing;
mod noted;
mod physical;
mod repair;
mod report;
mod rolling;
mod sandwich;
mod shapes;
mod sums;
mod suspects;
mod walk;

use std::sync::Arc;
use std::time::{Duration, Instant};

use lfk_core::parts::Key;
use lfk_core::{Database, Error, Result};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

pub use self::cursor::Cursor;
use self::cursor::{State, schema_number};
pub(crate) use self::ends::Ends;
use self::gathered::Gathered;
use self::guard::{Alarm, Identities};
use self::leaves::suits;
pub use self::report::{Confirmed, Progress, Repaired, Report, Sample, Stopped, Unverifiable};
pub use self::rolling::{Checks, start_checks};
pub use self::sandwich::{Probe, Sandwich, Seen, Verdict, Verdicts};
use self::sums::Sums;
use self::suspects::Suspects;
use self::walk::{Position, Walk};
pub(crate) use self::{noted::Noted, sandwich::verify};
use crate::{Columns, Mirror, Order, Side};

/// How often a position is kept.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// A position in physical order is kept a second less often for so many buckets (32 KiB in the store).
const BUCKETS_A_SECOND: u32 = 1024;
/// How often keys in flight are looked at again while the walk goes on.
const LOOK_AGAIN_EVERY: Duration = Duration::from_secs(1);
/// How many keys are shown.
const SHOWN: usize = 20;

/// How rows are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// A digest of each chunk, computed by the servers; listed where it differs, row by row while most chunks do.
    Digest,
    /// The key and the hash of each row.
    Rows,
    /// As rows, looked up by key: for keys that the two servers sort differently.
    Keys,
    /// Digests of buckets of keys, each side read page by page: for large tables whose rows do not lie in the order of the key,
    /// such as those with random uuids.
    Physical,
}

/// Is told how a check is getting on.
pub type Tell = Arc<dyn Fn(&Progress) + Send + Sync>;

/// How a check is to be made.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// Puts some keys into the report.
    pub show_keys: bool,
    /// Goes on where the last pass under the same name stopped; otherwise it starts at the beginning.
    pub resume: bool,
    /// Hands proven differences to the sync.
    pub repair: bool,
    /// When to stop; what is left can be resumed.
    pub timeout: Option<Duration>,
    /// How long keys in flight are waited for behind the end of both tables, while the sync does them.
    pub patience: Duration,
    /// Another method than the one that suits the key.
    pub method: Option<Method>,
    /// Rows of a chunk; otherwise so many that a statement takes about [`Options::target`].
    pub chunk_rows: Option<u32>,
    /// How long a statement should take.
    pub target: Duration,
    /// Where the position is kept; otherwise it is not.
    pub cursor: Option<Cursor>,
    /// Ends the check before its next chunk. What looked different by then is still proven.
    pub cancel: CancellationToken,
    /// Called after each chunk.
    pub progress: Option<Tell>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            show_keys: false,
            resume: false,
            repair: false,
            timeout: None,
            patience: Duration::from_secs(30),
            method: None,
            chunk_rows: None,
            target: Duration::from_millis(250),
            cursor: None,
            cancel: CancellationToken::new(),
            progress: None,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { show_keys, resume, repair, timeout, patience, method, chunk_rows, target, cursor, .. } = self;
        f.debug_struct("Options")
            .field("show_keys", show_keys)
            .field("resume", resume)
            .field("repair", repair)
            .field("timeout", timeout)
            .field("patience", patience)
            .field("method", method)
            .field("chunk_rows", chunk_rows)
            .field("target", target)
            .field("cursor", cursor)
            .finish_non_exhaustive()
    }
}

/// What stays the same during a check.
struct Plan<'a> {
    mirror: &'a Mirror,
    ends: Ends,
    identities: Identities,
    options: &'a Options,
    method: Method,
    deadline: Option<Instant>,
}

impl Plan<'_> {
    /// The head consumer of a mirror has its name.
    fn consumer(&self) -> &str {
        &self.mirror.name
    }

    fn is_over(&self) -> bool {
        self.options.cancel.is_cancelled() || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// How long somebody else is waited for from now on.
    fn until(&self) -> Instant {
        let patience = Instant::now() + self.options.patience;
        self.deadline.map_or(patience, |deadline| deadline.min(patience))
    }
}

/// Compares both tables of a mirror, and repairs what differs if asked to. Reads only, but for the keys of a repair.
///
/// It ends early when it is cancelled or its time is over: then the report is not complete, and the position is kept, as it is
/// once a second and after a crash. Dropping the future loses at most that second.
///
/// # Errors
/// Refused when the mirror cannot be compared, a database is not the one it was installed with, or a mirror is to be repaired that is
/// not active; when a database or the
/// cursor store cannot be reached.
pub async fn check(mirror: &Mirror, source: &Database, target: &Database, options: &Options) -> Result<Report> {
    let begun = Instant::now();
    let Prepared { plan, begin, .. } = prepare(mirror, source, target, options).await?;
    if options.repair {
        repair::refuse_unless_active(&plan).await?;
    }
    let mut pass = Pass::new(&plan, begin, begun);
    pass.walk().await?;
    pass.finish().await
}

/// A pass that can be begun, or gone on with.
struct Prepared<'a> {
    plan: Plan<'a>,
    begin: Begin,
    /// Whether it goes on with what was stored.
    resumed: bool,
}

/// Where a pass begins.
struct Begin {
    state: State,
    /// Of the pages before the position, in physical order.
    sums: Option<Sums>,
    cursor: Option<Cursor>,
    /// Rows of the source.
    estimate: f64,
}

async fn prepare<'a>(
    mirror: &'a Mirror,
    source: &Database,
    target: &Database,
    options: &'a Options,
) -> Result<Prepared<'a>> {
    let deadline = options.timeout.map(|timeout| Instant::now() + timeout);
    let (identities, estimate) = guard::identities(mirror, source, target).await?;
    let columns = load(mirror, source, target).await?;
    let schema = schema_number(&columns.fingerprint);
    let mut cursor = options.cursor.clone();
    let stored = match &mut cursor {
        Some(cursor) => {
            let stored = cursor.load(schema, options.resume).await?;
            stored.filter(|(state, _)| options.resume && !state.position.done)
        }
        None => None,
    };
    let resumed = stored.is_some();
    let (state, sums) = stored.unwrap_or_else(|| (State { seed: rand::random(), schema, ..State::default() }, None));
    let ends = Ends::new(source, target, columns, state.seed).await?;
    let method = choose(&ends, options.method, &state.position).await.map_err(|e| e.for_definition(&mirror.name))?;
    let plan = Plan { mirror, ends, identities, options, method, deadline };
    Ok(Prepared { plan, begin: Begin { state, sums, cursor, estimate }, resumed })
}

/// How this pass compares rows. One that goes on does so in the way it went.
async fn choose(ends: &Ends, asked: Option<Method>, position: &Position) -> Result<Method> {
    if position.pages.is_some() {
        return Ok(Method::Physical);
    }
    if ends.shapes.columns.order == Order::None && matches!(asked, Some(Method::Digest | Method::Rows)) {
        return Err(Error::refused("the two servers sort the keys in different orders")
            .with_hint("leave the method to lfk, or give both key columns an index in collation \"C\""));
    }
    let by_key = asked.filter(|method| *method != Method::Physical).unwrap_or_else(|| ends.shapes.method());
    if position.by_key || position.behind.is_some() || position.reverse || asked.is_some_and(|method| method == by_key)
    {
        return Ok(by_key);
    }
    let (source, target) = futures::try_join!(ends.leaves(Side::Source), ends.leaves(Side::Target))?;
    if let Some(leaf) = source.iter().chain(&target).find(|leaf| !leaf.readable) {
        return match asked {
            Some(_) => Err(Error::refused(format!("{} cannot be read in physical order", leaf.table)).with_hint(
                "a foreign table has none; of a partition it takes SELECT on the partition itself; or choose another method",
            )),
            None => Ok(by_key),
        };
    }
    let order = ends.shapes.columns.order;
    let suits = asked.is_some() || suits(&source, order) || suits(&target, order);
    Ok(if suits { Method::Physical } else { by_key })
}

async fn load(mirror: &Mirror, source: &Database, target: &Database) -> Result<Columns> {
    // Installed, it was judged: its expressions need not be tried again, which takes a right that a reader need not have.
    let judged = Columns::read(mirror, source, target).await.map_err(|e| e.for_definition(&mirror.name))?;
    if let Some(columns) = judged.columns {
        return Ok(columns);
    }
    let first = judged.findings.into_iter().find(|f| f.refuses);
    let (message, remedy) = first.map_or_else(Default::default, |f| (f.message, f.remedy.join("; ")));
    Err(Error::refused(message).for_definition(&mirror.name).with_hint(remedy))
}

/// One pass over both tables, or the rest of one.
struct Pass<'a> {
    plan: &'a Plan<'a>,
    walk: Walk<'a>,
    /// Not proven yet.
    gathered: Gathered,
    suspects: Suspects,
    /// What an earlier part of the pass has counted, and what this one has so far.
    state: State,
    /// Counts of the earlier parts.
    before: State,
    alarm: Alarm,
    cursor: Option<Cursor>,
    begun: Instant,
    saved: Instant,
    looked: Instant,
    estimate: f64,
}

impl<'a> Pass<'a> {
    fn new(plan: &'a Plan<'a>, begin: Begin, begun: Instant) -> Self {
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
    async fn walk(&mut self) -> Result<()> {
        self.open().await?;
        while !self.walk.position.done && !self.plan.is_over() {
            self.step().await?;
            self.save().await?;
            self.tell();
        }
        self.prove().await
    }

    /// Looks at what an earlier part of the pass has left for another look.
    async fn open(&mut self) -> Result<()> {
        let open: Vec<Key> = self.before.open.iter().cloned().map(Key).collect();
        self.suspects.look(&self.plan.ends, self.plan.consumer(), open).await.map(|_| ())
    }

    /// Proves what looked different so far.
    async fn prove(&mut self) -> Result<()> {
        let (ends, consumer) = (&self.plan.ends, self.plan.consumer());
        self.gathered.prove(ends, consumer, &mut self.suspects, &mut self.alarm).await
    }

    /// Compares the next chunk. What looks different in it is proven now or later, see [`Gathered`]. Answers the source rows that were read.
    async fn step(&mut self) -> Result<i64> {
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

    async fn finish(mut self) -> Result<Report> {
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
    fn count(&mut self) {
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
    async fn save(&mut self) -> Result<()> {
        let parts = self.walk.position.needs_sums().map_or(1, |(buckets, _)| 1 + buckets / BUCKETS_A_SECOND);
        if self.saved.elapsed() < SAVE_EVERY * parts { Ok(()) } else { self.keep().await }
    }

    /// Keeps the position, if everything before it that still takes a look can be kept with it.
    async fn keep(&mut self) -> Result<()> {
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

/// For rates and shares only.
fn as_float(rows: i64) -> f64 {
    let rows = u64::try_from(rows).unwrap_or(0);
    // Halves of 32 bits are exact.
    let (high, low) = (u32::try_from(rows >> 32).unwrap_or(u32::MAX), u32::try_from(rows & 0xffff_ffff).unwrap_or(0));
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}
