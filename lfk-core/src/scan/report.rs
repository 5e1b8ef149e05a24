//! What a scan or a repair is asked, and what it answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::error::Error;
use crate::report::Finding;
use crate::store::CursorStore;

/// How long keys wait for transactions that were open when they were first looked at, unless the caller says otherwise.
pub(super) const WAIT: Duration = Duration::from_secs(60);

/// How a scan is done.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ScanOptions {
    /// Ends it after this long; what is left can be resumed where there is a cursor.
    pub timeout: Option<Duration>,
    /// How long it waits at its end for transactions that were open at a key's first look. Default 60 s.
    pub wait: Duration,
    /// Where its position is kept; without one it can only begin at the beginning.
    pub cursor: Option<Arc<dyn CursorStore>>,
    /// Goes on from the stored position, if there is one.
    pub resume: bool,
    /// So many keys of orphans are answered as samples.
    pub samples: usize,
    /// Is told how it goes, after every page.
    pub progress: Option<Watcher>,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self { timeout: None, wait: WAIT, cursor: None, resume: false, samples: 0, progress: None }
    }
}

/// How a repair is done.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RepairOptions {
    /// Does it; otherwise it only shows what it would do.
    pub execute: bool,
    /// Changes at most so many rows.
    pub max_rows: Option<u64>,
    /// Refuses when more than this share of the checked keys are orphans, in percent. Default 1.
    pub max_orphans_percent: f64,
    /// The time between the two looks at a key, beside the transactions that are waited for. Default: that of the definition.
    pub settle_after: Option<Duration>,
    /// The scan that it begins with. Its cursor is not used: a repair looks at everything itself.
    pub scan: ScanOptions,
}

impl Default for RepairOptions {
    fn default() -> Self {
        Self {
            execute: false,
            max_rows: None,
            max_orphans_percent: 1.0,
            settle_after: None,
            scan: ScanOptions::default(),
        }
    }
}

/// Is told how a scan goes.
#[derive(Clone)]
pub struct Watcher(pub Arc<dyn Fn(&ScanProgress) + Send + Sync>);

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watcher")
    }
}

/// How a scan goes.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct ScanProgress<'a> {
    /// The definition's name.
    pub name: &'a str,
    /// Keys looked at.
    pub checked_keys: u64,
    /// About so many there are in all, as the planner's statistics have it.
    pub estimated_keys: Option<u64>,
    /// Keys without a parent so far, confirmed or not.
    pub suspects: u64,
    /// Since it began.
    pub elapsed: Duration,
    /// Who is waited for, while somebody is.
    pub waits_for: Option<&'a str>,
}

/// The answer of a scan.
#[derive(Debug, Default, Serialize)]
#[non_exhaustive]
pub struct ScanReport {
    /// One entry a definition, in the order in which they were named.
    pub scans: Vec<Scan>,
    /// What kept scans from coming to their end; each is also in its entry.
    #[serde(skip)]
    pub failures: Vec<Error>,
}

/// How a scan ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScanEnd {
    /// Every key was looked at.
    #[default]
    Done,
    /// The time was used up.
    TimedOut,
    /// The caller asked to stop.
    Stopped,
    /// It failed.
    Failed,
}

/// What a scan of one definition found. The counts are those of keys that were decided; a scan that did not come to its end
/// has looked at more.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Scan {
    /// The definition's name.
    pub name: String,
    /// How it ended.
    pub result: ScanEnd,
    /// Distinct keys of children that were looked at.
    pub checked_keys: u64,
    /// Whether some were counted more than once: keys in several tables of the child's tree, beyond what fits into memory.
    pub checked_keys_is_upper_bound: bool,
    /// Keys without a parent, confirmed.
    pub orphan_keys: u64,
    /// Their rows.
    pub orphan_rows: u64,
    /// Whether counting them all would have taken too long.
    pub orphan_rows_is_lower_bound: bool,
    /// Keys without a parent that lfk has yet to work on: their deletes are in the log, or set aside. No finding.
    pub in_flight: u64,
    /// Keys without a parent of which nothing can be said: a transaction from before the first look is still open.
    pub unconfirmed: u64,
    /// Who holds them up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unconfirmed_because: Option<String>,
    /// How long it took.
    pub seconds: f64,
    /// Whether it went on from a stored position; the counts include those from before.
    pub resumed: bool,
    /// What makes its answer doubtful, or should be known.
    pub warnings: Vec<Finding>,
    /// Some of the keys, when they were asked for; their columns as PostgreSQL prints them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<Vec<Vec<String>>>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The answer of a repair.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Repair {
    /// What was found.
    #[serde(flatten)]
    pub scan: Scan,
    /// What is done to the children of an absent parent.
    pub action: String,
    /// Whether it was done; otherwise it was only shown.
    pub executed: bool,
    /// Orphaned keys that have no children any more.
    pub repaired_keys: u64,
    /// Keys whose parents were back by then.
    pub resurrected: u64,
    /// Rows deleted or changed.
    pub rows_changed: u64,
    /// Keys that could not be done.
    pub failed_keys: u64,
    /// Why, each with the number of keys.
    pub failed: Vec<FailedKeys>,
    /// Orphaned keys that are left for another repair.
    pub remaining_keys: u64,
}

/// Keys that could not be done for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FailedKeys {
    /// As keys that are set aside.
    pub reason: &'static str,
    /// How many.
    pub keys: u64,
    /// What the server said of one of them.
    pub error: Option<String>,
}
