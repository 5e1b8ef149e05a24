#![doc = include_str!("../README.md")]

mod capture;
mod clean;
mod consumer;
mod context;
mod cursor;
mod database;
mod declaration;
mod definition;
mod drain;
mod duty;
mod engine;
mod error;
mod key;
mod limiter;
mod pair;
mod patience;
mod plan;
mod points;
mod relation;
mod replay;
mod report;
mod retry;
mod roles;
mod scan;
mod schedule;
mod set_aside;
mod signals;
mod states;
mod status;
mod store;
mod sweep;
mod worker;

pub use database::{Database, Limits, Pooler};
pub use definition::{Literal, LooseForeignKey, OnDelete, State};
pub use engine::{Builder, Engine, Handle};
pub use error::{Error, ErrorKind, Result};
pub use relation::Relation;
pub use replay::Since;
pub use report::{
    Concern, DefinitionStatus, Drained, Finding, Installed, Plan, PlannedDefinition, PlannedMirror, Replayed,
    SetAsideChange, SetAsideFilter, SetAsideKey, SetAsideList, SignalStatus, StateChange, Status, WorkerStatus,
};

pub use scan::{FailedKeys, Repair, RepairOptions, Scan, ScanEnd, ScanOptions, ScanProgress, ScanReport, Watcher};
#[cfg(feature = "redis")]
pub use store::RedisStore;
pub use store::{CursorStore, FileStore, MemoryStore, PostgresStore, Stored};

/// What the other crates of lfk are made of. No part of the interface: it changes without notice.
#[doc(hidden)]
pub mod parts {
    pub use crate::clean::{Class, Foresight, Pace, Tally, classify};
    pub use crate::consumer::{Batch, Converge, Turn};
    pub use crate::cursor::Lease;
    pub use crate::database::{Purpose, Tx};
    pub use crate::declaration::{Declaration, Definition, Kind};
    pub use crate::key::{Key, sort_unique};
    pub use crate::limiter::Limiter;
    pub use crate::pair::Paired;
    pub use crate::plan::{MirrorEnds, mirror_ends};
    pub use crate::points::Point;
    pub use crate::report::Planned;
    pub use crate::retry::{Reason, SetAside};
    pub use crate::schedule::Lane;
    pub use crate::sweep::SweepEnd;
}

#[cfg(feature = "sabotage")]
pub mod sabotage;
