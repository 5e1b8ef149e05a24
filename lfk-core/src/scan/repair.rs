//! Cleaning what a scan has confirmed, through the cleaner that the daemon uses and by the declared action only.
//!
//! Nothing is changed before the whole scan is done and every guard has agreed. Then each batch re-checks its parents anew, so
//! it does not matter how long ago a key was confirmed. Where the definition is installed a batch needs its lease, which is
//! given back every two seconds so that the daemon gets on as well; a killed repair leaves a lease that runs out, and what
//! it has committed.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use lfk_sql::statements;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::home::Home;
use super::hunt::{Hunt, Orphan};
use super::report::{FailedKeys, Repair, RepairOptions, Scan, ScanEnd};
use super::walk::Walker;
use super::{Ground, guards, is_an_end, refused};
use crate::clean::{Budget, Cleaner, Looker, Pace, Permit, Shape, Tally, WideEnd};
use crate::context::Context;
use crate::cursor::{Claim, Lease};
use crate::database::Purpose;
use crate::declaration::Declaration;
use crate::definition::State;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::pair;
use crate::report::Finding;
use crate::retry::{Reason, SetAside};
use crate::schedule::Lane;
use crate::signals;

/// Keys that one repair keeps; the next one finds the rest.
const MOST_KEYS: usize = 1_000_000;
/// A lease is given back after this long.
const QUANTUM: Duration = Duration::from_secs(2);
/// How long a lease that a worker has, or a database that should not be written to now, is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is tried.
const TRY_EVERY: Duration = Duration::from_millis(200);

/// Looks for orphans, and cleans them when told to.
pub(super) async fn repair(
    context: &Context,
    definition: &crate::LooseForeignKey,
    options: &RepairOptions,
    stop: &CancellationToken,
) -> Result<Repair> {
    let until = options.scan.timeout.map(|timeout| Instant::now() + timeout);
    let mut ground = Ground::survey(context, definition).await?;
    refuse(&ground)?;
    if let Some(doubt) = ground.judge_parents().await? {
        return Err(refused(&doubt));
    }
    let settle = if options.execute { options.settle_after.unwrap_or(definition.settle_after) } else { Duration::ZERO };
    let keep = if options.execute { most_keys(options) } else { 0 };
    let tables = std::mem::take(&mut ground.tables);
    let (shape, home, away) = (&ground.shape, ground.home, ground.away);
    let Some(limiter) = context.limiter(away.name()) else { return Err(Error::config("there is no such database")) };
    let walker = Walker { shape, away, name: &definition.name, tables };
    // It looks at everything itself, whatever a scan has stored.
    let scan_options = super::ScanOptions { cursor: None, resume: false, ..options.scan.clone() };
    let hunt = Hunt {
        definition,
        home,
        away,
        shape,
        limiter,
        points: &context.points,
        options: &scan_options,
        stop,
        until,
        settle,
        keep,
    };
    let (scan, orphans) = hunt.run(walker, &ground.found).await?;
    if let Some(doubt) = guards::judge_share(&scan, options.max_orphans_percent) {
        return Err(refused(&doubt));
    }
    let complete = scan.result == ScanEnd::Done;
    let mut repair = begun(&ground, scan);
    if !options.execute || !complete {
        return Ok(repair);
    }
    repair.executed = true;
    if orphans.is_empty() {
        return Ok(repair);
    }
    if let Some(doubt) = ground.judge_parents().await? {
        return Err(refused(&doubt));
    }
    let budget = Budget::new(options.max_rows);
    let mut work = Work { context, ground: &ground, budget: &budget, stop, until, repair: &mut repair };
    let done = work.audited(orphans).await;
    repair.rows_changed = budget.done();
    repair.remaining_keys =
        repair.scan.orphan_keys.saturating_sub(repair.repaired_keys + repair.resurrected + repair.failed_keys);
    done.map(|()| repair)
}

/// Each orphan has a row at least.
fn most_keys(options: &RepairOptions) -> usize {
    let rows = options.max_rows.map_or(usize::MAX, |rows| usize::try_from(rows).unwrap_or(usize::MAX));
    rows.min(MOST_KEYS)
}

fn begun(ground: &Ground<'_>, scan: Scan) -> Repair {
    Repair {
        action: ground.planned.on_delete.clone(),
        executed: false,
        repaired_keys: 0,
        resurrected: 0,
        rows_changed: 0,
        failed_keys: 0,
        failed: Vec::new(),
        remaining_keys: scan.orphan_keys,
        scan,
    }
}

/// What forbids the work before anything is looked at.
fn refuse(ground: &Ground<'_>) -> Result<()> {
    if let Some(finding) = ground.planned.findings.iter().find(|f| Finding::forbids_work(f)) {
        return Err(refused(finding));
    }
    let home = ground.home.name();
    if let Some((message, remedy)) = &ground.found.refusal {
        return Err(Error::refused(message.clone()).in_database(home).with_hint(*remedy));
    }
    if ground.found.stopped {
        return Err(Error::refused("the kill switch is on").in_database(home).with_hint("lfk start --all"));
    }
    match ground.found.home {
        Home::Nothing | Home::Definition(State::Active | State::Observe) => Ok(()),
        Home::Definition(State::Paused | State::Canary) => {
            Err(Error::refused("it is paused").in_database(home).with_hint(format!(
                "lfk activate {name}, or lfk observe {name}, and repair it then",
                name = ground.definition.name
            )))
        }
    }
}

/// A repair at work.
struct Work<'a> {
    context: &'a Context,
    ground: &'a Ground<'a>,
    budget: &'a Budget,
    stop: &'a CancellationToken,
    until: Option<Instant>,
    repair: &'a mut Repair,
}

impl Work<'_> {
    /// With a line in the audit before and after, where there is one.
    async fn audited(&mut self, orphans: Vec<Orphan>) -> Result<()> {
        let rows = orphans.iter().map(|orphan| orphan.rows).sum();
        self.note("repair_begun", orphans.len() as u64, rows, 0).await?;
        let keys = orphans.into_iter().map(|orphan| orphan.key).collect();
        let done = self.clean(keys).await;
        let noted =
            self.note("repair_ended", self.repair.repaired_keys, self.budget.done(), self.repair.failed_keys).await;
        done.and(noted)
    }

    async fn note(&self, event: &str, keys: u64, rows: u64, failed: u64) -> Result<()> {
        if self.ground.found.home == Home::Nothing {
            return Ok(());
        }
        let home = self.ground.home;
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let mut tx = home.begin(Purpose::Log).await?;
        tx.query(statements::NOTE_REPAIR)
            .bind(&self.ground.definition.name)
            .bind(event)
            .bind(number(keys))
            .bind(number(rows))
            .bind(number(failed))
            .execute(tx.conn())
            .await
            .map_err(|e| home.error(e))?;
        tx.commit().await
    }

    /// Everything, a lease after the other.
    async fn clean(&mut self, mut keys: VecDeque<Key>) -> Result<()> {
        let mut wide = VecDeque::new();
        let mut pace = Pace::new(self.context.target);
        loop {
            let done = keys.is_empty() && wide.is_empty();
            if done || self.is_over() || self.budget.is_used_up() {
                break;
            }
            self.until_it_may_write().await?;
            let lease = self.lease().await?;
            let worked = self.for_a_while(lease.as_ref(), &mut keys, &mut wide, &mut pace).await;
            if let Some(lease) = lease
                && !matches!(&worked, Err(e) if matches!(e.kind, ErrorKind::Crashed | ErrorKind::LeaseLost))
            {
                lease.release().await?;
            }
            match worked {
                Ok(()) => {}
                Err(error) if error.kind == ErrorKind::Paused && self.stop.is_cancelled() => {}
                Err(error) if error.kind == ErrorKind::Paused => {
                    return Err(Error::refused("it was paused or stopped meanwhile").with_hint(
                        "what was done until then stays; the same repair goes on once it is active or observes",
                    ));
                }
                // As many rows as were allowed are changed.
                Err(error) if is_an_end(&error) => break,
                Err(error) => return Err(error),
            }
        }
        let done = keys.is_empty() && wide.is_empty();
        if !done {
            self.repair.scan.result = if self.stop.is_cancelled() { ScanEnd::Stopped } else { ScanEnd::TimedOut };
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.stop.is_cancelled() || self.until.is_some_and(|until| Instant::now() >= until)
    }

    async fn until_it_may_write(&self) -> Result<()> {
        let began = Instant::now();
        loop {
            match signals::may_write(self.ground.away).await {
                Err(error) if error.kind == ErrorKind::Held && began.elapsed() < PATIENCE && !self.is_over() => {
                    tokio::time::sleep(TRY_EVERY).await;
                }
                other => return other,
            }
        }
    }

    /// The lease, where the definition is installed; a worker that has it gives it back within seconds.
    async fn lease(&self) -> Result<Option<Lease>> {
        if self.ground.found.home == Home::Nothing {
            return Ok(None);
        }
        let began = Instant::now();
        loop {
            match Lease::claim(self.ground.home, &self.ground.definition.name, Uuid::new_v4()).await? {
                Claim::Taken(lease) => return Ok(Some(lease)),
                Claim::Elsewhere if began.elapsed() >= PATIENCE || self.is_over() => {
                    return Err(Error::new(ErrorKind::TimedOut, "a worker has the definition's lease and keeps it")
                        .in_database(self.ground.home.name())
                        .with_hint("`lfk status` shows the workers; the same repair goes on"));
                }
                Claim::Elsewhere => tokio::time::sleep(TRY_EVERY).await,
            }
        }
    }

    async fn for_a_while(
        &mut self,
        lease: Option<&Lease>,
        keys: &mut VecDeque<Key>,
        wide: &mut VecDeque<Key>,
        pace: &mut Pace,
    ) -> Result<()> {
        let began = Instant::now();
        let (definition, away) = (self.ground.definition, self.ground.away);
        let verified;
        let shape: &Shape = match lease {
            Some(lease) => {
                let declared = Declaration::from(definition);
                let paired = pair::verify(&declared, Lane::Head, lease, away, &self.context.points).await?;
                let kinds = pair::key_kinds(&declared, self.ground.home).await?;
                verified = Shape::new(definition, paired.key_types, paired.same_database).with_kinds(kinds);
                &verified
            }
            None => &self.ground.shape,
        };
        let Some(limiter) = self.context.limiter(away.name()) else { return Ok(()) };
        let permit = Permit::to_repair(self.ground.home, &definition.name, lease, self.budget);
        let looker = Looker { shape, permit, away, points: &self.context.points };
        while began.elapsed() < QUANTUM && !self.is_over() {
            let (stop, denied_before) = (self.stop, HashSet::new());
            let mut cleaner = Cleaner { looker, limiter, stop, pace: &mut *pace, denied_before, foresight: None };
            let mut tally = Tally::default();
            if keys.is_empty() {
                let Some(key) = wide.front() else { return Ok(()) };
                let end = cleaner.clean_wide(key, QUANTUM, &mut tally).await?;
                // A key that is still wide stays where it is.
                let mut again = VecDeque::new();
                self.count(&mut again, 1, tally, end == WideEnd::Done);
                if end == WideEnd::Done && again.is_empty() {
                    wide.pop_front();
                }
                continue;
            }
            let batch: Vec<Key> = keys.iter().take(pace_keys(cleaner.pace)).cloned().collect();
            let asked = batch.len();
            let tally = cleaner.converge(batch).await?;
            keys.drain(..asked);
            self.count(wide, asked, tally, true);
        }
        Ok(())
    }

    /// Books a batch. Parents that are too wide for one come at the end.
    fn count(&mut self, wide: &mut VecDeque<Key>, asked: usize, tally: Tally, finished: bool) {
        let set_aside = tally.set_aside.len();
        for one in tally.set_aside {
            if one.reason == Reason::Wide {
                wide.push_back(one.key);
            } else {
                self.fail(&one);
            }
        }
        self.repair.resurrected += tally.resurrected;
        if finished {
            let done = asked.saturating_sub(set_aside) as u64;
            self.repair.repaired_keys += done.saturating_sub(tally.resurrected);
        }
    }

    fn fail(&mut self, one: &SetAside) {
        self.repair.failed_keys += 1;
        let reason = one.reason.as_str();
        match self.repair.failed.iter_mut().find(|failed| failed.reason == reason) {
            Some(failed) => failed.keys += 1,
            None => self.repair.failed.push(FailedKeys { reason, keys: 1, error: one.error.clone() }),
        }
    }
}

fn pace_keys(pace: &Pace) -> usize {
    pace.keys().max(1)
}
