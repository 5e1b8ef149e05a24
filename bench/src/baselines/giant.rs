//! One statement a table, where the keys are in the children's database already: what the server can do at best. It reads no log,
//! asks for no parent, and holds every row to its end.

use std::time::Instant;

use anyhow::{Result, ensure};
use sqlx::Executor as _;

use crate::server::Servers;

/// Runs these statements one after the other, each in a transaction of its own; seconds.
///
/// # Errors
/// When a statement fails, or one of them finds nothing to do.
pub async fn run(servers: &Servers, statements: &[&'static str]) -> Result<f64> {
    let mut ci = servers.ci.connect().await?;
    let began = Instant::now();
    for statement in statements {
        let done = ci.execute(*statement).await?.rows_affected();
        ensure!(done > 0, "the giant statement found nothing to do");
    }
    Ok(began.elapsed().as_secs_f64())
}
