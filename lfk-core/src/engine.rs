//! The engine: what an application builds, and what the daemon runs. Everything it does begins here.
//!
//! A deleted row takes this way: the trigger (`sql/schema/`) writes its key into `lfk.key_log`; a [`Worker`](crate::worker)
//! finds that a consumer has work and gives it a turn ([`consumer`](crate::consumer)); the turn leases the cursor, opens a
//! window and reads pages ([`cursor`](crate::cursor)); each batch converges ([`clean`](crate::clean)); the cursor moves on.

#[cfg(feature = "sabotage")]
mod as_role;
mod builder;
mod cursors;
mod handle;
mod replay;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use self::builder::Builder;
pub use self::handle::Handle;
use crate::context::{self, Context, Pulse, Troubles};
use crate::cursor::LogSql;
use crate::database::Database;
use crate::declaration::{Declaration, Definition};
use crate::definition::{LooseForeignKey, State};
use crate::error::{Error, ErrorKind, Result};
use crate::limiter::Limiter;
use crate::points::Points;
use crate::report::{
    Drained, Finding, Installed, Plan, SetAsideChange, SetAsideFilter, SetAsideList, SignalStatus, StateChange, Status,
};
use crate::retry::RetryPolicy;
use crate::store::CursorStore;
use crate::{capture, drain, plan, set_aside, signals, states, status};

/// The wait between two attempts at a key grows up to this in a running engine.
const LONGEST_RETRY_WAIT: Duration = Duration::from_secs(3600);
/// In a bounded run it does not grow: somebody is waiting.
const BOUNDED_RETRY_WAIT: Duration = Duration::from_secs(1);

/// The engine. Cheap to clone; all clones are one engine and share its limits.
#[derive(Debug, Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

#[derive(Debug, Clone)]
struct Inner {
    databases: Vec<Database>,
    /// The loose foreign keys.
    definitions: Vec<LooseForeignKey>,
    /// These, and definitions of other kinds.
    all: Vec<Arc<dyn Definition>>,
    /// What the databases record of all of them.
    declarations: Vec<Declaration>,
    limiters: HashMap<String, Arc<Limiter>>,
    attempts: i32,
    target: Duration,
    retention: Duration,
    patience: Duration,
    points: Points,
    log_sql: LogSql,
    cursor_store: Option<Arc<dyn CursorStore>>,
}

impl Engine {
    /// Starts a builder.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The configured databases.
    #[must_use]
    pub fn databases(&self) -> &[Database] {
        &self.inner.databases
    }

    /// The configured loose foreign keys.
    #[must_use]
    pub fn definitions(&self) -> &[LooseForeignKey] {
        &self.inner.definitions
    }

    /// What the databases record of every configured definition, of whatever kind.
    #[doc(hidden)]
    #[must_use]
    pub fn declarations(&self) -> &[Declaration] {
        &self.inner.declarations
    }

    /// Whether everything may be installed and run, and with which impact. Reads catalogs only.
    ///
    /// # Errors
    /// When a database cannot be asked. What is refused is in the answer, not an error.
    pub async fn plan(&self) -> Result<Plan> {
        plan::plan(self.databases(), &self.inner.all).await
    }

    /// Installs schema `lfk`, triggers, definitions and cursors. Idempotent; a crash is finished by running it again.
    /// A new definition observes, and so does one whose parent, child, action or condition changed under the same name.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] before the first change when `plan` refuses; otherwise when a database fails.
    pub async fn install(&self) -> Result<Vec<Installed>> {
        refuse(&self.plan().await?, Finding::forbids_install)?;
        capture::install(self.databases(), self.declarations(), self.inner.patience).await
    }

    /// Removes the named definitions, their triggers, and schema `lfk` with the last of them. Returns what was removed.
    /// A crash is finished by running it again.
    ///
    /// # Errors
    /// When a name is not configured, or a database fails.
    pub async fn uninstall(&self, names: &[String]) -> Result<Vec<String>> {
        self.named(names)?;
        capture::uninstall(self.databases(), self.declarations(), names, self.inner.patience).await
    }

    /// The SQL that `install` would run (`down`: that `uninstall` would run), a section a database, for any migration tool.
    /// Touches no network.
    ///
    /// # Errors
    /// When a definition cannot be rendered.
    pub fn schema_sql(&self, down: bool) -> Result<String> {
        capture::schema_sql(self.databases(), self.declarations(), down)
    }

    /// Changes the state of the named definitions. Leaving observe, also for a pause, sends the cursor back to the start of what
    /// the log keeps; activating `from_now` leaves alone what was deleted before. Refuses to activate what `plan` refuses.
    ///
    /// # Errors
    /// When a name is not configured or not installed, `plan` refuses, or a database fails.
    pub async fn set_state(&self, names: &[String], state: State, from_now: bool) -> Result<Vec<StateChange>> {
        let chosen = self.named(names)?;
        if state == State::Active {
            let wanted = |d: &&Arc<dyn Definition>| names.contains(&d.declaration().name);
            let wanted: Vec<Arc<dyn Definition>> = self.inner.all.iter().filter(wanted).cloned().collect();
            refuse(&plan::plan(self.databases(), &wanted).await?, Finding::forbids_work)?;
        }
        let mut changes = Vec::new();
        for definition in chosen {
            let home = self.database(&definition.parent.database)?;
            changes.push(states::set_state(home, definition, state, from_now, self.inner.patience).await?);
        }
        Ok(changes)
    }

    /// The kill switch: stops (or lets go on) every definition whose log is in the configured databases, whoever runs it,
    /// before its next batch. Returns the databases that were switched.
    ///
    /// # Errors
    /// When a database fails. The others were switched.
    pub async fn set_stopped(&self, stopped: bool) -> Result<Vec<String>> {
        let context = self.context(BOUNDED_RETRY_WAIT);
        let mut switched = Vec::new();
        let mut failed = None;
        for home in context.homes() {
            match states::set_stopped(home, stopped).await {
                Ok(()) => switched.push(home.name().to_owned()),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(switched), Err)
    }

    /// How everything stands. Databases that cannot be asked are named in the answer.
    ///
    /// # Errors
    /// When no database at all can be asked.
    pub async fn status(&self) -> Result<Status> {
        let context = self.context(BOUNDED_RETRY_WAIT);
        status::status(&context.homes(), self.declarations()).await
    }

    /// How the signals stand that tell writers to wait or to rest, for every database with children: as the role of this engine sees them.
    /// What cannot be seen is `unknown`, never taken for well. Takes as long as a database that is away needs to be given up.
    pub async fn signals(&self) -> Vec<SignalStatus> {
        let written = |d: &&Database| self.declarations().iter().any(|f| f.child.database == d.name());
        let all = self.databases().iter().filter(written).map(signals::look);
        futures::future::join_all(all).await.into_iter().flatten().collect()
    }

    /// Keys set aside, at most `limit`, those in quarantine first: the one call that answers with key values.
    ///
    /// # Errors
    /// When a name is not configured, a key has another number of columns than its definition, or a database fails.
    pub async fn retries(&self, filter: &SetAsideFilter, limit: u32) -> Result<SetAsideList> {
        set_aside::list(self, filter, limit).await
    }

    /// Has keys set aside tried at once, in quarantine or not, with no attempt against them. Suspects of a sweep keep their
    /// wait.
    ///
    /// # Errors
    /// As [`Engine::retries`]; definitions before the one that failed are done.
    pub async fn retry_now(&self, filter: &SetAsideFilter) -> Result<Vec<SetAsideChange>> {
        set_aside::retry_now(self, filter).await
    }

    /// Forgets keys set aside. Their children stay as they are; a later delete of the same parent is seen as ever. A key that
    /// a worker is trying at that moment is set aside anew when it fails.
    ///
    /// # Errors
    /// As [`Engine::retries`]; definitions before the one that failed are done.
    pub async fn drop_retries(&self, filter: &SetAsideFilter) -> Result<Vec<SetAsideChange>> {
        set_aside::drop_retries(self, filter).await
    }

    /// Starts working in the background of the current tokio runtime, until the handle shuts it down. Waits for databases
    /// that are down, and for definitions that are not installed yet.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(&self) -> Handle {
        let stop = CancellationToken::new();
        let context = Arc::new(self.context(LONGEST_RETRY_WAIT));
        let workers = drain::spawn_workers(&context, &stop);
        Handle { stop, workers }
    }

    /// Visits everything that is in the logs now once, and returns.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] when `plan` refuses; otherwise the first failure, after the others got their visit.
    pub async fn run_once(&self) -> Result<Drained> {
        self.run_once_or(std::future::pending()).await
    }

    /// Like [`Engine::run_once`], but stops between batches and gives every lease back when `stop` resolves.
    ///
    /// # Errors
    /// As [`Engine::run_once`].
    pub async fn run_once_or(&self, stop: impl Future<Output = ()>) -> Result<Drained> {
        self.refuse_what_is_known().await?;
        drain::once(&self.context(BOUNDED_RETRY_WAIT), stop).await
    }

    /// Works until no active definition has a key in the log, a marker, or a retry that is not quarantined, and every
    /// observing one has counted what is there; whoever does the work. Stops its own workers before it returns.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`] when a database is away at the end of the time (without a timeout: for 15 s);
    /// [`ErrorKind::Refused`] when `plan` refuses or a database is not the one that was installed.
    ///
    /// # Cancellation
    /// Dropping the future stops the workers as a crash would: nothing is lost, leases run out by themselves. To stop
    /// gracefully, use [`Engine::run_until_drained_or`].
    pub async fn run_until_drained(&self, timeout: Option<Duration>) -> Result<Drained> {
        self.run_until_drained_or(timeout, std::future::pending()).await
    }

    /// Like [`Engine::run_until_drained`], but stops between batches and gives every lease back when `stop` resolves.
    ///
    /// # Errors
    /// As [`Engine::run_until_drained`].
    pub async fn run_until_drained_or(
        &self,
        timeout: Option<Duration>,
        stop: impl Future<Output = ()>,
    ) -> Result<Drained> {
        self.refuse_what_is_known().await?;
        drain::until_drained(Arc::new(self.context(BOUNDED_RETRY_WAIT)), timeout, stop).await
    }

    /// A database that is away is not refused: it is waited for.
    async fn refuse_what_is_known(&self) -> Result<()> {
        match self.plan().await {
            Ok(plan) => refuse(&plan, Finding::forbids_work),
            Err(error) if error.kind == ErrorKind::Unreachable => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn context(&self, longest_wait: Duration) -> Context {
        let inner = &self.inner;
        Context {
            databases: inner.databases.clone(),
            definitions: inner.all.clone(),
            limiters: inner.limiters.clone(),
            policy: RetryPolicy { longest_wait, attempts: inner.attempts },
            target: inner.target,
            retention: inner.retention,
            points: inner.points.clone(),
            log_sql: inner.log_sql.clone(),
            host: context::host_name(),
            troubles: Troubles::default(),
            pulse: Pulse::default(),
        }
    }

    /// The loose foreign keys of these names.
    pub(crate) fn loose(&self, names: &[String]) -> Result<Vec<&LooseForeignKey>> {
        let find = |name: &String| {
            self.definitions().iter().find(|d| d.name == *name).ok_or_else(|| {
                let known: Vec<&str> = self.definitions().iter().map(|d| d.name.as_str()).collect();
                Error::config(format!("there is no loose foreign key \"{name}\""))
                    .with_hint(format!("configured are: {}", known.join(", ")))
            })
        };
        names.iter().map(find).collect()
    }

    pub(crate) fn named(&self, names: &[String]) -> Result<Vec<&Declaration>> {
        let find = |name: &String| {
            self.declarations().iter().find(|d| d.name == *name).ok_or_else(|| {
                let known: Vec<&str> = self.declarations().iter().map(|d| d.name.as_str()).collect();
                Error::config(format!("there is no definition \"{name}\""))
                    .with_hint(format!("configured are: {}", known.join(", ")))
            })
        };
        names.iter().map(find).collect()
    }

    pub(crate) fn database(&self, name: &str) -> Result<&Database> {
        let found = self.databases().iter().find(|d| d.name() == name);
        found.ok_or_else(|| Error::config(format!("there is no database \"{name}\"")))
    }
}

/// The first thing that forbids the work, as an error.
pub(crate) fn refuse(plan: &Plan, forbids: impl Fn(&Finding) -> bool) -> Result<()> {
    let refused = |findings: &[Finding]| findings.iter().find(|f| forbids(f)).cloned();
    match plan.findings().find_map(|(name, findings)| Some((name.to_owned(), refused(findings)?))) {
        None => Ok(()),
        Some((name, Finding { message, remedy, .. })) => {
            let error = Error::refused(message).for_definition(&name);
            Err(if remedy.is_empty() { error } else { error.with_hint(remedy.join("\n")) })
        }
    }
}
