//! How many rows the statements of a check read at once.

use std::time::Duration;

/// The fewest and the most rows that one statement reads.
pub(crate) const FEWEST: i64 = 1_000;
pub(crate) const MOST: i64 = 200_000;
/// Below [`FEWEST`] only after a statement ran out of time, and where rows are wide.
pub(crate) const FEWEST_EVER: i64 = 50;
/// About so many bytes of rows that are sent as they are make a chunk.
const CHUNK_BYTES: i64 = 4 * 1024 * 1024;

/// How many rows the next statements read, so that they take about `target`.
pub(crate) fn next_limit(limit: i64, took: Duration, target: Duration) -> i64 {
    scaled(limit, took, target).clamp(FEWEST, MOST)
}

/// The most rows that go as they are, where one has so many bytes on average.
pub(crate) fn most_of_width(width: i64) -> i64 {
    (CHUNK_BYTES / width.max(1)).clamp(FEWEST_EVER, MOST)
}

/// So many that the next statement takes about `target`, where these took so long.
pub(crate) fn scaled(limit: i64, took: Duration, target: Duration) -> i64 {
    let times = |part: i64, of: i64| limit.saturating_mul(part) / of.max(1);
    let (took, target) = (millis(took).max(1), millis(target));
    // Never more than twice as many: the last chunk may have been an easy one.
    times(target, took).clamp(times(1, 2), times(2, 1))
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_grow_towards_the_time_that_they_should_take_and_not_beyond() {
        let target = Duration::from_millis(250);
        let next = |limit, took| next_limit(limit, Duration::from_millis(took), target);
        assert_eq!(next(20_000, 250), 20_000);
        assert_eq!(next(20_000, 1), 40_000);
        assert_eq!(next(20_000, 300), 16_666);
        assert_eq!(next(20_000, 60_000), 10_000);
        assert_eq!(next(150_000, 1), MOST);
        assert_eq!(next(1_000, 60_000), FEWEST);
    }

    #[test]
    fn wide_rows_go_by_their_bytes_and_not_by_the_fewest_of_narrow_ones() {
        let target = Duration::from_millis(250);
        for width in [5_000, 33_000, 80_000] {
            let limit = next_limit(FEWEST, Duration::from_millis(1), target).min(most_of_width(width));
            assert!(limit * width <= CHUNK_BYTES, "{limit} rows of {width} bytes");
        }
        assert_eq!((most_of_width(0), most_of_width(1 << 30)), (MOST, FEWEST_EVER));
    }
}
