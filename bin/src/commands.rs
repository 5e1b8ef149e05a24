//! One verb a file. Each asks the engine and writes its answer.

mod by_kind;
mod check_config;
mod daemon;
mod grants;
mod install;
mod mirror;
mod plan;
mod progress;
mod repair;
mod replay;
mod retry;
mod run;
mod scan;
mod schema;
mod state;
mod status;
mod switch;
mod uninstall;

pub(crate) use self::mirror::How;
use std::future::Future;

use lfk_core::{Engine, State};

use self::by_kind::ByKind;
use crate::cli::{Activate, Chosen, Cli, Command, Format, Schema};
use crate::config::Config;
use crate::exit::{Complaint, Exit, Failure};
use crate::signals::Signals;

/// What a command ends with.
type Outcome = Result<Exit, Failure>;

/// What every command works with.
struct Context {
    engine: Engine,
    mirrors: Vec<lfk_mirror::Mirror>,
    format: Format,
    /// Whether progress may be told on stderr though it is no terminal.
    verbose: bool,
}

/// Runs the command line.
pub(crate) async fn run(cli: Cli) -> Outcome {
    // Caught from the start, so that a signal during the first connection is not answered by an abrupt end.
    let signals = Signals::catch().map_err(|e| Failure::runtime(format!("signals cannot be caught: {e}")))?;
    let config = Config::load(cli.config)?;
    if matches!(cli.command, Command::CheckConfig) {
        return check_config::run(config, cli.format);
    }
    let mirrors = config.mirrors.clone();
    let context = Context { engine: config.engine()?, mirrors, format: cli.format, verbose: cli.verbose > 0 };
    match cli.command {
        Command::Run(run) if run.is_daemon() => daemon::run(&context, signals).await,
        Command::Run(run) => run::run(&context, &run, signals).await,
        Command::Scan(args) => scan::run(&context, &args, signals).await,
        Command::Repair(args) => repair::run(&context, &args, signals).await,
        command => unless_interrupted(signals, dispatch(&context, command)).await,
    }
}

async fn dispatch(context: &Context, command: Command) -> Outcome {
    match command {
        // Answered before: one without an engine, the others with signals of their own.
        Command::CheckConfig | Command::Run(_) | Command::Scan(_) | Command::Repair(_) => Ok(Exit::Ok),
        Command::Plan => plan::run(context).await,
        Command::Install => install::run(context).await,
        Command::Uninstall(uninstall) => uninstall::run(context, &uninstall).await,
        Command::Schema { command: Schema::Sql { down } } => schema::sql(context, down),
        Command::Grants(roles) => grants::run(context, &roles),
        Command::Activate(Activate { chosen, from_now }) => {
            state::change(context, &chosen, State::Active, from_now).await
        }
        Command::Observe(chosen) => to(context, &chosen, State::Observe).await,
        Command::Pause(chosen) => to(context, &chosen, State::Paused).await,
        Command::Replay(args) => replay::run(context, &args).await,
        Command::Stop(_) => switch::run(context, true).await,
        Command::Start(_) => switch::run(context, false).await,
        Command::Mirror { command } => mirror::run(context, command).await,
        Command::Retry { command } => retry::run(context, command).await,
        Command::Status(args) => status::run(context, &args).await,
    }
}

async fn to(context: &Context, chosen: &Chosen, state: State) -> Outcome {
    state::change(context, chosen, state, false).await
}

/// Lets a signal end a command. An open transaction is rolled back by the server; whatever was committed stays.
async fn unless_interrupted(mut signals: Signals, work: impl Future<Output = Outcome>) -> Outcome {
    tokio::select! {
        outcome = work => outcome,
        signal = signals.next() => {
            let complaint = Complaint::new(format!("interrupted by {signal}"));
            Err(Failure::new(Exit::Interrupted, complaint.hint("the same command goes on from here")))
        }
    }
}
