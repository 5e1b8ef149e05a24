//! What lfk itself knows of a definition, if it is installed: what is lag and no finding, and whether anything may be done.

use std::collections::HashSet;

use lfk_sql::statements;
use sqlx::Row as _;
use uuid::Uuid;

use crate::database::{Database, Purpose};
use crate::definition::{LooseForeignKey, State};
use crate::error::Result;
use crate::key::Key;
use crate::pair;
use crate::report::Finding;

/// Log rows that are read to tell lag from orphans; more is a backlog in which everything may be.
const LOG_ROWS: i64 = 10_000;

/// What is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// Nothing of this name, or nothing that this role may look at.
    Nothing,
    /// The definition, in this state.
    Definition(State),
}

/// What was found of schema `lfk`.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) home: Home,
    /// The kill switch of the parents' database.
    pub(super) stopped: bool,
    /// What a scan says about it.
    pub(super) warnings: Vec<Finding>,
    /// What a repair refuses for, with the remedy.
    pub(super) refusal: Option<(String, &'static str)>,
}

impl Found {
    fn nothing() -> Self {
        Self { home: Home::Nothing, stopped: false, warnings: Vec::new(), refusal: None }
    }

    fn doubtful(mut self, code: &'static str, message: &str, remedy: &'static str) -> Self {
        self.warnings.push(Finding::note(code, message).remedy(remedy));
        self.refusal = Some((message.to_owned(), remedy));
        self
    }
}

/// Looks at schema `lfk` in the parents' database. Where it is not, nothing is asked of it.
pub(super) async fn find(definition: &LooseForeignKey, home: &Database, away: &Database) -> Result<Found> {
    let mut tx = home.begin(Purpose::Recheck).await?;
    let row = tx.query(statements::FIND_SCHEMA).fetch_one(tx.conn()).await.map_err(|e| home.error(e))?;
    tx.commit().await?;
    if !row.get::<bool, _>("present") {
        return Ok(Found::nothing());
    }
    if !row.get::<bool, _>("readable") {
        let message =
            "schema lfk is there, but this role may not read it: deletes that lfk has yet to work on count as orphans";
        let remedy = "run what `lfk grants` prints for the role that works";
        return Ok(Found::nothing().doubtful("log_not_readable", message, remedy));
    }
    let mut tx = home.begin(Purpose::Recheck).await?;
    let row = tx
        .query(statements::FIND_INSTALLED)
        .bind(&definition.name)
        .fetch_optional(tx.conn())
        .await
        .map_err(|e| home.error(e))?;
    tx.commit().await?;
    let Some(row) = row else { return Ok(Found::nothing()) };
    let found = Found { stopped: row.get("stopped"), ..Found::nothing() };
    let Some(state) = row.get::<Option<String>, _>("state") else { return Ok(found) };
    if row.get::<Option<String>, _>("fingerprint") != Some(definition.fingerprint()) {
        let message = "what is installed under this name is another definition";
        return Ok(found.doubtful("another_definition", message, "run `lfk install`"));
    }
    let found = Found { home: Home::Definition(State::from_sql(&state)), ..found };
    match identity(home, away, row.get("child_identity")).await? {
        None => Ok(found),
        Some(message) => {
            let remedy = "check the urls of the configuration";
            Ok(found.doubtful("not_the_recorded_pair", &message, remedy))
        }
    }
}

/// Why the two databases are not those that the definition was installed with.
async fn identity(home: &Database, away: &Database, recorded: Option<Uuid>) -> Result<Option<String>> {
    for database in [home, away] {
        match pair::identify(database).await {
            Ok(identity) if database.name() == away.name() && Some(identity.id) != recorded => {
                let message = format!("database {} is not the one that the definition was installed with", away.name());
                return Ok(Some(message));
            }
            Ok(_) => {}
            Err(error) if error.kind == crate::error::ErrorKind::Unreachable => return Err(error),
            // A role that may not read the children's schema lfk cannot tell; one that may is told why.
            Err(error) if error.sqlstate().as_deref() == Some("42501") => {}
            Err(error) => return Ok(Some(error.to_string())),
        }
    }
    Ok(None)
}

/// Which of these keys are lag: those that an active definition has yet to look at.
pub(super) async fn pending(definition: &str, home: &Database, keys: &[Key]) -> Result<HashSet<Key>> {
    let Some(first) = keys.first() else { return Ok(HashSet::new()) };
    let mut tx = home.begin(Purpose::Log).await?;
    tx.hold_log().await.map_err(|e| home.error(e))?;
    let rows = tx
        .query(statements::PENDING_KEYS)
        .bind(definition)
        .bind(Key::flatten(keys))
        .bind(i64::try_from(first.0.len()).unwrap_or(i64::MAX))
        .bind(LOG_ROWS)
        .fetch_all(tx.conn())
        .await
        .map_err(|e| home.error(e))?;
    tx.commit().await?;
    let counts = |row: &&sqlx::postgres::PgRow| row.get::<bool, _>("pending") || row.get::<bool, _>("everything");
    Ok(rows.iter().filter(counts).map(|row| Key(row.get("key"))).collect())
}
