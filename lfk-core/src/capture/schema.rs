//! Schema `lfk` of one database and the row that says which database it is.

use std::time::Duration;

use lfk_sql::statements;
use sqlx::Row as _;
use uuid::Uuid;

use super::SCHEMA_VERSION;
use crate::database::{Database, Purpose};
use crate::error::{Error, Result};
use crate::patience::Patience;

/// The schema and the identity row of one database. Answers with its identity.
pub(super) async fn prepare(database: &Database, limit: Duration) -> Result<Uuid> {
    refuse_another_owner(database).await?;
    if let Some(id) = identify(database).await? {
        return Ok(id);
    }
    let mut patience = Patience::new(limit);
    loop {
        match create_schema(database).await {
            Ok(()) => break,
            Err(e) => patience.after(e, database, "schema lfk").await?,
        }
    }
    identify(database).await?.ok_or_else(|| {
        Error::refused("schema lfk was removed while it was being installed")
            .in_database(database.name())
            .with_hint("run `lfk install` again")
    })
}

/// Only one role installs in a database. Whoever works there may be another, without the rights to change anything.
async fn refuse_another_owner(database: &Database) -> Result<()> {
    let mut tx = database.begin(Purpose::Admin).await?;
    let owner = tx.query(statements::MAY_CHANGE_SCHEMA).fetch_optional(tx.conn()).await;
    let owner = owner.map_err(|e| database.error(e))?;
    tx.commit().await?;
    match owner {
        Some(row) if !row.get::<bool, _>("may") => {
            let owner: String = row.get("owner");
            Err(Error::refused(format!("schema lfk belongs to {owner}, who installed it"))
                .in_database(database.name())
                .with_hint(format!("run `lfk install` as {owner}, or as a member of that role")))
        }
        _ => Ok(()),
    }
}

/// The identity of a database whose schema is finished and of our version.
pub(super) async fn identify(database: &Database) -> Result<Option<Uuid>> {
    let mut tx = database.begin(Purpose::Admin).await?;
    let schema = tx.query(statements::READ_SCHEMA).fetch_one(tx.conn()).await.map_err(|e| database.error(e))?;
    if !schema.get::<bool, _>("begun") {
        return Ok(None);
    }
    let row = tx.query(statements::IDENTIFY).fetch_optional(tx.conn()).await.map_err(|e| database.error(e))?;
    tx.commit().await?;
    let Some(row) = row else { return Ok(None) };
    if !row.get::<bool, _>("same_oid") || !row.get::<bool, _>("written_here") {
        return Err(Error::refused(
            "this is a copy of a database that lfk was installed in: its identity row was written elsewhere",
        )
        .in_database(database.name())
        .with_hint(
            "check the url; if this database is the right one now, run `lfk uninstall` and then `lfk install`",
        ));
    }
    let version: i32 = row.get("schema_version");
    if version > SCHEMA_VERSION {
        return Err(Error::refused(format!("schema lfk is at version {version}, this program knows {SCHEMA_VERSION}"))
            .in_database(database.name())
            .with_hint("install with the newer program"));
    }
    Ok((version == SCHEMA_VERSION).then(|| row.get("id")))
}

/// Everything in one transaction, so that the identity row says that all of it is there.
async fn create_schema(database: &Database) -> Result<()> {
    let error = |e| database.error(e);
    let system = system_identifier(database).await?;
    let mut tx = database.begin(Purpose::Admin).await?;
    tx.query(statements::HOLD_INSTALL_LOCK).execute(tx.conn()).await.map_err(error)?;
    let schema = tx.query(statements::READ_SCHEMA).fetch_one(tx.conn()).await.map_err(error)?;
    // A migration tool may have applied the printed schema under another role; then only our row is missing.
    let applied = schema.get::<bool, _>("complete")
        && tx.query(statements::IDENTIFY).fetch_optional(tx.conn()).await.map_err(error)?.is_none();
    if !applied {
        for part in statements::SCHEMA {
            tx.run(*part).await?;
        }
    }
    tx.query(statements::WRITE_IDENTITY).bind(SCHEMA_VERSION).bind(system).execute(tx.conn()).await.map_err(error)?;
    tx.commit().await
}

async fn system_identifier(database: &Database) -> Result<Option<String>> {
    let mut tx = database.begin(Purpose::Admin).await?;
    let may: bool =
        tx.query_scalar(statements::MAY_READ_SYSTEM).fetch_one(tx.conn()).await.map_err(|e| database.error(e))?;
    let mut system = None;
    if may {
        system = tx
            .query_scalar(statements::READ_SYSTEM_IDENTIFIER)
            .fetch_one(tx.conn())
            .await
            .map_err(|e| database.error(e))?;
    }
    tx.commit().await?;
    Ok(system)
}
