#![doc = include_str!("../README.md")]

mod capture;
mod clean;
mod consumer;
mod context;
mod cursor;
mod database;
mod definition;
mod drain;
mod engine;
mod error;
mod key;
mod limiter;
mod pair;
mod plan;
mod points;
mod relation;
mod report;
mod retry;
mod roles;
mod scan;
mod schedule;
mod set_aside;
mod signals;
mod states;
mod status;
pub mod store;
mod sweep;
mod worker;

pub use database::{Database, Limits, Pooler};
pub use definition::{Literal, LooseForeignKey, OnDelete, State};
pub use engine::{Builder, Engine, Handle};
pub use error::{Error, ErrorKind, Result};
pub use relation::Relation;
pub use report::{
    Concern, DefinitionStatus, Drained, Finding, Installed, Plan, PlannedDefinition, SetAsideChange, SetAsideFilter,
    SetAsideKey, SetAsideList, StateChange, Status, WorkerStatus,
};

pub use scan::{FailedKeys, Repair, RepairOptions, Scan, ScanEnd, ScanOptions, ScanProgress, ScanReport, Watcher};

#[cfg(feature = "sabotage")]
pub mod sabotage;
