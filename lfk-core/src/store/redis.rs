//! Positions in Redis, for those who have it. It may lose everything at any time.
//!
//! A position is a hash `<prefix>:position:<name>` with `version` and `value`, and nothing else is ever read or written. All
//! calls share one connection, made by the first call and anew by the first after it broke. A call ends when its time is up,
//! whatever the server does: nothing here ever waits for a server to come back, that is for the caller to decide.

mod failure;
mod url;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::{CursorStore, Stored, check_name, check_value, new_version};
use crate::error::{Error, ErrorKind, Result};

/// How long a call may take, with everything that belongs to it.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);
const DEFAULT_PREFIX: &str = "lfk";
/// The longest prefix, in bytes.
const LONGEST_PREFIX: usize = 100;

const SAVE: &str = include_str!("save.lua");

/// Keeps positions in a Redis server (6.2 or later, or what speaks its protocol; not a cluster of them).
///
/// It may be emptied, restarted or lost at any time: then [`CursorStore::load`] answers `None`. While it is away or slow each
/// call fails after the timeout at the latest, and the first call after that works again. Positions are kept without a time
/// limit. Several who share a server and do not mean the same databases need a prefix each.
///
/// Calls must be made inside a tokio runtime with I/O and time. An encrypted connection uses the cryptography that the
/// application has installed in `rustls`, else the only one that is compiled in; where there are two, one must be installed.
pub struct RedisStore {
    client: Client,
    prefix: String,
    timeout: Duration,
    shared: Mutex<Shared>,
    /// Held while connecting.
    gate: tokio::sync::Mutex<()>,
}

/// What all calls share.
#[derive(Default)]
struct Shared {
    /// How many connections were made so far.
    made: u64,
    connection: Option<MultiplexedConnection>,
}

impl RedisStore {
    /// A store behind a URL: `redis://user:password@host:6379/0`, `rediss://…` for an encrypted connection, which is verified
    /// against the CAs of this machine, or those of the file in `?sslrootcert=`; `redis+unix:///path` for a socket. That file
    /// is read here; no network is touched.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when the URL cannot be read. The message never repeats it, because it may hold a password.
    pub fn new(url: &str) -> Result<Self> {
        let client = url::client(url)?;
        let (shared, gate) = (Mutex::default(), tokio::sync::Mutex::default());
        Ok(Self { client, prefix: DEFAULT_PREFIX.to_owned(), timeout: DEFAULT_TIMEOUT, shared, gate })
    }

    /// What all names begin with on the server. Default `lfk`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] unless it has 1 to 100 bytes without control characters.
    pub fn with_prefix(mut self, prefix: &str) -> Result<Self> {
        if prefix.is_empty() || prefix.len() > LONGEST_PREFIX || prefix.chars().any(char::is_control) {
            return Err(Error::config(format!(
                "a prefix for Redis has 1 to {LONGEST_PREFIX} bytes and no control characters"
            )));
        }
        prefix.clone_into(&mut self.prefix);
        Ok(self)
    }

    /// How long a call may take, connecting and a second attempt included. Default 1 s.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What all names begin with on the server.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    async fn load_hash(&self, name: &str) -> Result<Option<Stored>> {
        check_name(name)?;
        let mut command = ::redis::cmd("HMGET");
        command.arg(self.key(name)).arg("version").arg("value");
        let (version, value): (Option<String>, Option<String>) = self.ask(&command).await?;
        match (version.map(|version| version.parse()), value) {
            (None, None) => Ok(None),
            (Some(Ok(version)), Some(value)) => Ok(Some(Stored { value, version })),
            _ => Err(foreign()),
        }
    }

    async fn save_hash(&self, name: &str, value: &str, expected: Option<u64>) -> Result<Option<u64>> {
        check_name(name)?;
        check_value(value)?;
        let version = new_version();
        // The whole script each time: it is short, and a server that was restarted does not know it.
        let mut command = ::redis::cmd("EVAL");
        command.arg(SAVE).arg(1).arg(self.key(name));
        command.arg(expected.map_or_else(String::new, |v| v.to_string())).arg(version.to_string()).arg(value);
        match self.ask(&command).await? {
            1 => Ok(Some(version)),
            0 => Ok(None),
            _ => Err(foreign()),
        }
    }

    async fn forget_hash(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let mut command = ::redis::cmd("DEL");
        command.arg(self.key(name));
        let _: i64 = self.ask(&command).await?;
        Ok(())
    }

    fn key(&self, name: &str) -> String {
        format!("{}:position:{name}", self.prefix)
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        match tokio::time::timeout(self.timeout, self.ask_twice(command)).await {
            Ok(answer) => answer.map_err(|e| failure::error(&e)),
            Err(_) => {
                // Whatever is still under way on it would be in the way of the next call.
                self.shared().connection = None;
                Err(failure::too_slow(self.timeout))
            }
        }
    }

    /// A server that was restarted shows by the first request on the old connection only. Every command here may be repeated.
    async fn ask_twice<T: FromRedisValue>(&self, command: &Cmd) -> std::result::Result<T, RedisError> {
        let kept = self.shared().kept();
        if let Some((made, mut connection)) = kept {
            match command.query_async(&mut connection).await {
                Err(error) if error.is_unrecoverable_error() => self.discard(made),
                answer => return answer,
            }
        }
        let (made, mut connection) = self.connection().await?;
        let answer = command.query_async(&mut connection).await;
        if answer.as_ref().is_err_and(RedisError::is_unrecoverable_error) {
            self.discard(made);
        }
        answer
    }

    /// The connection and its number. One call makes it, however many wait for it.
    async fn connection(&self) -> std::result::Result<(u64, MultiplexedConnection), RedisError> {
        let _gate = self.gate.lock().await;
        if let Some(kept) = self.shared().kept() {
            return Ok(kept);
        }
        // The driver's own limits (half a second a reply) are replaced by the one limit of the whole call.
        let unlimited = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connection = self.client.get_multiplexed_async_connection_with_config(&unlimited).await?;
        let mut shared = self.shared();
        shared.made += 1;
        shared.connection = Some(connection.clone());
        Ok((shared.made, connection))
    }

    /// Gives up a connection, unless another call has done so before.
    fn discard(&self, made: u64) {
        let mut shared = self.shared();
        if shared.made == made {
            shared.connection = None;
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn kept(&self) -> Option<(u64, MultiplexedConnection)> {
        self.connection.clone().map(|connection| (self.made, connection))
    }
}

/// A key with our prefix that is no position.
fn foreign() -> Error {
    Error::new(ErrorKind::Refused, "the cursor store in Redis holds something under this name that lfk did not write")
        .with_hint("give lfk a prefix of its own, or delete the key")
}

impl std::fmt::Debug for RedisStore {
    /// Without the URL, which may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl CursorStore for RedisStore {
    fn load<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Stored>>> {
        self.load_hash(name).boxed()
    }

    fn save<'a>(&'a self, name: &'a str, value: &'a str, expected: Option<u64>) -> BoxFuture<'a, Result<Option<u64>>> {
        self.save_hash(name, value, expected).boxed()
    }

    fn forget<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        self.forget_hash(name).boxed()
    }
}
