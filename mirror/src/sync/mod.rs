//! The sync of a mirror: a consumer of the key log that makes the target have what the source has.
//!
//! ```text
//!   raise the fence (once a turn) ──► read the rows of the keys as they are now ──► hold the fence, upsert, delete, commit
//! ```
//!
//! The source is authoritative, read anew for every batch; the log only says which keys to look at. There is one writer a mirror:
//! the holder of its lease, whose token stands in the target's fence row. A crash at any point repeats what was done since the
//! last advance, which then writes nothing.

mod bisect;
mod fill;
mod source;
mod statements;
mod target;
mod verify;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lfk_core::parts::{
    Batch, Converge, Declaration, Definition, Key, Kind, Lane, Lease, Pace, Planned, Point, SweepEnd, Tally, Turn,
    sort_unique,
};
use lfk_core::{Database, Error, Result, State};

use self::bisect::{After, Piece};
use self::statements::Statements;
use self::target::Writer;
use self::verify::Verifier;
use crate::columns::Columns;
use crate::{Mirror, plan};

/// How long after a change was committed its key is looked at once more.
const VERIFY_AFTER: Duration = Duration::from_secs(10);

/// A mirror as the engine holds it.
#[derive(Debug)]
pub(crate) struct Synced {
    mirror: Mirror,
    declaration: Declaration,
}

impl Synced {
    pub(crate) fn new(mirror: Mirror) -> Arc<Self> {
        Arc::new(Self { declaration: declaration(&mirror), mirror })
    }
}

fn declaration(mirror: &Mirror) -> Declaration {
    Declaration {
        name: mirror.name.clone(),
        kind: Kind::Mirror,
        parent: mirror.source.clone(),
        child: mirror.target.clone(),
        on_delete: "mirror".to_owned(),
        fingerprint: mirror.fingerprint(),
        settle_after: VERIFY_AFTER,
        watched: Some(mirror.plain_columns()),
        mentioned: mirror.mentioned(),
        has_expressions: mirror.has_expressions(),
        written: mirror.columns.iter().map(|c| c.target.clone()).collect(),
    }
}

impl Definition for Synced {
    fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    fn plan<'a>(&'a self, databases: &'a [Database]) -> BoxFuture<'a, Result<Planned>> {
        async { plan::plan(&self.mirror, &self.declaration, databases).await.map(Planned::Mirror) }.boxed()
    }

    fn begin<'a>(
        &'a self,
        turn: &'a Turn<'a>,
        lease: &'a Lease,
        state: State,
    ) -> BoxFuture<'a, Result<Box<dyn Converge + 'a>>> {
        async move {
            if state != State::Active {
                return Ok(Box::new(Onlooker { width: self.mirror.source.columns.len() }) as Box<dyn Converge + 'a>);
            }
            let paired = turn.verify(lease).await?;
            let columns = columns_of(&self.mirror, turn.home(), turn.away()).await?;
            if turn.lane() == Lane::Trailing {
                let verifier = Verifier::new(turn, &self.mirror.name, columns).await?;
                return Ok(Box::new(verifier) as Box<dyn Converge + 'a>);
            }
            let sql = Statements::new(&columns);
            let (mirror, source_identity) = (self.mirror.name.as_str(), paired.home_identity);
            let sync = Keeper { writer: Writer { turn, lease, mirror, source_identity, sql } };
            sync.writer.raise_fence().await?;
            Ok(Box::new(sync) as Box<dyn Converge + 'a>)
        }
        .boxed()
    }
}

/// What is mirrored, as the catalogs have it now.
async fn columns_of(mirror: &Mirror, source: &Database, target: &Database) -> Result<Columns> {
    let judged = Columns::read(mirror, source, target).await?;
    let refused = judged.findings.iter().find(|finding| finding.refuses);
    match (judged.columns, refused) {
        (Some(columns), None) => Ok(columns),
        (_, Some(finding)) => {
            let error = Error::refused(finding.message.clone()).for_definition(&mirror.name);
            let remedy = finding.remedy.join("\n");
            Err(if remedy.is_empty() { error } else { error.with_hint(remedy) })
        }
        (None, None) => Err(Error::refused("a column of it cannot be read").for_definition(&mirror.name)),
    }
}

/// Reads keys and does nothing with them: of a mirror that observes.
struct Onlooker {
    width: usize,
}

impl Converge for Onlooker {
    fn width(&self) -> usize {
        self.width
    }

    fn converge<'b>(&'b self, _: Batch, _: &'b mut Pace) -> BoxFuture<'b, Result<Tally>> {
        async { Ok(Tally::default()) }.boxed()
    }

    fn only_looks(&self) -> bool {
        true
    }
}

/// Makes the target have what the source has, for the holder of the lease.
struct Keeper<'a> {
    writer: Writer<'a>,
}

impl Keeper<'_> {
    async fn converge(&self, batch: Batch) -> Result<Tally> {
        let Batch { mut keys, repairs, .. } = batch;
        sort_unique(&mut keys);
        let mut tally = Tally::default();
        let mut work = vec![Piece::new(keys)];
        while let Some(piece) = work.pop() {
            self.go_on()?;
            match self.attempt(&piece.keys, &repairs).await {
                Ok(rows) => tally.rows += rows,
                Err(error) => match piece.after(&error) {
                    After::Fail => return Err(error),
                    // The stack hands out the last first.
                    After::Again(pieces) => work.extend(pieces.into_iter().rev()),
                    After::SetAside(keys, reason) => tally.set_aside(keys, reason, &error),
                },
            }
        }
        Ok(tally)
    }

    async fn attempt(&self, keys: &[Key], repairs: &HashSet<Key>) -> Result<u64> {
        let Writer { turn, sql, .. } = &self.writer;
        turn.limiter().statement(turn.stop()).await;
        self.go_on()?;
        let truth = source::read(turn.home(), sql, keys).await?;
        turn.pass(Point::SourceRead).await?;
        let repairs: Vec<Key> = keys.iter().filter(|key| repairs.contains(*key)).cloned().collect();
        let rows = self.writer.write(&truth, &repairs).await?;
        turn.limiter().rows(rows, turn.stop()).await;
        Ok(rows)
    }

    /// Stops between two batches when the engine stops. What was committed stays; the batch is repeated later.
    fn go_on(&self) -> Result<()> {
        self.writer.turn.go_on()
    }
}

impl Converge for Keeper<'_> {
    fn width(&self) -> usize {
        self.writer.sql.width
    }

    fn converge<'b>(&'b self, batch: Batch, _: &'b mut Pace) -> BoxFuture<'b, Result<Tally>> {
        self.converge(batch).boxed()
    }

    fn sweep<'b>(&'b self, is_over: &'b (dyn Fn() -> bool + Send + Sync)) -> BoxFuture<'b, Result<(SweepEnd, u64)>> {
        async move {
            fill::begin(&self.writer).await?;
            fill::go_on(self, is_over).await
        }
        .boxed()
    }

    fn spare<'b>(&'b self, _: &'b mut Pace, share: Duration) -> BoxFuture<'b, Result<u64>> {
        async move {
            let began = std::time::Instant::now();
            fill::go_on(self, &|| began.elapsed() >= share || self.writer.turn.stop().is_cancelled())
                .await
                .map(|(_, rows)| rows)
        }
        .boxed()
    }
}
