//! Where the PostgreSQL server binaries are.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::os;

/// The binaries of one PostgreSQL installation.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The folder that holds `initdb` and `postgres`.
    pub folder: PathBuf,
    /// What `postgres --version` says.
    pub version: String,
    /// The major version.
    pub major: u32,
}

/// Finds server binaries. The first of: `$LFK_PG_BIN`; `/usr/lib/postgresql/*/bin`, the newest, or that of major
/// `$LFK_PG_MAJOR`; those on the `PATH`; those that `script/test` has downloaded into its cache.
///
/// # Errors
/// When there are none, with the command that installs them.
pub fn pg_bin() -> Result<Binaries> {
    if let Some(folder) = std::env::var_os("LFK_PG_BIN").filter(|v| !v.is_empty()) {
        return inspect(Path::new(&folder)).with_context(|| format!("LFK_PG_BIN is {}", folder.display()));
    }
    let wanted: Option<u32> = match std::env::var("LFK_PG_MAJOR") {
        Ok(text) if !text.is_empty() => Some(text.parse().context("LFK_PG_MAJOR is not a number")?),
        _ => None,
    };
    for folder in candidates() {
        if !folder.join("postgres").exists() || !folder.join("initdb").exists() {
            continue;
        }
        let found = inspect(&folder)?;
        if wanted.is_none_or(|major| major == found.major) {
            return Ok(found);
        }
    }
    let what = wanted.map_or("PostgreSQL".to_owned(), |major| format!("PostgreSQL {major}"));
    bail!(
        "no server binaries of {what} found: run `apt-get install postgresql`, or name their folder in LFK_PG_BIN, \
         or run script/test, which downloads them"
    )
}

/// The cache that the scripts and the harness share; root's own home would be closed to the servers' user.
pub(crate) fn cache() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("LFK_CACHE")
        .or_else(|| os::is_root().then(|| PathBuf::from("/var/cache/lfk")))
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("lfk")))
        .or_else(|| Some(set("HOME")?.join(".cache/lfk")))
}

fn candidates() -> Vec<PathBuf> {
    let mut all = by_version(Path::new("/usr/lib/postgresql"), "bin");
    if let Some(path) = std::env::var_os("PATH") {
        // Links on the PATH lead to the installation, where the server looks for its libraries.
        let real = |folder: PathBuf| Some(folder.join("postgres").canonicalize().ok()?.parent()?.to_owned());
        all.extend(std::env::split_paths(&path).filter_map(real));
    }
    if let Some(cache) = cache() {
        all.extend(by_version(&cache.join("postgresql"), "native/bin"));
    }
    all
}

/// The folders `parent/*/leaf`, the highest number first.
fn by_version(parent: &Path, leaf: &str) -> Vec<PathBuf> {
    let number = |path: &Path| -> u32 {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        name.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
    };
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(parent).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.sort_by_key(|path| std::cmp::Reverse(number(path)));
    folders.into_iter().map(|path| path.join(leaf)).collect()
}

fn inspect(folder: &Path) -> Result<Binaries> {
    let postgres = folder.join("postgres");
    let output = Command::new(&postgres).arg("--version").output().with_context(|| postgres.display().to_string())?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "postgres (PostgreSQL) 19beta1"
    let number = version.split_whitespace().nth(2).unwrap_or_default();
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    let major = digits.parse().with_context(|| format!("{} says {version:?}", postgres.display()))?;
    if os::is_root() {
        open_to_others(&postgres)?;
    }
    Ok(Binaries { folder: folder.to_owned(), version, major })
}

/// As root the server runs as `nobody`, who must be able to reach it; the error of initdb would not say so.
fn open_to_others(program: &Path) -> Result<()> {
    let program = program.canonicalize()?;
    for part in program.ancestors() {
        if std::fs::metadata(part)?.permissions().mode() & 0o001 == 0 {
            bail!("{} is closed to other users, and PostgreSQL does not run as root: move it", part.display());
        }
    }
    Ok(())
}
