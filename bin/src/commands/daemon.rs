//! `lfk run`: works until it is told to stop.

use std::time::Duration;

use lfk_core::{Engine, Finding};

use crate::commands::plan::refuse_what_plan_refuses;
use crate::commands::{Context, Outcome};
use crate::config::chosen;
use crate::exit::{Complaint, Exit, Failure};
use crate::signals::Signals;

/// How long a graceful stop may take: a batch ends within its statement's 5 s, and leases are released after that; with a
/// database that has stopped answering it is 18 s and a few attempts to connect. Kubernetes sends SIGKILL after 30 s by default.
const GRACE: Duration = Duration::from_secs(26);

/// How long the catalogs may be asked before work begins without their answer. A database that is down is the engine's
/// to wait for, and a lock on a catalog must not keep work from others.
const PLAN_AT_MOST: Duration = Duration::from_secs(10);

/// What an abrupt end means.
const NOTHING_LOST: &str = "nothing is lost: the leases run out and the work is taken up again";

pub(super) async fn run(context: &Context, mut signals: Signals) -> Outcome {
    let engine = &context.engine;
    tokio::select! {
        started = refuse_at_start(engine) => started?,
        signal = signals.next() => {
            tracing::info!("{signal} before anything was begun");
            return Ok(Exit::Ok);
        }
    }
    let mut handle = engine.start();
    let mut checks = lfk_mirror::start_checks(engine, &context.mirrors)?;
    tracing::info!(
        definitions = engine.definitions().len(),
        databases = engine.databases().len(),
        "lfk {} is running",
        env!("CARGO_PKG_VERSION")
    );
    let signal = tokio::select! {
        signal = signals.next() => signal,
        error = handle.died() => return Err(Failure::from(error)),
        error = checks.died() => return Err(Failure::from(error)),
    };
    tracing::info!("{signal}: stopping between batches; a second signal stops at once");
    let shutdown = async { tokio::join!(checks.shutdown(), handle.shutdown()).1 };
    tokio::select! {
        stopped = tokio::time::timeout(GRACE, shutdown) => match stopped {
            Ok(stopped) => stopped?,
            Err(_) => {
                let message = format!("the engine did not stop within {} s", GRACE.as_secs());
                return Err(Failure::new(Exit::Runtime, Complaint::new(message).hint(NOTHING_LOST)));
            }
        },
        signal = signals.next() => {
            let message = format!("stopped at once by a second signal ({signal})");
            return Err(Failure::new(Exit::Interrupted, Complaint::new(message).hint(NOTHING_LOST)));
        }
    }
    tracing::info!("stopped");
    Ok(Exit::Ok)
}

/// Refuses what `plan` refuses. A database that cannot be asked now is left to the engine, which waits for it.
async fn refuse_at_start(engine: &Engine) -> Result<(), Failure> {
    let names = chosen(engine, &[])?;
    match tokio::time::timeout(PLAN_AT_MOST, refuse_what_plan_refuses(engine, &names, Finding::forbids_work)).await {
        Ok(Err(failure)) if failure.exit != Exit::Runtime => Err(failure),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(failure)) => {
            for complaint in &failure.complaints {
                tracing::warn!("the plan could not be made before starting: {}", complaint.message);
            }
            Ok(())
        }
        Err(_) => {
            tracing::warn!("the plan could not be made within {PLAN_AT_MOST:?}; starting without it");
            Ok(())
        }
    }
}
