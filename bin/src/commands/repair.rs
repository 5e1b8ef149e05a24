//! `lfk repair`: shows orphans, or cleans them.

use lfk_core::{Repair, RepairOptions, ScanEnd};
use tokio::sync::oneshot;

use crate::cli;
use crate::commands::progress::{self, bounded};
use crate::commands::{Context, Outcome, scan};
use crate::config::chosen_loose;
use crate::exit::{Complaint, Exit, Failure};
use crate::output;
use crate::signals::Signals;

pub(super) async fn run(context: &Context, args: &cli::Repair, signals: Signals) -> Outcome {
    progress::interruptible(signals, async |asked| work(context, args, asked).await).await
}

async fn work(context: &Context, args: &cli::Repair, asked: oneshot::Receiver<()>) -> Outcome {
    chosen_loose(&context.engine, std::slice::from_ref(&args.name))?;
    let mut options = RepairOptions::default();
    options.execute = args.execute;
    options.max_rows = args.max_rows;
    options.max_orphans_percent = args.max_orphans_percent;
    options.settle_after = args.settle_after;
    options.scan = progress::options(context, &args.look);
    let stop = async { asked.await.unwrap_or(()) };
    let repair = context.engine.repair_or(&args.name, &options, stop).await?;
    output::answer(context.format, &repair, text)?;
    exit(&repair)
}

fn exit(repair: &Repair) -> Outcome {
    let scan = &repair.scan;
    let again = |exit, message: &str| {
        Err(Failure::new(exit, Complaint::new(message).hint("the same command goes on with what is left")))
    };
    match scan.result {
        ScanEnd::Stopped => return again(Exit::Interrupted, "interrupted before the end"),
        ScanEnd::TimedOut => {
            return again(Exit::TimedOut, "the time, or the number of rows, was used up before the end");
        }
        _ => {}
    }
    if !repair.executed {
        return Ok(Exit::Ok);
    }
    if repair.remaining_keys > 0 {
        return again(Exit::TimedOut, "more orphans are left than were allowed to be cleaned");
    }
    Ok(match (repair.failed_keys, scan.unconfirmed) {
        (1.., _) => Exit::Findings,
        (0, 1..) => Exit::TimedOut,
        (0, 0) => Exit::Ok,
    })
}

fn text(repair: &Repair) -> String {
    let mut text = scan::text(&repair.scan);
    let count = |n| bounded(n, None);
    if !repair.executed {
        text.push_str(&format!("  nothing was changed; --execute does it: {}\n", repair.action));
        return text;
    }
    text.push_str(&format!(
        "  {}: {} keys repaired, {} rows changed\n",
        repair.action,
        count(repair.repaired_keys),
        count(repair.rows_changed)
    ));
    if repair.resurrected > 0 {
        text.push_str(&format!("  {} keys have their parent back\n", count(repair.resurrected)));
    }
    if repair.remaining_keys > 0 {
        text.push_str(&format!("  {} orphaned keys are left\n", count(repair.remaining_keys)));
    }
    for failed in &repair.failed {
        let error = failed.error.as_deref().map(|e| format!(": {e}")).unwrap_or_default();
        text.push_str(&format!("  {} keys could not be done, {}{error}\n", count(failed.keys), failed.reason));
    }
    text
}
