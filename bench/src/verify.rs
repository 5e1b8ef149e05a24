//! Proof by SQL, after each run: what is doomed is gone, and nothing else has changed. A run that fails it is no result.

use anyhow::{Result, ensure};

use crate::server::{Server, Servers};
use crate::statements::verify;

/// One table: doomed rows, rows that stay, and a digest of these.
pub type Content = (i64, i64, String);

/// The content of a stage before anything is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    parents: Content,
    builds: Content,
    notes: Content,
}

impl Expected {
    /// Reads it.
    ///
    /// # Errors
    /// When a server refuses.
    pub async fn read(servers: &Servers) -> Result<Self> {
        let parents = content(&servers.main, verify::PARENTS).await?;
        let builds = content(&servers.ci, verify::BUILDS).await?;
        let notes = content(&servers.ci, verify::NOTES).await?;
        Ok(Self { parents, builds, notes })
    }

    /// The doomed parents are gone, no child refers to one, and every other row is as it was.
    ///
    /// # Errors
    /// When that is not so, with what differs.
    pub async fn cleaned(&self, servers: &Servers) -> Result<()> {
        let now = Self::read(servers).await?;
        only_doomed_are_gone("projects", &self.parents, &now.parents)?;
        only_doomed_are_gone("builds", &self.builds, &now.builds)?;
        only_doomed_are_gone("notes", &self.notes, &now.notes)
    }

    /// Children that are doomed: to be deleted, and to be nulled.
    #[must_use]
    pub fn doomed(&self) -> (i64, i64) {
        (self.builds.0, self.notes.0)
    }
}

/// What is doomed is gone from a table, and every other row is as it was.
///
/// # Errors
/// When that is not so.
pub fn only_doomed_are_gone(table: &str, before: &Content, after: &Content) -> Result<()> {
    ensure!(after.0 == 0, "{table}: {} rows of {} that are doomed are still there", after.0, before.0);
    ensure!(
        (after.1, &after.2) == (before.1, &before.2),
        "{table}: rows that nobody may touch have changed: {before:?} before, {after:?} after"
    );
    Ok(())
}

/// Every doomed parent was captured exactly once, and nothing else was.
///
/// # Errors
/// When that is not so.
pub async fn captured_once(server: &Server, sql: &'static str, keys: i64) -> Result<()> {
    let found: (i64, i64, i64) = sqlx::query_as(sql).fetch_one(server.pool()).await?;
    ensure!(found == (keys, keys, 0), "{keys} keys were deleted, but (entries, keys, others) are {found:?}");
    Ok(())
}

/// Reads one table.
///
/// # Errors
/// When the server refuses.
pub async fn content(server: &Server, sql: &'static str) -> Result<Content> {
    Ok(sqlx::query_as(sql).fetch_one(server.pool()).await?)
}

/// Count and digest of a table.
///
/// # Errors
/// When the server refuses.
pub async fn digest(server: &Server, sql: &'static str) -> Result<(i64, String)> {
    Ok(sqlx::query_as(sql).fetch_one(server.pool()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baselines::giant;
    use crate::stage::{Shape, Stage};
    use crate::statements::{giant as statements, stage};

    async fn refusal(expected: &Expected, servers: &Servers) -> Result<String> {
        Ok(expected.cleaned(servers).await.err().map(|error| error.to_string()).unwrap_or_default())
    }

    #[tokio::test]
    async fn a_run_that_leaves_an_orphan_or_changes_anything_else_is_no_result() -> Result<()> {
        let shape = Shape { parents: 60, builds: 2, notes: true, doomed: (1, 3) };
        let stage = Stage::build(shape).await?;
        assert_eq!(stage.expected.doomed(), (40, 20));
        let servers = stage.copy().await?;
        assert!(refusal(&stage.expected, &servers).await?.starts_with("projects: 20 rows"));
        servers.main.run(stage::DELETE_DOOMED).await?;
        assert!(refusal(&stage.expected, &servers).await?.starts_with("builds: 40 rows"));
        giant::run(&servers, &[statements::DELETE_BUILDS]).await?;
        assert!(refusal(&stage.expected, &servers).await?.starts_with("notes: 20 rows"));
        giant::run(&servers, &[statements::NULL_NOTES]).await?;
        assert_eq!(refusal(&stage.expected, &servers).await?, "");

        for harm in [
            "DELETE FROM public.builds WHERE id = (SELECT min(id) FROM public.builds)",
            "UPDATE public.builds SET status = status + 1 WHERE id = (SELECT max(id) FROM public.builds)",
            "UPDATE public.notes SET project_id = NULL WHERE id = (SELECT min(id) FROM public.notes WHERE project_id IS NOT NULL)",
            "DELETE FROM public.notes WHERE id = (SELECT min(id) FROM public.notes WHERE project_id IS NULL)",
        ] {
            let servers = stage.copy().await?;
            servers.main.run(stage::DELETE_DOOMED).await?;
            giant::run(&servers, &[statements::DELETE_BUILDS, statements::NULL_NOTES]).await?;
            servers.ci.run(harm).await?;
            assert!(refusal(&stage.expected, &servers).await?.contains("nobody may touch"), "{harm}");
        }
        Ok(())
    }
}
