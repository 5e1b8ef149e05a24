#![doc = include_str!("../README.md")]

mod capture;
mod database;
mod definition;
mod engine;
mod error;
mod plan;
mod relation;
mod report;

pub use database::{Database, Limits};
pub use definition::{Literal, LooseForeignKey, OnDelete, State};
pub use engine::{Builder, Engine, Handle};
pub use error::{Error, ErrorKind, Result};
pub use relation::Relation;
pub use report::{
    DefinitionStatus, Drained, Finding, Installed, Plan, PlannedDefinition, StateChange, Status, WorkerStatus,
};
