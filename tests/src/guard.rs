//! The folder of this run, the guard that removes it, and the thread that starts servers.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, mpsc};

use anyhow::{Context as _, Result};

use crate::os;

/// Whether databases and folders are kept for a look.
pub(crate) fn keeps() -> bool {
    std::env::var_os("LFK_KEEP").is_some_and(|value| !value.is_empty() && value != "0")
}

/// A new folder inside the one of this run, which everybody may traverse.
pub(crate) fn folder(purpose: &str) -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let folder = run()?.join(format!("{purpose}{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    create(&folder).with_context(|| folder.display().to_string())?;
    Ok(folder)
}

/// Spawns a command that gets SIGQUIT when this process dies, from a thread that lives as long as the process.
pub(crate) fn spawn(mut command: Command) -> io::Result<Child> {
    type Job = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (jobs, queue) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, reply) in queue {
                let _ = reply.send(command.spawn());
            }
        });
        jobs
    });
    os::die_with_parent(&mut command);
    let (reply, answer) = mpsc::channel();
    let gone = |_| io::Error::other("the thread that starts servers is gone");
    spawner.send((command, reply)).map_err(|_| gone(mpsc::RecvError))?;
    answer.recv().map_err(gone)?
}

/// The folder of this run. Its guard is started before anything is put into it.
fn run() -> Result<&'static Path> {
    static RUN: OnceLock<std::result::Result<(PathBuf, ChildStdin), String>> = OnceLock::new();
    let made = RUN.get_or_init(|| {
        let folder = base().join(format!("lfk-{}-{:04x}", std::process::id(), rand::random::<u16>()));
        create(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let lifeline = start(&folder).map_err(|e| format!("the guard of {}: {e}", folder.display()))?;
        Ok((folder, lifeline))
    });
    made.as_ref().map(|(folder, _)| folder.as_path()).map_err(|e| anyhow::anyhow!(e.clone()))
}

/// `$TMPDIR`; else memory, where there is plenty; else `/tmp`.
///
/// A suite makes and removes tens of thousands of small files. In memory a pair of databases takes 0.1 s; on ext4, which
/// avoids numbers of files that were removed in the last minutes, we saw 2 s.
fn base() -> PathBuf {
    let wanted = match std::env::var_os("TMPDIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None if !keeps() && memory_is_ample().unwrap_or(false) => PathBuf::from(MEMORY),
        None => PathBuf::from("/tmp"),
    };
    // The path of a Unix socket may have 107 bytes, and the servers' user must get there.
    let open = |path: &Path| fs::metadata(path).is_ok_and(|m| m.permissions().mode() & 0o001 != 0);
    let fits = wanted.as_os_str().len() < 60 && (!os::is_root() || wanted.ancestors().all(open));
    if fits { wanted } else { PathBuf::from("/tmp") }
}

const MEMORY: &str = "/dev/shm";

/// Whether 4 GB may be put into memory without anybody running short of it: containers have limits of their own.
fn memory_is_ample() -> Option<bool> {
    const GIB: u64 = 1 << 30;
    let number = |text: &str| text.split_whitespace().find_map(|word| word.parse::<u64>().ok());
    let available = fs::read_to_string("/proc/meminfo").ok()?;
    let available = number(available.lines().find(|line| line.starts_with("MemAvailable:"))?)? * 1024;
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = limits.iter().filter_map(|file| number(&fs::read_to_string(file).ok()?)).min().unwrap_or(u64::MAX);
    let df = Command::new("df").args(["-kP", MEMORY]).output().ok()?;
    let df = String::from_utf8(df.stdout).ok()?;
    let fields: Vec<&str> = df.lines().nth(1)?.split_whitespace().collect();
    let free = fields.get(3)?.parse::<u64>().ok()? * 1024;
    Some(fields.first() == Some(&"tmpfs") && available.min(limit) >= 8 * GIB && free >= 4 * GIB)
}

fn create(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o755).create(folder)?;
    // The umask may have taken bits away.
    fs::set_permissions(folder, Permissions::from_mode(0o755))
}

/// Starts the guard: it reads from a pipe whose other end only this process holds, so the read ends when this process
/// does, however it ends. It has a process group of its own: a Ctrl-C or a kill of the test's group must not reach it.
fn start(folder: &Path) -> io::Result<ChildStdin> {
    let mut guard = Command::new("/bin/sh")
        .arg("-c")
        .arg(include_str!("guard.sh"))
        .arg("lfk-guard")
        .arg(folder)
        .arg(if keeps() { "keep" } else { "remove" })
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()?;
    guard.stdin.take().ok_or_else(|| io::Error::other("it has no input"))
}
