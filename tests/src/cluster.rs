//! A PostgreSQL server of our own.

use std::fs::{self, File, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rand::Rng as _;
use sqlx::{Connection as _, PgConnection};

use crate::binaries::{Binaries, pg_bin};
use crate::os::{self, Signal};
use crate::template::{Template, copy, hand_over, unprivileged};
use crate::{guard, wait};

/// A running (or, between [`Cluster::kill9`] and [`Cluster::restart`], a dead) PostgreSQL server.
///
/// A handle: clones mean the same server. When the last one is dropped the server is gone, with its processes, folder
/// and shared memory.
#[derive(Debug, Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    binaries: Binaries,
    template: Arc<Template>,
    home: PathBuf,
    port: AtomicU16,
    settings: Vec<(String, String)>,
    server: Mutex<Option<Child>>,
}

/// Longer than a recovery on a busy machine takes, and short enough to fail before a CI job does.
const PATIENCE: Duration = Duration::from_secs(60);

/// What all clusters have.
const SETTINGS: &[(&str, &str)] = &[
    ("listen_addresses", "127.0.0.1"),
    // The page cache survives a killed server, so commits survive without fsync; but only when commits are written out.
    ("fsync", "off"),
    ("synchronous_commit", "on"),
    // A SIGKILL can stop the kernel between the two 4 kB pages of one write: torn pages are real even here.
    ("full_page_writes", "on"),
    ("max_connections", "200"),
    ("max_prepared_transactions", "10"),
    ("shared_buffers", "64MB"),
    // Files in the data directory: /dev/shm would keep them after a kill.
    ("dynamic_shared_memory_type", "mmap"),
    ("autovacuum", "on"),
    ("log_min_messages", "warning"),
    ("log_checkpoints", "off"),
    ("log_line_prefix", "%m [%p] %d "),
    ("timezone", "UTC"),
];

impl Cluster {
    /// Starts a new, empty server.
    ///
    /// # Errors
    /// When there are no binaries, or the server does not start; with its log.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// Starts a new, empty server with further settings, such as `("wal_level", "logical")`.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn start_with(settings: &[(&str, &str)]) -> Result<Self> {
        let settings = settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        tokio::task::spawn_blocking(move || {
            let binaries = pg_bin()?;
            let template = Arc::new(Template::lend(&binaries)?);
            let data = template.data.clone();
            Self::create(binaries, template, &data, settings)
        })
        .await?
    }

    /// Starts a second server on a byte-for-byte copy of this one, which must be stopped: a restored backup, a clone.
    ///
    /// # Errors
    /// When this one runs, or the new one does not start.
    pub async fn start_copy(&self) -> Result<Self> {
        self.blocking(|inner| {
            if inner.server().is_some() {
                bail!("only a stopped server can be copied");
            }
            Self::create(inner.binaries.clone(), Arc::clone(&inner.template), &inner.data(), inner.settings.clone())
        })
        .await
    }

    /// Starts a streaming standby of this server, which is stopped for a moment and runs again when this returns.
    ///
    /// # Errors
    /// When this one does not run, or one of the two does not start.
    pub async fn start_standby(&self) -> Result<Self> {
        self.blocking(|inner| {
            inner.stop(Signal::Interrupt)?;
            let home = guard::folder("s")?;
            hand_over(&home)?;
            let standby = Inner {
                binaries: inner.binaries.clone(),
                template: Arc::clone(&inner.template),
                home,
                port: AtomicU16::new(0),
                settings: inner.settings.clone(),
                server: Mutex::new(None),
            };
            copy(&inner.data(), &standby.data())?;
            fs::write(standby.data().join("standby.signal"), "")?;
            let primary = format!("primary_conninfo = 'host=127.0.0.1 port={} user=postgres'\n", inner.port());
            fs::write(standby.data().join("postgresql.auto.conf"), primary)?;
            if !inner.start()? {
                bail!("port {} was taken in between", inner.port());
            }
            standby.start_on_free_port()?;
            Ok(Self { inner: Arc::new(standby) })
        })
        .await
    }

    fn create(
        binaries: Binaries,
        template: Arc<Template>,
        from: &Path,
        settings: Vec<(String, String)>,
    ) -> Result<Self> {
        let home = guard::folder("c")?;
        hand_over(&home)?;
        let inner = Inner { binaries, template, home, port: AtomicU16::new(0), settings, server: Mutex::new(None) };
        copy(from, &inner.data())?;
        inner.start_on_free_port()?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Kills the server and all its backends with SIGKILL, at once, and waits until they are gone. [`Cluster::restart`]
    /// then recovers from the log, as after a crash.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill9(&self) -> Result<()> {
        self.blocking(Inner::kill9).await
    }

    /// Stops the server in fast mode: open transactions are rolled back, connections closed.
    ///
    /// # Errors
    /// When it does not run, or does not stop.
    pub async fn stop_fast(&self) -> Result<()> {
        self.blocking(|inner| inner.stop(Signal::Interrupt)).await
    }

    /// Starts the server again on the same port and data; stops it before if it runs.
    ///
    /// # Errors
    /// When it does not start; with its log.
    pub async fn restart(&self) -> Result<()> {
        self.blocking(|inner| {
            if inner.server().is_some() {
                inner.stop(Signal::Interrupt)?;
            }
            if inner.start()? { Ok(()) } else { bail!("port {} was taken in between", inner.port()) }
        })
        .await
    }

    /// Makes a standby that was stopped a primary of its own: with what it had received, and no more.
    ///
    /// # Errors
    /// When it runs, does not start, or is not promoted.
    pub async fn promote(&self) -> Result<()> {
        self.blocking(|inner| {
            // Nobody to receive more from.
            fs::write(inner.data().join("postgresql.auto.conf"), "")?;
            if inner.start()? { Ok(()) } else { bail!("port {} was taken in between", inner.port()) }
        })
        .await?;
        let mut there = PgConnection::connect(&self.url("postgres")).await?;
        let promoted: bool = sqlx::query_scalar("SELECT pg_promote()").fetch_one(&mut there).await?;
        if promoted { Ok(()) } else { bail!("it is not promoted") }
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> Result<T> + Send + 'static) -> Result<T> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || work(&inner)).await?
    }

    /// The TCP port on 127.0.0.1. It stays the same over restarts.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.inner.port()
    }

    /// The URL of one of its databases, for the superuser `postgres`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port())
    }

    /// What the server has written to its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.inner.log()
    }

    /// The process id of the postmaster, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.inner.server().as_ref().map(Child::id)
    }

    /// The server's folder: its socket, its log, and its data in `pg`.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.inner.home
    }

    /// The major version of the server.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.inner.binaries.major
    }
}

impl Inner {
    fn data(&self) -> PathBuf {
        self.home.join("pg")
    }

    fn port(&self) -> u16 {
        self.port.load(Ordering::Relaxed)
    }

    fn server(&self) -> MutexGuard<'_, Option<Child>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> String {
        fs::read(self.home.join("server.log"))
            .map_or_else(|e| e.to_string(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    fn start_on_free_port(&self) -> Result<()> {
        for _ in 0..20 {
            self.port.store(free_port()?, Ordering::Relaxed);
            if self.start()? {
                return Ok(());
            }
        }
        bail!("twenty ports in a row were taken")
    }

    /// Starts the server and waits until it takes connections. False: another process has the port.
    fn start(&self) -> Result<bool> {
        let path = self.home.join("server.log");
        let log = OpenOptions::new().create(true).append(true).open(path)?;
        let before = log.metadata()?.len();
        let mut server = guard::spawn(self.command(log)?).context("postgres")?;
        let pid = server.id();
        let ready = wait::blocking(PATIENCE, || {
            if let Some(status) = server.try_wait()? {
                let log = self.log();
                let news = log.get(usize::try_from(before)?..).unwrap_or(&log);
                if news.contains("Address already in use") {
                    return Ok(true);
                }
                bail!("postgres ended with {status}: {}", news.trim());
            }
            Ok(self.pid_file().is_some_and(|file| file.pid == pid && file.ready))
        })?;
        if !ready {
            let _ = server.kill();
            let _ = server.wait();
            bail!("postgres takes no connections after {PATIENCE:?}: {}", self.log().trim());
        }
        if server.try_wait()?.is_some() {
            return Ok(false);
        }
        *self.server() = Some(server);
        Ok(true)
    }

    fn command(&self, log: File) -> Result<std::process::Command> {
        let mut command = unprivileged(&self.binaries.folder.join("postgres"), &self.home);
        command.arg("-D").arg(self.data());
        let mut set = |name: &str, value: &str| {
            command.arg("-c").arg(format!("{name}={value}"));
        };
        set("port", &self.port().to_string());
        set("unix_socket_directories", &self.home.display().to_string());
        SETTINGS.iter().for_each(|(name, value)| set(name, value));
        self.settings.iter().for_each(|(name, value)| set(name, value));
        command.stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log));
        Ok(command)
    }

    fn stop(&self, signal: Signal) -> Result<()> {
        let mut server = self.server().take().context("the server does not run")?;
        os::send(server.id(), signal)?;
        if wait::blocking(PATIENCE, || Ok(server.try_wait()?.is_some()))? {
            return Ok(());
        }
        *self.server() = Some(server);
        bail!("the server does not stop: {}", self.log().trim())
    }

    fn kill9(&self) -> Result<()> {
        let mut server = self.server().take().context("the server does not run")?;
        let postmaster = server.id();
        // Frozen, it cannot fork a backend that would be missing in the list and go on committing.
        os::send(postmaster, Signal::Stop)?;
        let backends = os::children_of(postmaster);
        server.kill()?;
        for pid in &backends {
            let _ = os::send(*pid, Signal::Kill);
        }
        server.wait()?;
        let gone = wait::blocking(PATIENCE, || Ok(!backends.iter().any(|pid| os::is_running(*pid))))?;
        if !gone {
            bail!("backends of {postmaster} outlived SIGKILL");
        }
        // The next start would look for the old process by a number that may be another's by then.
        if let Some(segment) = self.pid_file().and_then(|file| file.segment) {
            os::remove_shared_memory(segment);
        }
        let _ = fs::remove_file(self.data().join("postmaster.pid"));
        Ok(())
    }

    fn pid_file(&self) -> Option<PidFile> {
        PidFile::parse(&fs::read_to_string(self.data().join("postmaster.pid")).ok()?)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.server().is_some() && self.stop(Signal::Quit).is_err() {
            let _ = self.kill9();
        }
        if guard::keeps() {
            let command = format!("{}/postgres -D {}", self.binaries.folder.display(), self.data().display());
            eprintln!("kept: {command} -p {} -k {}", self.port(), self.home.display());
        } else if let Err(error) = fs::remove_dir_all(&self.home) {
            eprintln!("{}: {error}", self.home.display());
        }
    }
}

/// The lines of `postmaster.pid` that we need.
struct PidFile {
    pid: u32,
    segment: Option<i32>,
    ready: bool,
}

impl PidFile {
    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().collect();
        let segment = lines.get(6).and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        Some(Self {
            pid: lines.first()?.trim().parse().ok()?,
            segment,
            ready: lines.get(7).is_some_and(|line| line.trim() == "ready"),
        })
    }
}

/// A free port below the range from which the kernel serves outgoing connections: there, a client that tries to
/// reconnect to a stopped server could be given that very port, and then keep the server from starting, or find itself.
pub(crate) fn free_port() -> Result<u16> {
    for _ in 0..1000 {
        let port = rand::rng().random_range(10_240..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port on 127.0.0.1")
}
