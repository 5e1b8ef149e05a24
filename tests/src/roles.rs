//! Engines whose roles have no more rights than `lfk grants` prints.

use std::collections::{BTreeMap, HashMap};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, bail};
use futures::future::try_join_all;
use lfk_core::Engine;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

use crate::database::trusted;

/// Whether engines and commands of the suite install and work with the least rights, as they do unless `LFK_TEST_ROLES` is
/// `owner`.
///
/// # Errors
/// When the variable says something else.
pub(crate) fn least_everywhere() -> Result<bool> {
    match std::env::var("LFK_TEST_ROLES").as_deref() {
        Err(_) | Ok("" | "least") => Ok(true),
        Ok("owner") => Ok(false),
        Ok(other) => bail!("LFK_TEST_ROLES is {other:?}; it may be least or owner"),
    }
}

/// The two roles of an engine, on every server that it speaks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeastRoles {
    /// Installs. It owns nothing but what it makes.
    pub installer: String,
    /// Does everything else.
    pub worker: String,
}

/// For which roles lfk is installed in which database, by its address.
static INSTALLED: LazyLock<Mutex<HashMap<String, LeastRoles>>> = LazyLock::new(Mutex::default);

fn installed() -> MutexGuard<'static, HashMap<String, LeastRoles>> {
    INSTALLED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The roles for which lfk is installed in all these databases, given by URLs of their owner.
pub(crate) fn of_urls<'a>(urls: impl IntoIterator<Item = &'a str>) -> Option<LeastRoles> {
    let installed = installed();
    let mut all = urls.into_iter().map(|url| installed.get(url.split_once("//postgres@")?.1));
    let first = all.next()??;
    all.all(|other| other == Some(first)).then(|| first.clone())
}

/// What comes before it is run by the owners of the tables, what comes after it by the installer.
const AFTER_INSTALL: &str = "-- By the installer";

/// The two parts of a printed script.
pub(crate) fn parts(script: &str) -> Result<(String, String)> {
    let (before, after) = script.split_once(AFTER_INSTALL).context("the script has no second part")?;
    Ok((before.to_owned(), format!("{AFTER_INSTALL}{after}")))
}

impl LeastRoles {
    /// The names of the roles of an engine, which need not be there yet: they go by its first database.
    ///
    /// # Errors
    /// When the engine has no database with an address.
    pub fn named_after(engine: &Engine) -> Result<Self> {
        let first = addresses(engine)?.into_iter().next().context("the engine has no database")?;
        Ok(Self::of_database(first.1.rsplit('/').next().unwrap_or_default()))
    }

    /// The names of the roles of engines whose first database has this name on its server.
    pub(crate) fn of_database(name: &str) -> Self {
        Self { installer: format!("{name}_i"), worker: format!("{name}_w") }
    }

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
        let roles = Self::named_after(engine)?;
        for (_, address) in addresses(engine)? {
            run(creator, &address, &roles.making()).await?;
        }
        Ok(roles)
    }

    /// The statements that make the roles where they are not there yet, whoever else makes them at the same time.
    pub(crate) fn making(&self) -> String {
        let make = |role: &String| {
            format!(
                "DO $$ BEGIN IF pg_catalog.to_regrole('\"{role}\"') IS NULL THEN CREATE ROLE \"{role}\" LOGIN; END IF;
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;\n"
            )
        };
        [&self.installer, &self.worker].map(make).concat()
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
        let mut steps = BTreeMap::new();
        for (database, address) in addresses(engine)? {
            *steps.entry(address).or_insert_with(String::new) += &self.script(engine, &database)?.1;
        }
        run_each(&self.installer, &steps).await?;
        self.are_of(steps.into_keys());
        Ok(())
    }

    /// From here on, engines and commands for these databases work as these roles.
    pub(crate) fn are_of(&self, addresses: impl IntoIterator<Item = String>) {
        installed().extend(addresses.into_iter().map(|address| (address, self.clone())));
    }

    fn script(&self, engine: &Engine, database: &str) -> Result<(String, String)> {
        parts(&engine.grants_script(Some(database), &self.installer, &self.worker, false)?)
    }
}

/// Installs an engine with the least rights; answers with the engine as its worker.
///
/// # Errors
/// When the engine or a server refuses.
pub async fn with_least_rights(engine: &Engine) -> Result<Engine> {
    let roles = LeastRoles::named_after(engine)?;
    let mut steps = BTreeMap::new();
    for (database, address) in addresses(engine)? {
        *steps.entry(address).or_insert_with(|| roles.making()) += &roles.script(engine, &database)?.0;
    }
    run_each("postgres", &steps).await?;
    roles.install(engine).await?;
    Ok(engine.as_role(&roles.worker))
}

/// The databases that the definitions of an engine speak of, with their addresses.
fn addresses(engine: &Engine) -> Result<Vec<(String, String)>> {
    let spoken_of =
        |name: &str| engine.declarations().iter().any(|d| d.parent.database == name || d.child.database == name);
    let mut all = Vec::new();
    for database in engine.databases().iter().filter(|d| spoken_of(d.name())) {
        let Some(address) = database.address() else { bail!("{} has a pool that was given", database.name()) };
        all.push((database.name().to_owned(), address));
    }
    Ok(all)
}

/// Runs the statements of several addresses at once. Two scripts in one database at once would meet in its catalogs.
async fn run_each(role: &str, steps: &BTreeMap<String, String>) -> Result<()> {
    try_join_all(steps.iter().map(|(address, sql)| run(role, address, sql))).await?;
    Ok(())
}

/// Runs statements in a session of its own, which is one transaction.
pub(crate) async fn run(role: &str, address: &str, sql: &str) -> Result<()> {
    // Tests give their databases the oddest defaults.
    let options: PgConnectOptions = format!("postgres://{role}@{address}").parse()?;
    let options = options.options([("statement_timeout", "0"), ("default_transaction_read_only", "off")]);
    let mut connection = PgConnection::connect_with(&options).await?;
    sqlx::raw_sql(trusted(sql)).execute(&mut connection).await.with_context(|| format!("as {role}: {sql}"))?;
    Ok(connection.close().await?)
}
