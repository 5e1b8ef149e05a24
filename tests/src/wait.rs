//! Waiting for something outside this process.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Asks again and again whether `condition` holds, until it does or `deadline` has passed.
///
/// For states of something that cannot be awaited: a server, a row that another process writes, a process that ends. This
/// is the only place where waiting by the clock is allowed; a test that wants to *let time pass* is wrong. A condition
/// that fails ends the wait with its error.
///
/// # Errors
/// When the deadline has passed, with `what` in the message; or the condition's own.
pub async fn eventually(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> Result<bool>,
) -> Result<()> {
    let begun = Instant::now();
    loop {
        if condition().await? {
            return Ok(());
        }
        if begun.elapsed() > deadline {
            bail!("not within {deadline:?}: {what}");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The same for code that cannot await: servers starting and stopping.
pub(crate) fn blocking(deadline: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<bool> {
    let begun = Instant::now();
    loop {
        if condition()? {
            return Ok(true);
        }
        if begun.elapsed() > deadline {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
