//! The benches, by name.

pub mod backlog;
pub mod capture;
pub mod check;
pub mod check_load;
pub mod drain;
pub mod fair;
pub mod foreground;
pub mod latency;
pub mod memory;
pub mod scale;
pub mod scan;
pub mod sync;
pub mod wide;

use anyhow::Result;
use futures::future::LocalBoxFuture;

use crate::report::Case;

/// How large, and how often.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Small enough to end within a minute on two cores.
    pub quick: bool,
    rounds: Option<usize>,
}

impl Size {
    /// As asked for on the command line.
    #[must_use]
    pub fn new(quick: bool, rounds: Option<usize>) -> Self {
        Self { quick, rounds }
    }

    /// One of two numbers.
    #[must_use]
    pub fn pick<T>(self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// How many rounds, unless the command line says another number.
    #[must_use]
    pub fn rounds(self, full: usize, quick: usize) -> usize {
        self.rounds.unwrap_or(self.pick(full, quick)).max(1)
    }
}

/// One bench.
pub struct Bench {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it measures.
    pub about: &'static str,
    /// Runs it.
    pub run: fn(Size) -> LocalBoxFuture<'static, Result<Vec<Case>>>,
}

/// All of them, in the order in which they run.
pub const ALL: &[Bench] = &[
    Bench { name: "capture", about: "what deleting parents costs", run: |size| Box::pin(capture::run(size)) },
    Bench {
        name: "drain",
        about: "children of deleted parents are deleted and nulled in another server, whole process",
        run: |size| Box::pin(drain::both(size)),
    },
    Bench { name: "drain-delete", about: "the same, delete only, all keys", run: |size| Box::pin(drain::delete(size)) },
    Bench { name: "null", about: "the same, null only", run: |size| Box::pin(drain::null(size)) },
    Bench { name: "empty", about: "logged keys that have no children", run: |size| Box::pin(backlog::empty(size)) },
    Bench {
        name: "backlog",
        about: "rows of one key, from the first to the last, with and without a held snapshot",
        run: |size| Box::pin(backlog::backlog(size)),
    },
    Bench { name: "wide", about: "one parent with very many children", run: |size| Box::pin(wide::run(size)) },
    Bench { name: "memory", about: "the most memory that the daemon takes", run: |size| Box::pin(memory::run(size)) },
    Bench {
        name: "latency",
        about: "from a parent's commit to its children gone, and what idling costs",
        run: |size| Box::pin(latency::run(size)),
    },
    Bench { name: "fair", about: "small parents behind a very wide one", run: |size| Box::pin(fair::run(size)) },
    Bench { name: "foreground", about: "an application beside a drain", run: |size| Box::pin(foreground::run(size)) },
    Bench { name: "scale", about: "very many definitions on one parent", run: |size| Box::pin(scale::run(size)) },
    Bench { name: "check", about: "both sides of a mirror are compared", run: |size| Box::pin(check::run(size)) },
    Bench {
        name: "check-load",
        about: "checks beside writers and a sync that stalls",
        run: |size| Box::pin(check_load::run(size)),
    },
    Bench { name: "sync", about: "a mirror follows its source", run: |size| Box::pin(sync::run(size)) },
    Bench { name: "scan", about: "orphans are looked for", run: |size| Box::pin(scan::run(size)) },
];
