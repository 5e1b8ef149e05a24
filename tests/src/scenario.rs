//! What most tests begin and end with.

use std::time::Duration;

use anyhow::{Result, ensure};
use lfk_core::{Drained, Engine, LooseForeignKey, OnDelete, State};

use crate::{Pair, TestDb, roles};

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

/// As [`active`], always as the owner of everything: for tests of what an owner may do, of tables that come and go, and of
/// triggers of the application that need rights of their own.
///
/// # Errors
/// When the engine refuses or a database fails.
pub async fn active_as_owner(pair: &Pair, definitions: impl IntoIterator<Item = LooseForeignKey>) -> Result<Engine> {
    let engine = pair.engine(definitions)?;
    engine.install().await?;
    activate(&engine).await?;
    Ok(engine)
}

/// Installs an engine, and answers with the engine that is to work: with `LFK_TEST_ROLES=least` it is another role, and both
/// have only the rights that `lfk grants` prints.
///
/// # Errors
/// When the engine refuses or a database fails.
pub async fn installed(engine: Engine) -> Result<Engine> {
    // The roles of a pool that a test brings along are its own.
    if roles::least_everywhere() && engine.databases().iter().all(|d| d.address().is_some()) {
        return roles::with_least_rights(&engine).await;
    }
    engine.install().await?;
    Ok(engine)
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
