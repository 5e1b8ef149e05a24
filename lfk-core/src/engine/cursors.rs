//! Where scans and checks keep how far they have come.

use std::sync::Arc;

use super::{Builder, Engine};
use crate::error::Result;
use crate::store::{CursorStore, PostgresStore};

impl Builder {
    /// Where scans and checks keep how far they have come. Default: PostgreSQL, each in the database it belongs to. Positions
    /// of the key log are not concerned: they always are in the database of the log.
    #[must_use]
    pub fn cursor_store(mut self, store: Arc<dyn CursorStore>) -> Self {
        self.cursor_store = Some(store);
        self
    }
}

impl Engine {
    /// The cursor store for what belongs to a database: for a loose foreign key the parents' one. Touches no network.
    ///
    /// # Errors
    /// When there is no such database.
    pub fn cursor_store(&self, database: &str) -> Result<Arc<dyn CursorStore>> {
        let database = self.database(database)?;
        Ok(match &self.inner.cursor_store {
            Some(store) => Arc::clone(store),
            None => Arc::new(PostgresStore::new(database.clone())),
        })
    }
}
