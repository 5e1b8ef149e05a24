//! Uninstalling: by name, and the schema with the last name.

use std::time::Duration;

use lfk_sql::statements;
use sqlx::Row as _;
use uuid::Uuid;

use super::{finish_retiring, mentioned, named};
use crate::database::{Database, Purpose};
use crate::declaration::Declaration;
use crate::error::{Error, Result};
use crate::patience::Patience;

/// Removes the named definitions, their triggers, and schema `lfk` where nothing else is left in it. Databases without lfk
/// are fine. Answers with the names of which anything was there.
///
/// # Errors
/// A name that is not configured; a lock that stays taken; SQL. What is done so far is kept, and running it again goes on.
pub(crate) async fn uninstall(
    databases: &[Database],
    definitions: &[Declaration],
    names: &[String],
    patience: Duration,
) -> Result<Vec<String>> {
    let mut chosen = Vec::with_capacity(names.len());
    for name in names {
        let found = definitions.iter().find(|d| d.name == *name);
        chosen.push(found.ok_or_else(|| Error::config(format!("no loose foreign key is named \"{name}\"")))?);
    }
    let mut removed = Vec::new();
    for definition in &chosen {
        let home = named(databases, &definition.parent.database)?;
        let away = named(databases, &definition.child.database)?;
        if forget(definition, home, away, patience).await.map_err(|e| e.for_definition(&definition.name))? {
            removed.push(definition.name.clone());
        }
    }
    for database in mentioned(databases, &chosen) {
        if is_installed(database).await? {
            finish_retiring(database, patience).await?;
            drop_if_unused(database, patience).await?;
        }
    }
    Ok(removed)
}

/// The child's side first: without it the definition refuses to work, and only the parent's side can name it.
async fn forget(definition: &Declaration, home: &Database, away: &Database, limit: Duration) -> Result<bool> {
    let Some(here) = identity(home).await? else { return Ok(false) };
    let there = identity(away).await?;
    let mut found = false;
    if here.is_copy && there.as_ref().is_some_and(|there| !there.is_copy) {
        tracing::warn!(
            database = home.name(),
            "this is a copy, and the other side belongs to the original: only what is in the copy is removed"
        );
    } else if let Some(there) = there {
        // A row in a copy belongs to nobody else.
        let nonces = if there.is_copy { None } else { nonces(home, &definition.name).await? };
        let mut patience = Patience::new(limit);
        found = loop {
            match delete_peer(away, &definition.name, here.id, nonces.as_deref()).await {
                Ok(found) => break found,
                Err(e) => patience.after(e, away, "the register of peers").await?,
            }
        };
    }
    let mut patience = Patience::new(limit);
    loop {
        match delete_definition(home, &definition.name).await {
            Ok(was_there) => return Ok(found || was_there),
            Err(e) => patience.after(e, home, "the definition").await?,
        }
    }
}

async fn is_installed(database: &Database) -> Result<bool> {
    let mut tx = database.begin(Purpose::Admin).await?;
    let row = tx.query(statements::READ_SCHEMA).fetch_one(tx.conn()).await.map_err(|e| database.error(e))?;
    tx.commit().await?;
    Ok(row.get("begun"))
}

/// Which database this is, whatever became of it since.
struct Identity {
    id: Uuid,
    is_copy: bool,
}

async fn identity(database: &Database) -> Result<Option<Identity>> {
    if !is_installed(database).await? {
        return Ok(None);
    }
    let mut tx = database.begin(Purpose::Admin).await?;
    let row = tx.query(statements::READ_IDENTITY).fetch_optional(tx.conn()).await.map_err(|e| database.error(e))?;
    tx.commit().await?;
    Ok(row.map(|row| Identity { id: row.get("id"), is_copy: row.get("is_copy") }))
}

async fn nonces(home: &Database, name: &str) -> Result<Option<Vec<Uuid>>> {
    let mut tx = home.begin(Purpose::Admin).await?;
    let nonces = tx
        .query_scalar(statements::READ_NONCES)
        .bind(name)
        .fetch_optional(tx.conn())
        .await
        .map_err(|e| home.error(e))?;
    tx.commit().await?;
    Ok(nonces)
}

async fn delete_peer(away: &Database, name: &str, parent_identity: Uuid, nonces: Option<&[Uuid]>) -> Result<bool> {
    let mut tx = away.begin(Purpose::Admin).await?;
    let done = tx
        .query(statements::DELETE_PEER)
        .bind(name)
        .bind(parent_identity)
        .bind(nonces)
        .execute(tx.conn())
        .await
        .map_err(|e| away.error(e))?;
    tx.commit().await?;
    Ok(done.rows_affected() > 0)
}

async fn delete_definition(home: &Database, name: &str) -> Result<bool> {
    let error = |e| home.error(e);
    let mut tx = home.begin(Purpose::Admin).await?;
    let table_id: Option<i32> =
        tx.query_scalar(statements::DELETE_DEFINITION).bind(name).fetch_optional(tx.conn()).await.map_err(error)?;
    if let Some(table_id) = table_id {
        tx.query(statements::RETIRE_TABLE).bind(table_id).execute(tx.conn()).await.map_err(error)?;
    }
    tx.commit().await?;
    Ok(table_id.is_some())
}

/// How far the schema is from going.
enum Left {
    /// Definitions or peers of somebody.
    Used,
    /// Only tables that an unfinished installation left behind; they are retiring now.
    Tables,
    /// Nothing: it is dropped.
    Nothing,
}

async fn drop_if_unused(database: &Database, limit: Duration) -> Result<()> {
    let mut patience = Patience::new(limit);
    loop {
        match try_drop(database).await {
            Ok(Left::Used | Left::Nothing) => return Ok(()),
            Ok(Left::Tables) => finish_retiring(database, limit).await?,
            Err(e) => patience.after(e, database, "schema lfk").await?,
        }
    }
}

async fn try_drop(database: &Database) -> Result<Left> {
    let error = |e| database.error(e);
    let mut tx = database.begin(Purpose::Admin).await?;
    tx.query(statements::LOCK_REGISTERS).execute(tx.conn()).await.map_err(error)?;
    let row = tx.query(statements::IS_UNUSED).fetch_one(tx.conn()).await.map_err(error)?;
    let left = match (row.get("unused"), row.get("bare")) {
        (false, _) => Left::Used,
        (true, false) => {
            tx.query(statements::RETIRE_TABLE).bind(None::<i32>).execute(tx.conn()).await.map_err(error)?;
            Left::Tables
        }
        (true, true) => {
            tx.query(statements::DROP_SCHEMA).execute(tx.conn()).await.map_err(error)?;
            Left::Nothing
        }
    };
    tx.commit().await?;
    Ok(left)
}
