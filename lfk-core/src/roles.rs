//! The rights that an engine needs, for the roles that install and work.

use crate::capture;
use crate::engine::Engine;
use crate::error::Result;

impl Engine {
    /// The least rights of the role that installs and of the role that works, as SQL with a section a database. Each section
    /// says who runs which part of it, and when. Touches no network.
    ///
    /// # Errors
    /// When one of the names cannot be the name of a role.
    pub fn grants(&self, installer: &str, worker: &str) -> Result<String> {
        self.grants_script(None, installer, worker, false)
    }

    /// As [`Engine::grants`], in one database only if it is named, and the other way round with `revoke`.
    ///
    /// # Errors
    /// When one of the names cannot be the name of a role, or there is no such database.
    pub fn grants_script(&self, database: Option<&str>, installer: &str, worker: &str, revoke: bool) -> Result<String> {
        capture::grants(
            self.databases(),
            self.definitions(),
            self.declarations(),
            database,
            (installer, worker),
            revoke,
        )
    }
}
