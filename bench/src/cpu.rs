//! Processor time of everybody who takes part: this process, those that it has started and that have ended, and both servers.
//!
//! On a machine that others use, too, wall time says little and this still says much.

use std::fs;

use anyhow::{Context as _, Result};

use crate::server::Servers;

/// Of a second, as /proc counts. Linux has shown hundredths to programs for decades, on every architecture.
const TICK: f64 = 0.01;

/// Seconds so far.
///
/// # Errors
/// When a server does not run.
pub fn seconds(servers: &Servers) -> Result<f64> {
    let mut ticks = of_process("self", true)?;
    for server in [&servers.main, &servers.ci] {
        let postmaster = server.pid().context("the server does not run")?;
        ticks += of_process(&postmaster.to_string(), true)?;
        let children = fs::read_to_string(format!("/proc/{postmaster}/task/{postmaster}/children"))?;
        // One that ends in between is in the postmaster's sum from then on.
        ticks += children.split_whitespace().filter_map(|child| of_process(child, false).ok()).sum::<f64>();
    }
    Ok(ticks * TICK)
}

/// Ticks of one process, and of its children that have ended and were waited for.
fn of_process(pid: &str, with_ended: bool) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may hold spaces and brackets; utime, stime, cutime and cstime are the 12th to 15th field behind it.
    let fields = stat.rsplit_once(')').context("no name")?.1;
    fields.split_whitespace().skip(11).take(if with_ended { 4 } else { 2 }).map(|field| Ok(field.parse::<f64>()?)).sum()
}
