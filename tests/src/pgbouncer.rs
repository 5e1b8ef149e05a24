//! A PgBouncer of a test's own, in transaction mode.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::cluster::{Cluster, free_port};
use crate::template::{hand_over, unprivileged};
use crate::{guard, wait};

/// Longer than it takes to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running PgBouncer in transaction mode. Dropping it takes it away.
#[derive(Debug)]
pub struct PgBouncer {
    child: Child,
    home: PathBuf,
    port: u16,
}

impl PgBouncer {
    /// Starts one in front of a server: two server connections a database, and what `settings` adds to its configuration.
    ///
    /// # Errors
    /// When there is no PgBouncer, or it does not start; with its log.
    pub async fn in_front_of(cluster: &Cluster, settings: &[(&str, &str)]) -> Result<Self> {
        let (server, settings) = (cluster.port(), settings.iter().map(|(name, value)| format!("{name} = {value}\n")));
        let settings: String = settings.collect();
        tokio::task::spawn_blocking(move || Self::start(server, &settings)).await?
    }

    fn start(server: u16, settings: &str) -> Result<Self> {
        let program = program()?;
        let home = guard::folder("pgbouncer")?;
        hand_over(&home)?;
        for _ in 0..20 {
            let port = free_port()?;
            let config = home.join("pgbouncer.ini");
            fs::write(&config, configuration(server, port, settings))?;
            let log = File::create(home.join("log"))?;
            let mut command = unprivileged(&program, &home);
            command.arg(&config).stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log));
            let child = guard::spawn(command).with_context(|| program.display().to_string())?;
            let mut started = Self { child, home: home.clone(), port };
            if started.is_ready()? {
                return Ok(started);
            }
        }
        bail!("twenty ports in a row were taken")
    }

    /// Waits until it takes connections. False: another process has the port.
    fn is_ready(&mut self) -> Result<bool> {
        let mut taken = false;
        let ready = wait::blocking(PATIENCE, || {
            if let Some(status) = self.child.try_wait()? {
                let log = self.log();
                taken = log.contains("Address already in use");
                return if taken { Ok(true) } else { bail!("pgbouncer ended with {status}: {}", log.trim()) };
            }
            Ok(self.log().contains("process up") && TcpStream::connect(("127.0.0.1", self.port)).is_ok())
        })?;
        if !ready {
            bail!("pgbouncer takes no connections after {PATIENCE:?}: {}", self.log().trim());
        }
        Ok(!taken)
    }

    /// The URL of one of the server's databases through it, for the superuser `postgres`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// What it has written to its log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.home.join("log")).map_or_else(|e| e.to_string(), |log| String::from_utf8_lossy(&log).into_owned())
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !guard::keeps() {
            let _ = fs::remove_dir_all(&self.home);
        }
    }
}

/// Everybody is let in as `postgres`: what is tested is the pooling.
fn configuration(server: u16, port: u16, settings: &str) -> String {
    format!(
        "[databases]\n* = host=127.0.0.1 port={server} user=postgres\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
         pool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 200\n{settings}"
    )
}

/// The first of: `$LFK_PGBOUNCER`; where packages put it; the `PATH`.
fn program() -> Result<PathBuf> {
    if let Some(program) = std::env::var_os("LFK_PGBOUNCER").filter(|value| !value.is_empty()) {
        return PathBuf::from(&program)
            .canonicalize()
            .with_context(|| format!("LFK_PGBOUNCER is {}", program.display()));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [Path::new("/usr/sbin").to_owned(), Path::new("/usr/local/sbin").to_owned()];
    let mut candidates = folders.into_iter().chain(std::env::split_paths(&path)).map(|folder| folder.join("pgbouncer"));
    candidates.find(|program| program.is_file()).context(
        "no pgbouncer found: run `apt-get install pgbouncer`, or name it in LFK_PGBOUNCER, or run script/test, which \
         installs it",
    )
}
