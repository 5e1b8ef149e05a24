//! Ours and the baselines in turn, several times over, and the median of each.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Instant;

use anyhow::{Context as _, Result};

/// What one run has measured, by name.
pub type Sample = Vec<(&'static str, f64)>;

/// The samples of all rounds.
#[derive(Debug)]
pub struct Rounds<C> {
    values: BTreeMap<(C, &'static str), Vec<f64>>,
    /// How many there were.
    pub count: usize,
}

impl<C: Copy + Ord + Debug> Rounds<C> {
    /// Lets every contestant run once a round; every second round in the opposite order, so that nobody always comes first.
    ///
    /// # Errors
    /// When a run fails: with the contestant.
    pub async fn run(count: usize, contestants: &[C], mut run: impl AsyncFnMut(C) -> Result<Sample>) -> Result<Self> {
        let mut values: BTreeMap<(C, &'static str), Vec<f64>> = BTreeMap::new();
        for round in 0..count {
            let mut order = contestants.to_vec();
            if round % 2 == 1 {
                order.reverse();
            }
            for contestant in order {
                let began = Instant::now();
                let sample = run(contestant).await.with_context(|| format!("{contestant:?}"))?;
                let told: Vec<String> = sample.iter().map(|(what, value)| format!("{what} {value:.4}")).collect();
                let all = began.elapsed().as_secs_f64();
                eprintln!(
                    "  round {} of {count}: {contestant:?}: {} ({all:.1} s with preparation and proof)",
                    round + 1,
                    told.join(", ")
                );
                for (what, value) in sample {
                    values.entry((contestant, what)).or_default().push(value);
                }
            }
        }
        Ok(Self { values, count })
    }

    /// The median of one measure of one contestant.
    ///
    /// # Errors
    /// When it was never measured.
    pub fn median(&self, contestant: C, what: &'static str) -> Result<f64> {
        let values = self.values.get(&(contestant, what)).with_context(|| format!("{contestant:?}: no {what}"))?;
        Ok(median(values))
    }

    /// Of several contestants that stand for one, the one with the lowest median.
    ///
    /// # Errors
    /// When none of them was measured.
    pub fn lowest(&self, contestants: &[C], what: &'static str) -> Result<(C, f64)> {
        let mut best: Option<(C, f64)> = None;
        for contestant in contestants {
            let value = self.median(*contestant, what)?;
            if best.is_none_or(|(_, lowest)| value < lowest) {
                best = Some((*contestant, value));
            }
        }
        best.context("no contestant")
    }
}

/// The value in the middle, or between the two in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_value_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 100.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0, 100.0, 2.0]), 3.0);
    }

    #[tokio::test]
    async fn every_second_round_runs_in_the_opposite_order() -> Result<()> {
        let mut order = Vec::new();
        let rounds = Rounds::run(2, &['a', 'b'], async |who| {
            order.push(who);
            Ok(vec![("turn", if who == 'a' { 1.0 } else { 2.0 })])
        });
        let rounds = rounds.await?;
        assert_eq!(order, ['a', 'b', 'b', 'a']);
        assert_eq!(rounds.lowest(&['b', 'a'], "turn")?, ('a', 1.0));
        Ok(())
    }
}
