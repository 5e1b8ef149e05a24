//! A connection whose answers are waited for only so long.
//!
//! The server bounds its statements by itself. But a server that was cut off, or is gone without a word, answers nothing and
//! closes nothing, and the driver would wait for ever.

use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use sqlx::postgres::{PgConnection, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Error, Execute, Executor, Postgres, SqlStr};
use tokio::time::{Instant, timeout, timeout_at};

/// What became of the last statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flight {
    /// It was answered, or none was sent.
    Landed,
    /// It was sent, and its answer is not read to the end.
    Sent,
    /// Its answer did not come, or cannot be understood: nothing more can be done with this connection.
    Lost,
}

/// One statement's use of a connection.
#[derive(Debug)]
pub struct Bounded<'c> {
    connection: Option<&'c mut PgConnection>,
    flight: &'c mut Flight,
    patience: Duration,
}

type Answer = Result<Either<PgQueryResult, PgRow>, Error>;

impl<'c> Bounded<'c> {
    pub(super) fn new(connection: Option<&'c mut PgConnection>, flight: &'c mut Flight, patience: Duration) -> Self {
        Self { connection, flight, patience }
    }

    /// As [`super::Tx::copy_out`].
    pub(super) async fn copy_out(
        self,
        sql: SqlStr,
        mut take: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let Self { connection: Some(connection), flight, patience } = self else { return Err(Error::PoolClosed) };
        // The driver does not find its way behind a COPY that was not read to the end, or that has failed. So until the end
        // was read the connection is lost, also when nobody waits for it any more.
        *flight = Flight::Lost;
        let copied = async {
            let mut messages = connection.copy_out_raw(sql.as_str()).await?;
            while let Some(message) = messages.try_next().await? {
                if take(&message).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        };
        let copied = timeout(patience, copied).await.unwrap_or_else(|_| Err(no_answer(patience)))?;
        if copied.is_continue() {
            *flight = Flight::Landed;
        }
        Ok(copied)
    }
}

/// After an error in which the server has spoken, it takes the next statement.
fn after(error: &Error) -> Flight {
    if matches!(error, Error::Database(_)) { Flight::Landed } else { Flight::Lost }
}

fn no_answer(patience: Duration) -> Error {
    let message = format!("no answer within {} s", patience.as_secs());
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, message))
}

impl<'c> Executor<'c> for Bounded<'c> {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Answer>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let Self { connection: Some(connection), flight, patience } = self else {
            return stream::once(async { Err(Error::PoolClosed) }).boxed();
        };
        *flight = Flight::Sent;
        let rows = connection.fetch_many(query);
        let until = Instant::now() + patience;
        let next = move |state: Option<(BoxStream<'e, Answer>, &'e mut Flight)>| async move {
            let (mut rows, flight) = state?;
            match timeout_at(until, rows.next()).await {
                Ok(Some(Ok(row))) => Some((Ok(row), Some((rows, flight)))),
                Ok(Some(Err(error))) => {
                    *flight = after(&error);
                    Some((Err(error), None))
                }
                Ok(None) => {
                    *flight = Flight::Landed;
                    None
                }
                Err(_) => {
                    *flight = Flight::Lost;
                    Some((Err(no_answer(patience)), None))
                }
            }
        };
        stream::unfold(Some((rows, flight)), next).boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let mut answers = self.fetch_many(query);
        Box::pin(async move {
            let mut first = None;
            // To the end: an error may follow a row.
            while let Some(answer) = answers.try_next().await? {
                if let (Either::Right(row), None) = (answer, &first) {
                    first = Some(row);
                }
            }
            Ok(first)
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            let Some(connection) = self.connection else { return Err(Error::PoolClosed) };
            *self.flight = Flight::Sent;
            let until = Instant::now() + self.patience;
            let prepared = timeout_at(until, connection.prepare_with(sql, parameters)).await;
            let prepared = prepared.unwrap_or_else(|_| Err(no_answer(self.patience)));
            *self.flight = prepared.as_ref().err().map_or(Flight::Landed, after);
            prepared
        })
    }
}
