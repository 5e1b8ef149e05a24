//! What comes out: one line a case.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Less is better.
    Seconds,
    /// Less is better.
    Milliseconds,
    /// Less is better.
    Microseconds,
    /// Less is better.
    Bytes,
    /// Less is better.
    Megabytes,
    /// Less is better.
    StatementsPerSecond,
    /// More is better.
    KeysPerSecond,
    /// More is better.
    RowsPerSecond,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Microseconds => "µs",
            Self::Bytes => "bytes",
            Self::Megabytes => "MB",
            Self::StatementsPerSecond => "statements/s",
            Self::KeysPerSecond => "keys/s",
            Self::RowsPerSecond => "rows/s",
        }
    }

    fn more_is_better(self) -> bool {
        matches!(self, Self::KeysPerSecond | Self::RowsPerSecond)
    }
}

/// What a case has to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// The ratio, above 1 when ours is better.
    Ratio(f64),
    /// Ours costs at most so many times the baseline: the ratio is at least the inverse.
    AtMostTimes(f64),
    /// The figure itself, where more is better.
    AtLeast(f64),
    /// The figure itself, where less is better.
    AtMost(f64),
}

/// One line of the result.
#[derive(Debug, Clone)]
pub struct Case {
    bench: &'static str,
    name: String,
    unit: Unit,
    ours: f64,
    rounds: usize,
    baseline: Option<(String, f64)>,
    goal: Option<Goal>,
    cpu: Option<(f64, f64)>,
    notes: String,
}

impl Case {
    /// A figure of ours.
    pub fn new(bench: &'static str, name: impl Into<String>, unit: Unit, ours: f64, rounds: usize) -> Self {
        Self {
            bench,
            name: name.into(),
            unit,
            ours,
            rounds,
            baseline: None,
            goal: None,
            cpu: None,
            notes: String::new(),
        }
    }

    /// What it is compared with.
    #[must_use]
    pub fn against(mut self, name: impl Into<String>, baseline: f64) -> Self {
        self.baseline = Some((name.into(), baseline));
        self
    }

    /// What it has to reach.
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    /// Processor seconds of everybody who took part: with ours, and with the baseline.
    #[must_use]
    pub fn cpu(mut self, ours: f64, baseline: f64) -> Self {
        self.cpu = Some((ours, baseline));
        self
    }

    /// What a reader should know.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes = note.into();
        self
    }

    /// Above 1: ours is better, whatever the unit.
    fn ratio(&self) -> Option<f64> {
        let (_, baseline) = self.baseline.as_ref()?;
        Some(if self.unit.more_is_better() { self.ours / baseline } else { baseline / self.ours })
    }

    fn reached(&self) -> Option<bool> {
        // Goals have two or three digits; a ratio is not better known than that.
        const NEAR: f64 = 1e-9;
        Some(match self.goal? {
            Goal::Ratio(least) => self.ratio()? >= least - NEAR,
            Goal::AtMostTimes(times) => self.ratio()? >= 1.0 / times - NEAR,
            Goal::AtLeast(least) => self.ours >= least,
            Goal::AtMost(most) => self.ours <= most,
        })
    }

    fn goal_text(&self) -> Option<String> {
        Some(match self.goal? {
            Goal::Ratio(least) => format!("ratio ≥ {}", figure(least)),
            Goal::AtMostTimes(times) => format!("≤ {times:.2}×"),
            Goal::AtLeast(least) => format!("≥ {} {}", figure(least), self.unit.name()),
            Goal::AtMost(most) => format!("≤ {} {}", figure(most), self.unit.name()),
        })
    }

    /// As a line of JSON. What a case does not have is null.
    #[must_use]
    pub fn json(&self, pg: &str) -> Value {
        json!({
            "bench": self.bench,
            "case": self.name,
            "ours": self.ours,
            "baseline": self.baseline.as_ref().map(|(_, value)| value),
            "baseline_name": self.baseline.as_ref().map(|(name, _)| name),
            "ratio": self.ratio(),
            "unit": self.unit.name(),
            "rounds": self.rounds,
            "pg": pg,
            "notes": self.notes,
            "goal": self.goal_text(),
            "reached": self.reached(),
            "cpu_seconds": self.cpu.map(|(ours, _)| ours),
            "baseline_cpu_seconds": self.cpu.map(|(_, baseline)| baseline),
        })
    }
}

/// All cases for people.
#[must_use]
pub fn table(cases: &[Case]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["bench", "case", "ours", "baseline", "", "unit", "ratio", "goal", "reached", "CPU s", "notes"]);
    for case in cases {
        let (name, baseline) = case.baseline.clone().map_or(Default::default(), |(name, value)| (name, figure(value)));
        table.add_row([
            case.bench.to_owned(),
            case.name.clone(),
            figure(case.ours),
            baseline,
            name,
            case.unit.name().to_owned(),
            case.ratio().map(figure).unwrap_or_default(),
            case.goal_text().unwrap_or_default(),
            case.reached().map(|yes| if yes { "yes" } else { "NO" }).unwrap_or_default().to_owned(),
            case.cpu.map(|(ours, baseline)| format!("{} : {}", figure(ours), figure(baseline))).unwrap_or_default(),
            case.notes.clone(),
        ]);
    }
    table.to_string()
}

/// Three digits that count, or all of a whole number.
fn figure(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 || v == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_above_one_says_that_ours_is_better_whatever_the_unit() {
        let time = Case::new("drain", "all", Unit::Seconds, 2.0, 3).against("giant", 1.0).goal(Goal::Ratio(0.7));
        assert_eq!((time.ratio(), time.reached()), (Some(0.5), Some(false)));
        let rate = Case::new("empty", "packed", Unit::KeysPerSecond, 20.0, 3).against("queue", 1.0);
        assert_eq!((rate.ratio(), rate.reached()), (Some(20.0), None));
    }

    #[test]
    fn a_goal_in_times_of_the_baseline_is_reached_at_exactly_so_many() {
        let case = |ours| Case::new("capture", "WAL", Unit::Bytes, ours, 3).against("none", 100.0);
        assert_eq!(case(110.0).goal(Goal::AtMostTimes(1.10)).reached(), Some(true));
        assert_eq!(case(111.0).goal(Goal::AtMostTimes(1.10)).reached(), Some(false));
        assert_eq!(case(60.0).goal(Goal::AtMost(60.0)).reached(), Some(true));
    }
}
