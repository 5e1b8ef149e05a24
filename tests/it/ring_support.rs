//! What the tests of retiring leaves share.

use anyhow::Result;
use lfk_core::{Builder, Engine};
use lfk_tests::scenario::drain;
use lfk_tests::{Pair, TestDb};

use crate::clean_support::{BUILDS, PROJECTS, activated, builder};
use crate::log_support::{NOTES, RETENTION, builds, notes, quiet_leaf, rows_in_leaf, settle, write_to_leaf};

/// Builds and notes, whose log goes to a leaf that is not the current one.
pub struct Scene {
    pub pair: Pair,
    pub leaf: i32,
    /// Works on builds, and retires leaves; of notes it knows nothing.
    pub ours: Engine,
    /// Works on both.
    pub both: Engine,
}

impl Scene {
    pub async fn new() -> Result<Self> {
        let pair = Pair::with_schema(PROJECTS, &format!("{BUILDS} {NOTES}")).await?;
        let both = activated(builder(&pair)?.retention(RETENTION), [builds()?, notes()?]).await?;
        let leaf = quiet_leaf(&pair.main).await?;
        write_to_leaf(&pair.main, leaf).await?;
        Ok(Self { ours: builder(&pair)?.retention(RETENTION).definitions([builds()?]).build()?, both, leaf, pair })
    }

    /// Project 1 is gone, everybody has visited it twice, and the retention is over.
    pub async fn ready() -> Result<Self> {
        let scene = Self::new().await?;
        scene.pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
        // With the default retention of a day nothing is retired yet.
        settle(&scene.pair.engine([builds()?, notes()?])?, scene.main()).await?;
        Ok(scene)
    }

    pub fn main(&self) -> &TestDb {
        &self.pair.main
    }

    /// What [`Scene::ours`] is built of.
    pub fn builder(&self) -> Result<Builder> {
        Ok(builder(&self.pair)?.retention(RETENTION).definitions([builds()?]))
    }

    /// Lets a worker that knows only builds look for leaves to retire, and counts what is left in ours.
    pub async fn retire(&self) -> Result<i64> {
        drain(&self.ours).await?;
        rows_in_leaf(self.main(), self.leaf).await
    }

    /// Says that one cursor has passed everything.
    pub async fn forward(&self, consumer: &str) -> Result<()> {
        let sql = "SET prev = pg_current_snapshot(), prev_at = clock_timestamp(), stamp = pg_current_xact_id()";
        self.main().execute(&format!("UPDATE lfk.cursor {sql} WHERE consumer = '{consumer}'")).await?;
        Ok(())
    }
}
