//! How a check is made: what its caller may choose.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{Cursor, Progress};

/// How rows are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// A digest of each chunk, computed by the servers; listed where it differs. While most chunks differ, rows one by one: as
    /// they are where they are narrow, otherwise by their hashes.
    Digest,
    /// The key and the hash of each row.
    Rows,
    /// All values of each row, as they are.
    Streamed,
    /// As rows, looked up by key: for keys that the two servers sort differently.
    Keys,
    /// Digests of buckets of keys, each side read page by page: for large tables whose rows do not lie in the order of the key,
    /// such as those with random uuids.
    Physical,
}

/// Is told how a check is getting on.
pub type Tell = Arc<dyn Fn(&Progress) + Send + Sync>;

/// How a check is to be made.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// Puts some keys into the report.
    pub show_keys: bool,
    /// Goes on where the last pass under the same name stopped; otherwise it starts at the beginning.
    pub resume: bool,
    /// Hands proven differences to the sync.
    pub repair: bool,
    /// When to stop; what is left can be resumed.
    pub timeout: Option<Duration>,
    /// How long keys in flight are waited for behind the end of both tables, while the sync does them.
    pub patience: Duration,
    /// Another method than the one that suits the key.
    pub method: Option<Method>,
    /// Rows of a chunk; otherwise so many that a statement takes about [`Options::target`].
    pub chunk_rows: Option<u32>,
    /// How long a statement should take.
    pub target: Duration,
    /// Where the position is kept; otherwise it is not.
    pub cursor: Option<Cursor>,
    /// Ends the check before its next chunk. What looked different by then is still proven.
    pub cancel: CancellationToken,
    /// Called after each chunk.
    pub progress: Option<Tell>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            show_keys: false,
            resume: false,
            repair: false,
            timeout: None,
            patience: Duration::from_secs(30),
            method: None,
            chunk_rows: None,
            target: Duration::from_millis(250),
            cursor: None,
            cancel: CancellationToken::new(),
            progress: None,
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { show_keys, resume, repair, timeout, patience, method, chunk_rows, target, cursor, .. } = self;
        f.debug_struct("Options")
            .field("show_keys", show_keys)
            .field("resume", resume)
            .field("repair", repair)
            .field("timeout", timeout)
            .field("patience", patience)
            .field("method", method)
            .field("chunk_rows", chunk_rows)
            .field("target", target)
            .field("cursor", cursor)
            .finish_non_exhaustive()
    }
}
