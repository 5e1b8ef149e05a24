//! `lfk scan`: orphans, found by looking.

use std::sync::Arc;

use lfk_core::{CursorStore, FileStore, Scan, ScanEnd, ScanReport};
use tokio::sync::oneshot;

use crate::cli;
use crate::commands::progress::{self, bounded, shown};
use crate::commands::{Context, Outcome};
use crate::config::chosen_loose;
use crate::exit::{Complaint, Exit, Failure};
use crate::output;
use crate::signals::Signals;

pub(super) async fn run(context: &Context, args: &cli::Scan, signals: Signals) -> Outcome {
    progress::interruptible(signals, async |asked| work(context, args, asked).await).await
}

async fn work(context: &Context, args: &cli::Scan, asked: oneshot::Receiver<()>) -> Outcome {
    let names = chosen_loose(&context.engine, &args.chosen.names)?;
    let mut options = progress::options(context, &args.look);
    options.resume = args.resume;
    options.cursor = match &args.cursor_file {
        Some(path) => Some(Arc::new(FileStore::new(path))),
        None => usual_store(context, &names).await,
    };
    if args.resume && options.cursor.is_none() {
        let complaint =
            Complaint::new("there is no cursor to go on from: lfk is not installed in the parents' database");
        return Err(Failure::new(Exit::Usage, complaint.hint("give --cursor-file PATH, also to the scan before")));
    }
    let resumable = options.cursor.is_some();
    let stop = async { asked.await.unwrap_or(()) };
    let report = context.engine.scan_or(&names, &options, stop).await?;
    output::answer(context.format, &report, |report| report.scans.iter().map(text).collect())?;
    exit(report, resumable)
}

/// Where the configuration keeps cursors, if it can be asked: a scan needs nothing of lfk in any database.
async fn usual_store(context: &Context, names: &[String]) -> Option<Arc<dyn CursorStore>> {
    let first = context.engine.definitions().iter().find(|d| names.contains(&d.name))?;
    let store = context.engine.cursor_store(&first.parent.database).ok()?;
    let asked = store.load("scan").await;
    asked.is_ok().then_some(store)
}

/// What failed goes before what was found, because that may not be all.
fn exit(report: ScanReport, resumable: bool) -> Outcome {
    let ended = |end: ScanEnd| report.scans.iter().any(|scan| scan.result == end);
    let found = report.scans.iter().any(|scan| scan.orphan_keys > 0);
    let undecided = report.scans.iter().any(|scan| scan.unconfirmed > 0);
    let incomplete = |exit, message: &str| {
        let hint = if resumable { "go on from there with --resume" } else { "give --cursor-file PATH to go on later" };
        Err(Failure::new(exit, Complaint::new(message).hint(hint)))
    };
    match (ended(ScanEnd::Stopped), ended(ScanEnd::TimedOut)) {
        (true, _) => return incomplete(Exit::Interrupted, "interrupted before the end"),
        (_, true) => return incomplete(Exit::TimedOut, "the time was used up before the end"),
        _ => {}
    }
    let mut failures = report.failures.into_iter().map(Failure::from);
    if let Some(first) = failures.next() {
        let complaints = failures.fold(first.complaints, |mut all, next| {
            all.extend(next.complaints);
            all
        });
        return Err(Failure { exit: first.exit, complaints });
    }
    Ok(match (found, undecided) {
        (true, _) => Exit::Findings,
        (false, true) => Exit::TimedOut,
        (false, false) => Exit::Ok,
    })
}

/// A few lines a definition.
pub(super) fn text(scan: &Scan) -> String {
    if let Some(error) = &scan.error {
        return format!("{}: failed: {error}\n", scan.name);
    }
    let orphans = bounded(scan.orphan_keys, None);
    let rows = bounded(scan.orphan_rows, scan.orphan_rows_is_lower_bound.then_some("at least"));
    let checked = bounded(scan.checked_keys, scan.checked_keys_is_upper_bound.then_some("at most"));
    let mut text = format!(
        "{}: {orphans} orphaned keys with {rows} rows; {checked} keys checked in {}\n",
        scan.name,
        output::age(scan.seconds)
    );
    match scan.result {
        ScanEnd::TimedOut => text.push_str("  not all: the time was used up\n"),
        ScanEnd::Stopped => text.push_str("  not all: it was interrupted\n"),
        _ => {}
    }
    if scan.in_flight > 0 {
        text.push_str(&format!(
            "  {} more are in flight: lfk has yet to work on them\n",
            bounded(scan.in_flight, None)
        ));
    }
    if scan.unconfirmed > 0 {
        let because = scan.unconfirmed_because.as_deref().unwrap_or("a transaction that is still open");
        text.push_str(&format!("  {} more could not be decided: {because}\n", bounded(scan.unconfirmed, None)));
    }
    text.push_str(&progress::warnings(&scan.warnings));
    for key in scan.samples.iter().flatten() {
        text.push_str(&format!("  orphan: {}\n", shown(key)));
    }
    text
}
