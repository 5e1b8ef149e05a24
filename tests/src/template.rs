//! The data directories that clusters are copies of: copying takes 50 ms, `initdb` 350 ms.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, bail};

use crate::binaries::{Binaries, cache};
use crate::{guard, os};

/// Runs as the servers' user.
pub(crate) fn unprivileged(program: &Path, folder: &Path) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null());
    if os::is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command
}

/// Every system knows this user, and owns nothing as it.
const NOBODY: u32 = 65534;

/// Gives a folder to the servers' user.
pub(crate) fn hand_over(folder: &Path) -> Result<()> {
    if os::is_root() {
        std::os::unix::fs::chown(folder, Some(NOBODY), Some(NOBODY))?;
    }
    Ok(())
}

/// Copies a data directory, with owners and modes.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let output = Command::new("cp").arg("-a").arg("--").arg(from).arg(to).output()?;
    if !output.status.success() {
        bail!("cp of {} to {}: {}", from.display(), to.display(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// A template, lent to one cluster until the loan is dropped.
///
/// Copies of one template have one system identifier, and objects of the same kind the same oids. Servers that run at the
/// same time must differ, as they do everywhere but after a clone, so no template is lent twice at a time.
#[derive(Debug)]
pub(crate) struct Template {
    /// The data directory.
    pub(crate) data: PathBuf,
    number: usize,
}

/// How many templates the cache may hold, at 40 MB each. A process that runs more servers at a time makes more of its own.
const CACHED: usize = 8;

/// Which numbers are lent, and the templates that are not in the cache.
static LENT: Mutex<(BTreeSet<usize>, BTreeMap<usize, PathBuf>)> = Mutex::new((BTreeSet::new(), BTreeMap::new()));

fn lent() -> MutexGuard<'static, (BTreeSet<usize>, BTreeMap<usize, PathBuf>)> {
    LENT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Template {
    /// Lends a template for these binaries: from the cache, or made now and put there for the next process.
    pub(crate) fn lend(binaries: &Binaries) -> Result<Self> {
        let number = {
            let mut lent = lent();
            let number = (0..).find(|number| !lent.0.contains(number)).context("no number is free")?;
            lent.0.insert(number);
            number
        };
        // From here on the number goes back when anything fails.
        let mut template = Self { data: PathBuf::new(), number };
        template.data = template.find_or_make(binaries)?;
        Ok(template)
    }

    fn find_or_make(&self, binaries: &Binaries) -> Result<PathBuf> {
        let cached = cache().filter(|_| self.number < CACHED);
        let cached = cached.map(|cache| cache.join("templates").join(format!("{}-{}", key(binaries), self.number)));
        if let Some(cached) = cached.as_ref().filter(|cached| cached.join("PG_VERSION").exists()) {
            return Ok(cached.clone());
        }
        if let Some(own) = lent().1.get(&self.number) {
            return Ok(own.clone());
        }
        let folder = guard::folder("template")?;
        let fresh = initdb(binaries, &folder)?;
        // The cache is a convenience: a home that cannot be written to, or a full disk, costs 0.3 s a process.
        if let Some(cached) = cached.filter(|cached| publish(&fresh, cached).is_ok()) {
            fs::remove_dir_all(folder)?;
            return Ok(cached);
        }
        lent().1.insert(self.number, fresh.clone());
        Ok(fresh)
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        lent().0.remove(&self.number);
    }
}

/// One entry for each build of the server and each user, who alone may read it.
fn key(binaries: &Binaries) -> String {
    let text = format!("{}-{}-{}", binaries.version, binaries.folder.display(), os::uid());
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' }).collect()
}

fn initdb(binaries: &Binaries, folder: &Path) -> Result<PathBuf> {
    hand_over(folder)?;
    let data = folder.join("pg");
    let mut command = unprivileged(&binaries.folder.join("initdb"), folder);
    command.arg("-D").arg(&data);
    command.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let output = guard::spawn(command).and_then(std::process::Child::wait_with_output).context("initdb")?;
    if !output.status.success() {
        bail!("initdb of {}: {}", binaries.version, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(data)
}

/// Puts the template under its name in one step, so that another process sees all of it or nothing.
fn publish(fresh: &Path, cached: &Path) -> Result<()> {
    let parent = cached.parent().context("the cache has no parent")?;
    fs::create_dir_all(parent)?;
    sweep(parent)?;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let serial = NEXT.fetch_add(1, Ordering::Relaxed);
    let partial = parent.join(format!("{PARTIAL}{}-{serial}", std::process::id()));
    let moved = copy(fresh, &partial).and_then(|()| Ok(fs::rename(&partial, cached)?));
    if let Err(error) = moved {
        let _ = fs::remove_dir_all(&partial);
        // Another process was faster: its template is as good.
        if !cached.join("PG_VERSION").exists() {
            return Err(error);
        }
    }
    Ok(())
}

const PARTIAL: &str = "partial-";

/// Removes what processes that were killed while they copied have left.
fn sweep(parent: &Path) -> Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(PARTIAL).and_then(|rest| rest.split('-').next()?.parse().ok());
        if owner.is_some_and(|pid| !os::is_running(pid)) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
