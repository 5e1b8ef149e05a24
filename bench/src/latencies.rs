//! Times of many single events.

use std::time::Duration;

use anyhow::{Result, ensure};

/// Milliseconds of each event.
#[derive(Debug, Clone, Default)]
pub struct Latencies(Vec<f64>);

impl Latencies {
    /// One more.
    pub fn add(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64() * 1e3);
    }

    /// All of another.
    pub fn append(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time in ms that so many of a thousand stay within: the smallest one for which that is true.
    ///
    /// # Errors
    /// When there are not enough of them to say so.
    pub fn within(&self, of_1000: usize) -> Result<f64> {
        // At least one has to be beyond.
        ensure!(self.0.len() * (1000 - of_1000) >= 1000, "{} events say nothing of {of_1000} in 1000", self.0.len());
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        Ok(sorted[(sorted.len() * of_1000).div_ceil(1000).max(1) - 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_of_a_thousand_are_within_the_time() -> Result<()> {
        let mut all = Latencies::default();
        for ms in (1..=200).rev() {
            all.add(Duration::from_millis(ms));
        }
        assert_eq!((all.within(500)?, all.within(990)?, all.within(5)?), (100.0, 198.0, 1.0));
        assert!(all.within(999).is_err());
        Ok(())
    }
}
