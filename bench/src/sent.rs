//! How many statements clients send, as the server itself has logged them: `BEGIN`, `COMMIT` and those that read nothing, too.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::server::{Server, Servers};
use crate::statements::log;

/// Statements a second in the parents' and in the children's database during this time, in which the bench itself sends none.
///
/// # Errors
/// When a server refuses.
pub async fn per_second(servers: &Servers, during: Duration) -> Result<[f64; 2]> {
    let all = [&servers.main, &servers.ci];
    for server in all {
        server.run(log::STATEMENTS).await?;
        server.run(log::RELOAD).await?;
    }
    // Sessions read their settings between two statements; after this each of the workers has had one.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = all.map(|server| server.log().len());
    tokio::time::sleep(during).await;
    let logs = all.map(Server::log);
    for server in all {
        server.run(log::NO_STATEMENTS).await?;
        server.run(log::RELOAD).await?;
    }
    let mut rates = [0.0; 2];
    for ((rate, log), before) in rates.iter_mut().zip(&logs).zip(before) {
        let sent = log.get(before..).unwrap_or_default().lines().filter(|line| is_statement(line)).count();
        *rate = f64::from(u32::try_from(sent)?) / during.as_secs_f64();
    }
    ensure!(rates.iter().any(|rate| *rate > 0.0), "nobody sends anything: the daemon is not there");
    Ok(rates)
}

fn is_statement(line: &str) -> bool {
    line.contains(" LOG:  statement: ") || line.contains(" LOG:  execute ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_of_both_protocols_are_counted_and_nothing_else() {
        let lines = [
            "2026-01-01 00:00:00.000 UTC [7] app LOG:  statement: BEGIN",
            "2026-01-01 00:00:00.000 UTC [7] app LOG:  execute sqlx_s_1: SELECT",
            "    FROM pg_catalog.pg_class",
            "2026-01-01 00:00:00.000 UTC [7] app DETAIL:  parameters: $1 = '1'",
            "2026-01-01 00:00:00.000 UTC [7]  LOG:  received SIGHUP, reloading configuration files",
        ];
        assert_eq!(lines.map(is_statement), [true, true, false, false, false]);
    }
}
