//! Mirrors in an engine: how they get in, and what can be asked of them there.

use lfk_core::parts::{Definition, Kind, Purpose};
use lfk_core::{Builder, Database, Engine, Error, ErrorKind, Result, State};
use lfk_sql::statements;
use serde::Serialize;
use sqlx::Row as _;
use std::sync::Arc;

use crate::Mirror;
use crate::sync::Synced;

/// Adds mirrors to an engine.
pub trait Mirrors: Sized {
    /// Adds mirrors. They are installed, activated and worked on like loose foreign keys.
    #[must_use]
    fn mirrors(self, mirrors: impl IntoIterator<Item = Mirror>) -> Self;
}

impl Mirrors for Builder {
    fn mirrors(self, mirrors: impl IntoIterator<Item = Mirror>) -> Self {
        mirrors.into_iter().fold(self, |builder, mirror| builder.other(Synced::new(mirror) as Arc<dyn Definition>))
    }
}

/// How the filling of a mirror stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fill {
    /// Whether every row was looked at.
    pub done: bool,
    /// Rows looked at so far: those of the source, then those of the target.
    pub looked_at: i64,
    /// Rows written or deleted so far.
    pub rows: i64,
    /// Seconds since it began.
    pub seconds: f64,
}

/// Asks for a mirror to be filled from its source: rows that are missing or differ are written, and rows that the source does not
/// have are removed. Whoever works on the mirror does it, beside the log, so that writes may go on; a fill that is under way is
/// gone on with unless `anew`. Returns at once.
///
/// # Errors
/// [`ErrorKind::Config`] for an unknown name, [`ErrorKind::NotInstalled`], [`ErrorKind::Refused`] when it is not active.
pub async fn begin_backfill(engine: &Engine, name: &str, anew: bool) -> Result<()> {
    let home = home_of(engine, name)?;
    let mut tx = home.begin(Purpose::Log).await?;
    let row = tx.query(statements::READ_STATE).bind(name).fetch_optional(tx.conn()).await;
    let row = row.map_err(|e| home.error(e))?.ok_or_else(|| not_installed(home, name))?;
    let state = State::from_sql(row.get("state"));
    tx.commit().await?;
    if state != State::Active {
        return Err(Error::refused(format!("it is not filled while it is in state {state}"))
            .in_database(home.name())
            .for_definition(name)
            .with_hint(format!("lfk activate {name}")));
    }
    // A transaction of its own, whose snapshot says what the fill stands for.
    let mut tx = home.begin(Purpose::Log).await?;
    let asked = tx.query(statements::BEGIN_FILL).bind(name).bind(anew);
    asked.execute(tx.conn()).await.map_err(|e| home.error(e))?;
    tx.commit().await
}

/// How the filling of a mirror stands; nothing when it was never asked for.
///
/// # Errors
/// [`ErrorKind::Config`] for an unknown name; a database that fails.
pub async fn fill_of(engine: &Engine, name: &str) -> Result<Option<Fill>> {
    let home = home_of(engine, name)?;
    let mut tx = home.begin(Purpose::Log).await?;
    let row = tx.query(statements::READ_FILL).bind(name).fetch_optional(tx.conn()).await;
    let row = row.map_err(|e| home.error(e))?;
    tx.commit().await?;
    Ok(row.map(|row| Fill {
        done: row.get("done"),
        looked_at: row.get("looked_at"),
        rows: row.get("rows"),
        seconds: row.get("seconds"),
    }))
}

/// The database of a mirror's source.
pub(crate) fn home_of<'a>(engine: &'a Engine, name: &str) -> Result<&'a Database> {
    let mirrors = || engine.declarations().iter().filter(|d| d.kind == Kind::Mirror);
    let declared = mirrors().find(|d| d.name == name).ok_or_else(|| {
        let known: Vec<&str> = mirrors().map(|d| d.name.as_str()).collect();
        Error::config(format!("there is no mirror \"{name}\""))
            .with_hint(format!("configured are: {}", known.join(", ")))
    })?;
    let home = engine.databases().iter().find(|database| database.name() == declared.parent.database);
    home.ok_or_else(|| Error::config(format!("there is no database \"{}\"", declared.parent.database)))
}

fn not_installed(home: &Database, name: &str) -> Error {
    Error::new(ErrorKind::NotInstalled, "it is not installed")
        .in_database(home.name())
        .for_definition(name)
        .with_hint("run `lfk install`")
}
