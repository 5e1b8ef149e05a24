//! Named places between all statements of a batch, where a test may stop, delay or kill a worker.
//!
//! Without the feature `sabotage` none of this exists at run time.

use crate::error::Result;

/// A place between two statements. The comment says what the database holds if the worker dies right there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Point {
    /// The lease is taken, nothing else: it runs out.
    Claimed,
    /// The identities were compared; the parent's side may already offer a nonce that the child's side lacks.
    NonceOffered,
    /// Both sides have the new nonce; the parent's side still accepts the last one too.
    Paired,
    /// A window is open: the next holder goes on in it.
    Opened,
    /// A page was read: nothing changed.
    PageRead,
    /// The deadline was set: nothing changed.
    DeadlineSet,
    /// The absent parents are known: nothing changed.
    Rechecked,
    /// A transaction is open in the children's database, and nothing is done in it.
    WriteBegun,
    /// Where parent and child share a database: children are locked in a transaction that now rolls back.
    ChildrenLocked,
    /// Children of one leaf are gone in a transaction that is not committed: it rolls back.
    CleanedUncommitted,
    /// Children of one leaf are gone: the batch is repeated and finds the rest.
    LeafCleaned,
    /// The whole batch is done: it is repeated and finds nothing.
    BatchDone,
    /// The position is moved in a transaction that is not committed: the batches since are repeated.
    AdvancedUncommitted,
    /// The position is moved.
    Advanced,
    /// The window is closed.
    Closed,
    /// Retries were done, and not yet forgotten: they are tried once more.
    RetriesDone,
    /// The lease is given back.
    Released,
    /// A sweep was begun or taken up: the next holder goes on with it.
    SweepBegun,
    /// A chunk of child keys was read: nothing changed.
    SweepRead,
    /// The suspects and the position of a chunk are written in a transaction that is not committed: it is read again.
    SweepUncommitted,
    /// The suspects and the position of a chunk are stored.
    SweepStored,
    /// Of a mirror: the fence is raised. Older writers are out; nothing else changed.
    FenceRaised,
    /// Of a mirror: the rows of the source were read: nothing changed.
    SourceRead,
    /// Of a mirror: the target is written in a transaction that is not committed: it rolls back.
    TargetUncommitted,
    /// Of a mirror: the target is written: the batch is repeated and finds nothing to do.
    TargetWritten,
    /// Of a mirror: a page of a fill is about to be read: nothing changed.
    FillPageBegun,
    /// Of a mirror: a page of a fill is done, and its position not yet stored: it is repeated.
    FillPageDone,
    /// A scan has looked for the parents of a page, and raised the barrier of its suspects: nothing is stored yet.
    ScanLooked,
    /// A scan is about to look for the second time: the pages before are stored.
    ScanDecides,
    /// A leaf of the key log was found to be needed by nobody, without a lock: nothing changed.
    LeafChecked,
    /// The leaf is locked in a transaction that now rolls back.
    LeafLocked,
}

impl Point {
    /// Every point of a turn that reads keys, in the order in which a batch passes them.
    #[cfg(feature = "sabotage")]
    pub const ALL: [Point; 17] = [
        Self::Claimed,
        Self::NonceOffered,
        Self::Paired,
        Self::Opened,
        Self::PageRead,
        Self::DeadlineSet,
        Self::Rechecked,
        Self::WriteBegun,
        Self::ChildrenLocked,
        Self::CleanedUncommitted,
        Self::LeafCleaned,
        Self::BatchDone,
        Self::AdvancedUncommitted,
        Self::Advanced,
        Self::Closed,
        Self::RetriesDone,
        Self::Released,
    ];

    /// Every point of a turn of a mirror that writes, in the order in which a batch passes them.
    #[cfg(feature = "sabotage")]
    pub const MIRROR: [Point; 6] = [
        Self::FenceRaised,
        Self::SourceRead,
        Self::TargetUncommitted,
        Self::TargetWritten,
        Self::FillPageBegun,
        Self::FillPageDone,
    ];

    /// Every point of a sweep, in the order in which a chunk passes them.
    #[cfg(feature = "sabotage")]
    pub const SWEEP: [Point; 4] = [Self::SweepBegun, Self::SweepRead, Self::SweepUncommitted, Self::SweepStored];
}

/// What a test does with a worker that passes a point.
#[cfg(feature = "sabotage")]
pub trait Hook: Send + Sync {
    /// Called at each point of each consumer; the worker waits for the answer.
    fn pass<'a>(&'a self, point: Point, consumer: &'a str) -> futures::future::BoxFuture<'a, Verdict>;
}

/// The answer of a [`Hook`].
#[cfg(feature = "sabotage")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing happens.
    GoOn,
    /// The worker dies here: no clean-up, no release, no note.
    Die,
}

/// The points of one engine.
#[derive(Clone, Default)]
pub(crate) struct Points {
    #[cfg(feature = "sabotage")]
    pub(crate) hook: Option<std::sync::Arc<dyn Hook>>,
}

impl std::fmt::Debug for Points {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Points")
    }
}

impl Points {
    /// Passes a point. Costs nothing without the feature.
    #[cfg(feature = "sabotage")]
    pub(crate) async fn pass(&self, point: Point, consumer: &str) -> Result<()> {
        use crate::error::{Error, ErrorKind};
        match &self.hook {
            Some(hook) if hook.pass(point, consumer).await == Verdict::Die => {
                Err(Error::new(ErrorKind::Crashed, format!("killed at {point:?} by a test")).for_definition(consumer))
            }
            _ => Ok(()),
        }
    }

    /// Passes a point. Costs nothing without the feature.
    #[cfg(not(feature = "sabotage"))]
    #[expect(clippy::unused_async, reason = "the twin with the feature waits for a test")]
    pub(crate) async fn pass(&self, _point: Point, _consumer: &str) -> Result<()> {
        Ok(())
    }
}
