//! `lfk mirror`: filling mirrors, and checking them.

mod check;

use std::time::{Duration, Instant};

use lfk_mirror::Fill;
use serde::Serialize;
use std::io::{self, IsTerminal as _};

pub(crate) use self::check::How;
use crate::cli::{Backfill, Mirror};
use crate::commands::{Context, Outcome};
use crate::exit::{Complaint, Exit, Failure, say};
use crate::{output, suggest};

/// How often a fill is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Serialize)]
struct Filled {
    mirror: String,
    #[serde(flatten)]
    fill: Fill,
}

pub(super) async fn run(context: &Context, command: Mirror) -> Outcome {
    match command {
        Mirror::Backfill(args) => backfill(context, &args).await,
        Mirror::Check(args) => check::run(context, &args).await,
    }
}

/// Asks for it, and works until it is done: this process does the work unless a daemon has the lease.
async fn backfill(context: &Context, args: &Backfill) -> Outcome {
    let engine = &context.engine;
    known(context, &args.name)?;
    lfk_mirror::begin_backfill(engine, &args.name, args.restart).await?;
    let mut handle = engine.start();
    let result = tokio::select! {
        result = wait(context, args) => result,
        error = handle.died() => Err(error.into()),
    };
    handle.shutdown().await?;
    result
}

async fn wait(context: &Context, args: &Backfill) -> Outcome {
    let began = Instant::now();
    let mut told = Instant::now();
    loop {
        let fill = lfk_mirror::fill_of(&context.engine, &args.name).await?;
        if let Some(fill) = fill {
            if fill.done {
                let filled = Filled { mirror: args.name.clone(), fill };
                output::answer(context.format, &filled, text)?;
                return Ok(Exit::Ok);
            }
            if (context.verbose || io::stderr().is_terminal()) && told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                say(&format!(
                    "{}: {} rows looked at, {} written",
                    args.name,
                    output::count(fill.looked_at),
                    output::count(fill.rows)
                ));
            }
        }
        blocked(context, &args.name).await?;
        if args.timeout.is_some_and(|timeout| began.elapsed() >= timeout) {
            let complaint = Complaint::new("the time was used up").hint("the same command goes on from here");
            return Err(Failure::new(Exit::TimedOut, complaint));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What waits for a person would be waited for without end.
async fn blocked(context: &Context, name: &str) -> Result<(), Failure> {
    let status = context.engine.status().await?;
    let Some(mirror) = status.mirrors.iter().find(|mirror| mirror.name == name) else { return Ok(()) };
    if matches!(mirror.condition.as_str(), "blocked" | "stopped") {
        let why = mirror.note.clone().unwrap_or_else(|| mirror.condition.clone());
        return Err(Failure::new(
            Exit::Refused,
            Complaint::new(format!("the mirror \"{name}\" does not get on: {why}")),
        ));
    }
    Ok(())
}

fn text(filled: &Filled) -> String {
    let Fill { looked_at, rows, seconds, .. } = filled.fill;
    format!(
        "{}: {} rows looked at, {} written, in {}",
        filled.mirror,
        output::count(looked_at),
        output::count(rows),
        output::age(seconds)
    )
}

/// The mirror of that name.
fn known<'a>(context: &'a Context, name: &str) -> Result<&'a lfk_mirror::Mirror, Failure> {
    context.mirrors.iter().find(|mirror| mirror.name == name).ok_or_else(|| {
        let names = context.mirrors.iter().map(|mirror| mirror.name.as_str());
        let complaint = Complaint::new(format!("no mirror is named \"{name}\" in the configuration"));
        Failure::new(Exit::Usage, complaint.hint(suggest::hint(name, names)))
    })
}
