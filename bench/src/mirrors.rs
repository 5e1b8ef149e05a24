//! Mirrors with data: a narrow one of bigint and bigint[], and one of eight columns, each equal to its source.

use anyhow::{Result, ensure};

use crate::ours::Ours;
use crate::server::Servers;
use crate::stage::{Shape, Stage};
use crate::statements::{check, mirror};
use crate::verify;

/// How wide its rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Width {
    /// bigint, bigint[].
    Narrow,
    /// Eight columns.
    Wide,
}

/// What narrow mirrors are called, and their definition.
const NARROW: (&str, &str) = (
    "path_mirrors",
    r#"
[[mirror]]
source  = "main:public.paths"
target  = "ci:public.path_mirrors"
key     = { id = "id" }
columns = { path = "path" }
"#,
);

/// What wide mirrors are called, and their definition.
const WIDE: (&str, &str) = (
    "space_mirrors",
    r#"
[[mirror]]
source  = "main:public.spaces"
target  = "ci:public.space_mirrors"
key     = { id = "id" }
columns = { owner_id = "owner_id", kind = "kind", name = "name", description = "description", price = "price", archived = "archived", updated_at = "updated_at" }
"#,
);

impl Width {
    /// The mirror's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.pick(NARROW.0, WIDE.0)
    }

    /// Its definition.
    #[must_use]
    pub fn definition(self) -> &'static str {
        self.pick(NARROW.1, WIDE.1)
    }

    /// Two servers whose tables are equal: rows with the keys from 1, of which one in 3000 is left out.
    ///
    /// # Errors
    /// When a server refuses.
    pub async fn stage(self, rows: i64) -> Result<Stage> {
        Stage::build_with(Shape { parents: 1, builds: 0, notes: false, doomed: (0, 1) }, async |servers| {
            let (main, ci) = (&servers.main, &servers.ci);
            main.run(mirror::CREATE_SOURCES).await?;
            ci.run(mirror::CREATE_TARGETS).await?;
            let source = self.pick(mirror::FILL_NARROW_SOURCES, mirror::FILL_WIDE_SOURCES);
            let target = self.pick(mirror::FILL_NARROW_TARGETS, mirror::FILL_WIDE_TARGETS);
            let highest = [rows];
            tokio::try_join!(main.run_with(source, &highest), ci.run_with(target, &highest))?;
            Ok(())
        })
        .await
    }

    /// lfk, installed and active, with a fill that has looked at every row: before it rows that are missing are not missed.
    ///
    /// # Errors
    /// When a command fails.
    pub async fn install(self, servers: &Servers) -> Result<Ours> {
        let ours = Ours::install(servers, &[self.definition()]).await?;
        let (filled, _) = ours.ask(&["mirror", "backfill", self.name()], 0).await?;
        ensure!(filled["done"] == true && filled["rows"] == 0, "the mirror was not equal: {filled}");
        Ok(ours)
    }

    /// Both sides in the order of their key, by COPY.
    #[must_use]
    pub fn copies(self) -> [&'static str; 2] {
        self.pick(
            [check::COPY_NARROW_SOURCES, check::COPY_NARROW_TARGETS],
            [check::COPY_WIDE_SOURCES, check::COPY_WIDE_TARGETS],
        )
    }

    /// A window of keys of both sides.
    #[must_use]
    pub fn windows(self) -> [&'static str; 2] {
        self.pick(
            [check::FETCH_NARROW_SOURCES, check::FETCH_NARROW_TARGETS],
            [check::FETCH_WIDE_SOURCES, check::FETCH_WIDE_TARGETS],
        )
    }

    /// Damages the target.
    #[must_use]
    pub fn damage(self) -> &'static str {
        self.pick(check::DAMAGE_NARROW, check::DAMAGE_WIDE)
    }

    /// Count and digest of both sides, by SQL.
    ///
    /// # Errors
    /// When a server refuses.
    pub async fn content(self, servers: &Servers) -> Result<[(i64, String); 2]> {
        let statements = self.pick(
            [mirror::DIGEST_NARROW_SOURCES, mirror::DIGEST_NARROW_TARGETS],
            [mirror::DIGEST_WIDE_SOURCES, mirror::DIGEST_WIDE_TARGETS],
        );
        let (source, target) =
            tokio::try_join!(verify::digest(&servers.main, statements[0]), verify::digest(&servers.ci, statements[1]))?;
        Ok([source, target])
    }

    /// Both sides have the very same rows.
    ///
    /// # Errors
    /// When they have not.
    pub async fn equal(self, servers: &Servers) -> Result<()> {
        let [source, target] = self.content(servers).await?;
        ensure!(source.0 > 0, "the source is empty");
        ensure!(source == target, "{}: {source:?} in the source, {target:?} in the target", self.name());
        Ok(())
    }

    fn pick<T>(self, narrow: T, wide: T) -> T {
        match self {
            Self::Narrow => narrow,
            Self::Wide => wide,
        }
    }
}
