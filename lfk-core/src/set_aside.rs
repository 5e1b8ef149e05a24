//! Keys set aside, as a person looks at them and decides: list, now, drop.
//!
//! `lfk.retry` in the parent's database is authoritative, so this needs no worker and tells none: the next probe sees what
//! changed. Each definition is one statement; what it did is in `lfk.audit`, written by the same statement. Key values
//! leave only by [`list`]: they are never logged.

use lfk_sql::{Sql, statements};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::database::{Database, Purpose, Tx};
use crate::declaration::Declaration;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::pair;
use crate::report::{SetAsideChange, SetAsideFilter, SetAsideKey, SetAsideList};

/// Which rows of a definition are meant, as `sql/retry/chosen_keys.sql` binds it.
struct Choice<'a> {
    definition: &'a Declaration,
    quarantined: bool,
    /// The columns of all keys one after another; `None` is every key.
    keys: Option<Vec<String>>,
}

/// Keys set aside, at most `limit`.
pub(crate) async fn list(engine: &Engine, filter: &SetAsideFilter, limit: u32) -> Result<SetAsideList> {
    let mut answer = SetAsideList::default();
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    for choice in choices(engine, filter)? {
        let home = engine.database(&choice.definition.parent.database)?;
        // One more than there is room for: it says that there are more.
        let room = i64::try_from(limit - answer.set_aside.len()).unwrap_or(i64::MAX - 1) + 1;
        let rows = choice.ask(home, &statements::LIST_RETRIES, Some(room)).await?;
        answer.set_aside.extend(rows.iter().map(|row| key(&choice.definition.name, row)));
        if answer.set_aside.len() > limit {
            answer.set_aside.truncate(limit);
            answer.more = true;
            break;
        }
    }
    Ok(answer)
}

/// Makes keys due at once and takes back the attempts that count against them.
pub(crate) async fn retry_now(engine: &Engine, filter: &SetAsideFilter) -> Result<Vec<SetAsideChange>> {
    let changes = change(engine, filter, &statements::RETRY_NOW).await?;
    for SetAsideChange { name, keys, left_alone } in &changes {
        tracing::info!(definition = name, keys, suspects = left_alone, "keys set aside are due at once");
    }
    Ok(changes)
}

/// Forgets keys.
pub(crate) async fn drop_retries(engine: &Engine, filter: &SetAsideFilter) -> Result<Vec<SetAsideChange>> {
    let changes = change(engine, filter, &statements::DROP_RETRIES).await?;
    for SetAsideChange { name, keys, .. } in &changes {
        tracing::info!(definition = name, keys, "keys set aside were dropped");
    }
    Ok(changes)
}

async fn change(engine: &Engine, filter: &SetAsideFilter, statement: &Sql) -> Result<Vec<SetAsideChange>> {
    let mut changes = Vec::new();
    for choice in choices(engine, filter)? {
        let name = &choice.definition.name;
        let home = engine.database(&choice.definition.parent.database)?;
        pair::check_identity(home).await?;
        let rows = choice.ask(home, statement, None).await?;
        let count = |column: &str| rows.first().map_or(0, |row| row.get(column));
        changes.push(SetAsideChange { name: name.clone(), keys: count("keys"), left_alone: count("left_alone") });
    }
    Ok(changes)
}

/// Every definition that is meant. What is wrong with the keys is said before anything is touched.
fn choices<'a>(engine: &'a Engine, filter: &SetAsideFilter) -> Result<Vec<Choice<'a>>> {
    let definitions: Vec<&Declaration> =
        if filter.names.is_empty() { engine.declarations().iter().collect() } else { engine.named(&filter.names)? };
    let choose = |definition: &'a Declaration| {
        let width = definition.parent.columns.len();
        if filter.keys.iter().any(|key| key.len() != width) {
            return Err(Error::config(format!("its keys have {width} columns, and a key that was given has not"))
                .for_definition(&definition.name)
                .with_hint("`lfk retry list` shows keys as they are to be given"));
        }
        let keys = (!filter.keys.is_empty()).then(|| filter.keys.concat());
        Ok(Choice { definition, quarantined: filter.quarantined, keys })
    };
    definitions.into_iter().map(choose).collect()
}

impl Choice<'_> {
    async fn ask(&self, home: &Database, statement: &Sql, limit: Option<i64>) -> Result<Vec<PgRow>> {
        let mut tx: Tx = home.begin(Purpose::Log).await?;
        let mut query = tx
            .query(statement.clone().into_sql_str())
            .bind(&self.definition.name)
            .bind(self.quarantined)
            .bind(&self.keys)
            .bind(i64::try_from(self.definition.parent.columns.len()).unwrap_or(i64::MAX));
        if let Some(limit) = limit {
            query = query.bind(limit);
        }
        let rows = query.fetch_all(tx.conn()).await.map_err(|e| pair::missing(home, e))?;
        tx.commit().await?;
        Ok(rows)
    }
}

fn key(name: &str, row: &PgRow) -> SetAsideKey {
    SetAsideKey {
        name: name.to_owned(),
        lane: if row.get("trailing") { "trailing" } else { "head" },
        key: row.get("key"),
        reason: row.get("reason"),
        sqlstate: row.get("sqlstate"),
        error: row.get("error"),
        attempts: row.get("attempts"),
        set_aside_at: row.get("set_aside_at"),
        not_before: row.get("not_before"),
        quarantined_at: row.get("quarantined_at"),
    }
}
