//! Steps A and B of converging: the clock of the children's database, then which parents are absent.
//!
//! Each database is authoritative for what it said, at the time when it said so. A look changes nothing; a crash forgets it.

use std::time::{Duration, Instant};

use lfk_sql::TableName;

use super::permit::Permit;
use super::recheck::absent_parents;
use super::shape::Shape;
use super::survey::{Survey, Surveyor};
use crate::database::{Database, Purpose};
use crate::error::Result;
use crate::key::{Key, sort_unique};
use crate::points::{Point, Points};

/// What was seen of a batch before its turn came is forgotten after this: about as long as a statement takes that cleans, so
/// that it is no older than what such a statement has seen when it ends.
pub(super) const FORESEEN: Duration = Duration::from_millis(100);

/// Looks on behalf of one consumer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Looker<'a> {
    pub(crate) shape: &'a Shape,
    pub(crate) permit: Permit<'a>,
    pub(crate) away: &'a Database,
    pub(crate) points: &'a Points,
}

/// What both databases said, and until when it may be acted on.
#[derive(Debug)]
pub(super) struct Truth {
    pub(super) seen: Instant,
    /// By the clock of the children's database.
    pub(super) deadline: f64,
    pub(super) leaves: Vec<TableName>,
    pub(super) absent: Vec<Key>,
}

/// What is true of a batch whose turn is about to come.
#[derive(Debug)]
pub struct Foresight {
    asked: Vec<Key>,
    truth: Truth,
}

impl Foresight {
    /// What was seen, if it was of these keys and a moment ago.
    pub(super) fn of(self, keys: &[Key]) -> Option<Truth> {
        (self.truth.seen.elapsed() <= FORESEEN && self.asked == keys).then_some(self.truth)
    }
}

impl Looker<'_> {
    pub(super) fn surveyor(&self) -> Surveyor<'_> {
        Surveyor { shape: self.shape, away: self.away, consumer: self.permit.consumer }
    }

    /// (A) The clock of the children's database, and the tables that hold rows.
    pub(super) async fn read_deadline(&self) -> Result<Survey> {
        let mut tx = self.away.begin(Purpose::Recheck).await?;
        let survey = self.surveyor().survey(&mut tx).await?;
        tx.commit().await?;
        Ok(survey)
    }

    /// Both steps: from now until the deadline, these keys have no parent.
    pub(super) async fn look(&self, keys: &[Key]) -> Result<Truth> {
        let seen = Instant::now();
        let Survey { deadline, leaves } = self.read_deadline().await?;
        self.points.pass(Point::DeadlineSet, self.permit.consumer).await?;
        let absent = absent_parents(self.permit, self.shape, keys).await?;
        self.points.pass(Point::Rechecked, self.permit.consumer).await?;
        Ok(Truth { seen, deadline, leaves, absent })
    }

    /// The same of the batch that comes next.
    pub(crate) async fn foresee(self, mut keys: Vec<Key>) -> Result<Foresight> {
        sort_unique(&mut keys);
        let truth = self.look(&keys).await?;
        Ok(Foresight { asked: keys, truth })
    }

    /// An error unless the definition may still be worked on: what was foreseen was permitted then.
    pub(super) async fn still_permitted(&self) -> Result<()> {
        let home = self.permit.home;
        let mut tx = home.begin(Purpose::Recheck).await?;
        self.permit.guard(&mut tx).await?;
        tx.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foresight(asked: &[&str], age: Duration) -> Foresight {
        let seen = Instant::now().checked_sub(age).unwrap();
        Foresight { asked: keys(asked), truth: Truth { seen, deadline: 0.0, leaves: vec![], absent: vec![] } }
    }

    fn keys(texts: &[&str]) -> Vec<Key> {
        texts.iter().map(|text| Key(vec![(*text).to_owned()])).collect()
    }

    #[test]
    fn what_was_foreseen_holds_for_the_same_keys_and_a_moment() {
        let (fresh, old) = (Duration::ZERO, FORESEEN + Duration::from_millis(1));
        assert!(foresight(&["1", "2"], fresh).of(&keys(&["1", "2"])).is_some());
        assert!(foresight(&["1", "2"], fresh).of(&keys(&["1"])).is_none());
        assert!(foresight(&["1"], fresh).of(&keys(&["2"])).is_none());
        assert!(foresight(&["1", "2"], old).of(&keys(&["1", "2"])).is_none());
    }
}
