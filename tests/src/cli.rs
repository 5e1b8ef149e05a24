//! The `lfk` binary, run as users run it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::database::{Pair, TestDb};
use crate::os::{self, Signal};
use crate::roles::{self, LeastRoles};
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

/// The variable that a URL takes its role from.
const ROLE: &str = "LFK_TEST_ROLE";

/// The binary and a config file.
///
/// Commands run as the owner of everything until [`Cli::install`]. From then on `install` and `uninstall` run as the role
/// that installs and all others as the role that works, unless `LFK_TEST_ROLES` is `owner`.
#[derive(Debug)]
pub struct Cli {
    binary: PathBuf,
    folder: PathBuf,
    config: PathBuf,
    env: Vec<(String, String)>,
    roles: OnceLock<LeastRoles>,
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
        Ok(Self { binary, folder, config: path, env: Vec::new(), roles: OnceLock::new() })
    }

    /// With both databases of a pair, and what `definitions` adds to the file. Where lfk is installed for two roles already,
    /// its commands are theirs.
    ///
    /// # Errors
    /// As [`Cli::new`].
    pub fn for_pair(pair: &Pair, definitions: &str) -> Result<Self> {
        let (main, ci) = (Self::url(&pair.main.url), Self::url(&pair.ci.url));
        let cli = Self::new(&format!(
            "format = 1\n[database.main]\nurl = \"{main}\"\n[database.ci]\nurl = \"{ci}\"\n\n{definitions}\n"
        ))?;
        Ok(cli.as_installed(pair))
    }

    /// The URL of a test's database for a config file: its role is the one that a command is for.
    #[must_use]
    pub fn url(url: &str) -> String {
        url.replacen("//postgres", &format!("//${{{ROLE}:-postgres}}"), 1)
    }

    /// From here on its commands run as the roles for which lfk is installed in this pair, if it is.
    #[must_use]
    pub fn as_installed(self, pair: &Pair) -> Self {
        if let Some(roles) = roles::of_urls([pair.main.url.as_str(), &pair.ci.url]) {
            let _ = self.roles.set(roles);
        }
        self
    }

    /// Runs `lfk install`, which has to succeed, with what `lfk grants` prints before and after it.
    ///
    /// # Errors
    /// When a server refuses, or as [`Cli::run`].
    ///
    /// # Panics
    /// When a command ended with another code than 0.
    pub async fn install(&self, pair: &Pair) -> Result<Outcome> {
        let after = self.let_by_owners(pair).await?;
        let installed = self.run(["install", "--format", "json"]).await?.expect(0);
        for (db, sql) in after {
            let roles = self.roles.get().context("there are no roles")?;
            roles::run(&roles.installer, &db, &sql).await?;
            roles.are_of([db]);
        }
        Ok(installed)
    }

    /// Has the owner of the tables run what `lfk grants` prints for it; from here on commands run as the two roles. Answers
    /// with what the installer is to run later, with the address of each database.
    ///
    /// # Errors
    /// As [`Cli::install`].
    pub async fn let_by_owners(&self, pair: &Pair) -> Result<Vec<(String, String)>> {
        if !roles::least_everywhere()? {
            return Ok(Vec::new());
        }
        let of_pair = LeastRoles::of_database(&pair.main.name);
        let mut after = Vec::new();
        for (name, db) in [("main", &pair.main), ("ci", &pair.ci)] {
            let command =
                ["grants", "--database", name, "--installer", &of_pair.installer, "--worker", &of_pair.worker];
            let (by_owners, by_installer) = roles::parts(&self.run(command).await?.expect(0).stdout)?;
            let address = address(db)?;
            roles::run("postgres", &address, &format!("{}{by_owners}", of_pair.making())).await?;
            after.push((address, by_installer));
        }
        let _ = self.roles.set(of_pair);
        Ok(after)
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
        if let Some(roles) = self.roles.get() {
            let installs = command.get_args().nth(2).is_some_and(|verb| verb == "install" || verb == "uninstall");
            command.env(ROLE, if installs { &roles.installer } else { &roles.worker });
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
        let child = guard::spawn(command).with_context(|| self.binary.display().to_string())?;
        Ok(Running { child, folder, stdout, stderr })
    }
}

/// The URL of a database without its role.
fn address(db: &TestDb) -> Result<String> {
    Ok(db.url.split_once('@').context("the url has no role")?.1.to_owned())
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
