//! `sql [--value] URL STATEMENTS` runs SQL and prints what comes back: a psql for machines that have none, which the servers
//! from npm do not bring. `:'stdin'` in the statements stands for what is read from standard input, as a literal.
//! `--value` prints values only.

use std::io::{Read as _, Write as _};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use futures::TryStreamExt as _;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Column as _, Connection as _, Either, Row as _, SqlSafeStr as _, SqlStr, ValueRef as _};

const STDIN: &str = ":'stdin'";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let only_values = arguments.first().is_some_and(|first| first == "--value");
    if only_values {
        arguments.remove(0);
    }
    let [url, statements] = arguments.as_slice() else { bail!("usage: sql [--value] URL STATEMENTS") };
    let statements = with_stdin(statements)?;
    let mut connection = PgConnection::connect(url).await.context("cannot connect")?;
    let began = Instant::now();
    let mut rows = Vec::new();
    let mut answers = sqlx::raw_sql(statements).fetch_many(&mut connection);
    while let Some(answer) = answers.try_next().await? {
        match answer {
            Either::Right(row) => rows.push(row),
            Either::Left(_) if only_values => print_values(&std::mem::take(&mut rows))?,
            Either::Left(_) if !rows.is_empty() => print_table(&std::mem::take(&mut rows))?,
            Either::Left(done) => println!("{}, {:.1} s", outcome(done.rows_affected()), began.elapsed().as_secs_f64()),
        }
    }
    drop(answers);
    Ok(connection.close().await?)
}

/// The person who runs this program has written the statements and may run whatever the role may.
#[expect(clippy::disallowed_methods, reason = "running SQL that a person typed is what this program is for")]
fn with_stdin(statements: &str) -> Result<SqlStr> {
    let mut text = statements.to_owned();
    if text.contains(STDIN) {
        let mut input = String::new();
        std::io::stdin().read_to_string(&mut input)?;
        text = text.replace(STDIN, &format!("'{}'", input.trim_end().replace('\'', "''")));
    }
    Ok(AssertSqlSafe(text).into_sql_str())
}

/// The driver does not tell a statement that has changed no row from one that changes none by its nature.
fn outcome(rows: u64) -> String {
    match rows {
        0 => "ok".to_owned(),
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    }
}

fn print_values(rows: &[PgRow]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    for row in rows {
        writeln!(out, "{}", values(row)?.join("\t"))?;
    }
    Ok(())
}

fn print_table(rows: &[PgRow]) -> Result<()> {
    let mut lines: Vec<Vec<String>> = Vec::new();
    lines.extend(rows.first().map(|row| row.columns().iter().map(|column| column.name().to_owned()).collect()));
    for row in rows {
        lines.push(values(row)?);
    }
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = std::io::stdout().lock();
    for line in &lines {
        let padded: Vec<String> = line.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}")).collect();
        writeln!(out, "{}", padded.join("  ").trim_end())?;
    }
    Ok(())
}

/// A simple query returns every value as PostgreSQL prints it.
fn values(row: &PgRow) -> Result<Vec<String>> {
    let value = |index| {
        let value = row.try_get_raw(index)?;
        let text = if value.is_null() { "NULL" } else { value.as_str().map_err(anyhow::Error::from_boxed)? };
        Ok(text.to_owned())
    };
    (0..row.len()).map(value).collect()
}
