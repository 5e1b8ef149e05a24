//! Proven differences that are written down, so that a second look can say whether they persist.
//!
//! `lfk.difference` in the source's database is authoritative. A crash leaves out what was not written yet: the next pass, or
//! the next change of the key, finds it again.

use std::time::Duration;

use lfk_core::parts::{Key, Purpose};
use lfk_core::{Database, Result};
use lfk_sql::statements;
use sqlx::Row as _;

use super::report::Confirmed;
use super::sandwich::{self, Verdict};

/// So many keys of a mirror are kept, and at most one call more.
pub(crate) const MOST_NOTED: i64 = 1_000;
/// Two looks are so far apart at least.
const MOMENT: Duration = Duration::from_secs(10);

/// Writes down what differs in one mirror.
#[derive(Debug, Clone)]
pub(crate) struct Noted {
    source: Database,
    mirror: String,
}

/// A difference as it is noted now.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    pub(crate) key: Key,
    /// Proofs, each a moment after the last one.
    pub(crate) looks: i64,
    /// How often it was handed to the sync.
    pub(crate) handed: i64,
}

impl Noted {
    pub(crate) fn new(source: &Database, mirror: &str) -> Self {
        Self { source: source.clone(), mirror: mirror.to_owned() }
    }

    /// Notes keys proven to differ. Answers with those that were new, or were seen again after a moment.
    ///
    /// # Errors
    /// When the database fails; some may be noted then.
    pub(crate) async fn note(&self, proven: &[(Key, Verdict)]) -> Result<Vec<Difference>> {
        let mut all = Vec::new();
        for some in proven.chunks(sandwich::KEYS) {
            let keys: Vec<Key> = some.iter().map(|(key, _)| key.clone()).collect();
            let classes: Vec<&str> = some.iter().filter_map(|(_, verdict)| verdict.class()).collect();
            let mut tx = self.source.begin(Purpose::Log).await?;
            let query = tx.query(statements::CHECK_NOTE_DIFFERENCES).bind(&self.mirror).bind(Key::flatten(&keys));
            let query = query.bind(width(&keys)).bind(classes).bind(MOST_NOTED).bind(MOMENT.as_secs_f64());
            let rows = query.fetch_all(tx.conn()).await.map_err(|e| self.source.error(e))?;
            tx.commit().await?;
            for row in rows {
                let class: String = row.get("class");
                let (looks, handed) = (row.get("looks"), row.get("handed"));
                if looks == 2 {
                    metrics::counter!("lfk_mirror_confirmed_total", "mirror" => self.mirror.clone(), "class" => class)
                        .increment(1);
                }
                all.push(Difference { key: Key(row.get("key")), looks, handed });
            }
        }
        Ok(all)
    }

    /// Keys that were last seen a moment ago, the oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn due(&self) -> Result<Vec<Key>> {
        let mut tx = self.source.begin(Purpose::Log).await?;
        let query = tx.query(statements::CHECK_DUE_DIFFERENCES).bind(&self.mirror).bind(MOMENT.as_secs_f64());
        let most = i64::try_from(sandwich::KEYS).unwrap_or(i64::MAX);
        let rows = query.bind(most).fetch_all(tx.conn()).await.map_err(|e| self.source.error(e))?;
        tx.commit().await?;
        Ok(rows.iter().map(|row| Key(row.get("key"))).collect())
    }

    /// Forgets keys whose rows are equal.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn clear(&self, keys: &[Key]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut tx = self.source.begin(Purpose::Log).await?;
        let query = tx.query(statements::CHECK_CLEAR_DIFFERENCES).bind(&self.mirror);
        let query = query.bind(Key::flatten(keys)).bind(width(keys));
        query.execute(tx.conn()).await.map_err(|e| self.source.error(e))?;
        tx.commit().await
    }

    /// How many are noted.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn count(&self) -> Result<Confirmed> {
        let mut tx = self.source.begin(Purpose::Log).await?;
        let query = tx.query(statements::CHECK_COUNT_DIFFERENCES).bind(&self.mirror);
        let row = query.fetch_one(tx.conn()).await.map_err(|e| self.source.error(e))?;
        tx.commit().await?;
        Ok(Confirmed { missing: row.get("missing"), different: row.get("different"), extra: row.get("extra") })
    }

    /// Hands keys to the sync, due at once, and counts it.
    ///
    /// # Errors
    /// When the database fails; nothing was handed over then.
    pub(crate) async fn hand_over(&self, keys: &[Key]) -> Result<()> {
        let (flat, width) = (Key::flatten(keys), width(keys));
        let mut tx = self.source.begin(Purpose::Log).await?;
        let query = tx.query(statements::CHECK_HAND_OVER).bind(&self.mirror).bind(&flat).bind(width);
        query.execute(tx.conn()).await.map_err(|e| self.source.error(e))?;
        let query = tx.query(statements::CHECK_NOTE_HANDED).bind(&self.mirror).bind(&flat).bind(width);
        query.execute(tx.conn()).await.map_err(|e| self.source.error(e))?;
        tx.commit().await
    }

    /// Adds to what the second look at synced keys has found.
    ///
    /// # Errors
    /// When the database fails.
    pub(crate) async fn count_recent(&self, checked: i64, confirmed: i64) -> Result<()> {
        let mut tx = self.source.begin(Purpose::Log).await?;
        let query = tx.query(statements::CHECK_COUNT_RECENT).bind(&self.mirror).bind(checked).bind(confirmed);
        query.execute(tx.conn()).await.map_err(|e| self.source.error(e))?;
        tx.commit().await
    }
}

/// Columns of each of these keys.
fn width(keys: &[Key]) -> i64 {
    keys.first().and_then(|key| i64::try_from(key.0.len()).ok()).unwrap_or(1)
}
