//! When the soak is quiet: what lfk has left to do, said by its own tables.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lfk_tests::{Pair, TestDb};

/// How long the daemons may take until nothing is left, on a machine that has other things to do. A bound, never a measure.
pub const QUIET_WITHIN: Duration = Duration::from_secs(600);

/// Nobody writes any more: waits until lfk has nothing left to do, with all second visits and sweeps. The poisoned keys in
/// `kept` are left aside.
pub async fn quiet(pair: &Pair, kept: &[i64]) -> Result<()> {
    let Pair { main, ci } = pair;
    let (begun, mut said) = (Instant::now(), Instant::now());
    let mut before = None;
    loop {
        hurry(main).await?;
        hurry(ci).await?;
        let left = [left(main, kept).await?, left(ci, kept).await?].join("; ");
        let seqs = (seqs(main).await?, seqs(ci).await?);
        let nothing = left == "; ";
        // Work in one database makes work in the other: only two looks with nothing between them prove that there is none.
        if nothing && before == Some(seqs) {
            return Ok(());
        }
        before = nothing.then_some(seqs);
        ensure!(begun.elapsed() < QUIET_WITHIN, "not quiet after {QUIET_WITHIN:?}: {left}");
        if said.elapsed() > Duration::from_secs(20) {
            eprintln!("after {:?} there is left: {left}", begun.elapsed());
            said = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Nothing is gained by waiting any longer for a child's parent, a lock or the next tick when nobody writes.
async fn hurry(db: &TestDb) -> Result<()> {
    db.execute(
        "UPDATE lfk.retry SET not_before = '-infinity' WHERE not_before > clock_timestamp() AND quarantined_at IS NULL;
         INSERT INTO lfk.tick SELECT clock_timestamp(), pg_current_snapshot()
          WHERE NOT EXISTS (SELECT FROM lfk.tick t WHERE t.at > clock_timestamp() - interval '2 s')",
    )
    .await?;
    Ok(())
}

/// What lfk has left to do, in words; empty when there is nothing.
async fn left(db: &TestDb, kept: &[i64]) -> Result<String> {
    let kept: Vec<String> = kept.iter().map(|key| format!("'{{{key}}}'")).collect();
    let kept = format!("ARRAY[{}]::text[]", kept.join(","));
    db.scalar(&format!(
        "SELECT coalesce(string_agg(what, '; ' ORDER BY what), '') FROM (
           SELECT h.name || ' ' || h.condition || ' ' || coalesce(h.note, '') FROM lfk.health h WHERE h.condition <> 'ok'
           UNION ALL
           SELECT h.name || ' ' || a FROM lfk.health h, unnest(h.alert) a WHERE a <> 'quarantined'
           UNION ALL
           SELECT c.consumer || ' has unread keys' FROM lfk.cursor c, lfk.unread(c.consumer, 1) u
            WHERE u.rows > 0 OR c.cur IS NOT NULL
           UNION ALL
           SELECT s.consumer || ' sweeps' FROM lfk.sweep s WHERE NOT s.done
           UNION ALL
           SELECT r.consumer || ' ' || r.reason || ' ' || coalesce(min(r.error), '') || ' ' || count(*)
             FROM lfk.retry r WHERE r.key::text <> ALL ({kept}) GROUP BY r.consumer, r.reason
           UNION ALL
           SELECT 'not covered: ' || w.relation::regclass FROM lfk.tracked t, lfk.tree(t.relation) w
            WHERE NOT EXISTS (SELECT FROM lfk.covered c WHERE (c.table_id, c.relation, c.outcome) = (t.table_id, w.relation, 'covered'))
           UNION ALL
           SELECT 'not noticed: ' || c.name FROM lfk.covered c JOIN lfk.tracked t USING (table_id)
            WHERE NOT EXISTS (SELECT FROM lfk.tree(t.relation) w WHERE w.relation = c.relation)
         ) l (what)"
    ))
    .await
}

async fn seqs(db: &TestDb) -> Result<i64> {
    db.scalar("SELECT sum(seq)::bigint FROM lfk.cursor").await
}
