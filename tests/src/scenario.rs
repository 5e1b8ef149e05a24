//! What most tests begin and end with.

use std::time::Duration;

use anyhow::{Result, ensure};
use lfk_core::{Drained, Engine, LooseForeignKey, OnDelete, State};

use crate::{LeastRoles, Pair, TestDb, roles};

/// How long a drain may take before a test gives up. Generous: it is a bound, never a measure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// `child_table.child_column` of database `ci` refers to `parent_table.parent_column` of database `main`, in schema public.
///
/// # Errors
/// When a name is not one.
pub fn loose(parent: &str, child: &str, on_delete: OnDelete) -> Result<LooseForeignKey> {
    Ok(LooseForeignKey::new(&format!("main:public.{parent}"), &format!("ci:public.{child}"), on_delete)?)
}

/// Installs the definitions and activates all of them.
///
/// # Errors
/// When the engine refuses or a database fails.
pub async fn active(pair: &Pair, definitions: impl IntoIterator<Item = LooseForeignKey>) -> Result<Engine> {
    let engine = installed(pair.engine(definitions)?).await?;
    activate(&engine).await?;
    Ok(engine)
}

/// As [`active`], always as the owner of everything: for tests of what only an owner may do. They say why.
///
/// # Errors
/// When the engine refuses or a database fails.
pub async fn active_as_owner(pair: &Pair, definitions: impl IntoIterator<Item = LooseForeignKey>) -> Result<Engine> {
    let engine = pair.engine(definitions)?;
    engine.install().await?;
    activate(&engine).await?;
    Ok(engine)
}

/// Installs an engine, and answers with the engine that is to work: it is another role, and both have only the rights that
/// `lfk grants` prints. With `LFK_TEST_ROLES=owner` both are the owner of everything.
///
/// # Errors
/// When the engine refuses or a database fails.
pub async fn installed(engine: Engine) -> Result<Engine> {
    // The roles of a pool that a test brings along are its own.
    if roles::least_everywhere()? && engine.databases().iter().all(|d| d.address().is_some()) {
        return roles::with_least_rights(&engine).await;
    }
    engine.install().await?;
    Ok(engine)
}

/// The engine that may install and uninstall what [`installed`] or [`active`] has installed.
///
/// # Errors
/// When the engine has no database with an address.
pub fn as_installer(engine: &Engine) -> Result<Engine> {
    match roles::least_everywhere()? {
        true => Ok(engine.as_role(&LeastRoles::named_after(engine)?.installer)),
        false => Ok(engine.clone()),
    }
}

/// Who installed an engine and who works: both the owner of everything with `LFK_TEST_ROLES=owner`.
///
/// # Errors
/// When the engine has no database with an address.
pub fn roles_of(engine: &Engine) -> Result<LeastRoles> {
    let owner = || "postgres".to_owned();
    match roles::least_everywhere()? {
        true => LeastRoles::named_after(engine),
        false => Ok(LeastRoles { installer: owner(), worker: owner() }),
    }
}

/// What the owner of the tables does when they got partitions: runs what `lfk grants` prints once more.
///
/// # Errors
/// When a server refuses.
pub async fn let_again(engine: &Engine) -> Result<()> {
    if roles::least_everywhere()? {
        LeastRoles::named_after(engine)?.let_by_owners(engine, "postgres").await?;
    }
    Ok(())
}

/// Activates every definition of an installed engine.
///
/// # Errors
/// When the engine refuses or a database fails.
pub async fn activate(engine: &Engine) -> Result<()> {
    let names: Vec<String> = engine.definitions().iter().map(|d| d.name.clone()).collect();
    engine.set_state(&names, State::Active, false).await?;
    Ok(())
}

/// Works until nothing is left.
///
/// # Errors
/// When anything is left.
pub async fn drain(engine: &Engine) -> Result<()> {
    let end = engine.run_until_drained(Some(PATIENCE)).await?;
    ensure!(end == Drained::Drained, "not drained: {end:?}; {:?}", engine.status().await?);
    Ok(())
}

/// Ends every lease at once, as if the workers that hold them had died long ago.
///
/// # Errors
/// When the database fails.
pub async fn expire_leases(home: &TestDb) -> Result<()> {
    home.execute("UPDATE lfk.cursor SET lease_until = '-infinity', stamp = pg_current_xact_id()").await?;
    Ok(())
}
