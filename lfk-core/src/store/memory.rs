//! Positions in the memory of this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};

use super::{CursorStore, Stored, check_name, check_value, new_version};
use crate::error::Result;

/// Keeps positions in memory: for tests, and for an application that does not mind to start again when it restarts.
///
/// Clones are one store. Nothing waits: every future is ready at once.
#[derive(Clone, Default)]
pub struct MemoryStore {
    kept: Arc<Mutex<HashMap<String, Stored>>>,
}

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Stored>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load_now(&self, name: &str) -> Result<Option<Stored>> {
        check_name(name)?;
        Ok(self.lock().get(name).cloned())
    }

    fn save_now(&self, name: &str, value: &str, expected: Option<u64>) -> Result<Option<u64>> {
        check_name(name)?;
        check_value(value)?;
        let mut kept = self.lock();
        if kept.get(name).map(|stored| stored.version) != expected {
            return Ok(None);
        }
        let version = new_version();
        kept.insert(name.to_owned(), Stored { value: value.to_owned(), version });
        Ok(Some(version))
    }

    fn forget_now(&self, name: &str) -> Result<()> {
        check_name(name)?;
        self.lock().remove(name);
        Ok(())
    }
}

impl std::fmt::Debug for MemoryStore {
    /// Values may hold keys of the application.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}

impl CursorStore for MemoryStore {
    fn load<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Stored>>> {
        ready(self.load_now(name)).boxed()
    }

    fn save<'a>(&'a self, name: &'a str, value: &'a str, expected: Option<u64>) -> BoxFuture<'a, Result<Option<u64>>> {
        ready(self.save_now(name, value, expected)).boxed()
    }

    fn forget<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        ready(self.forget_now(name)).boxed()
    }
}
