//! A queue of deleted parents whose rows get a status, in the shape that GitLab uses, in both of its forms.
//!
//! Per batch of the queue and definition: a statement with a LIMIT that leaves locked rows alone, until it finds none; then the
//! same that waits for locks, until it finds none; at last the rows of the queue are marked. Budgets, pauses between runs,
//! leases and counters of the original are left out, all in favour of the baseline. No parent is looked for.

use std::time::Instant;

use anyhow::{Result, ensure};
use sqlx::{Executor as _, PgConnection};

use crate::server::Servers;
use crate::statements::{session, status_queue};

/// Parents that are taken from the queue at once.
const BATCH: i64 = 1000;

/// Which shape the statements have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// `id IN (SELECT … WHERE parent IN (…) LIMIT n)`.
    In,
    /// One look at the index a parent, `LATERAL (… LIMIT n)`.
    Lateral,
}

/// What happens to children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Builds are deleted, 1000 a statement.
    DeleteBuilds,
    /// Notes are nulled, 500 a statement.
    NullNotes,
}

impl Action {
    /// First phase and second phase.
    fn statements(self, form: Form) -> [&'static str; 2] {
        match (self, form) {
            (Self::DeleteBuilds, Form::In) => [status_queue::DELETE_IN_UNLOCKED, status_queue::DELETE_IN],
            (Self::DeleteBuilds, Form::Lateral) => {
                [status_queue::DELETE_LATERAL_UNLOCKED, status_queue::DELETE_LATERAL]
            }
            (Self::NullNotes, Form::In) => [status_queue::NULL_IN_UNLOCKED, status_queue::NULL_IN],
            (Self::NullNotes, Form::Lateral) => [status_queue::NULL_LATERAL_UNLOCKED, status_queue::NULL_LATERAL],
        }
    }
}

/// Makes the queue and its trigger.
///
/// # Errors
/// When the server refuses.
pub async fn install(servers: &Servers) -> Result<()> {
    servers.main.run(status_queue::CREATE_QUEUE).await?;
    servers.main.run(status_queue::CREATE_TRIGGER).await
}

/// Works until the queue is empty; seconds.
///
/// # Errors
/// When a statement fails.
pub async fn drain(servers: &Servers, form: Form, actions: &[Action]) -> Result<f64> {
    let began = Instant::now();
    let (mut main, mut ci) = (servers.main.connect().await?, servers.ci.connect().await?);
    for connection in [&mut main, &mut ci] {
        connection.execute(session::BASELINE).await?;
    }
    loop {
        let batch: Vec<(i64, i64)> = sqlx::query_as(status_queue::LOAD).bind(BATCH).fetch_all(&mut main).await?;
        if batch.is_empty() {
            break;
        }
        let (ids, parents): (Vec<i64>, Vec<i64>) = batch.into_iter().unzip();
        for action in actions {
            for statement in action.statements(form) {
                exhaust(&mut ci, statement, &parents).await?;
            }
        }
        let marked = sqlx::query(status_queue::MARK_DONE).bind(&ids).execute(&mut main).await?.rows_affected();
        ensure!(usize::try_from(marked)? == ids.len(), "the queue changed while it was worked on");
    }
    let seconds = began.elapsed().as_secs_f64();
    let pending: i64 = sqlx::query_scalar(status_queue::COUNT_PENDING).fetch_one(&mut main).await?;
    ensure!(pending == 0, "{pending} rows of the queue are left");
    Ok(seconds)
}

async fn exhaust(ci: &mut PgConnection, statement: &'static str, parents: &[i64]) -> Result<()> {
    while sqlx::query(statement).bind(parents).execute(&mut *ci).await?.rows_affected() > 0 {}
    Ok(())
}
