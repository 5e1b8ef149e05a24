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
mod blame;
mod fill;
mod keeper;
mod portion;
mod prune;
mod source;
mod statements;
mod target;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lfk_core::parts::{Batch, Converge, Declaration, Definition, Kind, Lane, Lease, Pace, Planned, Tally, Turn};
use lfk_core::{Database, Error, Result, State};

use self::keeper::Keeper;
use self::portion::Portion;
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
    portion: Portion,
}

impl Synced {
    pub(crate) fn new(mirror: Mirror) -> Arc<Self> {
        Arc::new(Self { declaration: declaration(&mirror), mirror, portion: Portion::default() })
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
            let writer =
                Writer { turn, lease, mirror, source_identity, target: self.mirror.target.table.to_string(), sql };
            let sync = Keeper { writer, portion: &self.portion };
            sync.writer.raise_fence().await?;
            Ok(Box::new(sync) as Box<dyn Converge + 'a>)
        }
        .boxed()
    }

    fn upkeep<'a>(&'a self, home: &'a Database, away: &'a Database) -> BoxFuture<'a, Result<()>> {
        prune::prune(&self.mirror.name, home, away, self.mirror.keep_before).boxed()
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
