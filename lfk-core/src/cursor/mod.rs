//! Reading the key log: leases, windows and positions.

mod lease;
mod log_sql;
mod position;
mod window;

pub use lease::Lease;
pub(crate) use lease::{Claim, LEASE};
pub use log_sql::LogSql;
pub(crate) use position::{Move, PageLimit, Progress, advance, open, read_page};
pub(crate) use window::{Buffer, LogRow, Next, OutOfOrder, Position};
