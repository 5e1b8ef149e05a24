//! Which keys a walk has met, where one may be in several tables or in several pages. Pure.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, Hash, RandomState};

use crate::key::Key;

/// Keys that are remembered, so that one in several tables, or in several pages, counts once.
const MOST_SEEN: usize = 500_000;

/// Which keys were looked at, as 128 bits of hash each, with secrets of this process: two keys of one value are as likely as
/// a broken machine.
#[derive(Debug, Default)]
pub(super) struct Seen {
    hashes: HashSet<u128>,
    secrets: (RandomState, RandomState),
    /// More keys than are remembered.
    pub(super) overflowed: bool,
}

impl Seen {
    /// Whether it was not met before.
    pub(super) fn is_new(&mut self, key: &Key) -> bool {
        // One table may be read as numbers and another as texts, and a key in both is the same key. An integer is one as the server
        // writes it, and in no other way: of text columns, "07" and "7" are two keys.
        let number = match key.0.as_slice() {
            [only] => only.parse::<i64>().ok().filter(|number| number.to_string() == *only),
            _ => None,
        };
        match number {
            Some(number) => self.is_new_number(number),
            None => self.add(key),
        }
    }

    /// The same of a key that is an integer.
    pub(super) fn is_new_number(&mut self, number: i64) -> bool {
        self.add(number)
    }

    fn add(&mut self, value: impl Hash) -> bool {
        let hash = u128::from(self.secrets.0.hash_one(&value)) << 64 | u128::from(self.secrets.1.hash_one(&value));
        if self.hashes.contains(&hash) {
            return false;
        }
        if self.hashes.len() < MOST_SEEN {
            self.hashes.insert(hash);
        } else {
            self.overflowed = true;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key(vec![text.to_owned()])
    }

    #[test]
    fn a_key_is_new_once_whether_it_comes_as_a_number_or_as_text() {
        let mut seen = Seen::default();
        assert!(seen.is_new_number(7));
        assert!(!seen.is_new(&key("7")));
        assert!(seen.is_new(&key("-8")));
        assert!(!seen.is_new_number(-8));
        assert!(seen.is_new(&Key(vec!["7".to_owned(), "7".to_owned()])));
    }

    #[test]
    fn texts_that_read_like_one_number_are_keys_of_their_own() {
        let mut seen = Seen::default();
        assert!(seen.is_new(&key("7")));
        assert!(seen.is_new(&key("07")));
        assert!(seen.is_new(&key("+7")));
        assert!(!seen.is_new(&key("07")));
    }
}
