//! The second look at each key that was synced: proof that the target has what the source has, a moment after the change.
//!
//! It reads only. Keys that the sync still has to look at, or that change meanwhile, are passed over: a change comes again in
//! the log, and what a late sync leaves behind is found by the rolling check. What differs is noted, and looked at again before
//! anybody is told of it. A crash repeats what was looked at since the last advance.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lfk_core::Result;
use lfk_core::parts::{Batch, Converge, Key, Pace, Tally, Turn, sort_unique};

use super::bisect::{After, Piece};
use crate::Columns;
use crate::check::{Ends, Noted, Verdict, verify};

/// Keys of one proof.
const KEYS: usize = 1_000;

/// Looks at keys, in the turn of a mirror's trailing cursor.
pub(super) struct Verifier<'a> {
    turn: &'a Turn<'a>,
    mirror: &'a str,
    ends: Ends,
    noted: Noted,
    width: usize,
}

/// What a batch has shown.
#[derive(Debug, Default, Clone, Copy)]
struct Shown {
    checked: i64,
    confirmed: i64,
}

impl<'a> Verifier<'a> {
    /// # Errors
    /// When a database cannot be reached.
    pub(super) async fn new(turn: &'a Turn<'a>, mirror: &'a str, columns: Columns) -> Result<Self> {
        let width = columns.keys.len();
        let ends = Ends::new(turn.home(), turn.away(), columns, rand::random()).await?;
        Ok(Self { turn, mirror, ends, noted: Noted::new(turn.home(), mirror), width })
    }

    async fn look(&self, mut keys: Vec<Key>) -> Result<()> {
        sort_unique(&mut keys);
        let mut work: Vec<Piece> = keys.chunks(KEYS).map(|some| Piece::new(some.to_vec())).collect();
        let mut shown = Shown::default();
        let mut excused = false;
        while let Some(piece) = work.pop() {
            self.turn.go_on()?;
            self.turn.limiter().statement(self.turn.stop()).await;
            match verify(&self.ends, self.mirror, &piece.keys).await {
                Ok(found) => shown.add(self.note(piece.keys, &found.verdicts).await?),
                Err(error) => match piece.after(&error, excused) {
                    After::Fail => return Err(error),
                    // A statement is analysed, and its rights are judged, before its first row.
                    After::Doubt(piece) => {
                        verify(&self.ends, self.mirror, &[]).await?;
                        excused = true;
                        work.push(piece);
                    }
                    After::Again(pieces) => work.extend(pieces.into_iter().rev()),
                    // A row that cannot be read is the sync's to set aside, which has seen it before.
                    After::SetAside(..) => {}
                },
            }
        }
        if shown.checked > 0 { self.noted.count_recent(shown.checked, shown.confirmed).await } else { Ok(()) }
    }

    async fn note(&self, keys: Vec<Key>, verdicts: &[Verdict]) -> Result<Shown> {
        let cleared = verdicts.iter().filter(|verdict| **verdict == Verdict::Cleared).count();
        let both = keys.into_iter().zip(verdicts.iter().copied());
        let proven: Vec<(Key, Verdict)> = both.filter(|(_, verdict)| verdict.is_confirmed()).collect();
        if !proven.is_empty() {
            self.noted.note(&proven).await?;
        }
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        Ok(Shown { checked: count(cleared + proven.len()), confirmed: count(proven.len()) })
    }
}

impl Shown {
    fn add(&mut self, other: Self) {
        self.checked += other.checked;
        self.confirmed += other.confirmed;
    }
}

impl Converge for Verifier<'_> {
    fn width(&self) -> usize {
        self.width
    }

    fn batch(&self, _: &Pace) -> usize {
        KEYS
    }

    fn converge<'b>(&'b self, batch: Batch, _: &'b mut Pace) -> BoxFuture<'b, Result<Tally>> {
        async move { self.look(batch.keys).await.map(|()| Tally::default()) }.boxed()
    }

    fn only_looks(&self) -> bool {
        true
    }
}
