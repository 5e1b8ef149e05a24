//! Answers with something of every definition: loose foreign keys and mirrors apart, as in `status`.

use serde::Serialize;

use crate::commands::Context;

/// Of each definition, by its kind.
#[derive(Debug, Serialize)]
pub(super) struct ByKind<T> {
    loose_foreign_keys: Vec<T>,
    mirrors: Vec<T>,
}

impl<T> ByKind<T> {
    /// All of them, loose foreign keys first.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.loose_foreign_keys.iter().chain(&self.mirrors)
    }
}

impl Context {
    pub(super) fn by_kind<T>(&self, all: Vec<T>, name: impl Fn(&T) -> &str) -> ByKind<T> {
        let is_mirror = |one: &T| self.mirrors.iter().any(|mirror| mirror.name == name(one));
        let (mirrors, loose_foreign_keys) = all.into_iter().partition(is_mirror);
        ByKind { loose_foreign_keys, mirrors }
    }
}
