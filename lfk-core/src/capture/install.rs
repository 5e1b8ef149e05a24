//! Installing a definition: its triggers and its two rows.

use std::collections::BTreeMap;
use std::time::Duration;

use lfk_sql::statements;
use sqlx::Row as _;
use uuid::Uuid;

use super::schema::{identify, prepare};
use super::{Uncovered, cover_step, finish_retiring, mentioned, named};
use crate::database::{Database, Purpose};
use crate::declaration::Declaration;
use crate::definition::State;
use crate::error::{Error, Result};
use crate::patience::Patience;
use crate::relation::Relation;
use crate::report::Installed;

/// Installs the definitions, or brings what is installed up to date. Nothing is written or locked where nothing changed.
///
/// # Errors
/// Refused when a database is a copy, is another one than recorded, or has a newer schema; a lock that stays taken; SQL.
pub(crate) async fn install(
    databases: &[Database],
    definitions: &[Declaration],
    patience: Duration,
) -> Result<Vec<Installed>> {
    let all: Vec<&Declaration> = definitions.iter().collect();
    let mut identities = BTreeMap::new();
    for database in mentioned(databases, &all) {
        identities.insert(database.name(), prepare(database, patience).await?);
    }
    let mut installed = Vec::with_capacity(definitions.len());
    for definition in definitions {
        let site = Site {
            definition,
            databases,
            home: named(databases, &definition.parent.database)?,
            away: named(databases, &definition.child.database)?,
            identities: &identities,
            patience,
        };
        installed.push(site.install().await.map_err(|e| e.for_definition(&definition.name))?);
    }
    for database in mentioned(databases, &all) {
        finish_retiring(database, patience).await?;
    }
    Ok(installed)
}

/// What is installed under a name.
#[derive(Debug)]
struct Known {
    table_id: i32,
    fingerprint: String,
    child_identity: Uuid,
    state: State,
    parent: String,
    child: String,
    nonce: Uuid,
}

/// One definition between its two databases.
struct Site<'a> {
    definition: &'a Declaration,
    databases: &'a [Database],
    home: &'a Database,
    away: &'a Database,
    identities: &'a BTreeMap<&'a str, Uuid>,
    /// How long a lock is tried for.
    patience: Duration,
}

impl Site<'_> {
    async fn install(&self) -> Result<Installed> {
        let known = self.read().await?;
        if let Some(known) = &known {
            self.refuse_another_child_database(known)?;
        }
        let table_id = self.track().await?;
        let triggers_created = self.cover(table_id, known.is_some()).await?;
        let done = |outcome, state| Installed { name: self.definition.name.clone(), outcome, state, triggers_created };
        match known {
            None => {
                let nonce = self.pair(Uuid::new_v4()).await?;
                match self.insert(table_id, nonce).await? {
                    true => Ok(done("created", State::Observe)),
                    false => self.lost_a_race(&done).await,
                }
            }
            // A child database without its row was restored from before the definition: what has been cleaned since is back.
            Some(known)
                if known.fingerprint == self.definition.fingerprint
                    && known.table_id == table_id
                    && self.has_peer().await? =>
            {
                self.pair(known.nonce).await?;
                self.settle().await?;
                Ok(done("unchanged", known.state))
            }
            Some(known) => {
                self.change(&known, table_id).await?;
                self.settle().await?;
                Ok(done("changed", State::Observe))
            }
        }
    }

    /// Somebody else made the definition just now, or is removing its table.
    async fn lost_a_race(&self, done: &impl Fn(&'static str, State) -> Installed) -> Result<Installed> {
        match self.read().await? {
            Some(known) if known.fingerprint == self.definition.fingerprint => Ok(done("unchanged", known.state)),
            _ => Err(Error::refused("it is being installed or uninstalled by somebody else at this moment")
                .in_database(self.home.name())
                .with_hint("run `lfk install` again")),
        }
    }

    fn away_identity(&self) -> Result<Uuid> {
        self.identity_of(self.away.name())
    }

    fn identity_of(&self, name: &str) -> Result<Uuid> {
        self.identities
            .get(name)
            .copied()
            .ok_or_else(|| Error::config(format!("the database \"{name}\" is not configured")))
    }

    async fn read(&self) -> Result<Option<Known>> {
        let mut tx = self.home.begin(Purpose::Admin).await?;
        let row = tx
            .query(statements::READ_INSTALLED)
            .bind(&self.definition.name)
            .fetch_optional(tx.conn())
            .await
            .map_err(|e| self.home.error(e))?;
        tx.commit().await?;
        Ok(row.map(|r| Known {
            table_id: r.get("table_id"),
            fingerprint: r.get("fingerprint"),
            child_identity: r.get("child_identity"),
            state: State::from_sql(r.get("state")),
            parent: r.get("parent"),
            child: r.get("child"),
            nonce: r.get("nonce"),
        }))
    }

    /// The same configured name must lead to the same database. A definition that is moved to a child database of
    /// another name is a changed one.
    fn refuse_another_child_database(&self, known: &Known) -> Result<()> {
        let moved = known.child.parse::<Relation>().is_ok_and(|c| c.database != self.definition.child.database);
        if moved || known.child_identity == self.away_identity()? {
            return Ok(());
        }
        Err(Error::refused("this is not the database that the definition was installed with")
            .in_database(self.away.name())
            .with_hint(format!(
                "check the url; if this database is the right one now, run `lfk uninstall {}` and then `lfk install`",
                self.definition.name
            )))
    }

    async fn track(&self) -> Result<i32> {
        let mut patience = Patience::new(self.patience);
        loop {
            match self.track_once().await {
                Ok(table_id) => return Ok(table_id),
                Err(e) => patience.after(e, self.home, "schema lfk").await?,
            }
        }
    }

    async fn track_once(&self) -> Result<i32> {
        let parent = &self.definition.parent;
        let columns: Vec<&str> = parent.columns.iter().map(lfk_sql::Ident::as_str).collect();
        let mut tx = self.home.begin(Purpose::Admin).await?;
        let table_id = tx
            .query_scalar(statements::TRACK)
            .bind(parent.table.to_string())
            .bind(columns)
            .bind(self.definition.tracked_for())
            .bind(self.definition.watched_names())
            .bind(&self.definition.mentioned)
            .fetch_one(tx.conn())
            .await
            .map_err(|e| self.home.error(e))?;
        tx.commit().await?;
        Ok(table_id)
    }

    /// Makes the triggers of the whole tree. A new definition is not made over a gap; for one that exists a gap is a
    /// warning, or a deploy would fail for what the daemon reports anyway.
    async fn cover(&self, table_id: i32, exists: bool) -> Result<u64> {
        let mut created = 0;
        let mut patience = Patience::new(self.patience);
        loop {
            let step = match cover_step(self.home, Some(table_id)).await {
                Ok(step) => step,
                Err(e) => {
                    patience.after(e, self.home, "the parent table").await?;
                    continue;
                }
            };
            if step.iter().any(Uncovered::was_made) {
                created += step.iter().map(|r| u64::from(r.outcome == "created")).sum::<u64>();
                patience.renew();
                continue;
            }
            // A missing leaf of the log is no obstacle: the DEFAULT leaf takes its rows, and the daemon makes it again.
            if let Some(locked) = step.iter().find(|r| r.is_locked() && r.relation != "lfk.key_log") {
                patience.wait(self.home, &format!("the table {}", locked.relation)).await?;
                continue;
            }
            for gap in &step {
                self.judge(gap, exists)?;
            }
            return Ok(created);
        }
    }

    fn judge(&self, gap: &Uncovered, exists: bool) -> Result<()> {
        let obstacle =
            matches!(gap.outcome.as_str(), "not_allowed" | "foreign_table" | "failed" | "dropped" | "disabled");
        if obstacle && !exists {
            return Err(Error::refused(format!("deletes in {} cannot be logged ({})", gap.relation, gap.outcome))
                .in_database(self.home.name())
                .with_hint(gap.detail.clone()));
        }
        tracing::warn!(
            database = self.home.name(),
            relation = gap.relation.as_str(),
            outcome = gap.outcome.as_str(),
            detail = gap.detail.as_str(),
            "a part of a parent's tree is not covered"
        );
        Ok(())
    }

    async fn has_peer(&self) -> Result<bool> {
        let mut tx = self.away.begin(Purpose::Admin).await?;
        let row: Option<(Uuid, String)> = tx
            .query_as(statements::READ_INSTALLED_PEER)
            .bind(&self.definition.name)
            .bind(self.identity_of(self.home.name())?)
            .fetch_optional(tx.conn())
            .await
            .map_err(|e| self.away.error(e))?;
        tx.commit().await?;
        Ok(row.is_some())
    }

    /// Makes the peer row unless it is there, and answers with the nonce that it holds.
    async fn pair(&self, proposal: Uuid) -> Result<Uuid> {
        let (name, child) = (&self.definition.name, self.definition.child.to_string());
        let parent_identity = self.identity_of(self.home.name())?;
        let error = |e| self.away.error(e);
        let mut tx = self.away.begin(Purpose::Admin).await?;
        for _ in 0..2 {
            let row: Option<(Uuid, String)> = tx
                .query_as(statements::READ_INSTALLED_PEER)
                .bind(name)
                .bind(parent_identity)
                .fetch_optional(tx.conn())
                .await
                .map_err(error)?;
            if let Some((nonce, known_child)) = row {
                if known_child != child {
                    let rename = tx.query(statements::RENAME_PEER).bind(name).bind(parent_identity).bind(&child);
                    rename.execute(tx.conn()).await.map_err(error)?;
                }
                tx.commit().await?;
                return Ok(nonce);
            }
            let insert = tx.query(statements::INSERT_PEER).bind(name).bind(parent_identity).bind(&child).bind(proposal);
            insert.execute(tx.conn()).await.map_err(error)?;
        }
        Err(Error::refused("the definition is being uninstalled by somebody else at this moment")
            .in_database(self.away.name())
            .with_hint("run `lfk install` again"))
    }

    async fn insert(&self, table_id: i32, nonce: Uuid) -> Result<bool> {
        let d = self.definition;
        let error = |e| self.home.error(e);
        let mut tx = self.begin_with_ring().await?;
        let made = tx
            .query(statements::INSERT_DEFINITION)
            .bind(&d.name)
            .bind(table_id)
            .bind(d.parent.to_string())
            .bind(d.child.to_string())
            .bind(d.on_delete.to_string())
            .bind(&d.fingerprint)
            .bind(self.away_identity()?)
            .bind(nonce)
            .bind(d.kind.as_str())
            .execute(tx.conn())
            .await
            .map_err(error)?;
        if made.rows_affected() == 0 {
            return Ok(false);
        }
        tx.query(statements::INSERT_CURSOR)
            .bind(&d.name)
            .bind(d.trailing_consumer())
            .bind(d.settle_after.as_secs_f64())
            .execute(tx.conn())
            .await
            .map_err(error)?;
        tx.commit().await?;
        Ok(true)
    }

    /// The one thing that may change without making it another definition.
    async fn settle(&self) -> Result<()> {
        let mut tx = self.home.begin(Purpose::Log).await?;
        tx.query(statements::SET_SETTLE)
            .bind(self.definition.trailing_consumer())
            .bind(self.definition.settle_after.as_secs_f64())
            .execute(tx.conn())
            .await
            .map_err(|e| self.home.error(e))?;
        tx.commit().await
    }

    /// Whoever makes or rewinds a cursor keeps the retirer of leaves out meanwhile.
    async fn begin_with_ring(&self) -> Result<crate::database::Tx> {
        let mut patience = Patience::new(self.patience);
        loop {
            let mut tx = self.home.begin(Purpose::Admin).await?;
            let taken: bool = tx
                .query_scalar(statements::TRY_RING_LOCK)
                .fetch_one(tx.conn())
                .await
                .map_err(|e| self.home.error(e))?;
            if taken {
                return Ok(tx);
            }
            drop(tx);
            patience.wait(self.home, "the key log").await?;
        }
    }

    async fn change(&self, known: &Known, table_id: i32) -> Result<()> {
        let d = self.definition;
        let error = |e| self.home.error(e);
        let away_identity = self.away_identity()?;
        let moved = known.child_identity != away_identity;
        let nonce = self.pair(if moved { Uuid::new_v4() } else { known.nonce }).await?;
        let mut tx = self.begin_with_ring().await?;
        tx.query(statements::CHANGE_DEFINITION)
            .bind(&d.name)
            .bind(table_id)
            .bind(d.parent.to_string())
            .bind(d.child.to_string())
            .bind(d.on_delete.to_string())
            .bind(&d.fingerprint)
            .bind(away_identity)
            .bind(moved.then_some(nonce))
            .bind(d.kind.as_str())
            .execute(tx.conn())
            .await
            .map_err(error)?;
        tx.query(statements::FORGET_RETRIES).bind(&d.name).execute(tx.conn()).await.map_err(error)?;
        tx.query(statements::FORGET_SWEEPS).bind(&d.name).execute(tx.conn()).await.map_err(error)?;
        tx.query(statements::FORGET_CHECKS).bind(&d.name).execute(tx.conn()).await.map_err(error)?;
        tx.query(statements::RESTART_CURSORS).bind(&d.name).execute(tx.conn()).await.map_err(error)?;
        if known.table_id != table_id {
            // The same table under another number: its key was renamed, or it was made anew. Deletes in between were
            // logged as markers of the old number, or not at all.
            if known.parent.parse::<Relation>().is_ok_and(|p| p.table == d.parent.table) {
                tx.query(statements::LOG_SWEEP_MARKER).bind(table_id).execute(tx.conn()).await.map_err(error)?;
            }
            tx.query(statements::RETIRE_TABLE).bind(known.table_id).execute(tx.conn()).await.map_err(error)?;
        }
        tx.commit().await?;
        if moved { self.forget_old_peer(known).await } else { Ok(()) }
    }

    /// The child's side in the database that the definition pointed at before, if that one is still configured.
    async fn forget_old_peer(&self, known: &Known) -> Result<()> {
        let Ok(old) = known.child.parse::<Relation>() else { return Ok(()) };
        let Ok(old_away) = named(self.databases, &old.database) else { return Ok(()) };
        if !matches!(identify(old_away).await, Ok(Some(id)) if id == known.child_identity) {
            return Ok(());
        }
        let mut tx = old_away.begin(Purpose::Admin).await?;
        tx.query(statements::DELETE_PEER)
            .bind(&self.definition.name)
            .bind(self.identity_of(self.home.name())?)
            .bind(None::<Vec<Uuid>>)
            .execute(tx.conn())
            .await
            .map_err(|e| old_away.error(e))?;
        tx.commit().await
    }
}
