//! Cursors in one small JSON file, for scans of databases in which nothing is installed.
//!
//! The file is replaced whole (written beside it, then renamed), so a crash leaves the old one or the new one. A file that
//! cannot be read as what it should be counts as lost. Two processes that write at the same moment are kept apart by a file
//! that only one of them can make; one that was killed with it leaves it behind, and it is taken over after some seconds.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind as Io, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::{CursorStore, Stored};
use crate::error::{Error, ErrorKind, Result};

/// How long a process may hold the file, which takes it a few milliseconds.
const STALE: Duration = Duration::from_secs(5);
/// How often it is tried while another process has it.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// Cursors in a file. It holds the last key that was looked at, so only its owner may read it.
#[derive(Debug, Clone)]
pub struct FileStore {
    path: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    version: u64,
    value: String,
}

type Entries = BTreeMap<String, Entry>;

impl FileStore {
    /// Cursors in the file at `path`, which need not be there yet. Touches nothing.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn failed(&self, error: io::Error) -> Error {
        let mut failed =
            Error::new(ErrorKind::Config, format!("the cursor file {} cannot be used: {error}", self.path.display()))
                .with_hint("name a file in a folder that is there and that can be written");
        failed.source = Some(Box::new(error));
        failed
    }

    fn read(&self) -> io::Result<Entries> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            Err(error) if error.kind() == Io::NotFound => Ok(Entries::new()),
            Err(error) => Err(error),
        }
    }

    /// Reads, changes and writes while no other process does.
    async fn change<T: Send>(&self, change: impl FnOnce(&mut Entries) -> (bool, T) + Send) -> Result<T> {
        let lock = Lock::take(&self.path).await.map_err(|e| self.failed(e))?;
        let done = (|| {
            let mut entries = self.read()?;
            let (changed, answer) = change(&mut entries);
            if changed {
                self.write(&entries)?;
            }
            Ok(answer)
        })();
        drop(lock);
        done.map_err(|e| self.failed(e))
    }

    fn write(&self, entries: &Entries) -> io::Result<()> {
        let beside = beside(&self.path, "new");
        let _ = fs::remove_file(&beside);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside)?;
        file.write_all(&serde_json::to_vec(entries)?)?;
        file.sync_all()?;
        fs::rename(&beside, &self.path)
    }
}

impl CursorStore for FileStore {
    fn load<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Stored>>> {
        async move {
            let mut entries = self.read().map_err(|e| self.failed(e))?;
            Ok(entries.remove(name).map(|Entry { version, value }| Stored { value, version }))
        }
        .boxed()
    }

    fn save<'a>(&'a self, name: &'a str, value: &'a str, expected: Option<u64>) -> BoxFuture<'a, Result<Option<u64>>> {
        let replace = move |entries: &mut Entries| {
            let there = entries.get(name).map(|entry| entry.version);
            if there != expected {
                return (false, None);
            }
            let version = there.unwrap_or(0) + 1;
            entries.insert(name.to_owned(), Entry { version, value: value.to_owned() });
            (true, Some(version))
        };
        self.change(replace).boxed()
    }

    fn forget<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        self.change(move |entries| (entries.remove(name).is_some(), ())).boxed()
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{ending}"));
    path.with_file_name(name)
}

/// The right to write the file.
struct Lock(PathBuf);

impl Lock {
    async fn take(path: &Path) -> io::Result<Self> {
        let lock = beside(path, "lock");
        loop {
            match OpenOptions::new().write(true).create_new(true).open(&lock) {
                Ok(_) => return Ok(Self(lock)),
                Err(error) if error.kind() == Io::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            let age = fs::metadata(&lock).and_then(|file| file.modified()).map(|at| at.elapsed().unwrap_or_default());
            if age.is_ok_and(|age| age > STALE) {
                let _ = fs::remove_file(&lock);
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (PathBuf, FileStore) {
        let folder = std::env::temp_dir().join(format!("lfk-store-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        (folder.clone(), FileStore::new(folder.join("cursors.json")))
    }

    #[tokio::test]
    async fn a_cursor_is_moved_only_from_the_version_that_is_there() {
        let (folder, store) = store();
        assert_eq!(store.load("a").await.unwrap(), None);
        assert_eq!(store.save("a", "one", None).await.unwrap(), Some(1));
        assert_eq!(store.save("a", "two", None).await.unwrap(), None);
        assert_eq!(store.save("a", "two", Some(1)).await.unwrap(), Some(2));
        assert_eq!(store.save("a", "three", Some(1)).await.unwrap(), None);
        assert_eq!(store.load("a").await.unwrap(), Some(Stored { value: "two".to_owned(), version: 2 }));
        store.forget("a").await.unwrap();
        store.forget("a").await.unwrap();
        assert_eq!(store.load("a").await.unwrap(), None);
        fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn a_file_that_is_damaged_counts_as_lost() {
        let (folder, store) = store();
        fs::write(&store.path, "{\"a\": {\"vers").unwrap();
        assert_eq!(store.load("a").await.unwrap(), None);
        assert_eq!(store.save("a", "one", None).await.unwrap(), Some(1));
        fs::remove_dir_all(folder).unwrap();
    }
}
