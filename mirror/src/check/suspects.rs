//! Keys that looked different, until each has its verdict.

use std::time::{Duration, Instant};

use lfk_core::Result;
use lfk_core::parts::{Key, Purpose};
use lfk_sql::statements;
use sqlx::Row as _;

use super::ends::{Ends, passes_in};
use super::report::{Confirmed, Unverifiable};
use super::sandwich::{self, Verdict, Verdicts};

/// How often a key that keeps changing is looked at on end.
const ROUNDS: u32 = 5;
/// How often keys that keep changing are looked at again when nothing else is left.
const ROUNDS_OF_HOT: u32 = 10;
/// Most keys that are kept for another look; more are counted as in flight. 100,000 keys are about 10 MB.
const MOST_WAITING: usize = 100_000;
/// How long it waits at least and at most before it asks again how far the sync is.
const SHORTEST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// A key that takes another look once the sync has passed what was seen of it.
#[derive(Debug, Clone)]
struct Waiting {
    key: Key,
    snapshot: String,
    hot: bool,
}

/// The keys and what is known of them.
#[derive(Debug, Default)]
pub(crate) struct Suspects {
    waiting: Vec<Waiting>,
    /// In flight, too many to be kept.
    beyond: i64,
    /// Proven, and kept for a repair or for the report.
    pub(crate) proven: Vec<(Key, Verdict)>,
    /// Proven, kept or not.
    pub(crate) confirmed: Confirmed,
    pub(crate) cleared: i64,
    pub(crate) not_yet: i64,
    pub(crate) quarantined: i64,
}

/// How far the sync is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pace {
    seq: i64,
    lag: f64,
}

impl Suspects {
    /// Looks at keys, at those that keep changing again and again. Answers the places of those that are proven differences.
    ///
    /// # Errors
    /// When a database fails; the keys are then neither proven nor cleared.
    pub(crate) async fn look(&mut self, ends: &Ends, consumer: &str, keys: Vec<Key>) -> Result<Vec<usize>> {
        let mut confirmed = Vec::new();
        for (some, first) in keys.chunks(sandwich::KEYS).zip((0..).step_by(sandwich::KEYS)) {
            let (mut some, mut places) = (some.to_vec(), (first..first + some.len()).collect::<Vec<usize>>());
            for round in 1.. {
                let found = verify(ends, consumer, &some).await?;
                let last = round == ROUNDS;
                let keys = places.drain(..).zip(some.drain(..));
                let both: Vec<((usize, Key), Verdict)> = keys.zip(found.verdicts).collect();
                for ((place, key), verdict) in both {
                    if verdict == Verdict::Hot && !last {
                        places.push(place);
                        some.push(key);
                        continue;
                    }
                    confirmed.extend(verdict.is_confirmed().then_some(place));
                    self.sort(key, verdict, &found.snapshot);
                }
                if some.is_empty() {
                    break;
                }
            }
        }
        Ok(confirmed)
    }

    fn sort(&mut self, key: Key, verdict: Verdict, snapshot: &str) {
        match verdict {
            Verdict::Cleared => self.cleared += 1,
            Verdict::NotYet => self.not_yet += 1,
            Verdict::Quarantined => self.quarantined += 1,
            Verdict::Hot | Verdict::InFlight if self.waiting.len() < MOST_WAITING => {
                let hot = verdict == Verdict::Hot;
                self.waiting.push(Waiting { key, snapshot: snapshot.to_owned(), hot });
            }
            Verdict::Hot | Verdict::InFlight => self.beyond += 1,
            Verdict::Missing | Verdict::Different | Verdict::Extra => {
                self.confirmed.count(verdict);
                if self.proven.len() < MOST_WAITING {
                    self.proven.push((key, verdict));
                }
            }
        }
    }

    /// Whether every key has its verdict.
    pub(crate) fn is_settled(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether every proven key is kept.
    pub(crate) fn keeps_proven(&self) -> bool {
        usize::try_from(self.confirmed.total()).is_ok_and(|total| total == self.proven.len())
    }

    /// Whether every key that takes another look is kept.
    pub(crate) fn keeps_open(&self) -> bool {
        self.beyond == 0
    }

    /// Keys that still take a look.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Key> {
        self.waiting.iter().map(|w| &w.key)
    }

    /// Keys in flight and keys that kept changing.
    pub(crate) fn unsettled(&self) -> (i64, i64) {
        let count = |hot| i64::try_from(self.waiting.iter().filter(|w| w.hot == hot).count()).unwrap_or(i64::MAX);
        (count(false).saturating_add(self.beyond), count(true))
    }

    /// Looks again at what the sync has passed.
    ///
    /// # Errors
    /// When a database fails. The keys stay.
    pub(crate) async fn look_again(&mut self, ends: &Ends, consumer: &str) -> Result<()> {
        self.pass(ends, consumer).await.map(|_| ())
    }

    async fn pass(&mut self, ends: &Ends, consumer: &str) -> Result<Option<Pace>> {
        let mut snapshots: Vec<String> = self.waiting.iter().map(|w| w.snapshot.clone()).collect();
        snapshots.sort_unstable();
        snapshots.dedup();
        let (covered, pace) = progress(ends, consumer, &snapshots).await?;
        let (due, left): (Vec<Waiting>, Vec<Waiting>) =
            std::mem::take(&mut self.waiting).into_iter().partition(|w| w.hot || covered.contains(&w.snapshot));
        self.waiting = left;
        let looked = self.look(ends, consumer, due.iter().map(|w| w.key.clone()).collect()).await;
        if looked.is_err() {
            // Some of them may have been looked at: a second look costs nothing.
            self.waiting.extend(due);
        }
        looked.map(|_| pace)
    }

    /// Waits for the sync to pass what was seen, at most until `until`, and says whether it does not move at all.
    ///
    /// # Errors
    /// When a database fails.
    pub(crate) async fn settle(
        &mut self,
        ends: &Ends,
        consumer: &str,
        until: Instant,
        stop: impl Fn() -> bool,
    ) -> Result<Option<Unverifiable>> {
        let (mut first, mut last, mut wait, mut only_hot) = (None, None, SHORTEST_WAIT, 0);
        while !self.is_settled() {
            let before = self.waiting.len();
            last = self.pass(ends, consumer).await?;
            first = first.or(last);
            let left = until.saturating_duration_since(Instant::now());
            only_hot = if self.unsettled().0 == 0 { only_hot + 1 } else { 0 };
            if self.is_settled() || left.is_zero() || stop() || only_hot >= ROUNDS_OF_HOT {
                break;
            }
            wait = if self.waiting.len() < before { SHORTEST_WAIT } else { (wait * 2).min(LONGEST_WAIT) };
            tokio::time::sleep(wait.min(left)).await;
        }
        let (in_flight, _) = self.unsettled();
        let stands = first.zip(last).filter(|(first, last)| in_flight > 0 && first.seq == last.seq);
        Ok(stands.map(|(_, last)| Unverifiable { keys: in_flight, lag_seconds: last.lag }))
    }
}

/// A sandwich, made anew when something that passes came in between: half of one proves nothing.
async fn verify(ends: &Ends, consumer: &str, keys: &[Key]) -> Result<Verdicts> {
    for tries in 0.. {
        match sandwich::verify(ends, consumer, keys).await {
            Err(error) => match passes_in(&error, tries) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            },
            done => return done,
        }
    }
    unreachable!("the tries are bounded")
}

/// Which snapshots the sync has passed.
async fn progress(ends: &Ends, consumer: &str, snapshots: &[String]) -> Result<(Vec<String>, Option<Pace>)> {
    let mut tx = ends.source.begin(Purpose::Check).await?;
    let rows = tx.query(statements::CHECK_READ_PROGRESS).bind(consumer).bind(snapshots);
    let rows = rows.fetch_all(tx.conn()).await.map_err(|e| ends.source.error(e))?;
    tx.commit().await?;
    let covered = rows.iter().filter(|r| r.get("covered")).filter_map(|r| {
        let at = usize::try_from(r.get::<i64, _>("ord") - 1).ok()?;
        snapshots.get(at).cloned()
    });
    Ok((covered.collect(), rows.first().map(|r| Pace { seq: r.get("seq"), lag: r.get("lag") })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_keys_are_kept_and_all_are_counted() {
        let mut suspects = Suspects::default();
        for n in 0..MOST_WAITING + 3 {
            suspects.sort(Key(vec![n.to_string()]), Verdict::InFlight, "1:1:");
        }
        suspects.sort(Key(vec!["x".to_owned()]), Verdict::Extra, "1:1:");
        assert_eq!(suspects.unsettled(), (100_003, 0));
        assert_eq!(suspects.confirmed.extra, 1);
        assert!(!suspects.keeps_open() && suspects.keeps_proven());
    }
}
