//! Engines whose roles have no more rights than `lfk grants` prints.

use anyhow::{Context as _, Result, bail};
use lfk_core::Engine;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

use crate::database::trusted;

/// Whether every engine of the suite is to install and work with the least rights: `LFK_TEST_ROLES=least`.
pub(crate) fn least_everywhere() -> bool {
    std::env::var("LFK_TEST_ROLES").is_ok_and(|value| value == "least")
}

/// The two roles of an engine, on every server that it speaks to.
#[derive(Debug, Clone)]
pub struct LeastRoles {
    /// Installs. It owns nothing but what it makes.
    pub installer: String,
    /// Does everything else.
    pub worker: String,
}

/// What comes before it is run by the owners of the tables, what comes after it by the installer.
const AFTER_INSTALL: &str = "-- By the installer";

impl LeastRoles {
    /// Makes roles for an engine, named after its first database.
    ///
    /// # Errors
    /// When a server refuses.
    pub async fn of(engine: &Engine) -> Result<Self> {
        Self::made_by(engine, "postgres").await
    }

    /// As [`LeastRoles::of`], made by a role that may make roles.
    ///
    /// # Errors
    /// When a server refuses.
    pub async fn made_by(engine: &Engine, creator: &str) -> Result<Self> {
        let first = addresses(engine)?.into_iter().next().context("the engine has no database")?;
        let name = first.1.rsplit('/').next().unwrap_or_default().to_owned();
        let roles = Self { installer: format!("{name}_i"), worker: format!("{name}_w") };
        for (_, address) in addresses(engine)? {
            for role in [&roles.installer, &roles.worker] {
                let sql = format!(
                    "DO $$ BEGIN IF pg_catalog.to_regrole('\"{role}\"') IS NULL THEN CREATE ROLE \"{role}\" LOGIN; END IF; END $$"
                );
                run(creator, &address, &sql).await?;
            }
        }
        Ok(roles)
    }

    /// Gives what the owner of the tables has to give.
    ///
    /// # Errors
    /// When a server refuses.
    pub async fn let_by_owners(&self, engine: &Engine, owner: &str) -> Result<()> {
        for (database, address) in addresses(engine)? {
            run(owner, &address, &self.script(engine, &database)?.0).await?;
        }
        Ok(())
    }

    /// Installs as the installer, and lets it give what it has made.
    ///
    /// # Errors
    /// When the engine or a server refuses.
    pub async fn install(&self, engine: &Engine) -> Result<()> {
        engine.as_role(&self.installer).install().await?;
        for (database, address) in addresses(engine)? {
            run(&self.installer, &address, &self.script(engine, &database)?.1).await?;
        }
        Ok(())
    }

    fn script(&self, engine: &Engine, database: &str) -> Result<(String, String)> {
        let script = engine.grants_script(Some(database), &self.installer, &self.worker, false)?;
        let (before, after) = script.split_once(AFTER_INSTALL).context("the script has no second part")?;
        Ok((before.to_owned(), format!("{AFTER_INSTALL}{after}")))
    }
}

/// Installs an engine with the least rights; answers with the engine as its worker.
///
/// # Errors
/// When the engine or a server refuses.
pub async fn with_least_rights(engine: &Engine) -> Result<Engine> {
    let roles = LeastRoles::of(engine).await?;
    roles.let_by_owners(engine, "postgres").await?;
    roles.install(engine).await?;
    Ok(engine.as_role(&roles.worker))
}

/// The databases that the definitions of an engine speak of, with their addresses.
fn addresses(engine: &Engine) -> Result<Vec<(String, String)>> {
    let spoken_of =
        |name: &str| engine.definitions().iter().any(|d| d.parent.database == name || d.child.database == name);
    let mut all = Vec::new();
    for database in engine.databases().iter().filter(|d| spoken_of(d.name())) {
        let Some(address) = database.address() else { bail!("{} has a pool that was given", database.name()) };
        all.push((database.name().to_owned(), address));
    }
    Ok(all)
}

async fn run(role: &str, address: &str, sql: &str) -> Result<()> {
    // Tests give their databases the oddest defaults.
    let options: PgConnectOptions = format!("postgres://{role}@{address}").parse()?;
    let options = options.options([("statement_timeout", "0"), ("default_transaction_read_only", "off")]);
    let mut connection = PgConnection::connect_with(&options).await?;
    sqlx::raw_sql(trusted(sql)).execute(&mut connection).await.with_context(|| format!("as {role}: {sql}"))?;
    Ok(connection.close().await?)
}
