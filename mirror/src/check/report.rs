//! What a check answers.

use std::time::Duration;

use lfk_core::parts::Key;
use serde::Serialize;

use super::{Method, Verdict};

/// The outcome of a check.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The mirror's name.
    pub mirror: String,
    /// Source rows compared that pass the filter.
    pub checked_rows: i64,
    /// Parts in which they were compared.
    pub chunks: i64,
    /// Proven differences, before any repair.
    pub confirmed: Confirmed,
    /// Keys that differ and that the sync still has to look at.
    pub in_flight: i64,
    /// Keys that changed each time they were looked at.
    pub hot: i64,
    /// Keys that a backfill or a sweep has not come to.
    pub not_yet: i64,
    /// Keys that differ and that the sync has given up, see `lfk retry list`.
    pub quarantined: i64,
    /// Set when keys stay in flight because the sync does not move: nothing can be said about them.
    pub unverifiable: Option<Unverifiable>,
    /// How rows were compared.
    pub method: Method,
    /// Whether both tables were looked through to their ends. Otherwise it can be resumed.
    pub complete: bool,
    /// What became of the differences, when asked for.
    pub repair: Option<Repaired>,
    /// Some of the keys, only when asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
    /// How long it took, over all resumed parts.
    pub seconds: f64,
    /// Source rows compared a second.
    pub rows_per_second: f64,
}

/// Proven differences.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Confirmed {
    /// Rows that the target lacks.
    pub missing: i64,
    /// Rows that hold other values.
    pub different: i64,
    /// Rows that the source does not have, or whose source row does not pass the filter.
    pub extra: i64,
}

impl Confirmed {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.missing + self.different + self.extra
    }

    pub(crate) fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Missing => self.missing += 1,
            Verdict::Different => self.different += 1,
            Verdict::Extra => self.extra += 1,
            _ => {}
        }
    }
}

/// Keys about which nothing can be said.
#[derive(Debug, Clone, Copy, Serialize)]
#[non_exhaustive]
pub struct Unverifiable {
    /// How many.
    pub keys: i64,
    /// How far the sync is behind.
    pub lag_seconds: f64,
}

/// What a repair did.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Repaired {
    /// Keys that are equal now.
    pub repaired: i64,
    /// Keys that still differ after two tries.
    pub stuck: i64,
    /// Keys that were handed over and that the sync had not done when the time was over, or has given up.
    pub waiting: i64,
    /// Why nothing, or nothing more, was handed over.
    pub stopped: Option<Stopped>,
}

/// Why a repair stops. The check itself goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stopped {
    /// More than one row of a hundred differs, or more than one of five in three chunks on end: rather the definition or a
    /// database is wrong than so much data.
    TooManyDiffer,
    /// The source has no row, and the target has some.
    SourceEmpty,
    /// Columns, types or collations are not what they were when the check began.
    SchemaChanged,
    /// A database is not the one that it was when the check began.
    AnotherDatabase,
    /// The mirror is not active, or the kill switch is on: nobody would do it.
    NotActive,
    /// The time was over.
    TimedOut,
}

impl Stopped {
    /// As a sentence.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooManyDiffer => "more than 1 % of the rows differ",
            Self::SourceEmpty => "the source has no rows, and the target has some",
            Self::SchemaChanged => "columns, types or collations have changed since the check began",
            Self::AnotherDatabase => "a database is not the one that it was when the check began",
            Self::NotActive => "the mirror is not active, or the kill switch is on",
            Self::TimedOut => "the time given was used up",
        }
    }

    /// Whether a person has to look before anything is repaired.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        self != Self::TimedOut
    }
}

/// A key, shown because it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Sample {
    /// Its columns as text.
    pub key: Vec<String>,
    /// `missing`, `different`, `extra`.
    pub class: &'static str,
}

impl Sample {
    pub(crate) fn new(key: &Key, verdict: Verdict) -> Option<Self> {
        let class = verdict.class()?;
        Some(Self { key: key.0.clone(), class })
    }
}

/// How a check is getting on.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Progress {
    /// Source rows compared so far.
    pub checked_rows: i64,
    /// Chunks so far.
    pub chunks: i64,
    /// Proven differences so far.
    pub confirmed: i64,
    /// Between 0 and 1, as far as the planner's estimate of the table's size is right; absent when there is none.
    pub fraction: Option<f64>,
    /// By the rate so far.
    pub left: Option<Duration>,
}
