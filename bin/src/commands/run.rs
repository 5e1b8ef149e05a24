//! `lfk run --once` and `lfk run --until-drained`: work that ends.

use std::convert::Infallible;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use lfk_core::{DefinitionStatus, Drained, Engine, Status};
use serde::Serialize;
use tokio::sync::oneshot;

use crate::cli;
use crate::commands::progress::interruptible;
use crate::commands::{Context, Outcome, status};
use crate::config::chosen;
use crate::exit::{Exit, say};
use crate::output;
use crate::signals::Signals;

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize)]
struct Summary {
    result: Drained,
    elapsed_seconds: f64,
    /// How it stands at the end; empty when the databases could no longer be asked.
    loose_foreign_keys: Vec<DefinitionStatus>,
    mirrors: Vec<DefinitionStatus>,
}

/// The first signal stops between batches and gives the leases back, the second ends it at once.
pub(super) async fn run(context: &Context, args: &cli::Run, signals: Signals) -> Outcome {
    interruptible(signals, async |asked| work(context, args, asked).await).await
}

async fn work(context: &Context, args: &cli::Run, asked: oneshot::Receiver<()>) -> Outcome {
    let engine = &context.engine;
    // Without a definition there is nothing to visit, and most likely another file was meant.
    chosen(engine, &[])?;
    let began = Instant::now();
    let stop = async { asked.await.unwrap_or(()) };
    let work = async {
        if args.once { engine.run_once_or(stop).await } else { engine.run_until_drained_or(args.timeout, stop).await }
    };
    let result = if context.verbose || io::stderr().is_terminal() {
        tokio::select! {
            result = work => result?,
            never = tell_progress(engine) => match never {},
        }
    } else {
        work.await?
    };
    let elapsed_seconds = began.elapsed().as_secs_f64();
    // The work is done; that it cannot be counted any more is no reason to fail.
    let Status { loose_foreign_keys, mirrors, .. } = engine.status().await.unwrap_or_default();
    let summary = Summary { result, elapsed_seconds, loose_foreign_keys, mirrors };
    output::answer(context.format, &summary, |summary| text(summary, args.once))?;
    Ok(Exit::from(result))
}

/// One line about once a second, for as long as it is polled.
async fn tell_progress(engine: &Engine) -> Infallible {
    let mut tick = tokio::time::interval(TELL_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first tick comes at once, when there is nothing to tell yet.
    tick.tick().await;
    loop {
        tick.tick().await;
        if let Ok(status) = engine.status().await {
            say(&progress(&status));
        }
    }
}

fn progress(status: &Status) -> String {
    let parts: Vec<String> = status::all(status)
        .filter(|d| d.pending_keys > 0)
        .map(|d| format!("{} {}", d.name, status::pending(d.pending_keys, d.pending_is_lower_bound)))
        .collect();
    if parts.is_empty() { "pending: nothing".to_owned() } else { format!("pending: {}", parts.join(" · ")) }
}

fn text(summary: &Summary, once: bool) -> String {
    let elapsed = output::age(summary.elapsed_seconds);
    let mut text = match summary.result {
        Drained::Drained if once => format!("visited everything in {elapsed}\n"),
        Drained::Drained => format!("drained in {elapsed}\n"),
        Drained::NeedsAttention => format!("nothing is left that can be done, after {elapsed}\n"),
        Drained::Stopped => format!("stopped after {elapsed}; the next run goes on from here\n"),
        Drained::TimedOut => format!("the time was used up after {elapsed}; the next run goes on from here\n"),
        other => format!("ended after {elapsed}: {other:?}\n"),
    };
    for d in summary.loose_foreign_keys.iter().chain(&summary.mirrors) {
        if d.quarantined > 0 {
            text.push_str(&format!("{}: {} quarantined\n", d.name, output::count(d.quarantined)));
        }
        if d.condition != "ok" || d.note.is_some() {
            text.push_str(&format!("{}: {}\n", d.name, status::note(&d.condition, d.note.as_deref())));
        }
        if summary.result == Drained::TimedOut && d.pending_keys > 0 {
            text.push_str(&format!(
                "{}: {} pending\n",
                d.name,
                status::pending(d.pending_keys, d.pending_is_lower_bound)
            ));
        }
    }
    text
}
