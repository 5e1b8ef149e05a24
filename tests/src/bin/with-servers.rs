//! `with-servers COMMAND [ARGUMENT…]` starts two empty PostgreSQL servers, runs the command with `MAIN_DATABASE_URL` and
//! `CI_DATABASE_URL` in its environment, and takes the servers away again, whatever happens. It ends as the command did.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitCode, ExitStatus};

use anyhow::{Context as _, Result};
use lfk_tests::Cluster;
use sqlx::{Connection as _, PgConnection, SqlSafeStr};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().context("usage: with-servers COMMAND [ARGUMENT…]")?;
    let mut command = Command::new(&program);
    command.args(arguments);

    // Listening begins before the servers are there: a Ctrl-C in between must not end this process without them.
    let stop = stop_signal()?;
    let (main, ci) = tokio::try_join!(Cluster::start(), Cluster::start())?;
    run_in(&main, "CREATE DATABASE main").await?;
    run_in(&ci, "CREATE DATABASE ci").await?;
    command.env("MAIN_DATABASE_URL", main.url("main")).env("CI_DATABASE_URL", ci.url("ci"));

    // A group of its own, so that a signal reaches everything that the command has started, and reaches it once.
    let child = command.process_group(0).spawn().with_context(|| program.display().to_string())?;
    let status = wait_for(child, stop).await?;
    Ok(ExitCode::from(code_of(status)))
}

async fn run_in(cluster: &Cluster, sql: impl SqlSafeStr) -> Result<()> {
    let mut connection = PgConnection::connect(&cluster.url("postgres")).await?;
    sqlx::raw_sql(sql).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Resolves with the first signal that asks this process to end.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}

async fn wait_for(mut child: Child, stop: impl Future<Output = ()>) -> Result<ExitStatus> {
    let group = child.id();
    let ended = tokio::task::spawn_blocking(move || child.wait());
    tokio::pin!(ended);
    tokio::select! {
        status = &mut ended => return Ok(status??),
        () = stop => {}
    }
    signal_group(group, "TERM")?;
    Ok(ended.await??)
}

fn signal_group(group: u32, signal: &str) -> Result<()> {
    let script = format!("kill -s {signal} -- -{group}");
    Command::new("/bin/sh").arg("-c").arg(script).status().context("/bin/sh")?;
    Ok(())
}

/// As a shell says it: 128 and the signal's number for a command that was killed.
fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}
