//! Cleaning children: from keys that were deleted to rows that are gone.

mod batch;
mod census;
mod class;
mod converge;
mod look;
mod pace;
mod permit;
mod recheck;
mod shape;
mod statement;
mod stretch;
mod survey;
mod wide;

pub use class::{Class, classify};
pub(crate) use converge::Cleaner;
pub use converge::Tally;
pub use look::Foresight;
pub(crate) use look::Looker;
pub use pace::Pace;
pub(crate) use permit::{Budget, Permit};
pub(crate) use recheck::absent_parents;
#[cfg(feature = "sabotage")]
pub(crate) use shape::Form;
pub(crate) use shape::{Access, RowKey, Shape};
pub(crate) use survey::Surveyor;
pub(crate) use wide::WideEnd;
