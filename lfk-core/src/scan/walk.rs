//! Walking the keys of a child: leaf by leaf, page by page, each page a short transaction that only reads.
//!
//! The walk is driven by the child alone. What is inserted behind its place while it goes on is not seen; what was there when
//! it began, and stays, is.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use lfk_sql::{Ident, Sql, TableName, statements};
use sqlx::Row as _;

use super::pacer::{Form, Pacer, Statistics};
use crate::clean::{Access, RowKey, Shape, Surveyor};
use crate::database::{Database, Purpose};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::plan::{Leaf, missing_index, table_text};

/// A table without any key that is no larger than this is read at once.
const SMALL: i64 = 8 * 1024 * 1024;
/// More rows than a small table has.
const ALL_ROWS: i64 = 10_000_000;
/// Rows a key up to which the server sends what repeats: a number of an array has 12 bytes, and finding the distinct ones would
/// cost it as much as sending the others.
const REPEATS_SENT: f64 = 6.0;

/// One table that holds children, and how it is walked.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: TableName,
    way: Way,
    pacer: Pacer,
    /// Where keys are read as numbers: whether the server leaves out what repeats.
    each_once: bool,
    /// Distinct keys as the statistics have them.
    pub(super) estimated_keys: Option<u64>,
}

#[derive(Debug)]
enum Way {
    Index(Access),
    Rows(RowKey),
    /// It is small: sorted, in one page.
    AtOnce(Access),
}

/// How far a walk has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The table by number.
    pub(super) leaf: usize,
    /// The last key, or the last row's own key, that is wholly done.
    pub(super) behind: Option<Vec<String>>,
}

/// The distinct keys of a page.
#[derive(Debug)]
pub(super) enum PageKeys {
    /// Each with the rows of this page that have it.
    Counted(Vec<(Key, u64)>),
    /// Integers, in their order.
    Numbers(Vec<i64>),
}

impl PageKeys {
    fn len(&self) -> usize {
        match self {
            Self::Counted(keys) => keys.len(),
            Self::Numbers(numbers) => numbers.len(),
        }
    }
}

/// A page of distinct keys.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) keys: PageKeys,
    /// Where the walk goes on.
    pub(super) after: Place,
}

/// Reads pages.
pub(super) struct Walker<'a> {
    pub(super) shape: &'a Shape,
    pub(super) away: &'a Database,
    pub(super) name: &'a str,
    pub(super) tables: Vec<Table>,
}

impl Table {
    /// Whether children of a key are found by an index.
    pub(super) fn is_indexed(&self) -> bool {
        matches!(self.way, Way::Index(_))
    }

    /// What a stored place in it means.
    pub(super) fn method(&self) -> &'static str {
        match self.way {
            Way::Index(_) => "index",
            Way::Rows(_) => "rows",
            Way::AtOnce(_) => "at_once",
        }
    }

    /// Reads the statistics, and the leaf's own key.
    pub(super) async fn read(leaf: Leaf, shape: &Shape, away: &Database, target: Duration) -> Result<Self> {
        let mut tx = away.begin(Purpose::Recheck).await?;
        let row = tx
            .query(statements::READ_LEAF)
            .bind(leaf.name.to_string())
            .bind(shape.child_column_names())
            .fetch_optional(tx.conn())
            .await
            .map_err(|e| away.error(e))?;
        tx.commit().await?;
        let Some(row) = row else {
            return Err(Error::refused(format!("the table {} is not there any more", table_text(&leaf.name)))
                .in_database(away.name())
                .with_hint("try again"));
        };
        let number = |column: &str| row.get::<f64, _>(column);
        let distinct = row.get::<Option<f64>, _>("distinct_keys").filter(|n| *n >= 1.0);
        let fan_out = distinct.map(|distinct| number("rows").max(0.0) / distinct);
        let visible = if number("pages") > 0.0 { number("all_visible") / number("pages") } else { 0.0 };
        let way = match (leaf.access, row_key(row.get("columns"), row.get("types"))) {
            (Some(access), _) => Way::Index(access),
            (None, Some(key)) => Way::Rows(key),
            (None, None) if leaf.bytes <= SMALL => {
                Way::AtOnce(Access { order: (0..shape.width()).collect(), condition_inside: false })
            }
            (None, None) => return Err(no_way(&leaf.name, shape, away)),
        };
        let pacer = match &way {
            Way::Index(access) => {
                let pacer = Pacer::through_index(target, Statistics { fan_out, visible }, shape.may_skip(access));
                if shape.has_numbers(access) { pacer.of_numbers() } else { pacer }
            }
            Way::Rows(_) | Way::AtOnce(_) => Pacer::by_rows(target),
        };
        // By way of text, because no cast from a float refuses what does not fit.
        let estimated_keys = distinct.and_then(|distinct| format!("{distinct:.0}").parse().ok());
        let each_once = fan_out.is_some_and(|fan_out| fan_out > REPEATS_SENT);
        Ok(Self { name: leaf.name, way, pacer, each_once, estimated_keys })
    }
}

fn row_key(columns: Option<Vec<String>>, types: Option<Vec<String>>) -> Option<RowKey> {
    let columns = columns?.into_iter().map(|c| Ident::new(c).ok()).collect::<Option<_>>()?;
    Some(RowKey { columns, types: types? })
}

fn no_way(leaf: &TableName, shape: &Shape, away: &Database) -> Error {
    let table = table_text(leaf);
    Error::refused(format!("{table} has neither an index on the child columns nor a key of its own"))
        .in_database(away.name())
        .with_hint(missing_index(leaf, shape.child_columns()))
}

impl Walker<'_> {
    /// The page at a place; `None` at the end.
    pub(super) async fn page(&mut self, place: &Place) -> Result<Option<Page>> {
        loop {
            let Some(table) = self.tables.get(place.leaf) else { return Ok(None) };
            let (form, limit) = match table.way {
                Way::AtOnce(_) => (Form::Entries, ALL_ROWS),
                _ => table.pacer.next(),
            };
            let began = Instant::now();
            match self.read(place, form, limit).await {
                Ok(page) => {
                    let keys = page.keys.len();
                    if let Some(table) = self.tables.get_mut(place.leaf) {
                        table.pacer.took(form, keys, began.elapsed());
                    }
                    return Ok(Some(page));
                }
                Err(error) if error.sqlstate().as_deref() == Some("57014") => {
                    let shrinks = self.tables.get_mut(place.leaf).is_some_and(|table| table.pacer.timed_out(form));
                    if !shrinks {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn read(&self, place: &Place, form: Form, limit: i64) -> Result<Page> {
        let (shape, away) = (self.shape, self.away);
        let Some(table) = self.tables.get(place.leaf) else {
            return Ok(Page { keys: PageKeys::Numbers(Vec::new()), after: place.clone() });
        };
        let behind = place.behind.is_some();
        if let (Way::Index(access), Form::Entries) = (&table.way, form)
            && let Some(sql) = shape.index_numbers(&table.name, access, behind, table.each_once)
        {
            return self.read_numbers(sql, place, limit, table.each_once).await;
        }
        let sql = match (&table.way, form) {
            (Way::Rows(key), _) => shape.row_chunk(&table.name, key, behind),
            (Way::Index(access), Form::Skip) => shape.skip_scan(&table.name, access, behind),
            (Way::Index(access) | Way::AtOnce(access), _) => shape.index_chunk(&table.name, access, behind),
        };
        let mut tx = away.begin(Purpose::Recheck).await?;
        let mut query = tx.query(sql.into_sql_str());
        for column in place.behind.iter().flatten() {
            query = query.bind(column);
        }
        let rows = query.bind(limit).fetch_all(tx.conn()).await.map_err(|e| away.error(e))?;
        // What was read is locked until the end of the transaction: it compares as the parent does, or nothing counts.
        Surveyor { shape, away, consumer: self.name }.survey(&mut tx).await?;
        tx.commit().await?;
        let by_rows = matches!(table.way, Way::Rows(_));
        let read = rows.first().map_or(0, |row| row.get::<i64, _>("read"));
        let full =
            if form == Form::Skip { i64::try_from(rows.len()).unwrap_or(i64::MAX) >= limit } else { read >= limit };
        let last: Option<Vec<String>> = rows.last().map(|row| if by_rows { row.get("last") } else { row.get("key") });
        let mut keys = Vec::with_capacity(rows.len());
        for row in &rows {
            let count = u64::try_from(row.get::<i64, _>("rows")).unwrap_or(0);
            // Without a row that is meant the key may have a NULL in it.
            if count > 0 {
                keys.push((Key(row.get("key")), count));
            }
        }
        let after = match last {
            Some(last) if full => Place { leaf: place.leaf, behind: Some(last) },
            _ => Place { leaf: place.leaf + 1, behind: None },
        };
        Ok(Page { keys: PageKeys::Counted(keys), after })
    }

    /// The next entries of an index as numbers: half of what a page costs otherwise is to make texts of them and to read these.
    async fn read_numbers(&self, sql: Sql, place: &Place, limit: i64, each_once: bool) -> Result<Page> {
        let (shape, away) = (self.shape, self.away);
        let mut tx = away.begin(Purpose::Recheck).await?;
        tx.run(statements::ONLY_BY_INDEX).await?;
        let mut query = tx.query_scalar::<Option<Vec<i64>>>(sql.into_sql_str());
        for column in place.behind.iter().flatten() {
            query = query.bind(column);
        }
        let numbers = query.bind(limit).fetch_one(tx.conn()).await.map_err(|e| away.error(e))?;
        Surveyor { shape, away, consumer: self.name }.survey(&mut tx).await?;
        tx.commit().await?;
        let mut numbers = numbers.unwrap_or_default();
        // How many entries there were is not known of distinct ones: then only nothing is the end.
        let full =
            if each_once { !numbers.is_empty() } else { i64::try_from(numbers.len()).unwrap_or(i64::MAX) >= limit };
        in_order(&mut numbers);
        let after = match numbers.last() {
            Some(last) if full => Place { leaf: place.leaf, behind: Some(vec![last.to_string()]) },
            _ => Place { leaf: place.leaf + 1, behind: None },
        };
        Ok(Page { keys: PageKeys::Numbers(numbers), after })
    }

    /// Counts the rows of some keys by walking one table from its beginning. `go_on` may end it.
    pub(super) async fn count_by_walking(
        &mut self,
        leaf: usize,
        counts: &mut HashMap<Key, u64>,
        go_on: impl Fn() -> bool,
    ) -> Result<bool> {
        let mut place = Place { leaf, behind: None };
        while place.leaf == leaf {
            if !go_on() {
                return Ok(false);
            }
            let Some(page) = self.page(&place).await? else { break };
            // Where an index leads to numbers, nobody counts by walking.
            let PageKeys::Counted(keys) = page.keys else { return Ok(false) };
            for (key, rows) in keys {
                if let Some(count) = counts.get_mut(&key) {
                    *count += rows;
                }
            }
            place = page.after;
        }
        Ok(true)
    }
}

/// Sorts and collapses what repeats. An array of a sorted query is sorted, but nothing says so.
pub(super) fn in_order(numbers: &mut Vec<i64>) {
    if !numbers.is_sorted() {
        numbers.sort_unstable();
    }
    numbers.dedup();
}
