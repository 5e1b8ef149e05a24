//! A Redis of a test's own.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::authority::Credentials;
use crate::cluster::free_port;
use crate::os::{self, Signal};
use crate::template::{hand_over, unprivileged};
use crate::{guard, wait};

/// Longer than it takes to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running Redis on a Unix socket, which keeps nothing on disk. Dropping it takes it away.
#[derive(Debug)]
pub struct Redis {
    child: Mutex<Child>,
    program: PathBuf,
    home: PathBuf,
    arguments: Vec<String>,
    /// Where it listens besides.
    port: Option<u16>,
}

impl Redis {
    /// Starts one, with what `settings` adds to its configuration.
    ///
    /// # Errors
    /// When there is no Redis, or it does not start; with its log.
    pub async fn start(settings: &[(&str, &str)]) -> Result<Self> {
        let arguments = arguments(settings);
        tokio::task::spawn_blocking(move || Self::start_with(arguments, None)).await?
    }

    /// Starts one that also listens on a port of 127.0.0.1.
    ///
    /// # Errors
    /// As [`Redis::start`].
    pub async fn start_on_a_port() -> Result<Self> {
        Self::listening("port", Vec::new()).await
    }

    /// Starts one that also takes encrypted connections, on a port of 127.0.0.1.
    ///
    /// # Errors
    /// As [`Redis::start`].
    pub async fn start_encrypted(credentials: &Credentials) -> Result<Self> {
        let [_, (_, certificate), (_, key)] = credentials.settings();
        let encryption = [("tls-cert-file", certificate), ("tls-key-file", key), ("tls-auth-clients", "no")];
        Self::listening("tls-port", arguments(&encryption)).await
    }

    async fn listening(kind: &'static str, settings: Vec<String>) -> Result<Self> {
        tokio::task::spawn_blocking(move || {
            for _ in 0..20 {
                let port = free_port()?;
                let listen = arguments(&[("bind", "127.0.0.1"), (kind, &port.to_string())]);
                match Self::start_with([settings.clone(), listen].concat(), Some(port)) {
                    Err(error) if format!("{error:#}").contains("Address already in use") => {}
                    started => return started,
                }
            }
            bail!("twenty ports in a row were taken")
        })
        .await?
    }

    fn start_with(arguments: Vec<String>, port: Option<u16>) -> Result<Self> {
        let program = program()?;
        let home = guard::folder("redis")?;
        hand_over(&home)?;
        let child = Mutex::new(spawn(&program, &home, &arguments)?);
        let started = Self { child, program, home, arguments, port };
        started.await_ready()?;
        Ok(started)
    }

    fn await_ready(&self) -> Result<()> {
        let ready = wait::blocking(PATIENCE, || {
            if let Some(status) = self.child().try_wait()? {
                bail!("redis-server ended with {status}: {}", self.log().trim());
            }
            let takes = self.port.is_none_or(|port| TcpStream::connect(("127.0.0.1", port)).is_ok());
            Ok(takes && UnixStream::connect(socket(&self.home)).is_ok())
        })?;
        if !ready {
            bail!("redis-server takes no connections after {PATIENCE:?}: {}", self.log().trim());
        }
        Ok(())
    }

    /// Its URL for the default user.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis+unix://{}", socket(&self.home).display())
    }

    /// Its URL for another user.
    #[must_use]
    pub fn url_as(&self, user: &str, password: &str) -> String {
        format!("{}?user={user}&pass={password}", self.url())
    }

    /// The port where it listens besides its socket.
    ///
    /// # Errors
    /// When it has none.
    pub fn port(&self) -> Result<u16> {
        self.port.context("it listens on its socket only")
    }

    /// Asks it something as the default user. Answers with what it sent, as it is in the protocol.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ask(&self, words: &[&str]) -> Result<String> {
        let mut connection = UnixStream::connect(socket(&self.home))?;
        connection.set_read_timeout(Some(PATIENCE))?;
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        // The last answer ends the connection, and so tells where the first one ends.
        connection.write_all(format!("{request}QUIT\r\n").as_bytes())?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        let answer = answer.strip_suffix("+OK\r\n").with_context(|| format!("cut off: {answer}"))?;
        if answer.starts_with('-') {
            bail!("{}", answer.trim());
        }
        Ok(answer.to_owned())
    }

    /// Kills it, and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn kill9(&self) -> Result<()> {
        let mut child = self.child();
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Starts it anew after [`Redis::kill9`], empty, on the same socket.
    ///
    /// # Errors
    /// As [`Redis::start`].
    pub fn restart(&self) -> Result<()> {
        let _ = fs::remove_file(socket(&self.home));
        let child = spawn(&self.program, &self.home, &self.arguments)?;
        *self.child() = child;
        self.await_ready()
    }

    /// Freezes it: connections are taken by the kernel and stay without an answer, until what is returned is dropped.
    ///
    /// # Errors
    /// When it has ended.
    pub fn freeze(&self) -> Result<Frozen> {
        let pid = self.pid();
        os::send(pid, Signal::Stop)?;
        Ok(Frozen { pid })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child().id()
    }

    /// The folder in which everything of it is.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// What it has written to its log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.home.join("log")).map_or_else(|e| e.to_string(), |log| String::from_utf8_lossy(&log).into_owned())
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.kill9();
        if !guard::keeps() {
            let _ = fs::remove_dir_all(&self.home);
        }
    }
}

/// A Redis that does not run for a while.
#[derive(Debug)]
#[must_use = "it goes on when this is dropped"]
pub struct Frozen {
    pid: u32,
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = os::send(self.pid, Signal::Continue);
    }
}

fn socket(home: &Path) -> PathBuf {
    home.join("s")
}

fn arguments(settings: &[(&str, &str)]) -> Vec<String> {
    settings.iter().flat_map(|(name, value)| [format!("--{name}"), (*value).to_owned()]).collect()
}

/// The guard of the run finds it by its command line, which hence must stay as it is.
fn spawn(program: &Path, home: &Path, more: &[String]) -> Result<Child> {
    let log = File::options().create(true).append(true).open(home.join("log"))?;
    let mut command = unprivileged(program, home);
    command.args(["--port", "0", "--save", "", "--appendonly", "no", "--set-proc-title", "no"]);
    command.arg("--unixsocket").arg(socket(home)).args(more);
    command.stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log));
    guard::spawn(command).with_context(|| program.display().to_string())
}

/// The first of: `$LFK_REDIS`; the `PATH`; where packages put it.
fn program() -> Result<PathBuf> {
    if let Some(program) = std::env::var_os("LFK_REDIS").filter(|value| !value.is_empty()) {
        // Links are not followed: some systems have one program for server and tools, which goes by its name.
        return std::path::absolute(&program).with_context(|| format!("LFK_REDIS is {}", program.display()));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/bin"), PathBuf::from("/usr/local/bin")]);
    let mut candidates = folders.map(|folder| folder.join("redis-server"));
    candidates.find(|program| program.is_file()).context(
        "no redis-server found: run `apt-get install redis-server`, or name it in LFK_REDIS, or run script/test, which \
         installs it",
    )
}
