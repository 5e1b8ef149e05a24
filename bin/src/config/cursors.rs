//! `[cursors]` and `[redis]`.

use std::ops::Range;
use std::sync::Arc;

use lfk_core::{CursorStore, MemoryStore};

use crate::config::document::{Section, kind_of};
use crate::config::problem::Problems;

/// Where scans and checks keep how far they have come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum StoreKind {
    /// Each in the database it belongs to.
    #[default]
    Postgres,
    Redis,
    Memory,
}

impl StoreKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Memory => "memory",
        }
    }
}

/// What the file says about cursors.
#[derive(Debug, Default)]
pub(crate) struct Cursors {
    pub(crate) kind: StoreKind,
    /// What names in Redis begin with, when it is used.
    pub(crate) prefix: Option<String>,
    /// `None`: the engine's own choice, PostgreSQL.
    pub(crate) store: Option<Arc<dyn CursorStore>>,
}

/// A store of Redis and the prefix of its names.
type Redis = (Arc<dyn CursorStore>, String);

pub(super) fn read(top: &Section<'_>, problems: &mut Problems<'_>) -> Cursors {
    let (kind, place) = kind(top, problems);
    let redis = redis(top, problems);
    match kind {
        StoreKind::Postgres => Cursors::default(),
        StoreKind::Memory => Cursors { kind, prefix: None, store: Some(Arc::new(MemoryStore::new())) },
        StoreKind::Redis => {
            if top.entry("redis").is_none() {
                let hint = "write [redis] and below it url = \"${REDIS_URL}\", or leave `store` out to use PostgreSQL";
                problems.add(place, "store = \"redis\" needs [redis], which is missing".to_owned(), Some(hint.into()));
            }
            let (store, prefix) = redis.unzip();
            Cursors { kind, prefix, store }
        }
    }
}

/// What `[cursors]` chooses, and where it says so.
fn kind(top: &Section<'_>, problems: &mut Problems<'_>) -> (StoreKind, Range<usize>) {
    let default = (StoreKind::default(), 0..0);
    let Some(section) = table(top, "cursors", "store = \"postgres\"", problems) else { return default };
    section.refuse_unknown(&["store"], problems);
    let Some(said) = section.string("store", problems) else { return default };
    let kind = match said.text.as_str() {
        "postgres" => StoreKind::Postgres,
        "redis" => StoreKind::Redis,
        "memory" => StoreKind::Memory,
        _ => {
            let hint = "write \"postgres\", \"redis\" or \"memory\"; PostgreSQL is used when it is left out";
            problems.add(said.span.clone(), "`store` knows no such store".to_owned(), Some(hint.to_owned()));
            StoreKind::default()
        }
    };
    (kind, said.span)
}

/// `[redis]`, which is checked also where nothing uses it.
fn redis(top: &Section<'_>, problems: &mut Problems<'_>) -> Option<Redis> {
    let remedy = "url = \"${REDIS_URL}\"";
    let section = table(top, "redis", remedy, problems)?;
    section.refuse_unknown(&["url", "prefix"], problems);
    let prefix = section.string("prefix", problems);
    let url = section.required_string("url", &format!("write {remedy}"), problems)?;
    open(section.place(), (&url.text, url.span), prefix.map(|p| (p.text, p.span)), problems)
}

#[cfg(feature = "redis")]
fn open(
    _section: Range<usize>,
    (url, place): (&str, Range<usize>),
    prefix: Option<(String, Range<usize>)>,
    problems: &mut Problems<'_>,
) -> Option<Redis> {
    use lfk_core::RedisStore;

    // Errors never repeat the URL.
    let mut complain = |place: Range<usize>, error: lfk_core::Error| problems.add(place, error.message, error.hint);
    let mut store = RedisStore::new(url).map_err(|e| complain(place, e)).ok()?;
    if let Some((prefix, place)) = prefix {
        store = store.with_prefix(&prefix).map_err(|e| complain(place, e)).ok()?;
    }
    let prefix = store.prefix().to_owned();
    Some((Arc::new(store), prefix))
}

#[cfg(not(feature = "redis"))]
fn open(
    section: Range<usize>,
    _url: (&str, Range<usize>),
    _prefix: Option<(String, Range<usize>)>,
    problems: &mut Problems<'_>,
) -> Option<Redis> {
    let hint =
        "remove [redis] to use PostgreSQL, or use a binary that was built with the feature `redis` (the default)";
    problems.add(section, "this binary was built without Redis".to_owned(), Some(hint.to_owned()));
    None
}

/// A table of the file, if it is there.
fn table<'d>(top: &Section<'d>, name: &str, below: &str, problems: &mut Problems<'_>) -> Option<Section<'d>> {
    let (_, value) = top.entry(name)?;
    let section = top.table(name);
    if section.is_none() {
        let message = format!("`{name}` is {}, not a table", kind_of(value.get_ref()));
        problems.add(value.span(), message, Some(format!("write [{name}] and below it {below}")));
    }
    section
}
