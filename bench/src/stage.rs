//! The data of a bench: made once, then copied as files for every run.

use anyhow::Result;
use lfk_tests::Cluster;

use crate::server::{Server, Servers};
use crate::statements::stage;
use crate::verify::Expected;

/// How much data, and which part of it is doomed.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Parents, numbered from 1.
    pub parents: i64,
    /// Children of each that are to be deleted.
    pub builds: i64,
    /// Whether each has a child that is to be nulled.
    pub notes: bool,
    /// Of each `doomed.1` parents `doomed.0` are deleted.
    pub doomed: (i64, i64),
}

impl Shape {
    /// How many parents are deleted. The numbers of parents are multiples of `doomed.1`.
    #[must_use]
    pub fn keys(&self) -> i64 {
        self.parents / self.doomed.1 * self.doomed.0
    }

    /// How many children are deleted.
    #[must_use]
    pub fn doomed_builds(&self) -> i64 {
        self.keys() * self.builds
    }
}

/// Two stopped servers with data, to be copied.
#[derive(Debug)]
pub struct Stage {
    main: Cluster,
    ci: Cluster,
    /// What has to be there after a run.
    pub expected: Expected,
}

impl Stage {
    /// Makes the data.
    ///
    /// # Errors
    /// When a server refuses.
    pub async fn build(shape: Shape) -> Result<Self> {
        Self::build_with(shape, async |_| Ok(())).await
    }

    /// Makes the data, and what `more` adds to it.
    ///
    /// # Errors
    /// When a server refuses.
    pub async fn build_with(shape: Shape, more: impl AsyncFnOnce(&Servers) -> Result<()>) -> Result<Self> {
        let (main, ci) = tokio::try_join!(Server::start(), Server::start())?;
        let servers = Servers { main, ci };
        tokio::try_join!(fill_main(&servers.main, shape), fill_ci(&servers.ci, shape))?;
        more(&servers).await?;
        servers.main.run(stage::VACUUM).await?;
        servers.ci.run(stage::VACUUM).await?;
        let expected = Expected::read(&servers).await?;
        servers.settle().await?;
        Ok(Self { main: servers.main.stop().await?, ci: servers.ci.stop().await?, expected })
    }

    /// Two running servers on copies of it.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn copy(&self) -> Result<Servers> {
        let (main, ci) = tokio::try_join!(Server::copy_of(&self.main), Server::copy_of(&self.ci))?;
        Ok(Servers { main, ci })
    }
}

async fn fill_main(main: &Server, shape: Shape) -> Result<()> {
    main.run(stage::CREATE_PARENTS).await?;
    main.run_with(stage::FILL_PARENTS, &[shape.parents]).await?;
    main.run_with(stage::FILL_DOOMED, &[shape.parents, shape.doomed.1, shape.doomed.0]).await?;
    Ok(())
}

async fn fill_ci(ci: &Server, shape: Shape) -> Result<()> {
    ci.run(stage::CREATE_CHILDREN).await?;
    if shape.builds > 0 {
        ci.run_with(stage::FILL_BUILDS, &[shape.parents, shape.builds]).await?;
    }
    if shape.notes {
        ci.run_with(stage::FILL_NOTES, &[shape.parents]).await?;
    }
    ci.run(stage::INDEX_CHILDREN).await?;
    ci.run_with(stage::FILL_DOOMED, &[shape.parents, shape.doomed.1, shape.doomed.0]).await?;
    Ok(())
}
