//! Orphan scans, which read only and need nothing installed, and repairs, which clean what a scan has confirmed.
//!
//! A scan walks every distinct key of a child ([`walk`]), looks for the parents on their primary, and looks twice before it
//! calls a key an orphan ([`hunt`], [`barrier`]). A repair ([`repair`]) begins with a scan, refuses when that looks like
//! another mistake than orphans ([`guards`]), and hands the keys to the cleaner that the daemon uses.

mod barrier;
mod guards;
mod home;
mod hunt;
mod pacer;
mod parents;
mod position;
mod queue;
mod repair;
mod report;
mod seen;
mod walk;

pub use self::report::{
    FailedKeys, Repair, RepairOptions, Scan, ScanEnd, ScanOptions, ScanProgress, ScanReport, Watcher,
};

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use self::home::Found;
use self::hunt::Hunt;
use self::walk::{Table, Walker};
use crate::clean::Shape;
use crate::context::Context;
use crate::database::Database;
use crate::declaration::Declaration;
use crate::definition::LooseForeignKey;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::pair;
use crate::plan::{self, KeyType};
use crate::report::{Finding, PlannedDefinition};

/// Nothing here is tried again by itself later.
const NO_RETRY: Duration = Duration::from_secs(1);

impl Engine {
    /// Looks for children without a parent. Reads only; nothing need be installed, and SELECT on the columns of the
    /// definition is enough. A key counts as an orphan after two looks, between which every transaction of the first has
    /// ended; what an active definition has yet to work on counts as in flight.
    ///
    /// # Errors
    /// When a name is not configured. What is wrong with one definition is in its entry and in
    /// [`ScanReport::failures`], and keeps no other from being scanned.
    pub async fn scan(&self, names: &[String], options: &ScanOptions) -> Result<ScanReport> {
        self.scan_or(names, options, std::future::pending()).await
    }

    /// Like [`Engine::scan`], but ends between two pages when `stop` resolves.
    ///
    /// # Errors
    /// As [`Engine::scan`].
    ///
    /// # Cancellation
    /// Dropping the future leaves nothing behind but a stored position.
    pub async fn scan_or(
        &self,
        names: &[String],
        options: &ScanOptions,
        stop: impl Future<Output = ()>,
    ) -> Result<ScanReport> {
        let definitions = self.loose(names)?;
        let context = self.context(NO_RETRY);
        let until = options.timeout.map(|timeout| Instant::now() + timeout);
        until_asked(stop, async |stop| {
            let mut report = ScanReport::default();
            for definition in definitions {
                let scan = match scan(&context, definition, options, &stop, until).await {
                    Ok(scan) => scan,
                    Err(error) => {
                        let error = error.for_definition(&definition.name);
                        let said = Some(error.to_string());
                        report.failures.push(error);
                        Scan { name: definition.name.clone(), result: ScanEnd::Failed, error: said, ..Scan::default() }
                    }
                };
                report.scans.push(scan);
            }
            forget_if_done(options, &report).await?;
            Ok(report)
        })
        .await
    }

    /// Looks for orphans of one definition and, when told to, does with their children what the definition says, through
    /// the path that the daemon takes: batches, a re-check before every statement, a deadline. Needs nothing installed;
    /// where the definition is installed it may be active or observe, and the lease keeps the daemon away meanwhile.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] before the first change when `plan` refuses the work, the parents are not all there, too large
    /// a share of the keys are orphans, a database is not the recorded one, or the definition is paused or stopped. An
    /// error in the middle leaves what was committed; the same repair goes on from there.
    pub async fn repair(&self, name: &str, options: &RepairOptions) -> Result<Repair> {
        self.repair_or(name, options, std::future::pending()).await
    }

    /// Like [`Engine::repair`], but ends between two statements when `stop` resolves.
    ///
    /// # Errors
    /// As [`Engine::repair`].
    ///
    /// # Cancellation
    /// Dropping the future rolls back the statement that runs; a lease runs out by itself.
    pub async fn repair_or(
        &self,
        name: &str,
        options: &RepairOptions,
        stop: impl Future<Output = ()>,
    ) -> Result<Repair> {
        let names = [name.to_owned()];
        let definition = self.loose(&names)?;
        let context = self.context(NO_RETRY);
        until_asked(stop, async |stop| {
            let Some(definition) = definition.first() else { return Err(Error::config("no definition was named")) };
            let done = repair::repair(&context, definition, options, &stop).await;
            done.map_err(|e| e.for_definition(&definition.name))
        })
        .await
    }
}

/// Lets work come to the end of its step when it is asked to stop.
async fn until_asked<T>(
    stop: impl Future<Output = ()>,
    work: impl AsyncFnOnce(CancellationToken) -> Result<T>,
) -> Result<T> {
    let token = CancellationToken::new();
    let work = work(token.clone());
    tokio::pin!(work);
    tokio::select! {
        result = &mut work => result,
        () = stop => {
            token.cancel();
            work.await
        }
    }
}

/// What both begin with.
struct Ground<'a> {
    definition: &'a LooseForeignKey,
    home: &'a Database,
    away: &'a Database,
    shape: Shape,
    tables: Vec<Table>,
    found: Found,
    planned: PlannedDefinition,
}

impl<'a> Ground<'a> {
    /// Reads catalogs and statistics of both ends.
    async fn survey(context: &'a Context, definition: &'a LooseForeignKey) -> Result<Self> {
        let of = |name: &str| {
            context.database(name).ok_or_else(|| Error::config(format!("there is no database \"{name}\"")))
        };
        let (home, away) = (of(&definition.parent.database)?, of(&definition.child.database)?);
        let plan::Outlook { planned, refusals, key_types, leaves } =
            plan::outlook(&context.databases, definition).await?;
        if let Some(first) = refusals.first() {
            return Err(refused(first));
        }
        let same = home.name() == away.name() || pair::is_same_database(home, away).await?;
        let shape =
            shape(definition, key_types, same).with_kinds(pair::key_kinds(&Declaration::from(definition), home).await?);
        let mut tables = Vec::with_capacity(leaves.len());
        for leaf in leaves {
            tables.push(Table::read(leaf, &shape, away, context.target).await?);
        }
        let found = home::find(definition, home, away).await?;
        Ok(Self { definition, home, away, shape, tables, found, planned })
    }

    async fn judge_parents(&self) -> Result<Option<Finding>> {
        guards::judge_parents(self.definition, self.home, &self.shape, self.planned.parent_rows_estimate).await
    }
}

fn shape(definition: &LooseForeignKey, key_types: Vec<KeyType>, same_database: bool) -> Shape {
    Shape::new(definition, key_types, same_database)
}

/// A finding as an error.
fn refused(finding: &Finding) -> Error {
    let error = Error::refused(finding.message.clone());
    if finding.remedy.is_empty() { error } else { error.with_hint(finding.remedy.join("\n")) }
}

async fn scan(
    context: &Context,
    definition: &LooseForeignKey,
    options: &ScanOptions,
    stop: &CancellationToken,
    until: Option<Instant>,
) -> Result<Scan> {
    let mut ground = Ground::survey(context, definition).await?;
    let doubt = ground.judge_parents().await?;
    ground.found.warnings.extend(doubt);
    let tables = std::mem::take(&mut ground.tables);
    let (shape, home, away) = (&ground.shape, ground.home, ground.away);
    let Some(limiter) = context.limiter(away.name()) else { return Err(Error::config("there is no such database")) };
    let walker = Walker { shape, away, name: &definition.name, tables };
    let hunt = Hunt {
        definition,
        home,
        away,
        shape,
        limiter,
        points: &context.points,
        options,
        stop,
        until,
        settle: Duration::ZERO,
        keep: 0,
    };
    let (mut scan, _) = hunt.run(walker, &ground.found).await?;
    scan.warnings.extend(guards::judge_share(&scan, RepairOptions::default().max_orphans_percent));
    Ok(scan)
}

/// A scan that came to its end begins at the beginning next time; one of several that did keeps its place until all have.
async fn forget_if_done(options: &ScanOptions, report: &ScanReport) -> Result<()> {
    let Some(store) = &options.cursor else { return Ok(()) };
    if report.scans.iter().all(|scan| scan.result == ScanEnd::Done && scan.unconfirmed == 0) {
        for scan in &report.scans {
            store.forget(&position::name(&scan.name)).await?;
        }
    }
    Ok(())
}

/// The error of a repair that was asked to stop, or whose time was up, is no error.
fn is_an_end(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::TimedOut | ErrorKind::Paused)
}
