//! Reading the leaves of a table page by page: which there are, and what their rows come to.

use lfk_core::parts::{Key, Purpose};
use lfk_core::{Error, Result};
use lfk_sql::{Ident, TableName, statements};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::cursor::schema_number;
use super::ends::{Ends, Listed};
use crate::{Order, Side};

/// A table of fewer pages (8 MiB) is read in a moment in any order.
const LARGE: i64 = 1024;
/// Rows that lie in the order of the key at least so well are read by its index.
const IN_ORDER: f64 = 0.5;

/// A table that holds rows: the table itself, a partition, a child.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Leaf {
    pub(crate) number: i64,
    pub(crate) table: TableName,
    /// Another one when all of its rows were moved.
    pub(crate) version: u64,
    pub(crate) pages: i64,
    /// As the planner estimates.
    pub(crate) rows: f64,
    /// How far rows lie in the order of the key; nothing: not known.
    correlation: Option<f64>,
    /// Whether it can be read page by page, and by this role.
    pub(crate) readable: bool,
}

/// Some pages of a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageRange {
    pub(crate) leaf: TableName,
    pub(crate) from: i64,
    /// The page behind the last.
    pub(crate) to: i64,
}

/// What the rows of some pages come to, bucket by bucket.
#[derive(Debug, Clone, Default)]
pub(crate) struct Summed {
    /// Rows read, whether they pass the filter or not.
    pub(crate) read: i64,
    pub(crate) buckets: Vec<i64>,
    /// Rows that count.
    pub(crate) counted: Vec<i64>,
    pub(crate) xor: Vec<i64>,
    pub(crate) low: Vec<i64>,
}

/// What tells rows that are written from now on, by the numbers of transactions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Since {
    pub(crate) oldest: String,
    pub(crate) next: String,
}

/// Which rows of some pages are listed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chosen<'a> {
    /// Buckets - 1.
    pub(crate) mask: i64,
    /// A bit for each bucket; nothing: no bucket.
    pub(crate) buckets: Option<&'a [u8]>,
    /// Rows written by this transaction and later ones are listed whatever their bucket.
    pub(crate) since: &'a str,
}

impl Ends {
    /// The leaves of one side by their numbers.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub(crate) async fn leaves(&self, side: Side) -> Result<Vec<Leaf>> {
        let (columns, database) = (&self.shapes.columns, self.database(side));
        let table = if side == Side::Source { &columns.source } else { &columns.target };
        let key = columns.keys.first().map(|k| if side == Side::Source { &k.source } else { &k.target });
        let mut tx = database.begin(Purpose::Check).await?;
        let query = tx.query(statements::CHECK_READ_LEAVES).bind(table.to_string()).bind(key.map(Ident::as_str));
        let rows = query.fetch_all(tx.conn()).await.map_err(|e| database.error(e))?;
        tx.commit().await?;
        rows.iter().map(|row| leaf(row).map_err(|e| e.in_database(database.name()))).collect()
    }

    /// How many pages a leaf has now.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub(crate) async fn pages(&self, side: Side, leaf: i64) -> Result<i64> {
        let database = self.database(side);
        let mut tx = database.begin(Purpose::Check).await?;
        let pages = tx.query_scalar(statements::CHECK_COUNT_PAGES).bind(leaf).fetch_one(tx.conn()).await;
        let pages = pages.map_err(|e| database.error(e))?;
        tx.commit().await?;
        Ok(pages)
    }

    /// What tells rows that are written from now on.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub(crate) async fn since(&self, side: Side) -> Result<Since> {
        let database = self.database(side);
        let mut tx = database.begin(Purpose::Check).await?;
        let row = tx.query(statements::CHECK_OLDEST_UNWRITTEN).fetch_one(tx.conn()).await;
        let row = row.map_err(|e| database.error(e))?;
        tx.commit().await?;
        Ok(Since { oldest: row.get("oldest"), next: row.get("next") })
    }

    /// What the rows of some pages come to. `mask`: buckets - 1.
    ///
    /// # Errors
    /// When the database fails, or the leaf is gone.
    pub(crate) async fn sum_pages(&self, side: Side, range: &PageRange, mask: i64) -> Result<Summed> {
        let database = self.database(side);
        let mut tx = database.begin(Purpose::Check).await?;
        let query = tx.query(self.shapes.sum_pages(side, &range.leaf).into_sql_str());
        let query = query.bind(self.seed).bind(address(range.from)).bind(address(range.to)).bind(mask);
        let row = query.fetch_one(tx.conn()).await.map_err(|e| database.error(e))?;
        tx.commit().await?;
        Ok(Summed {
            read: row.get("read"),
            buckets: row.get("buckets"),
            counted: row.get("counted"),
            xor: row.get("xor"),
            low: row.get("low"),
        })
    }

    /// At most `limit` rows of some pages that were chosen.
    ///
    /// # Errors
    /// When the database fails, or the leaf is gone.
    pub(crate) async fn skim_pages(
        &self,
        side: Side,
        range: &PageRange,
        chosen: Chosen<'_>,
        limit: i64,
    ) -> Result<Vec<Listed>> {
        let database = self.database(side);
        let mut tx = database.begin(Purpose::Check).await?;
        let query = tx.query(self.shapes.skim_pages(side, &range.leaf).into_sql_str());
        let query = query.bind(self.seed).bind(address(range.from)).bind(address(range.to));
        let query = query.bind(chosen.mask).bind(chosen.buckets).bind(chosen.since).bind(limit);
        let rows = query.fetch_all(tx.conn()).await.map_err(|e| database.error(e))?;
        tx.commit().await?;
        Ok(rows.iter().map(|row| Listed { key: Key(row.get("key")), hash: row.get("hash") }).collect())
    }
}

fn leaf(row: &PgRow) -> Result<Leaf> {
    let name = |column: &str| {
        Ident::new(row.get::<String, _>(column)).map_err(|_| Error::refused("the catalog has a name that is none"))
    };
    let version: String = row.get("version");
    Ok(Leaf {
        number: row.get("leaf"),
        table: TableName::new(name("schema")?, name("name")?),
        version: schema_number(&version),
        pages: row.get("pages"),
        rows: row.get("rows"),
        correlation: row.get("correlation"),
        readable: row.get("readable"),
    })
}

/// The first row address of a page.
fn address(page: i64) -> String {
    format!("({page},0)")
}

/// Whether a table is so large, and its rows so far from the order of the key, that it is read in physical order.
///
/// Of a tree its largest leaf decides: the planner knows no correlation of a whole tree.
pub(crate) fn suits(leaves: &[Leaf], order: Order) -> bool {
    let large = leaves.iter().map(|leaf| leaf.pages).sum::<i64>() >= LARGE;
    let largest = leaves.iter().max_by_key(|leaf| leaf.pages).and_then(|leaf| leaf.correlation);
    large && (order == Order::None || largest.is_some_and(|correlation| correlation.abs() < IN_ORDER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(pages: i64, correlation: Option<f64>) -> Leaf {
        let name = |name| Ident::new(name).unwrap();
        let table = TableName::new(name("public"), name("t"));
        Leaf { number: 1, table, version: 1, pages, rows: 1.0, correlation, readable: true }
    }

    #[test]
    fn m03_a_large_table_whose_rows_do_not_follow_the_key_is_read_in_physical_order() {
        let native = |leaves: &[Leaf]| suits(leaves, Order::Native);
        assert!(native(&[leaf(LARGE, Some(0.01))]));
        assert!(native(&[leaf(LARGE, Some(-0.49))]));
        assert!(!native(&[leaf(LARGE - 1, Some(0.01))]), "small");
        assert!(!native(&[leaf(LARGE, Some(-0.5))]), "backwards is an order, too");
        assert!(!native(&[leaf(LARGE, None)]), "nothing is known");
        assert!(native(&[leaf(10, Some(1.0)), leaf(LARGE, Some(0.1)), leaf(20, None)]), "the largest leaf decides");
        assert!(!native(&[]));
        assert!(suits(&[leaf(LARGE, None)], Order::None));
        assert!(!suits(&[leaf(10, None)], Order::None));
    }
}
