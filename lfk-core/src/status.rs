//! How everything stands, read from the databases: nothing here is counted in memory.

use std::collections::HashMap;

use lfk_sql::statements;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::database::{Database, Purpose};
use crate::declaration::{Declaration, Kind};
use crate::definition::State;
use crate::error::Result;
use crate::pair;
use crate::report::{DefinitionStatus, Status, WorkerStatus};

/// Log rows, and keys set aside, that are counted for each definition; beyond them the number of pending keys is a lower
/// bound.
const COUNT_ROWS: i64 = 1_000_000;

/// Asks every database that has a key log of these definitions.
pub(crate) async fn status(homes: &[&Database], definitions: &[Declaration]) -> Result<Status> {
    let mut status = Status::default();
    let mut found: HashMap<String, DefinitionStatus> = HashMap::new();
    let mut notes: HashMap<String, String> = HashMap::new();
    for home in homes {
        match read_home(home).await {
            Ok((rows, workers)) => {
                found.extend(rows.iter().map(|row| (row.get::<String, _>("name"), definition_status(row))));
                status.workers.extend(workers);
            }
            Err(error) => {
                let note = format!("{}: {}", home.name(), error.message);
                notes.insert(home.name().to_owned(), error.message.clone());
                status.unreachable.push(note);
                if homes.len() == status.unreachable.len() {
                    return Err(error);
                }
            }
        }
    }
    for definition in definitions {
        let known = found.remove(&definition.name);
        let note = notes.get(&definition.parent.database).cloned();
        let one = known.unwrap_or_else(|| unknown(&definition.name, note));
        match definition.kind {
            Kind::LooseForeignKey => status.loose_foreign_keys.push(one),
            Kind::Mirror => status.mirrors.push(one),
        }
    }
    Ok(status)
}

async fn read_home(home: &Database) -> Result<(Vec<PgRow>, Vec<WorkerStatus>)> {
    let mut tx = home.begin(Purpose::Log).await?;
    tx.query(statements::COUNT_UP_TO).bind(COUNT_ROWS).execute(tx.conn()).await.map_err(|e| home.error(e))?;
    let rows = tx.query(statements::STATUS).fetch_all(tx.conn()).await.map_err(|e| pair::missing(home, e))?;
    let workers = tx.query(statements::LIST_WORKERS).fetch_all(tx.conn()).await.map_err(|e| home.error(e))?;
    tx.commit().await?;
    Ok((rows, workers.iter().map(|row| worker_status(home, row)).collect()))
}

fn definition_status(row: &PgRow) -> DefinitionStatus {
    let stopped: bool = row.get("stopped");
    let condition: String = row.get("condition");
    DefinitionStatus {
        name: row.get("name"),
        state: Some(State::from_sql(row.get("state"))),
        pending_keys: row.get("pending_keys"),
        pending_is_lower_bound: row.get("pending_is_lower_bound"),
        oldest_pending_seconds: row.get("oldest_pending_seconds"),
        keys_per_second: row.get("keys_per_second"),
        rows_affected_total: row.get("rows_affected_total"),
        keys_total: row.get("keys_total"),
        observed_keys: row.get("observed_keys"),
        resurrected_total: row.get("resurrected_total"),
        retries: row.get("retries"),
        quarantined: row.get("quarantined"),
        trailing_lag_seconds: row.get("trailing_lag_seconds"),
        not_covered: row.get("not_covered"),
        log_bytes: row.get("log_bytes"),
        oldest_unverified_seconds: row.get("oldest_unverified_seconds"),
        last_pass_seconds_ago: row.get("last_pass_seconds_ago"),
        confirmed_differences: row.get("confirmed_differences"),
        alerts: row.get("alert"),
        condition: if stopped { "stopped".to_owned() } else { condition },
        note: if stopped { Some("the kill switch is on: `lfk start --all`".to_owned()) } else { note(row) },
    }
}

/// Why it does not get on; else what it is at, where that takes long.
fn note(row: &PgRow) -> Option<String> {
    let looked_at: Option<i64> = row.get("sweep_looked_at");
    let sweeping = || Some(format!("sweeping: {} child keys looked at so far", looked_at?));
    row.get::<Option<String>, _>("note").or_else(sweeping)
}

fn worker_status(home: &Database, row: &PgRow) -> WorkerStatus {
    WorkerStatus {
        id: row.get::<uuid::Uuid, _>("id").to_string(),
        database: home.name().to_owned(),
        host: row.get("host"),
        pid: row.get("pid"),
        version: row.get("version"),
        seen_seconds_ago: row.get("seen_seconds_ago"),
        consumers: row.get("consumers"),
    }
}

fn unknown(name: &str, unreachable: Option<String>) -> DefinitionStatus {
    let note = unreachable.unwrap_or_else(|| "not installed: run `lfk install`".to_owned());
    DefinitionStatus {
        name: name.to_owned(),
        state: None,
        pending_keys: 0,
        pending_is_lower_bound: true,
        oldest_pending_seconds: None,
        keys_per_second: 0.0,
        rows_affected_total: 0,
        keys_total: 0,
        observed_keys: 0,
        resurrected_total: 0,
        retries: 0,
        quarantined: 0,
        trailing_lag_seconds: 0.0,
        not_covered: 0,
        log_bytes: 0,
        oldest_unverified_seconds: None,
        last_pass_seconds_ago: None,
        confirmed_differences: None,
        alerts: Vec::new(),
        condition: "unknown".to_owned(),
        note: Some(note),
    }
}
