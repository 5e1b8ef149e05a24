//! Capture: installing, covering and uninstalling.
//!
//! The work is done by functions in schema `lfk` (`lfk.track`, `lfk.cover`, `lfk.untrack`); what is here calls them in
//! short transactions, waits for locks by trying again, and keeps the two databases of a definition in step.
//!
//! # The order, and why a crash anywhere is finished by running the same command again
//!
//! Installing a definition:
//!
//! 1. the schema with its identity row, one transaction a database; without an identity row it counts as unfinished;
//! 2. the trigger functions and, relation by relation, the triggers: from here on keys are logged;
//! 3. the peer row in the child's database, with a nonce, unless one is there;
//! 4. the definition with the nonce that the peer row holds, and its cursor, in one transaction. The cursor begins before
//!    everything in the log, so nothing logged since step 2 is missed.
//!
//! A crash after 2 leaves triggers whose keys nobody reads; after 3 a peer row whose nonce the next run takes over. Two
//! installations at once agree for the same reason: both take the nonce of the one peer row. Nothing works on a
//! definition before step 4.
//!
//! Uninstalling goes the other way: the peer row, then in one transaction the definition (with its cursors and retries)
//! and the mark `retiring` on its table when it was the last one there, then the triggers, relation by relation, and
//! the functions; at last the schema, in each database that has neither definitions nor peers left. Whoever finds a table
//! that is retiring, at any later time, finishes it. A definition whose peer row is gone refuses to work, so a crash
//! after the first step cleans nothing.

mod grants;
mod install;
mod schema;
mod script;
mod uninstall;

use std::collections::BTreeMap;
use std::time::Duration;

use lfk_sql::statements;

use crate::database::{Database, Purpose};
use crate::declaration::Declaration;
use crate::error::{Error, Result};
use crate::patience::Patience;

pub(crate) use grants::grants;
pub(crate) use install::install;
pub(crate) use script::schema_sql;
pub(crate) use uninstall::uninstall;

/// The version of schema `lfk` that this program makes and works with.
pub(crate) const SCHEMA_VERSION: i32 = 1;

/// A relation in the tree of a parent whose deletes are not (or, until just now, were not) all logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uncovered {
    /// The relation, quoted where needed.
    pub(crate) relation: String,
    /// The outcome as `lfk.cover` names it.
    pub(crate) outcome: String,
    /// The remedy or the reason; may be empty.
    pub(crate) detail: String,
}

impl Uncovered {
    fn was_made(&self) -> bool {
        matches!(self.outcome.as_str(), "created" | "leaf_restored")
    }

    fn is_locked(&self) -> bool {
        self.outcome == "locked"
    }
}

/// Makes the triggers that are missing in one database, and answers with what is not covered.
///
/// # Errors
/// When the database cannot be asked, or this role may not execute `lfk.cover`.
pub(crate) async fn cover(database: &Database) -> Result<Vec<Uncovered>> {
    let mut open: BTreeMap<String, Uncovered> = BTreeMap::new();
    let mut locked_steps = 0;
    loop {
        let step = cover_step(database, None).await?;
        let made = step.iter().any(Uncovered::was_made);
        let locked = step.iter().any(Uncovered::is_locked);
        for row in step {
            if row.was_made() {
                open.remove(&row.relation);
            } else {
                open.insert(row.relation.clone(), row);
            }
        }
        // A locked relation is drawn by lot with the others; the next round, a minute later, tries it again.
        locked_steps += u32::from(locked && !made);
        if (!made && !locked) || locked_steps >= 3 {
            return Ok(open.into_values().collect());
        }
    }
}

/// One relation, in a transaction of its own, so that the lock on it is held for a moment only.
async fn cover_step(database: &Database, table_id: Option<i32>) -> Result<Vec<Uncovered>> {
    let mut tx = database.begin(Purpose::Admin).await?;
    let rows: Vec<(String, String, String)> = tx
        .query_as(statements::COVER)
        .bind(1_i32)
        .bind(table_id)
        .fetch_all(tx.conn())
        .await
        .map_err(|e| database.error(e))?;
    tx.commit().await?;
    // A remedy is a statement here, and says where it is to be run: who reads it sees two databases.
    let placed = |outcome: &str, detail: String| match outcome {
        "not_allowed" | "disabled" => format!("{detail}; -- in database {}", script::comment(database.name())),
        _ => detail,
    };
    let gap = |(relation, outcome, detail): (String, String, String)| {
        let detail = placed(&outcome, detail);
        Uncovered { relation, outcome, detail }
    };
    Ok(rows.into_iter().map(gap).collect())
}

/// Removes what is left of the tables on which no definition hangs any more.
async fn finish_retiring(database: &Database, limit: Duration) -> Result<()> {
    let mut tx = database.begin(Purpose::Admin).await?;
    let tables: Vec<(i32, String)> =
        tx.query_as(statements::LIST_RETIRING).fetch_all(tx.conn()).await.map_err(|e| database.error(e))?;
    tx.commit().await?;
    for (table_id, relation) in tables {
        let mut patience = Patience::new(limit);
        loop {
            match untrack_step(database, table_id).await {
                Ok(true) => break,
                Ok(false) => patience.renew(),
                Err(e) => patience.after(e, database, &format!("the tree of {relation}")).await?,
            }
        }
    }
    Ok(())
}

async fn untrack_step(database: &Database, table_id: i32) -> Result<bool> {
    let mut tx = database.begin(Purpose::Admin).await?;
    let done = tx
        .query_scalar(statements::UNTRACK)
        .bind(table_id)
        .fetch_one(tx.conn())
        .await
        .map_err(|e| database.error(e))?;
    tx.commit().await?;
    Ok(done)
}

/// The configured databases that these definitions speak of, each once.
fn mentioned<'a>(databases: &'a [Database], definitions: &[&Declaration]) -> Vec<&'a Database> {
    databases
        .iter()
        .filter(|db| definitions.iter().any(|d| d.parent.database == db.name() || d.child.database == db.name()))
        .collect()
}

/// A database by its configured name.
fn named<'a>(databases: &'a [Database], name: &str) -> Result<&'a Database> {
    databases.iter().find(|db| db.name() == name).ok_or_else(|| {
        Error::config(format!("the database \"{name}\" is not configured")).with_hint(format!("add [database.{name}]"))
    })
}
