//! The `lfk` binary, run as users run it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::database::Pair;
use crate::os::{self, Signal};
use crate::{guard, wait};

/// Longer than any command takes in a test; a command that hangs is killed then.
const PATIENCE: Duration = Duration::from_secs(120);

/// The path of the built binary: `$LFK_BIN`, or the one beside the test binary.
///
/// # Errors
/// When it is not built, or older than its sources: a test of yesterday's binary proves nothing.
pub fn lfk_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("LFK_BIN").filter(|v| !v.is_empty()) {
        return PathBuf::from(&path).canonicalize().with_context(|| format!("LFK_BIN is {}", path.display()));
    }
    let test = std::env::current_exe()?;
    let profile = test.parent().and_then(Path::parent).context("the test binary is not in a target folder")?;
    let binary = profile.join("lfk");
    let built = fs::metadata(&binary)
        .and_then(|file| file.modified())
        .with_context(|| format!("{}: run `cargo build -p lfk` first", binary.display()))?;
    // Cargo leaves the list of everything that went into it beside the binary.
    let list = fs::read_to_string(profile.join("lfk.d"))?;
    let sources = list.split_once(": ").map_or("", |(_, sources)| sources);
    for source in sources.split_whitespace() {
        if fs::metadata(source).and_then(|file| file.modified()).is_ok_and(|changed| changed > built) {
            bail!("{} is older than {source}: run `cargo build -p lfk`", binary.display());
        }
    }
    Ok(binary)
}

/// The binary and a config file.
#[derive(Debug)]
pub struct Cli {
    binary: PathBuf,
    folder: PathBuf,
    config: PathBuf,
    env: Vec<(String, String)>,
}

/// What a command that ended has left.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The exit code; 128 and the signal's number when it was killed.
    pub code: i32,
    /// All of it.
    pub stdout: String,
    /// All of it.
    pub stderr: String,
}

impl Outcome {
    /// The JSON on stdout.
    ///
    /// # Errors
    /// When it is none; with all that the command said.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON: {self:?}"))
    }

    /// Fails unless the command has ended with this code, and says what it printed.
    ///
    /// # Panics
    /// When it ended with another.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

impl Cli {
    /// Writes `config` to an `lfk.toml` in a folder of its own.
    ///
    /// # Errors
    /// When the binary is not built.
    pub fn new(config: &str) -> Result<Self> {
        let binary = lfk_binary()?;
        let folder = guard::folder("cli")?;
        let path = folder.join("lfk.toml");
        fs::write(&path, config)?;
        Ok(Self { binary, folder, config: path, env: Vec::new() })
    }

    /// With both databases of a pair, and what `definitions` adds to the file.
    ///
    /// # Errors
    /// As [`Cli::new`].
    pub fn for_pair(pair: &Pair, definitions: &str) -> Result<Self> {
        let (main, ci) = (&pair.main.url, &pair.ci.url);
        Self::new(&format!(
            "format = 1\n[database.main]\nurl = \"{main}\"\n[database.ci]\nurl = \"{ci}\"\n\n{definitions}\n"
        ))
    }

    /// Sets an environment variable for its commands.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The config file, which a test may write anew.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Runs `lfk -c CONFIG ARGS…` to its end.
    ///
    /// # Errors
    /// When it cannot be started, or has not ended after two minutes.
    pub async fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<Outcome> {
        self.spawn(args)?.wait(PATIENCE).await
    }

    /// Starts `lfk -c CONFIG ARGS…`, for example the daemon.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Result<Running> {
        let folder = guard::folder("run")?;
        let (stdout, stderr) = (folder.join("stdout"), folder.join("stderr"));
        let mut command = Command::new(&self.binary);
        command.arg("-c").arg(&self.config).args(args).current_dir(&self.folder);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
        let child = guard::spawn(command).with_context(|| self.binary.display().to_string())?;
        Ok(Running { child, folder, stdout, stderr })
    }
}

/// An `lfk` that runs. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    folder: PathBuf,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    /// What it has logged so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("it has ended with {status}: {}", self.stderr());
        }
        Ok(os::send(self.pid(), signal)?)
    }

    /// Waits for its end; kills it when that takes longer than `deadline`.
    ///
    /// # Errors
    /// When the deadline has passed; with what it has printed.
    pub async fn wait(mut self, deadline: Duration) -> Result<Outcome> {
        let status = tokio::task::spawn_blocking(move || -> Result<(Self, Option<ExitStatus>)> {
            let mut status = None;
            wait::blocking(deadline, || {
                status = self.child.try_wait()?;
                Ok(status.is_some())
            })?;
            Ok((self, status))
        });
        let (ended, status) = status.await??;
        let (stdout, stderr) = (ended.stdout(), ended.stderr());
        let Some(status) = status else {
            bail!("lfk has not ended after {deadline:?}\nstdout: {stdout}\nstderr: {stderr}");
        };
        use std::os::unix::process::ExitStatusExt as _;
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
        Ok(Outcome { code, stdout, stderr })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !guard::keeps() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

impl Drop for Cli {
    fn drop(&mut self) {
        if !guard::keeps() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}
