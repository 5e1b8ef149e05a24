//! Orphans by bringing both columns to the client. It looks once, so a parent that is merely not committed yet counts as gone.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Instant;

use anyhow::Result;

use crate::copying::Tuples;
use crate::server::Servers;
use crate::statements::scan;

/// How both sides come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Join {
    /// Tables as they lie, parents in a set.
    Hash,
    /// Both in order, from their indexes alone.
    Merge,
}

/// Keys without a parent, and their rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Orphans {
    /// Distinct keys.
    pub keys: i64,
    /// Children.
    pub rows: i64,
}

/// Streams both sides; seconds, and the orphans.
///
/// # Errors
/// When a server fails.
pub async fn run(servers: &Servers, join: Join) -> Result<(f64, Orphans)> {
    let began = Instant::now();
    let orphans = match join {
        Join::Hash => hash(servers).await?,
        Join::Merge => merge(servers).await?,
    };
    Ok((began.elapsed().as_secs_f64(), orphans))
}

async fn hash(servers: &Servers) -> Result<Orphans> {
    let (mut parents, mut children) =
        tokio::try_join!(Tuples::of(&servers.main, scan::COPY_PARENTS), Tuples::of(&servers.ci, scan::COPY_CHILDREN))?;
    let mut known: HashSet<i64, BuildHasherDefault<Spread>> = HashSet::default();
    while parents.next().await? {
        known.insert(parents.key()?);
    }
    let (mut orphans, mut rows): (HashSet<i64>, i64) = (HashSet::new(), 0);
    while children.next().await? {
        let key = children.key()?;
        if !known.contains(&key) {
            orphans.insert(key);
            rows += 1;
        }
    }
    Ok(Orphans { keys: i64::try_from(orphans.len())?, rows })
}

async fn merge(servers: &Servers) -> Result<Orphans> {
    let (mut parents, mut children) = tokio::try_join!(
        Tuples::of(&servers.main, scan::COPY_PARENTS_SORTED),
        Tuples::of(&servers.ci, scan::COPY_CHILDREN_SORTED)
    )?;
    let mut found = Orphans::default();
    let (mut parent, mut last) = (None, None);
    let mut more = parents.next().await?;
    while children.next().await? {
        let key = children.key()?;
        while more && parent.is_none_or(|parent| parent < key) {
            parent = Some(parents.key()?);
            if parent < Some(key) {
                more = parents.next().await?;
            }
        }
        if parent != Some(key) {
            found.rows += 1;
            found.keys += i64::from(last != Some(key));
        }
        last = Some(key);
    }
    Ok(found)
}

/// Numbers need no protection from an adversary here, and the standard one would be most of the time.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_i64(&mut self, key: i64) {
        self.write_u64(key.cast_unsigned());
    }

    fn write_u64(&mut self, key: u64) {
        let mixed = (self.0 ^ key).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }
}
