//! Keys that looked different, gathered over several chunks and proven together: a sandwich costs the same few statements for one
//! key as for a thousand, and scattered damage leaves a few keys in every chunk.
//!
//! They are in memory only. So they are proven before a position behind them is kept, and before a pass ends.

use std::time::{Duration, Instant};

use lfk_core::Result;
use lfk_core::parts::Key;

use super::ends::Ends;
use super::guard::Alarm;
use super::sandwich;
use super::suspects::Suspects;

/// How long a key waits for others. The longer, the more rows have changed meanwhile and look different for that reason only.
const LONGEST: Duration = Duration::from_secs(1);

/// The keys, and the chunks that they are of.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    keys: Vec<Key>,
    chunks: Vec<Part>,
    since: Option<Instant>,
}

/// A chunk.
#[derive(Debug, Clone, Copy)]
struct Part {
    /// Rows among which its keys were found.
    among: i64,
    /// Behind its last key.
    end: usize,
}

impl Gathered {
    /// Adds a chunk, with or without keys that looked different.
    pub(crate) fn add(&mut self, among: i64, keys: Vec<Key>) {
        if !keys.is_empty() {
            self.since.get_or_insert_with(Instant::now);
        }
        self.keys.extend(keys);
        self.chunks.push(Part { among, end: self.keys.len() });
    }

    /// Whether it is time to prove them. Chunks without any key are done with at once, which takes no statement.
    pub(crate) fn is_due(&self) -> bool {
        self.keys.is_empty()
            || self.keys.len() >= sandwich::KEYS
            || self.since.is_some_and(|since| since.elapsed() >= LONGEST)
    }

    /// Proves them, and tells the alarm of each chunk what was found in it.
    ///
    /// # Errors
    /// When a database fails: then the pass has to end, without a position behind these keys.
    pub(crate) async fn prove(
        &mut self,
        ends: &Ends,
        consumer: &str,
        suspects: &mut Suspects,
        alarm: &mut Alarm,
    ) -> Result<()> {
        let Self { keys, chunks, .. } = std::mem::take(self);
        let mut confirmed = suspects.look(ends, consumer, keys).await?;
        confirmed.sort_unstable();
        for (rows, found) in by_chunk(&chunks, &confirmed) {
            alarm.chunk(rows, found);
        }
        Ok(())
    }
}

/// The rows of each chunk, and how many of the places (ascending) are in it.
fn by_chunk<'a>(chunks: &'a [Part], places: &'a [usize]) -> impl Iterator<Item = (i64, i64)> + 'a {
    let mut before = 0;
    chunks.iter().map(move |chunk| {
        let behind = places.partition_point(|place| *place < chunk.end);
        let found = i64::try_from(behind - before).unwrap_or(i64::MAX);
        before = behind;
        (chunk.among, found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m08_what_is_proven_together_counts_in_the_chunk_that_it_was_found_in() {
        let keys = |count: usize| vec![Key(vec!["1".to_owned()]); count];
        let mut gathered = Gathered::default();
        gathered.add(500, keys(0));
        assert!(gathered.is_due(), "without keys there is nothing to wait for");
        gathered.add(100, keys(3));
        assert!(!gathered.is_due());
        gathered.add(200, keys(0));
        gathered.add(300, keys(sandwich::KEYS));
        assert!(gathered.is_due());
        let found: Vec<_> = by_chunk(&gathered.chunks, &[0, 2, 3, 900]).collect();
        assert_eq!(found, [(500, 0), (100, 2), (200, 0), (300, 2)]);
    }
}
