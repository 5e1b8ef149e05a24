//! The statements that a cleaner sends to the children's database, each in a short transaction of its own.

use std::time::Instant;

use lfk_sql::{TableName, statements};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::converge::Cleaner;
use super::shape::Form;
use super::stretch::Stretch;
use crate::database::{Purpose, Tx};
use crate::error::Result;
use crate::key::Key;
use crate::points::Point;
use crate::signals::{self, Ours};

/// How often a transaction that cleans waits for an answer: of the statement, of what judges it, and of its commit.
const WAYS: u32 = 3;

/// Which rows of a leaf a statement is aimed at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'a> {
    /// Every child of the keys.
    Whole,
    /// So many children of the keys, and none that is locked.
    Capped(usize),
    /// These rows, as far as they still refer to the key.
    Listed(&'a [String]),
    /// Every child of the keys in some pages.
    Within(Stretch),
}

impl Target<'_> {
    /// The same within a budget of rows: what would take any number takes so many, and none that is locked.
    fn at_most(self, rows: Option<usize>) -> Self {
        match (self, rows) {
            (target, None) => target,
            (Self::Whole | Self::Within(_), Some(rows)) => Self::Capped(rows),
            (Self::Capped(cap), Some(rows)) => Self::Capped(cap.min(rows)),
            (Self::Listed(all), Some(rows)) => Self::Listed(all.get(..rows).unwrap_or(all)),
        }
    }

    fn form(self) -> Form {
        match self {
            Self::Whole => Form::Whole,
            Self::Capped(_) => Form::Capped,
            Self::Listed(_) => Form::Listed,
            Self::Within(_) => Form::Within,
        }
    }

    fn cap(self) -> Option<i64> {
        match self {
            Self::Capped(cap) => Some(i64::try_from(cap).unwrap_or(i64::MAX)),
            _ => None,
        }
    }
}

/// What one statement on one leaf did.
pub(super) struct LeafDone {
    pub(super) rows: u64,
    pub(super) late: bool,
    pub(super) may_swallow: bool,
    /// It was bounded, and left alone what was locked.
    pub(super) capped: bool,
    /// A capped statement found as many rows as it may take: there are more.
    pub(super) full: bool,
}

impl Cleaner<'_> {
    /// (C) One statement on one leaf, in a transaction of its own. In one database the children are locked by another one before.
    pub(super) async fn clean_leaf(
        &mut self,
        leaf: &TableName,
        target: Target<'_>,
        columns: &[Vec<String>],
        deadline: f64,
    ) -> Result<LeafDone> {
        let began = Instant::now();
        let done = self.try_leaf(leaf, target, columns, deadline).await;
        if done.is_err() {
            // What failed has cost the server as much, and will be followed by more.
            self.limiter.worked(began.elapsed());
        }
        done
    }

    async fn try_leaf(
        &mut self,
        leaf: &TableName,
        target: Target<'_>,
        columns: &[Vec<String>],
        deadline: f64,
    ) -> Result<LeafDone> {
        self.looker.permit.check()?;
        let target = target.at_most(self.looker.permit.most_rows()?);
        let consumer = self.looker.permit.consumer;
        let form = target.form();
        let mut tx = self.looker.away.begin(Purpose::Write).await?;
        let asked = Instant::now();
        let ours = Ours::of(&mut tx, self.looker.away).await?;
        // To say who it is takes the server no time.
        let way = asked.elapsed();
        let began = Instant::now();
        self.looker.points.pass(Point::WriteBegun, consumer).await?;
        let mut locked: Vec<String> = Vec::new();
        if self.looker.shape.same_database {
            locked = self.lock_leaf(&mut tx, ours, leaf, target, columns).await?;
            self.looker.points.pass(Point::ChildrenLocked, consumer).await?;
        }
        let locked_rows = locked.len();
        let mut query = tx.query(self.looker.shape.clean(leaf, form).into_sql_str());
        for column in columns {
            query = query.bind(column);
        }
        query = query.bind(deadline);
        query = match target {
            _ if self.looker.shape.same_database => query.bind(locked),
            Target::Whole => query,
            Target::Capped(_) => query.bind(target.cap()),
            Target::Listed(rows) => query.bind(rows),
            Target::Within(stretch) => {
                let (first, last) = stretch.ends();
                query.bind(first).bind(last)
            }
        };
        let rows = self.giving_way(ours, query.execute(tx.conn())).await?.rows_affected();
        // Under the statement's own lock on the leaf, so that nothing changes between this and the commit.
        let row = self.judge_leaf(&mut tx, leaf, deadline).await?;
        self.looker.points.pass(Point::CleanedUncommitted, consumer).await?;
        tx.commit().await?;
        self.looker.points.pass(Point::LeafCleaned, consumer).await?;
        // On a busy server the way is partly a wait for a processor, as what follows is.
        let elapsed = began.elapsed();
        let took = elapsed - (way * WAYS).min(elapsed / 2);
        self.looker.permit.spent(rows);
        self.pace.took(form, rows, took);
        self.limiter.worked(took);
        self.limiter.rows(rows, self.stop).await;
        let reached = if self.looker.shape.same_database { locked_rows as u64 } else { rows };
        let full = rows > 0 && matches!(target, Target::Capped(cap) if reached >= cap as u64);
        let capped = form == Form::Capped;
        Ok(LeafDone { rows, late: row.get("late"), may_swallow: row.get("may_swallow"), capped, full })
    }

    /// In one database: locks the children that the next statement of the transaction is aimed at.
    async fn lock_leaf(
        &self,
        tx: &mut Tx,
        ours: Ours,
        leaf: &TableName,
        target: Target<'_>,
        columns: &[Vec<String>],
    ) -> Result<Vec<String>> {
        let mut query = tx.query_scalar(self.looker.shape.lock(leaf, target.form()).into_sql_str());
        for column in columns {
            query = query.bind(column);
        }
        // Only the capped form has a limit: a whole statement locks all of them, and a list is as long as it is.
        query = query.bind(target.cap().unwrap_or(i64::MAX));
        if let Target::Listed(rows) = target {
            query = query.bind(rows);
        }
        self.giving_way(ours, query.fetch_all(tx.conn())).await
    }

    /// Waits for a statement of a writing transaction, and has it cancelled when somebody waits for what it has locked.
    async fn giving_way<T>(&self, ours: Ours, statement: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
        tokio::select! {
            done = statement => done.map_err(|e| self.looker.away.error(e)),
            never = signals::never_block_others(self.looker.away, ours) => match never {},
        }
    }

    /// Whether what a statement did is what it says; an error rolls it back.
    async fn judge_leaf(&self, tx: &mut Tx, leaf: &TableName, deadline: f64) -> Result<PgRow> {
        let judge =
            tx.query(self.looker.shape.judge(leaf).into_sql_str()).bind(deadline).bind(self.looker.shape.event());
        let row = judge.fetch_one(tx.conn()).await.map_err(|e| self.looker.away.error(e))?;
        self.looker.surveyor().compare(&row)?;
        self.looker.surveyor().no_rule(&row)?;
        Ok(row)
    }

    /// Rows of one key in one leaf, at most `limit`, as the server sends their addresses.
    pub(super) async fn list(&self, leaf: &TableName, columns: &[Vec<String>], limit: i64) -> Result<Vec<u8>> {
        let mut tx = self.looker.away.begin(Purpose::Recheck).await?;
        tx.run(statements::ONLY_BY_INDEX).await?;
        let mut query = tx.query_scalar(self.looker.shape.list(leaf).into_sql_str());
        for column in columns {
            query = query.bind(column);
        }
        let rows: Option<Vec<u8>> =
            query.bind(limit).fetch_one(tx.conn()).await.map_err(|e| self.looker.away.error(e))?;
        tx.commit().await?;
        Ok(rows.unwrap_or_default())
    }

    /// The keys that still have children in one of these leaves.
    pub(super) async fn remaining(&self, leaves: &[TableName], keys: &[Key]) -> Result<Vec<Key>> {
        let columns = Key::by_column(keys, self.looker.shape.width());
        let mut left = vec![false; keys.len()];
        for leaf in leaves {
            let mut tx = self.looker.away.begin(Purpose::Recheck).await?;
            let mut query = tx.query_scalar::<i64>(self.looker.shape.remaining(leaf).into_sql_str());
            for column in &columns {
                query = query.bind(column);
            }
            let ordinals = query.fetch_all(tx.conn()).await.map_err(|e| self.looker.away.error(e))?;
            tx.commit().await?;
            for ordinal in ordinals {
                let index = usize::try_from(ordinal).unwrap_or(0).checked_sub(1);
                if let Some(slot) = index.and_then(|i| left.get_mut(i)) {
                    *slot = true;
                }
            }
        }
        Ok(keys.iter().zip(left).filter(|(_, left)| *left).map(|(key, _)| key.clone()).collect())
    }
}
