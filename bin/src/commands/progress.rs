//! What `scan` and `repair` share: being interrupted, and telling how it goes.

use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use lfk_core::{Finding, ScanOptions, ScanProgress, Watcher};
use tokio::sync::oneshot;

use crate::cli::Look;
use crate::commands::{Context, Outcome};
use crate::exit::{Complaint, Exit, Failure, say};
use crate::output;
use crate::signals::Signals;

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// Keys that are shown.
const SHOWN_KEYS: usize = 20;

/// The first signal lets the step at work come to its end, the second ends it at once.
pub(super) async fn interruptible<W>(mut signals: Signals, work: impl FnOnce(oneshot::Receiver<()>) -> W) -> Outcome
where
    W: Future<Output = Outcome>,
{
    let (asked, asking) = oneshot::channel();
    let first = async {
        let signal = signals.next().await;
        let _ = asked.send(());
        let second = signals.next().await;
        format!("interrupted by {signal}, then by {second}")
    };
    tokio::select! {
        outcome = work(asking) => outcome,
        message = first => Err(Failure::new(Exit::Interrupted, Complaint::new(message))),
    }
}

/// What the arguments say, with somebody who tells how it goes.
pub(super) fn options(context: &Context, look: &Look) -> ScanOptions {
    let mut options = ScanOptions::default();
    options.timeout = look.timeout;
    options.wait = look.wait;
    options.samples = if look.show_keys { SHOWN_KEYS } else { 0 };
    if context.verbose || io::stderr().is_terminal() {
        options.progress = Some(teller());
    }
    options
}

/// Tells about once a second.
fn teller() -> Watcher {
    let told = Mutex::new(Instant::now());
    Watcher(Arc::new(move |progress| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= TELL_EVERY {
            *told = Instant::now();
            say(&line(progress));
        }
    }))
}

fn line(progress: &ScanProgress<'_>) -> String {
    let count = |n: u64| output::count(i64::try_from(n).unwrap_or(i64::MAX));
    let seconds = progress.elapsed.as_secs_f64().max(0.001);
    let keys = f64::from(u32::try_from(progress.checked_keys).unwrap_or(u32::MAX));
    let mut text = format!(
        "{}: {} keys, {:.0}/s, {} without a parent",
        progress.name,
        count(progress.checked_keys),
        keys / seconds,
        count(progress.suspects)
    );
    let left = progress.estimated_keys.and_then(|all| all.checked_sub(progress.checked_keys)).filter(|left| *left > 0);
    match (progress.waits_for, left) {
        (Some(whom), _) => text.push_str(&format!(", waiting for {whom}")),
        (None, Some(left)) if keys > 0.0 => {
            let left = f64::from(u32::try_from(left).unwrap_or(u32::MAX));
            text.push_str(&format!(", about {} left", output::age(left * seconds / keys)));
        }
        _ => {}
    }
    text
}

/// A number that may be a bound.
pub(super) fn bounded(n: u64, bound: Option<&str>) -> String {
    let count = output::count(i64::try_from(n).unwrap_or(i64::MAX));
    bound.map_or(count.clone(), |bound| format!("{bound} {count}"))
}

/// Findings as lines below an answer.
pub(super) fn warnings(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        text.push_str(&format!("  WARNING: {} ({})\n", finding.message, finding.code));
        text.extend(finding.remedy.iter().map(|line| format!("           {line}\n")));
    }
    text
}

/// A key as a person reads it.
pub(super) fn shown(key: &[String]) -> String {
    match key {
        [one] => one.clone(),
        several => serde_json::to_string(several).unwrap_or_default(),
    }
}
