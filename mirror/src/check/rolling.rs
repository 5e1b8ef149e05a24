//! Checks that never end: every row of each mirror is looked at again and again, and what differs is looked at once more before
//! anybody is told of it.
//!
//! `lfk.mirror_check` in the source's database is authoritative for who walks and since when, the cursor store for where. Of
//! several processes one walks; another one goes on where it was half a minute after it has fallen silent. A crash repeats the
//! chunk it was at. No transaction is open while it waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lfk_core::parts::Purpose;
use lfk_core::{CursorStore, Database, Engine, Error, ErrorKind, Result};
use lfk_sql::statements;
use sqlx::Row as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::cursor::Cursor;
use super::noted::{Difference, MOST_NOTED, Noted};
use super::{Method, Options, Pass, Prepared, Verdict, ends, guard, load, prepare, report::Stopped, sandwich};
use crate::schedule::{Last, Schedule};
use crate::{Mirror, Order, Side};

/// How often a walker says that it is there, and looks whether anything is to be done.
const TICK: Duration = Duration::from_secs(5);
/// So long a walker is silent before another one takes over.
const SILENCE: Duration = Duration::from_secs(30);
/// How long keys in flight are waited for at the end of a pass: shorter than the silence after which another one takes over.
const PATIENCE: Duration = Duration::from_secs(20);
/// What one statement of a pass takes: there is time.
const TARGET: Duration = Duration::from_millis(100);
/// A pass that is late rests three times as long as it works: a check may not starve the application.
const REST: u32 = 3;
/// A key that is handed to the sync so often and still differs is for a person.
const MOST_HANDED: i64 = 2;
/// The longest wait after an error.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long the walk is handed back at the end.
const LEAVE_AT_MOST: Duration = Duration::from_secs(2);

/// Running checks. Dropping them stops them as a crash would: another process goes on after half a minute.
#[derive(Debug)]
pub struct Checks {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// Starts the rolling checks of mirrors in the background of the current tokio runtime. Databases that are down, and mirrors that
/// are not installed or not active, are waited for.
///
/// # Errors
/// When a mirror speaks of a database that the engine does not have.
///
/// # Panics
/// Outside a tokio runtime.
pub fn start_checks(engine: &Engine, mirrors: &[Mirror]) -> Result<Checks> {
    let mut checks = Checks { stop: CancellationToken::new(), tasks: JoinSet::new() };
    for mirror in mirrors {
        let named = |name: &str| {
            let found = engine.databases().iter().find(|database| database.name() == name).cloned();
            found.ok_or_else(|| Error::config(format!("there is no database \"{name}\"")).for_definition(&mirror.name))
        };
        let (source, target) = (named(&mirror.source.database)?, named(&mirror.target.database)?);
        let roller = Roller {
            noted: Noted::new(&source, &mirror.name),
            store: engine.cursor_store(source.name())?,
            mirror: mirror.clone(),
            source,
            target,
            owner: Uuid::new_v4(),
            refused: None,
            every: None,
            left_out: 0.0,
        };
        checks.tasks.spawn(roller.run(checks.stop.clone()));
    }
    Ok(checks)
}

impl Checks {
    /// Resolves with the reason when a task died, which nothing but a bug makes it do; otherwise never.
    ///
    /// # Cancellation
    /// Safe: dropping the future stops nothing.
    pub async fn died(&mut self) -> Error {
        loop {
            match self.tasks.join_next().await {
                Some(Err(error)) => return Error::new(ErrorKind::Crashed, format!("a check died: {error}")),
                Some(Ok(())) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Stops within two seconds and lets others go on at once.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The checks of one mirror.
struct Roller {
    mirror: Mirror,
    source: Database,
    target: Database,
    store: Arc<dyn CursorStore>,
    noted: Noted,
    owner: Uuid,
    /// Why nothing is handed to the sync, as it was said last.
    refused: Option<Stopped>,
    /// Half of the seconds after which rows without a look are an alarm, as it was told to the database.
    every: Option<f64>,
    /// When it last said that a time came while a pass was under way, in seconds since the epoch.
    left_out: f64,
}

/// What the row of a mirror says when this process walks.
struct Held {
    /// Seconds since the pass under way began.
    running: Option<f64>,
    /// What tells that pass from all others.
    pass: Option<String>,
    last: Last,
    /// Rows compared by that pass.
    checked_rows: i64,
}

impl Roller {
    async fn run(mut self, stop: CancellationToken) {
        let mut failures = 0_u32;
        loop {
            let round = tokio::select! {
                () = stop.cancelled() => break,
                round = self.round(&stop) => round,
            };
            let wait = match round {
                Ok(()) => {
                    failures = 0;
                    TICK
                }
                Err(error) => {
                    failures += 1;
                    if failures == 1 {
                        let name = self.mirror.name.as_str();
                        tracing::warn!(definition = name, error = %error, hint = error.hint, "the rolling check does not get on; it is tried again");
                    }
                    (TICK * failures.min(12)).min(LONGEST_WAIT)
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(wait) => {}
            }
        }
        // Where this fails, the others wait out the silence.
        let _ = tokio::time::timeout(LEAVE_AT_MOST, self.leave()).await;
    }

    async fn round(&mut self, stop: &CancellationToken) -> Result<()> {
        let Some(held) = self.hold().await? else { return Ok(()) };
        self.look_again(held.checked_rows).await?;
        let Some(schedule) = &self.mirror.check else { return Ok(()) };
        if held.running.is_some() || schedule.is_due(held.last) {
            self.pass(schedule.pass_takes(), held.pass, stop).await?;
        }
        Ok(())
    }

    /// Whether this process walks, or takes over.
    async fn hold(&mut self) -> Result<Option<Held>> {
        let Some(mut held) = self.say_alive().await? else { return Ok(None) };
        let Some(schedule) = &self.mirror.check else { return Ok(Some(held)) };
        let every = schedule.alarm_half(held.last);
        if self.every.is_none_or(|said| (said - every).abs() > 1.0) {
            self.every = Some(every);
            let Some(again) = self.say_alive().await? else { return Ok(None) };
            held = again;
        }
        if held.running.is_some_and(|running| schedule.leaves_out(held.last, running, self.left_out)) {
            self.left_out = held.last.now;
            let name = self.mirror.name.as_str();
            tracing::warn!(
                definition = name,
                "a pass of the rolling check takes until after the next time: that one is left out"
            );
        }
        Ok(Some(held))
    }

    async fn say_alive(&self) -> Result<Option<Held>> {
        // Before it is known since when rows wait, nobody is alarmed too early.
        let every = self.mirror.check.as_ref().map(|schedule| match schedule {
            Schedule::Within(time) => time.as_secs_f64(),
            Schedule::Cron(_) => self.every.unwrap_or(f64::from(u32::MAX)),
        });
        let mut tx = self.source.begin(Purpose::Log).await?;
        let query = tx.query(statements::CHECK_HOLD).bind(&self.mirror.name).bind(self.owner);
        let query = query.bind(every).bind(SILENCE.as_secs_f64());
        let row = query.fetch_optional(tx.conn()).await.map_err(|e| self.source.error(e))?;
        tx.commit().await?;
        let gauge = metrics::gauge!("lfk_mirror_oldest_unverified_seconds", "mirror" => self.mirror.name.clone());
        let Some(row) = row else {
            // Whoever walks says it.
            gauge.set(f64::NAN);
            return Ok(None);
        };
        if self.mirror.check.is_some() {
            gauge.set(row.get::<f64, _>("unverified"));
        }
        let last = Last {
            now: row.get("now"),
            started: row.get("started"),
            finished: row.get("finished"),
            unverified: row.get("unverified"),
        };
        Ok(Some(Held {
            running: row.get("running"),
            pass: row.get("pass"),
            last,
            checked_rows: row.get("checked_rows"),
        }))
    }

    async fn leave(&self) -> Result<()> {
        let mut tx = self.source.begin(Purpose::Log).await?;
        let query = tx.query(statements::CHECK_LEAVE).bind(&self.mirror.name).bind(self.owner);
        query.execute(tx.conn()).await.map_err(|e| self.source.error(e))?;
        tx.commit().await
    }

    /// One pass over both tables, or the rest of the one that is under way, spread over `time`.
    async fn pass(&mut self, time: Duration, under_way: Option<String>, stop: &CancellationToken) -> Result<()> {
        let go_on = under_way.is_some();
        // Another name than that of the checks by hand.
        let cursor = Cursor::new(self.store.clone(), format!("rolling check: {}", self.mirror.name));
        let options = Options {
            resume: go_on,
            target: TARGET,
            patience: PATIENCE,
            cancel: stop.clone(),
            cursor: Some(cursor.of_pass(under_way.unwrap_or_default())),
            ..Options::default()
        };
        let mirror = self.mirror.clone();
        let Prepared { plan, mut begin, resumed } = prepare(&mirror, &self.source, &self.target, &options).await?;
        let estimate = begin.estimate;
        begin.cursor = match begin.cursor {
            Some(cursor) if !resumed => {
                // Under its old name a position that is left from before would be younger than the row says.
                let Some(pass) = self.begin_pass().await? else { return Ok(()) };
                Some(cursor.of_pass(pass))
            }
            other => other,
        };
        let mut pass = Pass::new(&plan, begin, Instant::now());
        pass.walk.never_ahead();
        pass.open().await?;
        while !pass.walk.position.done {
            let Some(held) = self.hold().await? else { return Ok(()) };
            let began = Instant::now();
            let read = pass.step().await?;
            // Here the next chunk may be far away.
            pass.prove().await?;
            self.note(&mut pass).await?;
            if pass.walk.position.done {
                // A position at the end would make whoever comes after a crash begin anew.
                break;
            }
            if pass.walk.sums().is_some() {
                pass.save().await?
            } else {
                pass.keep().await?
            };
            if pass.cursor.as_ref().is_some_and(Cursor::is_lost) {
                return Ok(());
            }
            let gone = Duration::try_from_secs_f64(held.running.unwrap_or(0.0)).unwrap_or(time);
            let rows_left = estimate - super::as_float(pass.state.read_rows);
            // In physical order the sides are compared at the end: what is written meanwhile only looks different, and is the
            // more the longer that takes.
            let left = if pass.walk.method() == Method::Physical { Duration::ZERO } else { time.saturating_sub(gone) };
            let rest = rest(super::as_float(read), rows_left, left, began.elapsed());
            if !self.wait(rest).await? {
                return Ok(());
            }
        }
        self.end(pass).await
    }

    /// Waits, says meanwhile that it is there, and looks again at what differs. `false`: somebody else has taken over.
    async fn wait(&mut self, rest: Duration) -> Result<bool> {
        let until = Instant::now() + rest;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(true);
            }
            tokio::time::sleep(left.min(TICK)).await;
            if left > TICK {
                let Some(held) = self.hold().await? else { return Ok(false) };
                self.look_again(held.checked_rows).await?;
            }
        }
    }

    async fn end(&mut self, mut pass: Pass<'_>) -> Result<()> {
        let plan = pass.plan;
        pass.suspects.settle(&plan.ends, plan.consumer(), plan.until(), || plan.is_over()).await?;
        self.note(&mut pass).await?;
        if plan.options.cancel.is_cancelled() || self.hold().await?.is_none() {
            return Ok(());
        }
        pass.count();
        // Keys that keep changing are looked at a moment after each change.
        let covers = pass.suspects.unsettled().0 == 0 && pass.state.not_yet == 0;
        // First, so that a crash in between makes a pass begin anew and not end early.
        if let Some(cursor) = &mut pass.cursor {
            cursor.forget().await?;
        }
        let (state, confirmed) = (&pass.state, &pass.state.confirmed);
        let mut tx = self.source.begin(Purpose::Log).await?;
        let query =
            tx.query(statements::CHECK_END_PASS).bind(&self.mirror.name).bind(self.owner).bind(state.checked_rows);
        let query = query.bind(confirmed.missing).bind(confirmed.different).bind(confirmed.extra).bind(covers);
        query.execute(tx.conn()).await.map_err(|e| self.source.error(e))?;
        tx.commit().await
    }

    /// What tells the new pass from all others. Nothing: somebody else has taken over.
    async fn begin_pass(&self) -> Result<Option<String>> {
        let mut tx = self.source.begin(Purpose::Log).await?;
        let query = tx.query_scalar(statements::CHECK_BEGIN_PASS).bind(&self.mirror.name).bind(self.owner);
        let pass = query.fetch_optional(tx.conn()).await.map_err(|e| self.source.error(e))?;
        tx.commit().await?;
        Ok(pass)
    }

    async fn note(&self, pass: &mut Pass<'_>) -> Result<()> {
        self.noted.note(&pass.suspects.proven).await?;
        pass.suspects.proven.clear();
        Ok(())
    }

    /// Looks once more at what was found to differ a moment ago: some of it was done meanwhile, the rest persists.
    async fn look_again(&mut self, checked_rows: i64) -> Result<()> {
        let keys = self.noted.due().await?;
        if keys.is_empty() {
            return Ok(());
        }
        let (_, estimate) = guard::identities(&self.mirror, &self.source, &self.target).await?;
        let columns = load(&self.mirror, &self.source, &self.target).await?;
        let ends = ends::Ends::new(&self.source, &self.target, columns, rand::random()).await?;
        let found = sandwich::verify(&ends, &self.mirror.name, &keys).await?;
        let both = || keys.iter().cloned().zip(found.verdicts.iter().copied());
        let cleared: Vec<_> = both().filter(|(_, v)| *v == Verdict::Cleared).map(|(key, _)| key).collect();
        self.noted.clear(&cleared).await?;
        let proven: Vec<_> = both().filter(|(_, verdict)| verdict.is_confirmed()).collect();
        let seen = if proven.is_empty() { Vec::new() } else { self.noted.note(&proven).await? };
        if self.mirror.repair {
            let rows = checked_rows.max(whole(estimate));
            self.repair(&ends, seen, rows).await?;
        }
        Ok(())
    }

    /// Hands what persists to the sync, unless something is wrong with more than the data.
    async fn repair(&mut self, ends: &ends::Ends, seen: Vec<Difference>, rows: i64) -> Result<()> {
        let persists = seen.into_iter().filter(|found| found.looks > 1 && found.handed < MOST_HANDED);
        let keys: Vec<_> = persists.map(|found| found.key).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let noted = self.noted.count().await?;
        let source = ends.digest(Side::Source, Order::Native, ends::Range::default(), 1).await?;
        let refused = if source.read == 0 {
            Some(Stopped::SourceEmpty)
        } else if noted.total() >= MOST_NOTED {
            Some(Stopped::TooManyDiffer)
        } else {
            guard::judge(rows, &noted, guard::Alarm::default())
        };
        if let Some(why) = refused.filter(|_| self.refused != refused) {
            let name = self.mirror.name.as_str();
            tracing::warn!(definition = name, why = why.as_str(), "differences are not repaired");
        }
        self.refused = refused;
        if refused.is_none() { self.noted.hand_over(&keys).await } else { Ok(()) }
    }
}

/// How long a pass rests after a chunk: so that it takes all the time that it has, and if that is over, three times as long as
/// it works.
fn rest(read: f64, rows_left: f64, time_left: Duration, took: Duration) -> Duration {
    let least = took * REST;
    if rows_left <= 0.0 || read <= 0.0 {
        return least;
    }
    // The last chunk is no larger than what is left.
    let share = (read / rows_left.max(read)).clamp(0.0, 1.0);
    time_left.mul_f64(share).max(least)
}

/// An estimate as a number of rows.
fn whole(rows: f64) -> i64 {
    format!("{:.0}", rows.clamp(0.0, 1e15)).parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn m07_a_pass_is_spread_over_the_time_that_it_has() {
        let took = Duration::from_millis(100);
        assert_eq!(rest(10_000.0, 90_000.0, HOUR * 9, took), HOUR);
        assert_eq!(rest(10_000.0, 90_000.0, Duration::ZERO, took), took * 3, "it is late");
        assert_eq!(rest(10_000.0, -5.0, HOUR, took), took * 3, "more rows than estimated");
        assert_eq!(rest(10_000.0, 5_000.0, HOUR, took), HOUR);
        assert_eq!(rest(0.0, 5_000.0, HOUR, took), took * 3);
    }

    #[test]
    fn an_estimate_is_a_number_of_rows() {
        assert_eq!((whole(-1.0), whole(0.4), whole(1e6), whole(f64::MAX)), (0, 0, 1_000_000, 1_000_000_000_000_000));
    }
}
