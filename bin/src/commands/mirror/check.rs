//! `lfk mirror check`.

use std::io::{self, IsTerminal as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use lfk_core::{Database, Error};
use lfk_mirror::{Cursor, Method, Options, Progress, Repaired, Report, Stopped, Tell};

use super::known;
use crate::cli::Check;
use crate::commands::{Context, Outcome};
use crate::exit::{Complaint, Exit, Failure, say};
use crate::output;

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// How rows are compared, see [`Method`].
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum How {
    /// Digests of chunks in the order of the key
    Digest,
    /// Rows one by one in the order of the key
    Rows,
    /// All values of all rows in the order of the key
    Streamed,
    /// Rows looked up by key
    Keys,
    /// Page by page, with digests of buckets of keys
    Physical,
}

impl From<How> for Method {
    fn from(how: How) -> Self {
        match how {
            How::Digest => Self::Digest,
            How::Rows => Self::Rows,
            How::Streamed => Self::Streamed,
            How::Keys => Self::Keys,
            How::Physical => Self::Physical,
        }
    }
}

/// Checks, and works on the mirror meanwhile where it is to be repaired: this process does so unless a daemon has the lease.
pub(super) async fn run(context: &Context, args: &Check) -> Outcome {
    let engine = &context.engine;
    let mirror = known(context, &args.name)?;
    let (source, target) = (database(context, &mirror.source.database)?, database(context, &mirror.target.database)?);
    let mut options = Options::default();
    options.show_keys = args.show_keys;
    options.resume = args.resume;
    options.repair = args.repair;
    options.timeout = args.timeout;
    options.method = args.method.map(Method::from);
    // Apart from the checks of the daemon, which have positions of their own.
    options.cursor = Some(Cursor::new(engine.cursor_store(source.name())?, format!("check by hand: {}", mirror.name)));
    options.progress = (context.verbose || io::stderr().is_terminal()).then(|| teller(&mirror.name));
    let workers = args.repair.then(|| engine.start());
    let report = lfk_mirror::check(mirror, source, target, &options).await;
    if let Some(workers) = workers {
        workers.shutdown().await?;
    }
    let report = report?;
    output::answer(context.format, &report, text)?;
    outcome(&report)
}

fn database<'a>(context: &'a Context, name: &str) -> Result<&'a Database, Failure> {
    let found = context.engine.databases().iter().find(|database| database.name() == name);
    found.ok_or_else(|| Error::config(format!("there is no database \"{name}\"")).into())
}

/// Says how far it is about once a second.
fn teller(name: &str) -> Tell {
    let (name, told) = (name.to_owned(), Mutex::new(Instant::now()));
    Arc::new(move |progress: &Progress| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() < TELL_EVERY {
            return;
        }
        *told = Instant::now();
        let done = progress.fraction.map(|share| format!(", {:.0} %", share * 100.0)).unwrap_or_default();
        let left = progress.left.map(|left| format!(", {} left", output::age(left.as_secs_f64()))).unwrap_or_default();
        let (rows, differ) = (output::count(progress.checked_rows), output::count(progress.confirmed));
        say(&format!("{name}: {rows} rows{done}{left}, {differ} differ"));
    })
}

/// What the report means for whoever called.
fn outcome(report: &Report) -> Outcome {
    let differ = report.confirmed.total();
    if let Some(Repaired { stopped: Some(stopped), .. }) = &report.repair {
        let (exit, hint) = match stopped {
            Stopped::NotActive => (Exit::Refused, "`lfk activate`, or `lfk start --all`; then run it again"),
            Stopped::TimedOut => (Exit::TimedOut, "run it again with --resume"),
            _ => (Exit::Refused, "find out why before anything is repaired; without --repair the check only tells"),
        };
        return Err(Failure::new(exit, Complaint::new(format!("the repair stopped: {}", stopped.as_str())).hint(hint)));
    }
    if !report.complete {
        let complaint = Complaint::new("the time was used up before every row was compared");
        return Err(Failure::new(Exit::TimedOut, complaint.hint("--resume goes on from here")));
    }
    if let Some(unverifiable) = &report.unverifiable {
        let (keys, lag) = (output::count(unverifiable.keys), output::age(unverifiable.lag_seconds));
        let message = format!("nothing can be said about {keys} keys: the sync is {lag} behind and does not move");
        let exit = if differ > 0 { Exit::Findings } else { Exit::TimedOut };
        return Err(Failure::new(exit, Complaint::new(message).hint("`lfk status` says why; `lfk run` works on it")));
    }
    let left = match &report.repair {
        Some(repair) => repair.stuck + repair.waiting,
        None => differ,
    };
    Ok(if left > 0 { Exit::Findings } else { Exit::Ok })
}

fn text(report: &Report) -> String {
    let confirmed = &report.confirmed;
    let mut text = format!(
        "{}: {} rows compared in {}\n  missing      {}\n  different    {}\n  extra        {}\n",
        report.mirror,
        output::count(report.checked_rows),
        output::age(report.seconds),
        output::count(confirmed.missing),
        output::count(confirmed.different),
        output::count(confirmed.extra)
    );
    for (what, keys) in [
        ("in flight", report.in_flight),
        ("hot", report.hot),
        ("not yet", report.not_yet),
        ("quarantined", report.quarantined),
    ] {
        if keys > 0 {
            text.push_str(&format!("  {what:<12} {}\n", output::count(keys)));
        }
    }
    if let Some(repair) = &report.repair {
        text.push_str(&format!("  repaired     {}\n", output::count(repair.repaired)));
        if repair.stuck + repair.waiting > 0 {
            text.push_str(&format!("  not repaired {}\n", output::count(repair.stuck + repair.waiting)));
        }
    }
    for sample in &report.samples {
        text.push_str(&format!("  {} {}\n", sample.class, sample.key.join(", ")));
    }
    text
}
