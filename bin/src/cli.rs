//! The command line, as clap reads it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use lfk_core::Since;

/// Loose foreign keys between PostgreSQL databases.
///
/// Parents are deleted in one database; soon after, their children in another are deleted, nulled or marked.
#[derive(Debug, Parser)]
#[command(name = "lfk", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[arg(
        short,
        long,
        global = true,
        value_name = "PATH",
        help = "The configuration file [default: $LFK_CONFIG, else lfk.toml]"
    )]
    pub(crate) config: Option<PathBuf>,
    /// How the answer on stdout is written
    #[arg(long, global = true, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: Format,
    /// Log more; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Log errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    #[arg(long, global = true, help = "No colours in the log (as with NO_COLOR)")]
    pub(crate) no_color: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed or unreachable, 2 wrong usage or configuration, 3 orphans, or \
something is quarantined or blocked, 4 refused, 5 not installed or another version, 6 time used up (resumable), 130 interrupted.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read the configuration and say what is in it, without a network
    CheckConfig,
    /// Show the impact, and what forbids it with the remedy
    Plan,
    /// Create schema lfk, triggers and definitions; a new definition only observes
    Install,
    /// Remove definitions and their triggers; the schema goes with the last of them
    Uninstall(Uninstall),
    /// Print lfk's own schema
    Schema {
        #[command(subcommand)]
        command: Schema,
    },
    /// Print the least rights of the roles that install and work, as SQL, without a network
    Grants(Grants),
    /// Let definitions clean; what they have only observed is cleaned too, from the start of what the log keeps
    Activate(Activate),
    /// Let definitions count what they would do, and change nothing
    Observe(Chosen),
    /// Let definitions keep their place and do nothing; what they have only observed waits as well
    Pause(Chosen),
    /// Look again at everything that was deleted since a time, because the children's database was restored or has failed over
    Replay(Replay),
    /// The kill switch: stop all work in all databases of the configuration, whoever does it
    Stop(Switch),
    /// Undo the kill switch
    Start(Switch),
    /// Do the work: for ever, or until a condition
    Run(Run),
    /// Show how everything stands
    Status(Status),
    /// Fill mirrors from their sources, and prove that both sides are equal
    Mirror {
        #[command(subcommand)]
        command: Mirror,
    },
    /// Look for orphans: children whose parent is gone. Reads only, and needs nothing installed
    Scan(Scan),
    /// Show the orphans of a loose foreign key, or clean them as it declares
    Repair(Repair),
    /// Keys that could not be done: show them, try them now, or forget them
    Retry {
        #[command(subcommand)]
        command: Retry,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// End with code 3 when anything has an alert
    #[arg(long)]
    pub(crate) exit_code: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Scan {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    #[command(flatten)]
    pub(crate) look: Look,
    /// Keep the position in this file, so that a scan that was ended can be resumed [default: where the configuration keeps
    /// cursors, if lfk is installed there]
    #[arg(long, value_name = "PATH")]
    pub(crate) cursor_file: Option<PathBuf>,
    /// Go on from the stored position
    #[arg(long)]
    pub(crate) resume: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Repair {
    /// The loose foreign key
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Do it; without this it is only shown
    #[arg(long)]
    pub(crate) execute: bool,
    /// Change at most so many rows, and end with code 6 when more are left
    #[arg(long, value_name = "N")]
    pub(crate) max_rows: Option<u64>,
    /// Refuse when more than this share of the keys are orphans: then something else is mostly wrong
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = percent)]
    pub(crate) max_orphans_percent: f64,
    /// Time between the two looks at a key, for applications that write a child before its parent [default: that of the
    /// definition, 60s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) settle_after: Option<Duration>,
    #[command(flatten)]
    pub(crate) look: Look,
}

/// How orphans are looked for.
#[derive(Debug, Args)]
pub(crate) struct Look {
    /// Show some of the keys of orphans
    #[arg(long)]
    pub(crate) show_keys: bool,
    /// End with code 6 when it takes longer, for example 10m
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Wait at most so long for transactions that were open at the first look
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "60s")]
    pub(crate) wait: Duration,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Mirror {
    /// Write every row of the source that is missing or differs in the target, and remove what the source does not have
    Backfill(Backfill),
    /// Compare every row of both sides; code 3 when rows differ that should not. Reads only, unless it repairs
    Check(Check),
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The mirror's name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Hand proven differences to the sync, and look at them again; refused (4) when more than single rows are wrong
    #[arg(long)]
    pub(crate) repair: bool,
    /// Go on where the last check by hand stopped
    #[arg(long)]
    pub(crate) resume: bool,
    /// Show some keys of rows that differ
    #[arg(long)]
    pub(crate) show_keys: bool,
    /// How rows are compared [default: as suits key and tables]
    #[arg(long, value_name = "METHOD")]
    pub(crate) method: Option<crate::commands::How>,
    /// End with code 6 when it takes longer, for example 30s or 5m; --resume goes on
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct Backfill {
    /// The mirror's name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Begin anew where one is under way, instead of going on with it
    #[arg(long)]
    pub(crate) restart: bool,
    /// End with code 6 when it takes longer, for example 30s or 5m; the next run goes on
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Retry {
    /// Show keys set aside with their reason, those in quarantine first
    List(RetryList),
    /// Try keys at once, in quarantine or not; suspects of a sweep keep their wait
    Now(RetryNow),
    /// Forget keys: their children stay
    Drop(RetryDrop),
}

#[derive(Debug, Args)]
pub(crate) struct RetryList {
    /// Names of definitions [default: all of the configuration]
    #[arg(value_name = "NAME", conflicts_with = "all")]
    pub(crate) names: Vec<String>,
    /// All of the configuration
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    pub(crate) which: WhichKeys,
    /// Show at most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: u32,
}

#[derive(Debug, Args)]
pub(crate) struct RetryNow {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    #[command(flatten)]
    pub(crate) which: WhichKeys,
}

#[derive(Debug, Args)]
pub(crate) struct RetryDrop {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    #[command(flatten)]
    pub(crate) which: WhichKeys,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Some of the keys set aside.
#[derive(Debug, Args)]
pub(crate) struct WhichKeys {
    /// Only keys in quarantine
    #[arg(long)]
    pub(crate) quarantined: bool,
    /// Only this key, which may be given again; of several columns as '["7", "eu"]'
    #[arg(long = "key", value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) keys: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Schema {
    /// Print the SQL that install runs, for any migration tool, without a network
    Sql {
        /// Print what uninstall runs instead
        #[arg(long)]
        down: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Grants {
    /// The role that runs `lfk install` and `lfk uninstall`
    #[arg(long, value_name = "ROLE", default_value = "lfk_installer")]
    pub(crate) installer: String,
    /// The role that runs everything else
    #[arg(long, value_name = "ROLE", default_value = "lfk_worker")]
    pub(crate) worker: String,
    /// Only for this database of the configuration [default: a section each]
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    /// Print what takes the rights back instead
    #[arg(long)]
    pub(crate) revoke: bool,
}

/// Some definitions by name, or all of the configuration.
#[derive(Debug, Clone, Args)]
pub(crate) struct Chosen {
    /// Names of definitions
    #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) names: Vec<String>,
    /// All of the configuration
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Activate {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    /// Leave alone what was deleted before now
    #[arg(long)]
    pub(crate) from_now: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    /// A time such as 2026-05-04T03:00:00Z, or a duration such as 6h
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(crate) since: Since,
    /// The children's database is of another time than the parents' side knows, and is the right one
    #[arg(long)]
    pub(crate) restored: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Uninstall {
    #[command(flatten)]
    pub(crate) chosen: Chosen,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Switch {
    /// All databases of the configuration; the switch knows nothing smaller
    #[arg(long, required = true)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Visit what is in the logs now, once, and end
    #[arg(long, conflicts_with = "until_drained")]
    pub(crate) once: bool,
    /// End when nothing is left to do
    #[arg(long)]
    pub(crate) until_drained: bool,
    /// End with code 6 when it takes longer, for example 30s or 5m
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "until_drained")]
    pub(crate) timeout: Option<Duration>,
    /// How the log on stderr is written
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// How the answer on stdout is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
}

/// How the log on stderr is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line of text each
    Text,
    /// A JSON object a line
    Json,
}

impl Cli {
    /// The level of our own log. The daemon tells its story by default; a command only what went wrong.
    pub(crate) fn level(&self, daemon: bool) -> &'static str {
        match (self.quiet, self.verbose, daemon) {
            (true, ..) => "error",
            (_, 0, false) => "warn",
            (_, 0, true) | (_, 1, false) => "info",
            (_, 1, true) | (_, 2, false) => "debug",
            _ => "trace",
        }
    }
}

impl Run {
    /// Whether it works until it is told to stop.
    pub(crate) fn is_daemon(&self) -> bool {
        !self.once && !self.until_drained
    }
}

/// Reads `500ms`, `30s`, `5m`, `1h30m`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|d| Duration::try_from(d).ok())
        .ok_or_else(|| "not a duration such as 500ms, 30s or 5m".to_owned())
}

/// Reads a time with its offset, or how long ago it was.
fn since(text: &str) -> Result<Since, String> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(Since::Time(time.into()));
    }
    duration(text)
        .map(Since::Ago)
        .map_err(|_| "neither a time with its offset such as 2026-05-04T03:00:00Z nor a duration such as 6h".to_owned())
}

/// Reads a share of a hundred.
fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse::<f64>().ok().filter(|n| (0.0..=100.0).contains(n));
    percent.ok_or_else(|| "not a share between 0 and 100".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::error::ErrorKind> {
        Cli::try_parse_from(line.split_whitespace()).map_err(|e| e.kind())
    }

    #[test]
    fn verify_cli() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_read_with_their_unit_only() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        for wrong in ["", "5", "-5s", "5 parsecs", "s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_replay_is_since_a_time_with_its_offset_or_a_duration() {
        assert_eq!(since("6h"), Ok(Since::Ago(Duration::from_secs(21_600))));
        let four = Ok(Since::Time(std::time::UNIX_EPOCH + Duration::from_secs(4)));
        assert_eq!(since("1970-01-01T00:00:04Z"), four);
        assert_eq!(since("1970-01-01T02:00:04+02:00"), four);
        for wrong in ["", "6", "-6h", "yesterday", "1970-01-01T00:00:04", "1970-01-01"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
        assert!(parse("lfk replay --all").is_err());
        assert!(parse("lfk replay --since 6h").is_err());
        assert!(parse("lfk replay a b --since 6h --restored").is_ok());
    }

    #[test]
    fn what_names_definitions_needs_names_or_all_and_not_both() {
        for verb in ["uninstall", "activate", "observe", "pause"] {
            assert!(parse(&format!("lfk {verb}")).is_err(), "{verb}");
            assert!(parse(&format!("lfk {verb} a --all")).is_err(), "{verb}");
            assert!(parse(&format!("lfk {verb} a b")).is_ok(), "{verb}");
            assert!(parse(&format!("lfk {verb} --all")).is_ok(), "{verb}");
        }
        for verb in ["stop", "start"] {
            assert!(parse(&format!("lfk {verb}")).is_err(), "{verb}");
            assert!(parse(&format!("lfk {verb} --all")).is_ok(), "{verb}");
        }
    }

    #[test]
    fn keys_set_aside_are_changed_only_by_name_or_all() {
        assert!(parse("lfk retry list").is_ok());
        assert!(parse("lfk retry list a --quarantined --key 1 --key -2").is_ok());
        for verb in ["now", "drop"] {
            assert!(parse(&format!("lfk retry {verb}")).is_err(), "{verb}");
            assert!(parse(&format!("lfk retry {verb} --all --quarantined")).is_ok(), "{verb}");
            assert!(parse(&format!("lfk retry {verb} a --key 7")).is_ok(), "{verb}");
        }
    }

    #[test]
    fn a_repair_names_one_definition_and_a_scan_any_number() {
        assert!(parse("lfk scan").is_err());
        assert!(parse("lfk scan a b --show-keys --timeout 5m").is_ok());
        assert!(parse("lfk scan --all --resume").is_ok());
        assert!(parse("lfk scan --all --resume --cursor-file x").is_ok());
        assert!(parse("lfk repair").is_err());
        assert!(parse("lfk repair a b").is_err());
        assert!(parse("lfk repair a --execute --max-rows 10 --max-orphans-percent 2.5").is_ok());
        assert!(parse("lfk repair a --max-orphans-percent 101").is_err());
    }

    #[test]
    fn a_timeout_belongs_to_a_run_that_ends() {
        assert!(parse("lfk run --timeout 5s").is_err());
        assert!(parse("lfk run --once --until-drained").is_err());
        assert!(parse("lfk run --until-drained --timeout 5s").is_ok());
    }

    #[test]
    fn the_global_options_may_stand_before_or_after_the_command() {
        assert_eq!(parse("lfk status --format json -c x.toml").unwrap().config, Some("x.toml".into()));
        assert_eq!(parse("lfk -c x.toml --format json status").unwrap().format, Format::Json);
    }
}
