//! When the rolling check of a mirror begins a pass. Pure: what time it is, is given.

use std::time::Duration;

use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use lfk_core::{Error, Result};

/// A time that nobody was there for is made up for so long: a deploy does not cost a night.
const GRACE: Duration = Duration::from_secs(600);
const UTC: &str = "UTC";

/// When every row of a mirror is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Schedule {
    /// All the time, slowly, so that less than this lies between two looks at a row.
    Within(Duration),
    /// In passes that begin at given times.
    Cron(Cron),
}

impl Schedule {
    /// Over how much time a pass is spread. Zero: it works a quarter of the time, and rests for the others.
    pub(crate) fn pass_takes(&self) -> Duration {
        match self {
            // Between two looks at a row lies less than two passes.
            Self::Within(time) => *time / 2,
            Self::Cron(_) => Duration::ZERO,
        }
    }

    /// Whether a pass is to begin, when none is under way.
    pub(crate) fn is_due(&self, last: Last) -> bool {
        match self {
            Self::Within(_) => last.started.is_none_or(|seconds| seconds >= self.pass_takes().as_secs_f64()),
            Self::Cron(cron) => last.now().is_some_and(|now| cron.is_due(now, ago(now, last.finished))),
        }
    }

    /// Half of the seconds after which rows that nobody has looked at are an alarm.
    pub(crate) fn alarm_half(&self, last: Last) -> f64 {
        match self {
            Self::Within(time) => time.as_secs_f64(),
            Self::Cron(cron) => {
                let oldest = last.now().and_then(|now| ago(now, Some(last.unverified)));
                oldest.map_or(f64::from(u32::MAX), |oldest| cron.patience(oldest).as_secs_f64()) / 2.0
            }
        }
    }

    /// Whether a time has come while the pass that began so many seconds ago was under way, and later than `said` seconds
    /// since the epoch.
    pub(crate) fn leaves_out(&self, last: Last, running: f64, said: f64) -> bool {
        let Self::Cron(cron) = self else { return false };
        let Some(now) = last.now() else { return false };
        let begun = ago(now, Some(running)).unwrap_or(now);
        let since = at(said).map_or(begun, |said| said.max(begun));
        cron.next_after(since).is_some_and(|time| time <= now)
    }
}

/// What is known of the passes before, by the clock of the database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Last {
    /// Seconds since the epoch.
    pub(crate) now: f64,
    /// Seconds since the last pass that came to its end began, and since it ended.
    pub(crate) started: Option<f64>,
    pub(crate) finished: Option<f64>,
    /// Seconds since the longest time when no row was looked at.
    pub(crate) unverified: f64,
}

impl Last {
    fn now(self) -> Option<Timestamp> {
        at(self.now)
    }
}

fn at(seconds: f64) -> Option<Timestamp> {
    Timestamp::from_duration(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
}

fn ago(now: Timestamp, seconds: Option<f64>) -> Option<Timestamp> {
    now.checked_sub(SignedDuration::try_from_secs_f64(seconds?).ok()?).ok()
}

/// Times in the words of cron: minute, hour, day of the month, month, day of the week; `0 3 * * *` is each night at three.
///
/// A time that a change of the clocks leaves out comes with the change, and one that comes twice counts once. A pass begins within
/// some seconds of its time. A time at which no daemon ran is made up for within ten minutes, and left out after that, as is one that
/// comes while the pass before is still under way.
#[derive(Debug, Clone)]
pub struct Cron {
    text: String,
    zone: String,
    times: Box<croner::Cron>,
    within: TimeZone,
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        (&self.text, &self.zone) == (&other.text, &other.zone)
    }
}

impl Eq for Cron {}

impl Cron {
    /// Times in UTC.
    ///
    /// # Errors
    /// [`lfk_core::ErrorKind::Config`] when the text has not five fields that can be read, or means a day that never comes.
    pub fn new(text: &str) -> Result<Self> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let remedy =
            "write minute, hour, day of the month, month and day of the week, such as \"0 3 * * *\" for three at night";
        // The words of the parser repeat what was written, which may have come from a variable.
        let times =
            parser.parse(text).map_err(|_| Error::config("the times are not in the form of cron").with_hint(remedy))?;
        let cron =
            Self { text: text.trim().to_owned(), zone: UTC.to_owned(), times: Box::new(times), within: TimeZone::UTC };
        if cron.next_after(Timestamp::now()).is_none() {
            return Err(Error::config("none of the times ever comes").with_hint(remedy));
        }
        Ok(cron)
    }

    /// The same times by the clocks of a zone, such as `Europe/Berlin`.
    ///
    /// # Errors
    /// [`lfk_core::ErrorKind::Config`] when this machine does not know the zone.
    pub fn in_zone(mut self, zone: &str) -> Result<Self> {
        self.within = if zone == UTC {
            TimeZone::UTC
        } else {
            TimeZone::get(zone).map_err(|_| {
                Error::config("this machine does not know the time zone").with_hint(
                    "write a name such as \"Europe/Berlin\" and see that the package tzdata is installed, or leave it out for UTC",
                )
            })?
        };
        zone.clone_into(&mut self.zone);
        Ok(self)
    }

    /// The five fields, as they were given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name of the zone.
    #[must_use]
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// The first time from now on, in UTC, such as `2026-05-04T03:00:00Z`.
    #[must_use]
    pub fn next(&self) -> Option<String> {
        self.next_after(Timestamp::now()).map(|time| time.to_string())
    }

    fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let zoned = time.to_zoned(self.within.clone());
        self.times.find_next_occurrence(&zoned, false).ok().map(|next| next.timestamp())
    }

    /// Whether one of its times has come since the last pass ended. One that is long past is not made up for.
    fn is_due(&self, now: Timestamp, ended: Option<Timestamp>) -> bool {
        let Some(graced) = ago(now, Some(GRACE.as_secs_f64())) else { return false };
        let since = ended.map_or(graced, |ended| ended.max(graced));
        self.next_after(since).is_some_and(|time| time <= now)
    }

    /// How long after `oldest`, when the last pass began, rows have gone without a look for so long that somebody should know: one
    /// pass may be left out, and the second one has half of the time between two of them to come to its end.
    fn patience(&self, oldest: Timestamp) -> Duration {
        let first = self.next_after(oldest);
        let times = first.and_then(|first| Some((first, self.next_after(first)?)));
        let Some((first, second)) = times else { return Duration::MAX / 4 };
        let time = second.duration_since(oldest) + second.duration_since(first) / 2;
        Duration::try_from(time).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn next(cron: &Cron, after: &str) -> String {
        cron.next_after(time(after)).unwrap().to_string()
    }

    #[test]
    fn m07_times_are_those_of_utc_or_of_a_zone() {
        let nightly = Cron::new(" 0 3 * * * ").unwrap();
        assert_eq!((nightly.text(), nightly.zone()), ("0 3 * * *", "UTC"));
        assert_eq!(next(&nightly, "2026-05-04T02:59:59.999Z"), "2026-05-04T03:00:00Z");
        assert_eq!(next(&nightly, "2026-05-04T03:00:00Z"), "2026-05-05T03:00:00Z");
        let berlin = nightly.clone().in_zone("Europe/Berlin").unwrap();
        assert_eq!(next(&berlin, "2026-05-04T00:00:00Z"), "2026-05-04T01:00:00Z", "in summer");
        assert_eq!(next(&berlin, "2026-01-04T00:00:00Z"), "2026-01-04T02:00:00Z", "in winter");
        assert_ne!(nightly, berlin);
        assert_eq!(nightly, nightly.clone().in_zone("UTC").unwrap());
        let workdays = Cron::new("30 22 * * MON-FRI").unwrap();
        assert_eq!(next(&workdays, "2026-05-01T22:30:00Z"), "2026-05-04T22:30:00Z", "from Friday to Monday");
    }

    #[test]
    fn m07_each_night_has_one_pass_also_when_the_clocks_change() {
        let berlin = Cron::new("30 2 * * *").unwrap().in_zone("Europe/Berlin").unwrap();
        // Half past two does not exist on the 29th of March, and comes twice on the 25th of October.
        for (from, nights) in [("2026-03-28T00:00:00Z", 3), ("2026-10-24T00:00:00Z", 3)] {
            let mut at = time(from);
            let mut days = Vec::new();
            for _ in 0..nights {
                at = berlin.next_after(at).unwrap();
                days.push(at.to_zoned(berlin.within.clone()).date());
            }
            let distinct: std::collections::BTreeSet<_> = days.iter().collect();
            assert_eq!(distinct.len(), nights, "{days:?}");
        }
    }

    #[test]
    fn f07_what_is_no_time_is_refused_and_not_repeated() {
        for wrong in
            ["", "3am-secret", "0 3 * *", "0 0 3 * * *", "0 3 * * * 2027", "60 3 * * *", "0 3 30 2 *", "0 3 * * secret"]
        {
            let error = Cron::new(wrong).unwrap_err();
            assert_eq!(error.kind, lfk_core::ErrorKind::Config, "{wrong}");
            assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("0 3 * * *")), "{error:?}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
        let error = Cron::new("0 3 * * *").unwrap().in_zone("Mars/Olympus").unwrap_err();
        assert!(error.hint.is_some_and(|hint| hint.contains("Europe/Berlin")) && !error.message.contains("Mars"));
    }

    #[test]
    fn m07_a_pass_is_due_once_for_each_time_and_no_longer_than_ten_minutes_after_it() {
        let nightly = Cron::new("0 3 * * *").unwrap();
        let due = |now: &str, ended: Option<&str>| nightly.is_due(time(now), ended.map(time));
        assert!(!due("2026-05-04T02:59:59Z", None));
        assert!(due("2026-05-04T03:00:00Z", None));
        assert!(due("2026-05-04T03:00:05Z", Some("2026-05-03T03:10:00Z")));
        assert!(due("2026-05-04T03:09:59Z", Some("2026-05-03T03:10:00Z")), "nobody was there");
        assert!(!due("2026-05-04T03:10:01Z", Some("2026-05-03T03:10:00Z")), "that is too late");
        assert!(!due("2026-05-04T03:00:30Z", Some("2026-05-04T03:00:20Z")), "it was done");
        assert!(!due("2026-05-04T03:05:00Z", Some("2026-05-04T03:04:00Z")), "the one before took until now");
    }

    #[test]
    fn s01_one_pass_may_be_left_out_and_a_second_one_may_not() {
        let hours = |text: &str, oldest: &str| Cron::new(text).unwrap().patience(time(oldest)).as_secs_f64() / 3600.0;
        assert_eq!(hours("0 3 * * *", "2026-05-04T03:00:00Z"), 60.0);
        // Before the weekend: Monday and Tuesday, and twelve hours.
        assert_eq!(hours("0 3 * * MON-FRI", "2026-05-01T03:00:00Z"), 4.0 * 24.0 + 12.0);
        assert_eq!(hours("0 * * * *", "2026-05-04T03:00:00Z"), 2.5);
    }

    #[test]
    fn m07_a_time_that_comes_while_a_pass_is_under_way_is_noticed_once() {
        let hourly = Schedule::Cron(Cron::new("0 * * * *").unwrap());
        let now = time("2026-05-04T03:10:00Z").duration_since(Timestamp::UNIX_EPOCH).as_secs_f64();
        let last = Last { now, started: None, finished: None, unverified: 0.0 };
        assert!(!hourly.leaves_out(last, 9.0 * 60.0, 0.0), "it began behind its time");
        assert!(hourly.leaves_out(last, 69.0 * 60.0, 0.0));
        assert!(!hourly.leaves_out(last, 69.0 * 60.0, now - 60.0), "that was said");
        assert!(!Schedule::Within(GRACE).leaves_out(last, 69.0 * 60.0, 0.0));
    }
}
