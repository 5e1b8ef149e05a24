//! Where a pass stands, kept in a cursor store between its parts. A position that is lost means to start again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lfk_core::parts::Key;
use lfk_core::{CursorStore, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::report::Confirmed;
use super::sums::Sums;
use super::walk::Position;

/// Most bytes of open keys in a stored state; a store takes 64 KiB, and buckets that differ take 16 KiB of them.
const OPEN_BYTES: usize = 32 * 1024;
/// How long a store that was away is left alone: each call may take a second to fail.
const LEFT_ALONE: Duration = Duration::from_secs(10);
/// Bytes of sums under one name.
pub(crate) const PART_BYTES: usize = 48 * 1024;

/// Where a pass stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) seed: i64,
    /// Which schema it compares: under another one it begins anew.
    pub(crate) schema: u64,
    /// Of which pass it is, where passes are told apart.
    #[serde(default)]
    pub(crate) pass: String,
    pub(crate) position: Position,
    pub(crate) checked_rows: i64,
    pub(crate) read_rows: i64,
    pub(crate) chunks: i64,
    pub(crate) confirmed: Confirmed,
    pub(crate) not_yet: i64,
    pub(crate) quarantined: i64,
    pub(crate) seconds: f64,
    #[serde(default)]
    pub(crate) alarm: bool,
    /// Keys before the position that take another look.
    #[serde(default)]
    pub(crate) open: Vec<Vec<String>>,
}

impl State {
    /// Notes keys before the position that take another look. `false`: they do not fit, and the position must not be kept.
    pub(crate) fn keep_open<'a>(&mut self, keys: impl Iterator<Item = &'a Key>) -> bool {
        let mut bytes = 0;
        self.open.clear();
        for key in keys {
            // Escaped, a byte of a text may take six.
            bytes += key.0.iter().map(|column| 6 * column.len() + 3).sum::<usize>() + 3;
            if bytes > OPEN_BYTES {
                self.open.clear();
                return false;
            }
            self.open.push(key.0.clone());
        }
        true
    }
}

/// A number that stands for a schema fingerprint.
pub(crate) fn schema_number(fingerprint: &str) -> u64 {
    // FNV-1a: the same in every version of this program.
    fingerprint
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A name in a store.
///
/// A store that is away holds no check up: the pass goes on, and only its position is not kept meanwhile.
#[derive(Debug, Clone)]
pub struct Cursor {
    store: Arc<dyn CursorStore>,
    name: String,
    version: Option<u64>,
    /// The parts of the sums that are kept, by their names, with their versions.
    parts: HashMap<String, u64>,
    /// Somebody else writes under this name: it is theirs.
    lost: bool,
    /// Only what this pass has stored is gone on with.
    pass: Option<String>,
    /// Until when the store, which was away, is not asked again.
    left_alone: Option<Instant>,
}

impl Cursor {
    /// A check by hand and the checks of the daemon use different names.
    #[must_use]
    pub fn new(store: Arc<dyn CursorStore>, name: impl Into<String>) -> Self {
        let parts = HashMap::new();
        Self { store, name: name.into(), version: None, parts, lost: false, pass: None, left_alone: None }
    }

    /// Tells passes apart: what another one has left in the store, which may be from before a time when the store was away, is as
    /// good as lost.
    #[must_use]
    pub(crate) fn of_pass(mut self, pass: String) -> Self {
        self.pass = Some(pass);
        self
    }

    /// What is stored, if it can be read and is of this schema and pass, with the sums that belong to it. While the store is away
    /// that is nothing, unless a person asked to go on with it.
    ///
    /// # Errors
    /// When the store is away and `asked_for`; when it cannot be used at all.
    pub(crate) async fn load(&mut self, schema: u64, asked_for: bool) -> Result<Option<(State, Option<Sums>)>> {
        match self.load_all(schema).await {
            Err(error) if error.kind == ErrorKind::Unreachable && (!asked_for || self.pass.is_some()) => {
                self.is_away(&error);
                Ok(None)
            }
            answer => answer,
        }
    }

    async fn load_all(&mut self, schema: u64) -> Result<Option<(State, Option<Sums>)>> {
        let Some(stored) = self.store.load(&self.name).await? else { return Ok(None) };
        self.version = Some(stored.version);
        // What another version wrote, or under another schema, is as good as lost.
        let Ok(state) = serde_json::from_str::<State>(&stored.value) else { return Ok(None) };
        let needed = state.position.needs_sums();
        let sums = match needed {
            Some((buckets, stamp)) => self.load_sums(&state, buckets, stamp).await?,
            None => None,
        };
        // Without its sums a position says nothing.
        let whole = needed.is_some() == sums.is_some();
        let ours = state.schema == schema && self.pass.as_ref().is_none_or(|pass| *pass == state.pass);
        Ok((whole && ours).then_some((state, sums)))
    }

    async fn load_sums(&mut self, state: &State, buckets: u32, stamp: u64) -> Result<Option<Sums>> {
        let mut texts = Vec::new();
        for part in 0..Sums::new(buckets).to_texts(PART_BYTES).len() {
            // Of the parts from before only the version is needed, so that they can be written over.
            for slot in [!stamp, stamp] {
                let name = self.name_of(state.seed, slot, part);
                let Some(stored) = self.store.load(&name).await? else { continue };
                self.parts.insert(name, stored.version);
                texts.extend(stored.value.strip_prefix(&format!("{stamp:016x} ")).map(ToOwned::to_owned));
            }
        }
        Ok(Sums::of_texts(buckets, &texts))
    }

    /// Of two that take turns, so that a crash between the parts leaves the ones before. Each pass has names of its own.
    fn name_of(&self, seed: i64, stamp: u64, part: usize) -> String {
        format!("{} sums {:016x} {} {part}", self.name, seed.cast_unsigned(), stamp & 1)
    }

    /// Keeps a state, and before it what belongs to it. Two at once are harmless: the second one to save keeps nothing from
    /// then on.
    ///
    /// # Errors
    /// When the store cannot be used at all; that it is away is none.
    pub(crate) async fn save(&mut self, state: &mut State, sums: Option<&Sums>) -> Result<()> {
        if self.lost || self.left_alone.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        match self.save_all(state, sums).await {
            Err(error) if error.kind == ErrorKind::Unreachable => {
                self.is_away(&error);
                Ok(())
            }
            answer => answer,
        }
    }

    async fn save_all(&mut self, state: &mut State, sums: Option<&Sums>) -> Result<()> {
        state.pass = self.pass.clone().unwrap_or_default();
        if let Some(sums) = sums {
            self.save_sums(state, sums).await?;
        }
        let Ok(value) = serde_json::to_string(state) else { return Ok(()) };
        if self.lost {
            return Ok(());
        }
        match self.store.save(&self.name, &value, self.version).await? {
            Some(version) => self.version = Some(version),
            // Also after a save whose answer was lost: then nobody goes on behind this position, which does no harm.
            None => self.lost = true,
        }
        if sums.is_none() { self.forget_sums().await } else { Ok(()) }
    }

    async fn save_sums(&mut self, state: &mut State, sums: &Sums) -> Result<()> {
        let Some(before) = state.position.needs_sums().map(|(_, stamp)| stamp) else { return Ok(()) };
        let stamp = rand::random::<u64>() & !1 | (!before & 1);
        for (part, text) in sums.to_texts(PART_BYTES).into_iter().enumerate() {
            let name = self.name_of(state.seed, stamp, part);
            let value = format!("{stamp:016x} {text}");
            match self.store.save(&name, &value, self.parts.get(&name).copied()).await? {
                Some(version) => self.parts.insert(name, version),
                None => {
                    self.lost = true;
                    return Ok(());
                }
            };
        }
        if let Some(pages) = &mut state.position.pages {
            pages.stamp = stamp;
        }
        Ok(())
    }

    async fn forget_sums(&mut self) -> Result<()> {
        for (name, _) in self.parts.drain() {
            self.store.forget(&name).await?;
        }
        Ok(())
    }

    /// Whether somebody else has written under this name since.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost
    }

    /// The pass has ended. What a store that is away still has then is of a pass that has ended: gone on with, it is looked at once
    /// more behind that position.
    ///
    /// # Errors
    /// When the store cannot be used at all; that it is away is none.
    pub(crate) async fn forget(&mut self) -> Result<()> {
        if self.lost {
            return Ok(());
        }
        match self.forget_all().await {
            Err(error) if error.kind == ErrorKind::Unreachable => {
                self.is_away(&error);
                Ok(())
            }
            answer => answer,
        }
    }

    async fn forget_all(&mut self) -> Result<()> {
        self.store.forget(&self.name).await?;
        self.forget_sums().await
    }

    fn is_away(&mut self, error: &Error) {
        if self.left_alone.is_none() {
            let name = self.name.as_str();
            tracing::warn!(position = name, error = %error, hint = error.hint, "the check goes on without keeping its position");
        }
        self.left_alone = Some(Instant::now() + LEFT_ALONE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m07_open_keys_that_do_not_fit_keep_the_position_back() {
        let mut state = State::default();
        let keys: Vec<Key> = (0..100).map(|n| Key(vec![n.to_string(), "\u{1}".repeat(10)])).collect();
        assert!(state.keep_open(keys.iter()));
        assert_eq!(state.open.len(), 100);
        assert!(serde_json::to_string(&state).unwrap().len() < OPEN_BYTES);
        let many: Vec<Key> = (0..100_000).map(|n| Key(vec![n.to_string()])).collect();
        assert!(!state.keep_open(many.iter()));
    }

    #[test]
    fn m07_a_state_is_read_back_as_it_was() {
        let position = Position { behind: Some(vec!["5".to_owned(), "a\"b".to_owned()]), ..Position::default() };
        let state = State { position, seed: i64::MIN, schema: u64::MAX, ..State::default() };
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
    }
}
