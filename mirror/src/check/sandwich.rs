//! Proof that a row differs, without waiting: source, target, source again.
//!
//! Nothing pending at the first look: whatever it saw of the source was committed in the target before. No log row newer than
//! the first look at the second: the row did not change in between. The target was read between the two, so it must hold what
//! the first look saw. Lag can not look like a difference, nor a difference like lag.
//!
//! Both looks at the source are one READ COMMITTED statement each, on one connection, whose loss discards the evidence. A
//! snapshot that lasts from the first to the second would not do: after a TRUNCATE it sees an empty table and no marker.

use std::collections::HashMap;

use lfk_core::parts::{Key, Purpose, Tx};
use lfk_core::{Database, Error, ErrorKind, Result};
use lfk_sql::statements;
use sqlx::Row as _;

use super::ends::Ends;
use super::shapes::Shapes;
use crate::{Mirror, Side};

/// Most keys in one sandwich.
pub(crate) const KEYS: usize = 1000;
/// Log rows that a look reads at most. Behind them is a backlog that will be looked at again when the sync has passed it.
const LOG_ROWS: i64 = 10_000;

/// What a look at the source says of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Stands for the row's values; nothing: no row that passes the filter.
    pub digest: Option<String>,
    /// The sync still has to look at the key.
    pub pending: bool,
    /// The sync has given it up for a person to decide.
    pub quarantined: bool,
    /// The log has a row for it that the first look does not see.
    pub touched: bool,
    /// A backfill or a sweep has not come to it.
    pub not_yet: bool,
    /// A backfill has at least begun once.
    pub filled: bool,
}

/// What a sandwich says of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Both sides are equal.
    Cleared,
    /// The sync still has to look at it: lag.
    InFlight,
    /// It changed while it was looked at: look again.
    Hot,
    /// A backfill or a sweep has not come to it.
    NotYet,
    /// The sync has given it up.
    Quarantined,
    /// The target lacks a row. Proven.
    Missing,
    /// The target holds other values. Proven.
    Different,
    /// The target has a row too many. Proven.
    Extra,
}

impl Verdict {
    /// Whether it is a proven difference.
    #[must_use]
    pub fn is_confirmed(self) -> bool {
        self.class().is_some()
    }

    /// `missing`, `different` or `extra`; nothing unless it is a proven difference.
    pub(crate) fn class(self) -> Option<&'static str> {
        match self {
            Self::Missing => Some("missing"),
            Self::Different => Some("different"),
            Self::Extra => Some("extra"),
            _ => None,
        }
    }
}

/// Judges without the second look, where that is enough; nothing: it takes one.
///
/// A key whose two values are equal is done, pending or not: what was read is equal.
#[must_use]
pub fn judge_first(first: &Seen, target: Option<&str>) -> Option<Verdict> {
    if first.digest.as_deref() == target {
        return Some(Verdict::Cleared);
    }
    if first.quarantined {
        return Some(Verdict::Quarantined);
    }
    if first.pending {
        return Some(Verdict::InFlight);
    }
    let lacks = target.is_none();
    if first.not_yet || (lacks && !first.filled) {
        return Some(Verdict::NotYet);
    }
    None
}

/// Judges with everything.
#[must_use]
pub fn judge(first: &Seen, target: Option<&str>, second: &Seen) -> Verdict {
    if let Some(verdict) = judge_first(first, target) {
        return verdict;
    }
    if second.touched || second.digest != first.digest {
        return Verdict::Hot;
    }
    match (&first.digest, target) {
        (Some(_), None) => Verdict::Missing,
        (None, Some(_)) => Verdict::Extra,
        _ => Verdict::Different,
    }
}

/// A sandwich in the making. Between its steps anything may happen.
pub struct Sandwich<'a> {
    ends: &'a Ends,
    consumer: &'a str,
    keys: &'a [Key],
    tx: Tx,
    first: Vec<Seen>,
    target: Vec<Option<String>>,
    snapshot: String,
}

/// What a whole sandwich says.
#[derive(Debug, Clone)]
pub struct Verdicts {
    /// One for each key, in their order.
    pub verdicts: Vec<Verdict>,
    /// What the first look saw: keys in flight are worth another look when the sync has passed it.
    pub snapshot: String,
}

impl<'a> Sandwich<'a> {
    /// The first look at the source.
    ///
    /// # Errors
    /// When the database cannot be reached, is a standby, or does not know the mirror.
    async fn first(ends: &'a Ends, consumer: &'a str, keys: &'a [Key]) -> Result<Self> {
        let mut tx = ends.source.begin(Purpose::Check).await?;
        tx.hold_log().await.map_err(|e| ends.source.error(e))?;
        let (first, snapshot) = look(ends, consumer, keys, &mut tx, None).await?;
        Ok(Self { ends, consumer, keys, tx, first, target: Vec::new(), snapshot })
    }

    /// The target, in a transaction that begins now.
    ///
    /// # Errors
    /// When the database cannot be reached, or is a standby.
    pub async fn target(&mut self) -> Result<()> {
        let database = &self.ends.target;
        let mut tx = database.begin(Purpose::Check).await?;
        let mut query = tx.query(self.ends.shapes.look_target().into_sql_str());
        for column in Key::by_column(self.keys, self.ends.shapes.width()) {
            query = query.bind(column);
        }
        let rows = query.fetch_all(tx.conn()).await.map_err(|e| database.error(e))?;
        tx.commit().await?;
        let rows: Vec<(i64, Option<String>)> = rows.iter().map(|r| (r.get("ord"), r.get("digest"))).collect();
        self.target = in_order(rows, self.keys.len()).ok_or_else(|| self.ends.no_answer(Side::Target))?;
        Ok(())
    }

    /// What a rule would say that does without the second look. It is wrong; tests show how often.
    #[must_use]
    pub fn without_second_look(&self) -> Vec<Verdict> {
        let sides = self.first.iter().zip(&self.target);
        sides.map(|(first, target)| judge(first, target.as_deref(), first)).collect()
    }

    /// The second look at the source, unless everything is clear already.
    ///
    /// # Errors
    /// When the database cannot be reached any more: then nothing is known.
    pub async fn second(mut self) -> Result<Verdicts> {
        let sides = self.first.iter().zip(&self.target);
        let early: Option<Vec<Verdict>> = sides.map(|(first, target)| judge_first(first, target.as_deref())).collect();
        let verdicts = match early {
            Some(verdicts) => verdicts,
            None => {
                let (second, _) = look(self.ends, self.consumer, self.keys, &mut self.tx, Some(&self.snapshot)).await?;
                let both = self.first.iter().zip(&second).zip(&self.target);
                both.map(|((first, second), target)| judge(first, target.as_deref(), second)).collect()
            }
        };
        self.tx.commit().await?;
        Ok(Verdicts { verdicts, snapshot: self.snapshot })
    }
}

/// A sandwich step by step, for the tests of what may happen between the steps.
#[derive(Debug)]
pub struct Probe {
    ends: Ends,
    consumer: String,
    keys: Vec<Key>,
}

impl Probe {
    /// Of these keys.
    ///
    /// # Errors
    /// As a check.
    pub async fn new(mirror: &Mirror, source: &Database, target: &Database, keys: Vec<Key>) -> Result<Self> {
        let columns = super::load(mirror, source, target).await?;
        Ok(Self { ends: Ends::new(source, target, columns, 1).await?, consumer: mirror.name.clone(), keys })
    }

    /// The first step.
    ///
    /// # Errors
    /// As a check.
    pub async fn first(&self) -> Result<Sandwich<'_>> {
        Sandwich::first(&self.ends, &self.consumer, &self.keys).await
    }
}

/// The whole of it. A backlog that is too long to be read in time makes every key of it in flight.
///
/// # Errors
/// As the three steps.
pub(crate) async fn verify(ends: &Ends, consumer: &str, keys: &[Key]) -> Result<Verdicts> {
    let mut sandwich = match Sandwich::first(ends, consumer, keys).await {
        Ok(sandwich) => sandwich,
        Err(error) if timed_out(&error) => return deferred(ends, keys).await,
        Err(error) => return Err(error),
    };
    sandwich.target().await?;
    match sandwich.second().await {
        Err(error) if timed_out(&error) => deferred(ends, keys).await,
        other => other,
    }
}

pub(crate) fn timed_out(error: &Error) -> bool {
    error.sqlstate().as_deref() == Some("57014")
}

/// Everything in flight, until the sync has passed what is committed now.
async fn deferred(ends: &Ends, keys: &[Key]) -> Result<Verdicts> {
    let mut tx = ends.source.begin(Purpose::Check).await?;
    let snapshot = tx.query_scalar(statements::CHECK_CURRENT_SNAPSHOT);
    let snapshot = snapshot.fetch_one(tx.conn()).await.map_err(|e| ends.source.error(e))?;
    tx.commit().await?;
    Ok(Verdicts { verdicts: vec![Verdict::InFlight; keys.len()], snapshot })
}

async fn look(
    ends: &Ends,
    consumer: &str,
    keys: &[Key],
    tx: &mut Tx,
    before: Option<&str>,
) -> Result<(Vec<Seen>, String)> {
    let database = &ends.source;
    let mut query = tx.query(ends.shapes.look_source().into_sql_str());
    query = query.bind(consumer).bind(LOG_ROWS).bind(before).bind(Shapes::encode(keys));
    for column in Key::by_column(keys, ends.shapes.width()) {
        query = query.bind(column);
    }
    let rows = query.fetch_all(tx.conn()).await.map_err(|e| database.error(e))?;
    let Some(row) = rows.first() else { return Err(ends.no_answer(Side::Source)) };
    if !row.get::<bool, _>("known") {
        return Err(Error::new(ErrorKind::NotInstalled, "the mirror is not installed here")
            .in_database(database.name())
            .for_definition(consumer)
            .with_hint("run `lfk install`"));
    }
    let snapshot = row.get("snap");
    let seen = rows.iter().map(|row| {
        let seen = Seen {
            digest: row.get("digest"),
            pending: row.get("pending"),
            quarantined: row.get("quarantined"),
            touched: row.get("touched"),
            not_yet: row.get("not_yet"),
            filled: row.get("filled"),
        };
        (row.get("ord"), seen)
    });
    let seen = in_order(seen.collect(), keys.len()).ok_or_else(|| ends.no_answer(Side::Source))?;
    Ok((seen, snapshot))
}

/// One answer for each key, or nothing: two rows of one key are as wrong as none.
fn in_order<T>(rows: Vec<(i64, T)>, keys: usize) -> Option<Vec<T>> {
    if rows.len() != keys {
        return None;
    }
    let mut by_place: HashMap<i64, T> = rows.into_iter().collect();
    (1_i64..).take(keys).map(|place| by_place.remove(&place)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(digest: Option<&str>) -> Seen {
        let digest = digest.map(ToOwned::to_owned);
        Seen { digest, pending: false, quarantined: false, touched: false, not_yet: false, filled: true }
    }

    #[test]
    fn only_what_stands_still_and_is_not_pending_is_a_difference() {
        let first = seen(Some("a"));
        assert_eq!(judge(&first, Some("a"), &seen(Some("a"))), Verdict::Cleared);
        assert_eq!(judge(&first, Some("b"), &seen(Some("a"))), Verdict::Different);
        assert_eq!(judge(&first, None, &seen(Some("a"))), Verdict::Missing);
        assert_eq!(judge(&seen(None), Some("b"), &seen(None)), Verdict::Extra);
        assert_eq!(judge(&first, Some("b"), &seen(Some("c"))), Verdict::Hot);
        assert_eq!(judge(&first, Some("b"), &Seen { touched: true, ..seen(Some("a")) }), Verdict::Hot);
        assert_eq!(judge(&Seen { pending: true, ..first.clone() }, Some("b"), &first), Verdict::InFlight);
        assert_eq!(judge(&Seen { quarantined: true, ..first.clone() }, Some("b"), &first), Verdict::Quarantined);
    }

    #[test]
    fn what_a_backfill_has_not_come_to_is_neither_missing_nor_different() {
        let ahead = Seen { not_yet: true, ..seen(Some("a")) };
        assert_eq!(judge(&ahead, None, &seen(Some("a"))), Verdict::NotYet);
        assert_eq!(judge(&ahead, Some("b"), &seen(Some("a"))), Verdict::NotYet);
        let never = Seen { filled: false, ..seen(Some("a")) };
        assert_eq!(judge(&never, None, &seen(Some("a"))), Verdict::NotYet);
        assert_eq!(judge(&never, Some("b"), &seen(Some("a"))), Verdict::Different);
        let never = Seen { filled: false, ..seen(None) };
        assert_eq!(judge(&never, Some("b"), &seen(None)), Verdict::Extra);
    }

    #[test]
    fn a_missing_answer_is_no_absence() {
        assert_eq!(in_order(vec![(2, 'b'), (1, 'a')], 2), Some(vec!['a', 'b']));
        assert_eq!(in_order(vec![(1, 'a')], 2), None);
        assert_eq!(in_order(vec![(1, 'a'), (1, 'b')], 2), None);
    }
}
