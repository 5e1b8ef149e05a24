#![doc = include_str!("../README.md")]

mod columns;
mod definition;

pub use columns::{Columns, Forms, Judged, KeyColumn, KeyKind, Order, Side, ValueColumn};
pub use definition::{Column, Mirror, Value};
