//! lfk as its users run it: the release binary and a config file.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lfk_tests::{Cli, Outcome, Running};
use serde_json::Value;

use crate::server::Servers;

/// Longer than the largest bench takes; a run that hangs is killed then.
const PATIENCE: Duration = Duration::from_secs(1800);
/// How often the memory of a process is looked at. The kernel keeps the peak, so only the very last moment can be missed.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Builds are deleted with their projects.
pub const BUILDS: &str = r#"
[[loose_foreign_key]]
parent    = "main:public.projects(id)"
child     = "ci:public.builds(project_id)"
on_delete = "delete"
"#;

/// Notes lose their reference with their projects.
pub const NOTES: &str = r#"
[[loose_foreign_key]]
parent    = "main:public.projects(id)"
child     = "ci:public.notes(project_id)"
on_delete = "set_null"
"#;

/// What the first is called.
pub const BUILDS_NAME: &str = "builds.project_id";
/// What the second is called.
pub const NOTES_NAME: &str = "notes.project_id";

/// lfk, installed and active.
#[derive(Debug)]
pub struct Ours {
    cli: Cli,
}

/// A run that has drained everything.
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    /// From the start of the process to its end.
    pub seconds: f64,
    /// The most memory that the process had, in MB (of 10⁶ bytes).
    pub peak_mb: f64,
}

impl Ours {
    /// lfk for these definitions, where it is installed already.
    ///
    /// # Errors
    /// When the binary is not built.
    pub fn of(servers: &Servers, definitions: &[&str]) -> Result<Self> {
        let (main, ci) = (servers.main.url(), servers.ci.url());
        let cli = Cli::new(&format!(
            "format = 1\n[database.main]\nurl = \"{main}\"\n[database.ci]\nurl = \"{ci}\"\n{}",
            definitions.concat()
        ))?;
        Ok(Self { cli })
    }

    /// Installs and activates.
    ///
    /// # Errors
    /// When the binary is not built, or a command fails.
    pub async fn install(servers: &Servers, definitions: &[&str]) -> Result<Self> {
        let ours = Self::of(servers, definitions)?;
        ours.command(&["install"]).await?;
        ours.command(&["activate", "--all"]).await?;
        Ok(ours)
    }

    /// `lfk run --until-drained`, the whole process.
    ///
    /// # Errors
    /// When it does not end with everything done.
    pub async fn drain(&self) -> Result<Drain> {
        self.command(&["run", "--until-drained"]).await
    }

    /// The daemon. Dropping it kills it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn daemon(&self) -> Result<Running> {
        self.cli.spawn(["run"])
    }

    /// A command that answers with JSON, the whole process: the answer, and seconds.
    ///
    /// # Errors
    /// When it does not end with this code.
    pub async fn ask(&self, arguments: &[&str], code: i32) -> Result<(Value, f64)> {
        let (outcome, seconds) = self.run(arguments).await?;
        ensure!(outcome.code == code, "{arguments:?} ended with {}, not {code}: {outcome:?}", outcome.code);
        Ok((outcome.json()?, seconds))
    }

    /// A command that answers with JSON and may end with any code, the whole process.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn run(&self, arguments: &[&str]) -> Result<(Outcome, f64)> {
        let began = Instant::now();
        let running = self.cli.spawn(arguments.iter().chain(&["--format", "json"]))?;
        let outcome = running.wait(PATIENCE).await?;
        Ok((outcome, began.elapsed().as_secs_f64()))
    }

    async fn command(&self, arguments: &[&str]) -> Result<Drain> {
        let began = Instant::now();
        let running = self.cli.spawn(arguments)?;
        let pid = running.pid();
        let ended = running.wait(PATIENCE);
        tokio::pin!(ended);
        let mut peak = 0.0_f64;
        loop {
            tokio::select! {
                outcome = &mut ended => {
                    let seconds = began.elapsed().as_secs_f64();
                    outcome?.expect(0);
                    return Ok(Drain { seconds, peak_mb: peak });
                }
                () = tokio::time::sleep(LOOK_EVERY) => peak = peak.max(peak_mb(pid).unwrap_or(0.0)),
            }
        }
    }
}

/// The most memory that a running process has had, in MB (of 10⁶ bytes).
///
/// # Errors
/// When it does not run.
pub fn peak_mb(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("the process is gone")?;
    let kib: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kib * 1024.0 / 1e6)
}
