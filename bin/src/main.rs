#![doc = include_str!("../README.md")]

mod cli;
mod commands;
mod config;
mod confirm;
mod exit;
mod logging;
mod output;
mod signals;
mod suggest;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;
use crate::exit::{Exit, Failure};

fn main() -> ExitCode {
    // Mistakes in the arguments end here with 2, `--help` and `--version` with 0.
    let cli = Cli::parse();
    logging::init(&cli);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return Failure::runtime(format!("the runtime cannot be started: {e}")).report(),
    };
    let ended = runtime.block_on(commands::run(cli));
    // A name lookup or a question at the terminal may still block a thread: it must not hold the process.
    runtime.shutdown_background();
    ended.map_or_else(|failure| failure.report(), Exit::into)
}
