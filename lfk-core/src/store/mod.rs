//! Cursor stores: how far scans and checks have come.
//!
//! What is kept here never decides what is right: a position that is lost, for whatever reason, means to start again. So a
//! store may forget everything at any time, and has to keep one promise only: of several who save at once on top of the same
//! version, one succeeds. Positions of the key log are not kept here, but in `lfk.cursor`, in one transaction with what they
//! stand for.

mod file;
mod memory;
mod postgres;
#[cfg(feature = "redis")]
mod redis;

use std::fmt::Debug;

use futures::future::BoxFuture;

pub use self::file::FileStore;
pub use self::memory::MemoryStore;
pub use self::postgres::PostgresStore;
#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
use crate::error::{Error, Result};

/// The longest name, in bytes: room for that of a definition and for what a scan or a check puts before it.
const LONGEST_NAME: usize = 250;
/// The longest value, in bytes.
const LARGEST_VALUE: usize = 64 * 1024;

/// A store of named positions, shared by everybody who works on the same databases.
///
/// **Names** have 1 to 250 bytes and no control characters. Whoever shares a store shares the names in it, so a name (or the
/// value) has to say which databases it is about. **Values** are texts of at most 64 KiB without NUL that mean something to
/// their writer only; they may be empty.
///
/// # Errors
/// A name or a value that cannot be kept is [`ErrorKind::Config`](crate::ErrorKind::Config), before anything is asked. A store
/// that is away, slow or turns us away is [`ErrorKind::Unreachable`](crate::ErrorKind::Unreachable), and PostgreSQL without
/// schema `lfk` [`ErrorKind::NotInstalled`](crate::ErrorKind::NotInstalled). After an error of [`CursorStore::save`] or
/// [`CursorStore::forget`] it is not known whether it was done, or will be still; [`CursorStore::load`] tells.
///
/// # Cancellation
/// A future that is dropped may have been carried out or not, as after an error.
pub trait CursorStore: Debug + Send + Sync {
    /// What is kept under a name; `None` when nothing is, because nobody saved it, or because it was lost.
    fn load<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Stored>>>;

    /// Compare and set: keeps a value if the version there is `expected` (`None`: if nothing is there), and answers with its
    /// own version. `Ok(None)`: somebody else moved it, or it was lost; nothing was changed, and whoever asked must stop, or
    /// load and go on from there.
    fn save<'a>(&'a self, name: &'a str, value: &'a str, expected: Option<u64>) -> BoxFuture<'a, Result<Option<u64>>>;

    /// Drops what is kept under a name, whoever wrote it. Nothing there is no error.
    fn forget<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>>;
}

/// What a [`CursorStore`] keeps under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// As it was saved.
    pub value: String,
    /// To be given to the next [`CursorStore::save`]. It only says whether it is the same: versions have no order.
    pub version: u64,
}

/// A version that nobody has for this name, nor ever had.
///
/// Drawn at random from 63 bits (what a `bigint` holds), not counted: a store that goes back in time (Redis restarted from a
/// file of the second before, a replica that was promoted, a restored backup) would count to the same numbers again, and
/// whoever holds the number from before would pass for the owner. And as the writer draws it before asking, it recognises its
/// own work when a reply was lost. One of a thousand million saves hits a version that somebody still holds with a
/// probability of 10^-10.
fn new_version() -> u64 {
    rand::random_range(1..=u64::MAX >> 1)
}

fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err(Error::config(format!("the name of a position has 1 to {LONGEST_NAME} bytes")));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::config("the name of a position may not contain control characters"));
    }
    Ok(())
}

fn check_value(value: &str) -> Result<()> {
    if value.len() > LARGEST_VALUE {
        return Err(Error::config(format!("a position of {} bytes is too large: 64 KiB is the limit", value.len())));
    }
    if value.contains('\0') {
        return Err(Error::config("a position may not contain a NUL character"));
    }
    Ok(())
}
