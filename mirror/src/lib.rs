#![doc = include_str!("../README.md")]

mod columns;
mod definition;
mod engine;
mod plan;
mod sync;

pub use columns::{Columns, Forms, Judged, KeyColumn, KeyKind, Order, Side, ValueColumn};
pub use definition::{Column, Mirror, Value};
pub use engine::{Fill, Mirrors, begin_backfill, fill_of};
