//! Logs: on stderr, never on stdout, and never with a connection string.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command, LogFormat};

/// The driver warns of URL parameters that it does not know, with their values: a misspelt `password=` would be logged.
const NEVER: &str = "sqlx_postgres::options=off";

/// Sends what is traced to stderr. `RUST_LOG` goes before `-v` and `-q`.
pub(crate) fn init(cli: &Cli) {
    let (daemon, format) = match &cli.command {
        Command::Run(run) => (run.is_daemon(), run.log_format),
        _ => (false, LogFormat::Text),
    };
    let mut filter = match std::env::var("RUST_LOG") {
        Ok(directives) if !directives.is_empty() => EnvFilter::builder().parse_lossy(directives),
        _ => EnvFilter::new(directives(cli.level(daemon))),
    };
    if let Ok(never) = NEVER.parse() {
        filter = filter.add_directive(never);
    }
    let color =
        !cli.no_color && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Text => subscriber.with_ansi(color).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
}

/// Other crates only speak up when something is wrong.
fn directives(level: &str) -> String {
    format!("error,lfk={level},lfk_core={level},lfk_sql={level}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_that_we_build_can_be_read() {
        for level in ["error", "warn", "info", "debug", "trace"] {
            EnvFilter::builder().parse(directives(level)).unwrap();
        }
        NEVER.parse::<tracing_subscriber::filter::Directive>().unwrap();
    }
}
