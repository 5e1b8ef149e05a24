//! One engine as several roles, for tests of what each of them may do.

use std::sync::Arc;

use super::{Engine, Inner};
use crate::database::Database;

impl Engine {
    /// The same engine, hooks and limits included, as another role of its databases.
    #[must_use]
    pub fn as_role(&self, role: &str) -> Self {
        let databases: Vec<Database> = self.databases().iter().map(|d| d.clone().as_role(role)).collect();
        Self { inner: Arc::new(Inner { databases, ..Inner::clone(&self.inner) }) }
    }
}
