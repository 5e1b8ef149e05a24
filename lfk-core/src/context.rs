//! What every part of a running engine shares. Nothing in it outlives the engine.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::cursor::LogSql;
use crate::database::Database;
use crate::declaration::{Declaration, Definition};
use crate::error::{Error, ErrorKind};
use crate::limiter::Limiter;
use crate::points::Points;
use crate::retry::RetryPolicy;

/// The configuration of one run.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) databases: Vec<Database>,
    pub(crate) definitions: Vec<Arc<dyn Definition>>,
    pub(crate) limiters: HashMap<String, Arc<Limiter>>,
    pub(crate) policy: RetryPolicy,
    /// How long a statement should take.
    pub(crate) target: Duration,
    /// How long the key log is kept after it was read.
    pub(crate) retention: Duration,
    pub(crate) points: Points,
    pub(crate) log_sql: LogSql,
    pub(crate) host: String,
    pub(crate) troubles: Troubles,
    pub(crate) pulse: Pulse,
}

impl Context {
    pub(crate) fn definition(&self, name: &str) -> Option<&Arc<dyn Definition>> {
        self.definitions.iter().find(|d| d.declaration().name == name)
    }

    pub(crate) fn declarations(&self) -> impl Iterator<Item = &Declaration> {
        self.definitions.iter().map(|d| d.declaration())
    }

    pub(crate) fn database(&self, name: &str) -> Option<&Database> {
        self.databases.iter().find(|d| d.name() == name)
    }

    pub(crate) fn limiter(&self, database: &str) -> Option<&Limiter> {
        self.limiters.get(database).map(AsRef::as_ref)
    }

    /// The databases whose key log has consumers here.
    pub(crate) fn homes(&self) -> Vec<&Database> {
        let is_home = |d: &&Database| self.declarations().any(|def| def.parent.database == d.name());
        self.databases.iter().filter(is_home).collect()
    }
}

/// What the workers of this process are at, for a run that waits for the end of the work.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    turns: AtomicUsize,
    workers: AtomicUsize,
    stirred: Notify,
}

impl Pulse {
    /// A turn of a head consumer begins. The others are not waited for: they look once more at what is done.
    pub(crate) fn turn_begins(&self) {
        self.turns.fetch_add(1, Ordering::SeqCst);
    }

    /// Such a turn is over, however it ended.
    pub(crate) fn turn_ended(&self) {
        self.turns.fetch_sub(1, Ordering::SeqCst);
        self.stirred.notify_one();
    }

    /// A worker has gone through its first round, upkeep and all, or has failed to.
    pub(crate) fn first_round(&self) {
        self.workers.fetch_add(1, Ordering::SeqCst);
        self.stirred.notify_one();
    }

    /// Whether no such turn runs, and so many workers have had a round.
    pub(crate) fn is_quiet(&self, workers: usize) -> bool {
        self.turns.load(Ordering::SeqCst) == 0 && self.workers.load(Ordering::SeqCst) >= workers
    }

    /// Waits for a turn or a first round to end, from the last time on that this was asked.
    pub(crate) async fn stirred(&self) {
        self.stirred.notified().await;
    }
}

/// What keeps definitions and databases from getting on at the moment, for the answer of a bounded run.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Mutex<BTreeMap<String, Trouble>>);

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct Trouble {
    /// When it began.
    since: Instant,
    pub(crate) kind: ErrorKind,
    pub(crate) database: Option<String>,
    pub(crate) definition: Option<String>,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Troubles {
    pub(crate) fn note(&self, of: &str, error: &Error) {
        let mut all = self.lock();
        let since = all.get(of).filter(|t| t.kind == error.kind).map_or_else(Instant::now, |t| t.since);
        let trouble = Trouble {
            since,
            kind: error.kind,
            database: error.database.clone(),
            definition: error.definition.clone(),
            message: error.message.clone(),
            hint: error.hint.clone(),
        };
        all.insert(of.to_owned(), trouble);
    }

    pub(crate) fn clear(&self, of: &str) {
        self.lock().remove(of);
    }

    pub(crate) fn knows(&self, of: &str) -> bool {
        self.lock().contains_key(of)
    }

    /// Whether this run may not work on it.
    pub(crate) fn is_refused(&self, of: &str) -> bool {
        self.lock().get(of).is_some_and(|trouble| trouble.kind == ErrorKind::Refused)
    }

    /// Any of these kinds.
    pub(crate) fn find(&self, kinds: &[ErrorKind]) -> Option<Error> {
        self.oldest(kinds, Duration::ZERO)
    }

    /// Any of these kinds that has lasted for so long.
    pub(crate) fn oldest(&self, kinds: &[ErrorKind], lasted: Duration) -> Option<Error> {
        let matches = |t: &&Trouble| kinds.contains(&t.kind) && t.since.elapsed() >= lasted;
        let found = self.lock().values().find(matches).cloned()?;
        let mut error = Error::new(found.kind, found.message);
        error.database = found.database;
        error.definition = found.definition;
        error.hint = found.hint;
        Some(error)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Trouble>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Information for `status`; a system that does not tell is "unknown".
pub(crate) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "unknown".to_owned() } else { name.trim().to_owned() }
}
