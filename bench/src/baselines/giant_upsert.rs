//! All changed rows at once: read by COPY, put into a temporary table by COPY, and written by one statement. The keys are known
//! already; nobody reads a log, and it holds every row that it writes to its end.

use std::time::Instant;

use anyhow::{Result, ensure};
use futures::TryStreamExt as _;
use sqlx::{Connection as _, Executor as _};

use crate::server::Servers;
use crate::statements::sync;

/// Applies everything; seconds.
///
/// # Errors
/// When a server refuses, or nothing was to be done.
pub async fn run(servers: &Servers) -> Result<f64> {
    let (mut main, mut ci) = (servers.main.connect().await?, servers.ci.connect().await?);
    let began = Instant::now();
    ci.execute(sync::CREATE_INCOMING).await?;
    let mut incoming = ci.copy_in_raw(sync::COPY_INCOMING).await?;
    let mut changed = main.copy_out_raw(sync::COPY_CHANGED).await?;
    while let Some(bytes) = changed.try_next().await? {
        incoming.send(bytes).await?;
    }
    incoming.finish().await?;
    let mut write = ci.begin().await?;
    let written = write.execute(sync::UPSERT_INCOMING).await?.rows_affected();
    let deleted = write.execute(sync::DELETE_INCOMING).await?.rows_affected();
    write.commit().await?;
    ensure!(written > 0 && deleted > 0, "nothing was to be done");
    Ok(began.elapsed().as_secs_f64())
}
