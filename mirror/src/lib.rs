#![doc = include_str!("../README.md")]

mod check;
mod columns;
mod definition;
mod engine;
mod plan;
mod schedule;
mod sync;

pub use check::{
    Checks, Confirmed, Cursor, Method, Options, Progress, Repaired, Report, Sample, Stopped, Tell, Unverifiable, check,
    start_checks,
};
pub use columns::{Columns, Forms, Judged, KeyColumn, KeyKind, Order, Side, ValueColumn};
pub use definition::{Column, Mirror, Value};
pub use engine::{Fill, Mirrors, begin_backfill, fill_of};
pub use schedule::{Cron, Schedule};

/// What tests and the other crates of lfk use. No part of the interface: it changes without notice.
#[doc(hidden)]
pub mod parts {
    pub use crate::check::{Probe, Sandwich, Seen, Verdict, Verdicts};
}
