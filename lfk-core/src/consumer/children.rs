//! The turn of a loose foreign key: its keys are parents, and what is done with them is cleaning their children.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::{Batch, Converge, Turn};
use crate::clean::{Cleaner, Foresight, Looker, Pace, Shape, Tally, WideEnd};
use crate::cursor::Lease;
use crate::database::Database;
use crate::declaration::{Declaration, Definition};
use crate::definition::{LooseForeignKey, State};
use crate::error::Result;
use crate::key::Key;
use crate::report::Planned;
use crate::retry::{self, Outcome, Reason, SetAside};
use crate::sweep::{Sweep, SweepEnd};
use crate::{pair, plan};

/// The longest that wide parents are worked on before it is looked at what else there is to do.
const WIDE_AT_MOST: Duration = Duration::from_secs(2);

/// A loose foreign key as the engine holds it.
#[derive(Debug)]
pub(crate) struct Loose {
    definition: LooseForeignKey,
    declaration: Declaration,
}

/// Cleans for the holder of the lease.
struct Children<'a> {
    definition: &'a LooseForeignKey,
    turn: &'a Turn<'a>,
    lease: &'a Lease,
    shape: Shape,
}

impl From<LooseForeignKey> for Loose {
    fn from(definition: LooseForeignKey) -> Self {
        Self { declaration: Declaration::from(&definition), definition }
    }
}

impl Definition for Loose {
    fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    fn plan<'a>(&'a self, databases: &'a [Database]) -> BoxFuture<'a, Result<Planned>> {
        async { plan::plan_one(databases, &self.definition).await.map(Planned::LooseForeignKey) }.boxed()
    }

    fn begin<'a>(
        &'a self,
        turn: &'a Turn<'a>,
        lease: &'a Lease,
        state: State,
    ) -> BoxFuture<'a, Result<Box<dyn Converge + 'a>>> {
        async move {
            let (definition, declaration) = (&self.definition, &self.declaration);
            let shape = if state == State::Active {
                let paired = turn.verify(lease).await?;
                let kinds = pair::key_kinds(declaration, turn.home).await?;
                Shape::new(definition, paired.key_types, paired.same_database).with_kinds(kinds)
            } else {
                // Observing touches nothing beyond the log, so the other side need not be there.
                Shape::new(definition, pair::key_types(declaration, lease).await?, false)
            };
            Ok(Box::new(Children { definition, turn, lease, shape }) as Box<dyn Converge + 'a>)
        }
        .boxed()
    }
}

impl Children<'_> {
    fn cleaner<'b>(&'b self, pace: &'b mut Pace, denied_before: HashSet<Key>) -> Cleaner<'b> {
        let Turn { limiter, stop, .. } = self.turn;
        Cleaner { looker: self.looker(), limiter, stop, pace, denied_before, foresight: None }
    }

    fn looker(&self) -> Looker<'_> {
        let Turn { away, points, .. } = self.turn;
        Looker { shape: &self.shape, permit: self.lease.into(), away, points }
    }

    /// Gives the wide parents that have waited longest a share of the time.
    async fn clean_wide(&self, pace: &mut Pace, share: Duration) -> Result<u64> {
        let began = Instant::now();
        let share = share.min(WIDE_AT_MOST);
        let mut rows = 0;
        loop {
            let left = share.saturating_sub(began.elapsed());
            let Some(key) = retry::due_wide(self.lease).await? else { return Ok(rows) };
            rows += self.clean_one_wide(key, pace, left).await?;
            if began.elapsed() >= share {
                return Ok(rows);
            }
        }
    }

    async fn clean_one_wide(&self, key: Key, pace: &mut Pace, share: Duration) -> Result<u64> {
        let began = Instant::now();
        let mut tally = Tally::default();
        let mut cleaner = self.cleaner(pace, HashSet::new());
        let end = cleaner.clean_wide(&key, share, &mut tally).await?;
        let rows = tally.rows;
        if end == WideEnd::More && tally.set_aside.is_empty() {
            tally.set_aside.push(SetAside::new(key.clone(), Reason::Wide, None));
        }
        let done = if tally.set_aside.is_empty() { vec![key] } else { Vec::new() };
        retry::settle(self.lease, &Outcome::of(done, tally, began), self.turn.policy).await?;
        Ok(rows)
    }
}

impl Converge for Children<'_> {
    fn width(&self) -> usize {
        self.shape.width()
    }

    fn converge<'b>(&'b self, batch: Batch, pace: &'b mut Pace) -> BoxFuture<'b, Result<Tally>> {
        async move {
            let mut cleaner = self.cleaner(pace, batch.denied_before);
            cleaner.foresight = batch.foresight;
            cleaner.converge(batch.keys).await
        }
        .boxed()
    }

    fn foresee<'b>(&'b self, keys: Vec<Key>) -> Option<BoxFuture<'b, Result<Foresight>>> {
        Some(self.looker().foresee(keys).boxed())
    }

    fn sweep<'b>(&'b self, is_over: &'b (dyn Fn() -> bool + Send + Sync)) -> BoxFuture<'b, Result<(SweepEnd, u64)>> {
        let Turn { away, points, .. } = self.turn;
        let sweep = Sweep { definition: self.definition, lease: self.lease, shape: &self.shape, away, points };
        async move { sweep.run(is_over).await.map(|end| (end, 0)) }.boxed()
    }

    fn spare<'b>(&'b self, pace: &'b mut Pace, share: Duration) -> BoxFuture<'b, Result<u64>> {
        self.clean_wide(pace, share).boxed()
    }
}
