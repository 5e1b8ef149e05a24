//! What makes a finding doubtful as a whole: a scan says it, a repair refuses.
//!
//! Mistakes of this kind are mostly not in the data: an empty or half-restored database, a URL that leads to staging, a
//! definition that names another table. Then nearly every child looks like an orphan.

use sqlx::Row as _;

use super::report::Scan;
use crate::clean::Shape;
use crate::database::{Database, Purpose};
use crate::definition::LooseForeignKey;
use crate::error::Result;
use crate::plan::table_text;
use crate::report::Finding;

/// Below so many checked keys their share says nothing.
const SHARE_FROM: u64 = 1_000;
/// Up to so many parents half of them are counted; of more, so many are sampled.
const COUNTED_PARENTS: i64 = 200_000;
const SAMPLED_PARENTS: f64 = 100_000.0;

/// Whether the parents are there: none at all, or less than half of what the planner's statistics say, is a finding.
pub(super) async fn judge_parents(
    definition: &LooseForeignKey,
    home: &Database,
    shape: &Shape,
    estimate: Option<i64>,
) -> Result<Option<Finding>> {
    let place = format!("{} in database {}", table_text(&shape.parent), home.name());
    if count(home, shape, 1).await? == 0 {
        let message = format!("{place} is empty: every child of {} looks like an orphan", definition.name);
        return Ok(Some(
            Finding::note("parents_empty", message).remedy(
                "check the url and the table; if every parent is meant to be gone, remove the children by hand",
            ),
        ));
    }
    let Some(estimate) = estimate.filter(|rows| *rows >= 2) else { return Ok(None) };
    let half = estimate / 2;
    let are_there = if estimate <= COUNTED_PARENTS {
        count(home, shape, half).await? >= half
    } else {
        sample(home, shape, estimate).await? >= in_float(half)
    };
    if are_there {
        return Ok(None);
    }
    let message = format!("{place} has less than half of the {estimate} rows that it had when it was last analyzed");
    let remedy = format!("check the url; if so many are meant to be gone: ANALYZE {};", table_text(&shape.parent));
    Ok(Some(Finding::note("parents_missing", message).remedy(remedy)))
}

async fn count(home: &Database, shape: &Shape, limit: i64) -> Result<i64> {
    let mut tx = home.begin(Purpose::Recheck).await?;
    let query = tx.query(shape.count_parents().into_sql_str()).bind(limit);
    let row = query.fetch_one(tx.conn()).await.map_err(|e| home.error(e))?;
    tx.commit().await?;
    Ok(row.get("rows"))
}

async fn sample(home: &Database, shape: &Shape, estimate: i64) -> Result<f64> {
    let percent = (SAMPLED_PARENTS / in_float(estimate) * 100.0).min(100.0);
    let mut tx = home.begin(Purpose::Recheck).await?;
    let query = tx.query(shape.sample_parents().into_sql_str()).bind(percent);
    let row = query.fetch_one(tx.conn()).await.map_err(|e| home.error(e))?;
    tx.commit().await?;
    Ok(in_float(row.get("rows")) * 100.0 / percent)
}

/// Whether so many of the checked keys are orphans that something else must be wrong.
pub(super) fn judge_share(scan: &Scan, most_percent: f64) -> Option<Finding> {
    let percent = in_float(i64::try_from(scan.orphan_keys).unwrap_or(i64::MAX)) * 100.0
        / in_float(i64::try_from(scan.checked_keys).unwrap_or(i64::MAX)).max(1.0);
    if scan.checked_keys < SHARE_FROM || percent <= most_percent {
        return None;
    }
    let message = format!(
        "{percent:.1} % of the checked keys are orphans, more than {most_percent} %: mostly a wrong url, or a wrong column"
    );
    Some(
        Finding::note("many_orphans", message).remedy(
            "look at some of them (lfk scan --show-keys); if they are orphans: lfk repair --max-orphans-percent",
        ),
    )
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
fn in_float(rows: i64) -> f64 {
    rows as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(checked_keys: u64, orphan_keys: u64) -> Scan {
        Scan { checked_keys, orphan_keys, ..Scan::default() }
    }

    #[test]
    fn a_share_counts_only_from_a_thousand_keys_on() {
        assert!(judge_share(&scan(999, 999), 1.0).is_none());
        assert!(judge_share(&scan(1_000, 10), 1.0).is_none());
        assert!(judge_share(&scan(1_000, 11), 1.0).is_some());
        assert!(judge_share(&scan(1_000, 11), 1.2).is_none());
        assert!(judge_share(&scan(1_000, 1_000), 100.0).is_none());
    }
}
