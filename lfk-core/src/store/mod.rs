//! Where scans and checks keep how far they have come.
//!
//! A cursor is small, is written about once a second, and losing it means starting again, never a wrong answer. Two that
//! write the same cursor notice each other, because every write names the version that it replaces.

mod file;

pub use self::file::FileStore;

use std::fmt::Debug;

use futures::future::BoxFuture;

use crate::error::Result;

/// A stored cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What was saved.
    pub value: String,
    /// Rises with every save.
    pub version: u64,
}

/// A place for cursors.
pub trait CursorStore: Debug + Send + Sync {
    /// Reads a cursor; `None` when there is none.
    fn load<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Stored>>>;

    /// Replaces the version `expected` (`None`: there is none yet) and answers with the new version; `None` when somebody
    /// else has moved it.
    fn save<'a>(&'a self, name: &'a str, value: &'a str, expected: Option<u64>) -> BoxFuture<'a, Result<Option<u64>>>;

    /// Removes a cursor. One that is not there is no matter.
    fn forget<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>>;
}
