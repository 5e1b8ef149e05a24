//! What the engine answers: plain data, ready to be printed or serialised.

use serde::Serialize;

use crate::definition::State;

/// What `plan` found: whether the definitions may be installed and run.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// One entry a definition, in the order of the configuration.
    pub loose_foreign_keys: Vec<PlannedDefinition>,
    /// One entry a mirror, in the order of the configuration.
    pub mirrors: Vec<PlannedMirror>,
}

impl Plan {
    /// Whether anything forbids the work.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.findings().any(|(_, findings)| findings.iter().any(|f| f.refuses))
    }

    /// What was noticed, by definition.
    pub fn findings(&self) -> impl Iterator<Item = (&str, &[Finding])> {
        let loose = self.loose_foreign_keys.iter().map(|d| (d.name.as_str(), d.findings.as_slice()));
        loose.chain(self.mirrors.iter().map(|m| (m.name.as_str(), m.findings.as_slice())))
    }
}

/// What `plan` knows about one definition, of either kind.
#[derive(Debug, Clone)]
pub enum Planned {
    /// A loose foreign key.
    LooseForeignKey(PlannedDefinition),
    /// A mirror.
    Mirror(PlannedMirror),
}

/// What `plan` knows about one mirror.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PlannedMirror {
    /// The mirror's name.
    pub name: String,
    /// `database:schema.table(key)` of the source.
    pub source: String,
    /// `database:schema.table(key)` of the target.
    pub target: String,
    /// Rows of the source as the planner estimates them; absent when the table is not there.
    pub source_rows_estimate: Option<i64>,
    /// Rows of the target as the planner estimates them.
    pub target_rows_estimate: Option<i64>,
    /// What is kept equal, as a sentence.
    pub effect: String,
    /// What was noticed.
    pub findings: Vec<Finding>,
}

/// What `plan` knows about one definition.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PlannedDefinition {
    /// The definition's name.
    pub name: String,
    /// `database:schema.table(columns)` of the parent.
    pub parent: String,
    /// `database:schema.table(columns)` of the child.
    pub child: String,
    /// The action.
    pub on_delete: String,
    /// Rows of the parent as the planner estimates them; absent when the table is not there.
    pub parent_rows_estimate: Option<i64>,
    /// Rows of the child, over all its partitions, as the planner estimates them.
    pub child_rows_estimate: Option<i64>,
    /// Tables of the child's tree that are cleaned one by one.
    pub child_leaves: Vec<String>,
    /// What happens to children of a parent that is gone, as a sentence.
    pub effect: String,
    /// What was noticed.
    pub findings: Vec<Finding>,
}

/// One thing that `plan` noticed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Whether it forbids installing and running the definition.
    pub refuses: bool,
    /// A stable name for programs, such as `no_usable_index`.
    pub code: &'static str,
    /// What is the matter, with the place.
    pub message: String,
    /// What to do, one statement or sentence a line.
    pub remedy: Vec<String>,
    /// Which step it is about: those who install need not be those who work.
    pub concerns: Concern,
}

impl Finding {
    /// Whether it forbids installing the definition as the role that was asked about.
    #[must_use]
    pub fn forbids_install(&self) -> bool {
        self.refuses && self.concerns != Concern::Work
    }

    /// Whether it forbids working on the definition as the role that was asked about.
    #[must_use]
    pub fn forbids_work(&self) -> bool {
        self.refuses && self.concerns != Concern::Install
    }
}

/// The step that a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Concern {
    /// Installing and working.
    Both,
    /// Installing only: once the triggers are there, whoever works needs no right to make them.
    Install,
    /// Working only: whoever installs needs no right to change children.
    Work,
}

/// What `install` did for one definition.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Installed {
    /// The definition's name.
    pub name: String,
    /// `created`, `unchanged`, or `changed` (another parent, child, action or condition: back to observing).
    pub outcome: &'static str,
    /// The state it is in now.
    pub state: State,
    /// Relations of the parent's tree that got a trigger now.
    pub triggers_created: u64,
}

/// A change of state of one definition.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StateChange {
    /// The definition's name.
    pub name: String,
    /// The state before.
    pub from: State,
    /// The state now.
    pub to: State,
    /// Whether the cursor went back to the start of what the log keeps.
    pub rewound: bool,
    /// Keys that were observed but have left the log since: the rewind does not reach them.
    pub keys_left_log: i64,
}

/// What a replay did for one definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Replayed {
    /// The definition's name.
    pub name: String,
    /// Its state, which a replay does not change.
    pub state: State,
    /// Whether its cursors were sent back. One that observes is left alone: it has cleaned nothing since it observes, and
    /// activating goes back to the start of the log.
    pub rewound: bool,
    /// From when on keys are looked at again: the time of a tick (UTC), at or before the time that was asked for. Absent: from
    /// the start of the log, which still has everything.
    pub start: Option<String>,
    /// Keys of the log since then: all of them are looked at again, whether or not they were cleaned.
    pub keys: i64,
    /// Whether `keys` is a lower bound, because more than a million rows were counted.
    pub keys_is_lower_bound: bool,
    /// Entries without keys since then (such as a TRUNCATE), for which all child keys are looked at again.
    pub markers: i64,
    /// Whether the children's database was another one in time than the parents' side knew, and was accepted as it is now.
    pub accepted: bool,
}

/// The answer of `status`.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// One entry a configured definition.
    pub loose_foreign_keys: Vec<DefinitionStatus>,
    /// One entry a configured mirror.
    pub mirrors: Vec<DefinitionStatus>,
    /// Every process that reads a key log of the configured databases.
    pub workers: Vec<WorkerStatus>,
    /// Databases that could not be asked, each with the reason. Their definitions are listed with a note.
    pub unreachable: Vec<String>,
}

/// How one signal stands that tells writers of a database to wait, or to rest between statements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SignalStatus {
    /// The database that is written to.
    pub database: String,
    /// `standby_lag`: how far its standbys are behind; `others_at_work`: whether others use its server.
    pub signal: &'static str,
    /// `ok`, `waits` (writers wait), `rests` (they rest after each statement), `none` (there is no standby; nobody else is at work), or
    /// `unknown`: nobody waits for a standby that cannot be seen, and writers rest for others who cannot be.
    pub condition: &'static str,
    /// Why it waits; or why it is unknown, and what to do about it.
    pub note: Option<String>,
}

/// How one definition stands.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct DefinitionStatus {
    /// The definition's name.
    pub name: String,
    /// Its state; absent when it is not installed or its database cannot be asked.
    pub state: Option<State>,
    /// Keys in the log or set aside that have not been worked on. Quarantined keys are not among them.
    pub pending_keys: i64,
    /// Whether `pending_keys` is a lower bound, because more than a million were counted.
    pub pending_is_lower_bound: bool,
    /// Age of the oldest pending key in seconds; absent when nothing is pending.
    pub oldest_pending_seconds: Option<f64>,
    /// Keys worked on per second, as of the last advance; 0 when idle.
    pub keys_per_second: f64,
    /// Child rows deleted or changed since the definition was installed. What a killed worker did in its last second is left out.
    pub rows_affected_total: i64,
    /// Keys worked on since the definition was installed.
    pub keys_total: i64,
    /// Keys seen while observing, since its cursor last went back to the start of the log.
    pub observed_keys: i64,
    /// Keys whose parent was there again, and whose children were therefore left alone.
    pub resurrected_total: i64,
    /// Keys set aside that will be tried again.
    pub retries: i64,
    /// Keys given up after too many attempts, kept until a person decides.
    pub quarantined: i64,
    /// How late the second visit of each key is, beyond its `settle_after`; 0 when nothing waits for it.
    pub trailing_lag_seconds: f64,
    /// Relations in the parent's tree whose deletes are not all logged.
    pub not_covered: i64,
    /// Size of the key log of the whole database.
    pub log_bytes: i64,
    /// Of a mirror whose rolling check is on: no row was looked at longer ago than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_unverified_seconds: Option<f64>,
    /// Of a mirror: when its last rolling pass came to the end of both tables.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_pass_seconds_ago: Option<f64>,
    /// Of a mirror: rows proven to differ at two looks a moment apart, and not found equal since.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmed_differences: Option<i64>,
    /// What is the matter, as the stable names of the view `lfk.health`: `no_worker`, `stalled`, `quarantined` and so on.
    pub alerts: Vec<String>,
    /// `ok`, `held` (tried again by itself), `blocked` (a person has to act), or `stopped` (the kill switch).
    pub condition: String,
    /// Why it is held or blocked; while all child keys are looked at, how many were.
    pub note: Option<String>,
}

/// A process that reads a key log.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Its id, new at each start.
    pub id: String,
    /// The database whose log it reads.
    pub database: String,
    /// Host name.
    pub host: String,
    /// Process id on that host.
    pub pid: i64,
    /// Version of lfk.
    pub version: String,
    /// Seconds since it was last seen.
    pub seen_seconds_ago: f64,
    /// Consumers that it holds a lease on.
    pub consumers: i64,
}

/// Which keys set aside are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetAsideFilter {
    /// Definitions by name; empty: all of the configuration.
    pub names: Vec<String>,
    /// Only those in quarantine.
    pub quarantined: bool,
    /// Only these keys, each with its columns in the order of the definition and as PostgreSQL prints them; empty: every
    /// key.
    pub keys: Vec<Vec<String>>,
}

/// Keys set aside, those in quarantine first.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct SetAsideList {
    /// The keys.
    pub set_aside: Vec<SetAsideKey>,
    /// Whether there are more than were asked for.
    pub more: bool,
}

/// A key that could not be done, and why. The one answer that holds key values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SetAsideKey {
    /// The definition's name.
    pub name: String,
    /// `head`, or `trailing` when it was set aside by the second visit.
    pub lane: &'static str,
    /// Its columns, as PostgreSQL prints them.
    pub key: Vec<String>,
    /// `locked`, `timed_out`, `late`, `contended`, `still_there`, `wide`, `poisoned`, or `suspect` (of a sweep: waiting
    /// its time).
    pub reason: String,
    /// The server's code, when it answered with one.
    pub sqlstate: Option<String>,
    /// What the server said, without its DETAIL.
    pub error: Option<String>,
    /// Attempts so far.
    pub attempts: i64,
    /// When it was set aside first (UTC).
    pub set_aside_at: Option<String>,
    /// When it is tried next (UTC), unless it is in quarantine.
    pub not_before: Option<String>,
    /// Since when it is in quarantine (UTC).
    pub quarantined_at: Option<String>,
}

/// What was done to the keys of one definition that were set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SetAsideChange {
    /// The definition's name.
    pub name: String,
    /// Keys that were made due, or dropped.
    pub keys: i64,
    /// Suspects of a sweep that keep their wait.
    pub left_alone: i64,
}

/// How `run_until_drained` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Drained {
    /// Nothing is left to do.
    Drained,
    /// Nothing is left that can be done, but keys are quarantined or a definition is blocked.
    NeedsAttention,
    /// The time was used up; the rest can be resumed.
    TimedOut,
    /// The caller asked to stop; the rest can be resumed.
    Stopped,
}
