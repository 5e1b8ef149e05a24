//! The engine: what an application builds, and what the daemon runs.

use std::sync::Arc;
use std::time::Duration;

use crate::database::Database;
use crate::definition::{LooseForeignKey, State};
use crate::error::{Error, Result};
use crate::report::{Drained, Installed, Plan, StateChange, Status};

/// Collects databases and definitions. Nothing touches the network until the engine is asked to work.
#[derive(Debug, Default)]
pub struct Builder {
    databases: Vec<Database>,
    definitions: Vec<LooseForeignKey>,
}

/// The engine.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) databases: Vec<Database>,
    pub(crate) definitions: Vec<LooseForeignKey>,
}

/// A running engine.
#[derive(Debug)]
pub struct Handle {}

impl Builder {
    /// Adds a database.
    #[must_use]
    pub fn database(mut self, database: Database) -> Self {
        self.databases.push(database);
        self
    }

    /// Adds definitions.
    #[must_use]
    pub fn definitions(mut self, definitions: impl IntoIterator<Item = LooseForeignKey>) -> Self {
        self.definitions.extend(definitions);
        self
    }

    /// Checks everything that can be checked without a network.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Config`]: two databases or two definitions of one name, or a definition that speaks of a database that is not there.
    pub fn build(self) -> Result<Engine> {
        Ok(Engine { inner: Arc::new(Inner { databases: self.databases, definitions: self.definitions }) })
    }
}

impl Engine {
    /// Starts a builder.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }
    /// The configured databases.
    #[must_use]
    pub fn databases(&self) -> &[Database] {
        &self.inner.databases
    }
    /// The configured definitions.
    #[must_use]
    pub fn definitions(&self) -> &[LooseForeignKey] {
        &self.inner.definitions
    }
    /// Whether everything may be installed and run, and with which impact. Reads catalogs only.
    /// # Errors
    /// When a database cannot be asked.
    pub async fn plan(&self) -> Result<Plan> {
        crate::plan::plan(&self.inner.databases, &self.inner.definitions).await
    }
    /// Installs schema `lfk`, triggers, definitions and cursors. Idempotent. Refuses what `plan` refuses.
    /// # Errors
    /// [`crate::ErrorKind::Refused`] before the first change; or when a database fails.
    pub async fn install(&self) -> Result<Vec<Installed>> {
        Err(Error::refused("not yet"))
    }
    /// Removes the named definitions, their triggers, and schema `lfk` with the last of them. Resumable. Returns what was removed.
    /// # Errors
    /// When a database fails.
    pub async fn uninstall(&self, _names: &[String]) -> Result<Vec<String>> {
        Err(Error::refused("not yet"))
    }
    /// The SQL that `install` would run (`down`: that `uninstall` would run), a section a database, for any migration tool. Touches no network.
    /// # Errors
    /// When a definition cannot be rendered.
    pub fn schema_sql(&self, _down: bool) -> Result<String> {
        Err(Error::refused("not yet"))
    }
    /// Changes the state of the named definitions. Activating from observe rewinds the cursor unless `from_now`.
    /// # Errors
    /// When a definition is not installed, or a database fails.
    pub async fn set_state(&self, _names: &[String], _state: State, _from_now: bool) -> Result<Vec<StateChange>> {
        Err(Error::refused("not yet"))
    }
    /// The kill switch: stops (or lets go on) every definition whose log is in the configured databases, whoever runs it. Returns the databases switched.
    /// # Errors
    /// When a database fails.
    pub async fn set_stopped(&self, _stopped: bool) -> Result<Vec<String>> {
        Err(Error::refused("not yet"))
    }
    /// How everything stands. Databases that cannot be asked are named in the answer.
    /// # Errors
    /// When no database at all can be asked.
    pub async fn status(&self) -> Result<Status> {
        Err(Error::refused("not yet"))
    }
    /// Starts working in the background of the current tokio runtime, until the handle shuts it down. Waits for databases that are down.
    #[must_use]
    pub fn start(&self) -> Handle {
        Handle {}
    }
    /// Works until everything that was in the logs at the beginning has been visited once.
    /// # Errors
    /// When a database cannot be reached or refuses.
    pub async fn run_once(&self) -> Result<Drained> {
        Err(Error::refused("not yet"))
    }
    /// Works until nothing is left, whoever does the work.
    /// # Errors
    /// [`crate::ErrorKind::Unreachable`] when a database cannot be reached within the time; [`crate::ErrorKind::Refused`] when one is not the one recorded.
    pub async fn run_until_drained(&self, _timeout: Option<Duration>) -> Result<Drained> {
        Err(Error::refused("not yet"))
    }
}

impl Handle {
    /// Stops between batches, releases every lease, and waits until that is done.
    /// # Errors
    /// When a task of the engine died.
    pub async fn shutdown(self) -> Result<()> {
        Ok(())
    }
}
