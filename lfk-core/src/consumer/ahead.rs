//! Looking at the next batch while this one is at work.
//!
//! The parents of the next batch are asked for when this one is expected to end, so that the answer is no older when it is acted on
//! than it would be otherwise; one that came too early is forgotten (`clean/look.rs`). The transactions of a look are short, and
//! wait for nobody. Nothing is handed out by it: the keys stay where they are until the batch before them is done, and a crash
//! forgets all of this.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures::future::{Either, select};
use tokio_util::sync::CancellationToken;

use super::pages::Pages;
use super::{Batch, Converge, Found, Turn};
use crate::clean::{Foresight, Pace, Tally};
use crate::cursor::Lease;
use crate::error::{ErrorKind, Result};
use crate::key::Key;

/// What was made ready for the next batch, and how long things take.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// The keys that were looked at, as many as were handed over, and what was seen.
    foresight: Option<(usize, Foresight)>,
    /// The last batch.
    batch: Duration,
    batch_keys: usize,
    /// The last look.
    look: Duration,
}

impl Ahead {
    /// How many keys the next batch takes: those that were looked at, unless far fewer are wanted by now.
    pub(super) fn keys(&mut self, wanted: usize) -> usize {
        match &self.foresight {
            Some((keys, _)) if wanted >= keys / 2 => *keys,
            _ => {
                self.foresight = None;
                wanted
            }
        }
    }

    /// When to look, from the beginning of a batch of so many keys: in time for its end, and not earlier.
    fn delay(&self, keys: usize) -> Duration {
        let count = |keys: usize| u32::try_from(keys.max(1)).unwrap_or(u32::MAX);
        (self.batch / count(self.batch_keys) * count(keys)).saturating_sub(self.look * 3 / 2)
    }
}

impl Turn<'_> {
    /// Converges a batch, and meanwhile reads on in the log and looks at the batch after it. What goes wrong with that shows when it
    /// is needed.
    pub(super) async fn converge_looking_ahead(
        &self,
        (lease, doer, found): (&Lease, &dyn Converge, Found),
        keys: Vec<Key>,
        pace: &mut Pace,
        pages: &mut Pages<'_>,
        ahead: &mut Ahead,
    ) -> Result<Tally> {
        let (count, began) = (keys.len(), Instant::now());
        let foresight = ahead.foresight.take().map(|(_, foresight)| foresight);
        let (next, delay) = (doer.batch(pace), ahead.delay(count));
        let now = CancellationToken::new();
        let work = async {
            let tally = self.converge_logged(lease, doer, found, Batch { foresight, ..keys.into() }, pace).await;
            (tally, began.elapsed())
        };
        let look = async {
            if pages.runs_short(next) {
                let _ = pages.read().await;
            }
            let keys = pages.peek(next);
            let count = keys.len();
            let Some(look) = doer.foresee(keys).filter(|_| count > 0) else { return Ok(None) };
            tokio::select! {
                () = tokio::time::sleep_until((began + delay).into()) => {}
                () = now.cancelled() => {}
            }
            let began = Instant::now();
            look.await.map(|foresight| Some(((count, foresight), began.elapsed())))
        };
        let ((tally, took), looked) = match select(pin!(work), pin!(look)).await {
            Either::Left(((Ok(tally), took), look)) => {
                now.cancel();
                ((Ok(tally), took), look.await)
            }
            // The look is given up.
            Either::Left((failed, _)) => (failed, Ok(None)),
            // Who dies in a look is dead.
            Either::Right((Err(error), _)) if error.kind == ErrorKind::Crashed => return Err(error),
            Either::Right((looked, work)) => (work.await, looked),
        };
        (ahead.batch, ahead.batch_keys) = (took, count);
        match looked {
            Ok(Some((foresight, took))) => (ahead.foresight, ahead.look) = (Some(foresight), took),
            Err(error) if error.kind == ErrorKind::Crashed => return Err(error),
            Ok(None) | Err(_) => {}
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_look_begins_in_time_for_the_expected_end_of_the_batch() {
        let ahead = Ahead { foresight: None, batch: 40 * MS, batch_keys: 1000, look: 10 * MS };
        assert_eq!(ahead.delay(1000), 25 * MS);
        assert_eq!(ahead.delay(2000), 65 * MS);
        assert_eq!(ahead.delay(100), Duration::ZERO);
        assert_eq!(Ahead::default().delay(1000), Duration::ZERO);
    }
}
