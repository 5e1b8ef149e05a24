//! Checks: proof that a mirror is equal to its source, or which rows are not.
//!
//! A pass walks both tables in the order of the key ([`walk`]), compares chunks by digests that the servers compute, and lists
//! only chunks that differ. Large tables whose rows do not lie in that order are walked page by page ([`physical`]). What looks
//! different is a suspect; [`sandwich`] proves it, without waiting: lag is never reported as a difference, and a difference
//! never explained away as lag.

mod ahead;
mod chunk;
mod copied;
mod cursor;
mod ends;
mod gathered;
mod guard;
mod leaves;
mod limits;
mod listing;
mod noted;
mod options;
mod pass;
mod physical;
mod repair;
mod report;
mod rolling;
mod sandwich;
mod shapes;
mod sums;
mod suspects;
mod walk;

use std::time::Instant;

use lfk_core::{Database, Error, Result};

pub use self::cursor::Cursor;
use self::cursor::{State, schema_number};
pub(crate) use self::ends::Ends;
use self::guard::Identities;
use self::leaves::suits;
pub use self::options::{Method, Options, Tell};
use self::pass::Pass;
pub use self::report::{Confirmed, Progress, Repaired, Report, Sample, Stopped, Unverifiable};
pub use self::rolling::{Checks, start_checks};
pub use self::sandwich::{Probe, Sandwich, Seen, Verdict, Verdicts};
use self::sums::Sums;
use self::walk::Position;
pub(crate) use self::{noted::Noted, sandwich::verify};
use crate::{Columns, Mirror, Order, Side};

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
    if ends.shapes.columns.order == Order::None
        && matches!(asked, Some(Method::Digest | Method::Rows | Method::Streamed))
    {
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

/// For rates and shares only.
fn as_float(rows: i64) -> f64 {
    let rows = u64::try_from(rows).unwrap_or(0);
    // Halves of 32 bits are exact.
    let (high, low) = (u32::try_from(rows >> 32).unwrap_or(u32::MAX), u32::try_from(rows & 0xffff_ffff).unwrap_or(0));
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}
