//! `lfk run`: works until it is told to stop.

use std::time::Duration;

use crate::commands::run::refuse_at_start;
use crate::commands::{Context, Outcome};
use crate::exit::{Complaint, Exit, Failure};
use crate::signals::Signals;

/// How long a graceful stop may take: a batch ends within its statement's 5 s, and leases are released after that.
/// Kubernetes sends SIGKILL after 30 s by default.
const GRACE: Duration = Duration::from_secs(20);

pub(super) async fn run(context: &Context, mut signals: Signals) -> Outcome {
    let engine = &context.engine;
    tokio::select! {
        started = refuse_at_start(engine) => started?,
        signal = signals.next() => {
            tracing::info!("{signal} before anything was begun");
            return Ok(Exit::Ok);
        }
    }
    let handle = engine.start();
    tracing::info!(
        definitions = engine.definitions().len(),
        databases = engine.databases().len(),
        "lfk {} is running",
        env!("CARGO_PKG_VERSION")
    );
    let signal = signals.next().await;
    tracing::info!("{signal}: stopping between batches; a second signal stops at once");
    tokio::select! {
        stopped = tokio::time::timeout(GRACE, handle.shutdown()) => match stopped {
            Ok(stopped) => stopped?,
            Err(_) => {
                let message = format!("the engine did not stop within {} s", GRACE.as_secs());
                let complaint = Complaint::new(message).hint("nothing is lost: its leases run out and the work is taken up again");
                return Err(Failure::new(Exit::Runtime, complaint));
            }
        },
        signal = signals.next() => {
            let complaint = Complaint::new(format!("stopped at once by a second signal ({signal})"))
                .hint("nothing is lost: its leases run out and the work is taken up again");
            return Err(Failure::new(Exit::Interrupted, complaint));
        }
    }
    tracing::info!("stopped");
    Ok(Exit::Ok)
}
