//! A connection whose answers are waited for only so long.
//!
//! The server bounds its statements by itself. But a server that was cut off, or is gone without a word, answers nothing and
//! closes nothing, and the driver would wait for ever.

use std::io;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use sqlx::postgres::{PgConnection, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Either, Error, Execute, Executor, Postgres, SqlStr};
use tokio::time::{Instant, timeout_at};

/// One statement's use of a connection.
#[derive(Debug)]
pub(crate) struct Bounded<'c> {
    connection: Option<&'c mut PgConnection>,
    in_flight: &'c mut bool,
    patience: Duration,
}

type Answer = Result<Either<PgQueryResult, PgRow>, Error>;

impl<'c> Bounded<'c> {
    /// `in_flight` is true from the moment a statement is sent until its answer was read to the end.
    pub(super) fn new(connection: Option<&'c mut PgConnection>, in_flight: &'c mut bool, patience: Duration) -> Self {
        Self { connection, in_flight, patience }
    }
}

/// An error in which the server has spoken, and will take the next statement.
fn is_an_answer(error: &Error) -> bool {
    matches!(error, Error::Database(_))
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
        let Self { connection: Some(connection), in_flight, patience } = self else {
            return stream::once(async { Err(Error::PoolClosed) }).boxed();
        };
        *in_flight = true;
        let rows = connection.fetch_many(query);
        let until = Instant::now() + patience;
        let next = move |state: Option<(BoxStream<'e, Answer>, &'e mut bool)>| async move {
            let (mut rows, in_flight) = state?;
            match timeout_at(until, rows.next()).await {
                Ok(Some(Ok(row))) => Some((Ok(row), Some((rows, in_flight)))),
                Ok(Some(Err(error))) => {
                    *in_flight = !is_an_answer(&error);
                    Some((Err(error), None))
                }
                Ok(None) => {
                    *in_flight = false;
                    None
                }
                Err(_) => Some((Err(no_answer(patience)), None)),
            }
        };
        stream::unfold(Some((rows, in_flight)), next).boxed()
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
            *self.in_flight = true;
            let until = Instant::now() + self.patience;
            let prepared = timeout_at(until, connection.prepare_with(sql, parameters)).await;
            let prepared = prepared.unwrap_or_else(|_| Err(no_answer(self.patience)));
            *self.in_flight = prepared.as_ref().is_err_and(|error| !is_an_answer(error));
            prepared
        })
    }
}
