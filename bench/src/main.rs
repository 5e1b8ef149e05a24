//! `lfk-bench NAME… [--quick] [--json] [--rounds N]`: measures lfk beside its baselines, in turn, in one run. No name means all;
//! `--list` prints them. docs/benchmarks.md says what each of them shows, and what it does not.
//!
//! A goal that is not reached fails nothing; a database that is not as it has to be after a run fails the bench.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use lfk_bench::benches::{ALL, Bench, Size};
use lfk_bench::report;

const USAGE: &str = "usage: lfk-bench [NAME…] [--quick] [--json] [--rounds N] [--list]";

#[derive(Debug)]
struct Arguments {
    names: Vec<String>,
    quick: bool,
    json: bool,
    list: bool,
    rounds: Option<usize>,
}

impl Arguments {
    fn parse(mut given: impl Iterator<Item = String>) -> Result<Self> {
        let mut all = Self { names: Vec::new(), quick: false, json: false, list: false, rounds: None };
        while let Some(argument) = given.next() {
            match argument.as_str() {
                "--quick" => all.quick = true,
                "--json" => all.json = true,
                "--list" => all.list = true,
                "--rounds" => all.rounds = Some(given.next().context(USAGE)?.parse().context(USAGE)?),
                name if !name.starts_with('-') => all.names.push(argument),
                _ => bail!("{argument}: {USAGE}"),
            }
        }
        Ok(all)
    }

    fn chosen(&self) -> Result<Vec<&'static Bench>> {
        if self.names.is_empty() {
            return Ok(ALL.iter().collect());
        }
        let by_name = |name: &String| {
            ALL.iter().find(|bench| bench.name == name).with_context(|| format!("{name}: no bench; see --list"))
        };
        self.names.iter().map(by_name).collect()
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let chosen = arguments.chosen()?;
    if arguments.list {
        for bench in chosen {
            println!("{:14}{}", bench.name, bench.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    refuse_memory()?;
    let pg = lfk_tests::pg_bin()?.version;
    let size = Size::new(arguments.quick, arguments.rounds);
    let (mut cases, mut failed) = (Vec::new(), false);
    for bench in chosen {
        eprintln!("{}: {}", bench.name, bench.about);
        match (bench.run)(size).await {
            Ok(done) => {
                if arguments.json {
                    done.iter().for_each(|case| println!("{}", case.json(&pg)));
                }
                cases.extend(done);
            }
            Err(error) => {
                eprintln!("{} failed: {error:#}", bench.name);
                failed = true;
            }
        }
    }
    if !arguments.json {
        println!("{}\n{pg}", report::table(&cases));
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A commit that waits for memory costs nothing: such figures would flatter whoever commits often.
fn refuse_memory() -> Result<()> {
    let folder = std::env::var("TMPDIR").context("TMPDIR is not set: run script/bench")?;
    let output = Command::new("stat").args(["-f", "-c", "%T", &folder]).output()?;
    let kind = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || kind == "tmpfs" || kind == "ramfs" {
        bail!("{folder} is no folder on a disk (LFK_BENCH_DIR names another)");
    }
    Ok(())
}
