//! A running engine.

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::drain;
use crate::error::{Error, Result};

/// A running engine. Dropping it stops the work as a crash would: leases run out by themselves.
#[derive(Debug)]
pub struct Handle {
    pub(super) stop: CancellationToken,
    pub(super) workers: JoinSet<Result<()>>,
}

impl Handle {
    /// Resolves with the reason when a task of the engine died, which nothing but a bug makes it do; otherwise never.
    ///
    /// # Cancellation
    /// Safe: dropping the future stops nothing.
    pub async fn died(&mut self) -> Error {
        loop {
            match self.workers.join_next().await {
                Some(ended) => {
                    if let Err(error) = drain::flatten(ended) {
                        return error;
                    }
                }
                None => std::future::pending().await,
            }
        }
    }

    /// Stops between batches, gives every lease back, and waits until that is done.
    ///
    /// # Errors
    /// When a task of the engine died.
    pub async fn shutdown(mut self) -> Result<()> {
        self.stop.cancel();
        let mut result = Ok(());
        while let Some(ended) = self.workers.join_next().await {
            result = result.and(drain::flatten(ended));
        }
        result
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
