//! F7: encryption that was asked for is verified, or there is no connection.

use anyhow::Result;
use lfk_core::OnDelete;
use lfk_tests::scenario::{activate, drain, loose};
use lfk_tests::{Authority, Cli, Cluster, Outcome, TestDb, engine};

use crate::clean_support::{ALL_BUILDS, BUILDS, PROJECTS, table};

/// A server with these settings, that says who connects and how, and a database with parents and children.
async fn server(settings: &[(&str, &str)]) -> Result<(Cluster, TestDb)> {
    let mut all = vec![("log_connections", "on")];
    all.extend(settings);
    let cluster = Cluster::start_with(&all).await?;
    let db = TestDb::on(&cluster).await?;
    db.execute(&format!("{PROJECTS} {BUILDS}")).await?;
    Ok((cluster, db))
}

fn url(cluster: &Cluster, db: &TestDb, parameters: &str) -> String {
    format!("postgres://postgres@localhost:{}/{}?{parameters}", cluster.port(), db.name)
}

fn verified_by(authority: &Authority) -> String {
    format!("sslmode=verify-full&sslrootcert={}", authority.file().display())
}

/// Runs a command that needs the database, and expects that it was never let in: exit code 1 and what to do about it.
async fn expect_no_connection(cluster: &Cluster, db: &TestDb, parameters: &str) -> Result<Outcome> {
    let url = url(cluster, db, parameters);
    let cli = Cli::new(&format!(
        "format = 1\n[database.main]\nurl = \"{url}\"\n[[loose_foreign_key]]\nparent = \"main:public.projects(id)\"\n\
         child = \"main:public.builds(project_id)\"\non_delete = \"delete\"\n"
    ))?;
    let before = sessions(cluster);
    let mut last = None;
    for command in ["plan", "install", "status", "run --until-drained --timeout 5s"] {
        let failed = cli.run(command.split(' ')).await?.expect(1);
        assert!(
            failed.stderr.contains("main") && !failed.stderr.contains("postgres://"),
            "{command}: {}",
            failed.stderr
        );
        last = last.or(Some(failed));
    }
    // Whoever falls back to plain text is let in by this server.
    assert_eq!(sessions(cluster), before, "{}", cluster.log());
    assert_eq!(table(db, "builds").await?, ALL_BUILDS);
    Ok(last.expect("there are commands"))
}

/// How often lfk was let in.
fn sessions(cluster: &Cluster) -> usize {
    cluster.log().lines().filter(|l| l.contains("connection authorized") && l.contains("lfk/")).count()
}

#[tokio::test]
async fn f07_a_server_with_the_right_certificate_is_worked_with_over_encrypted_connections_only() -> Result<()> {
    let authority = Authority::new()?;
    let (cluster, db) = server(&authority.certify("localhost")?.settings()).await?;
    let url = url(&cluster, &db, &verified_by(&authority));
    let key = loose("projects(id)", "builds(project_id)", OnDelete::Delete)?;
    let engine = engine(&[("main", &url), ("ci", &url)], [key])?;
    engine.install().await?;
    activate(&engine).await?;
    db.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(table(&db, "builds").await?, ALL_BUILDS[2..]);

    let log = cluster.log();
    let ours: Vec<&str> = log.lines().filter(|l| l.contains("connection authorized") && l.contains("lfk/")).collect();
    assert!(!ours.is_empty() && ours.iter().all(|l| l.contains("SSL enabled")), "{ours:?}");
    Ok(())
}

#[tokio::test]
async fn f07_a_certificate_by_another_authority_is_refused() -> Result<()> {
    let (authority, other) = (Authority::new()?, Authority::new()?);
    let (cluster, db) = server(&authority.certify("localhost")?.settings()).await?;
    let failed = expect_no_connection(&cluster, &db, &verified_by(&other)).await?;
    for word in ["encrypted as the url demands", "cause:", "invalid peer certificate", "sslrootcert"] {
        assert!(failed.stderr.contains(word), "no {word:?} in {}", failed.stderr);
    }
    // Without the file, the authorities of this machine decide, and they do not know it either.
    expect_no_connection(&cluster, &db, "sslmode=verify-full").await?;
    Ok(())
}

#[tokio::test]
async fn f07_a_certificate_for_another_host_is_refused() -> Result<()> {
    let authority = Authority::new()?;
    let (cluster, db) = server(&authority.certify("db.example.com")?.settings()).await?;
    let failed = expect_no_connection(&cluster, &db, &verified_by(&authority)).await?;
    for word in ["encrypted as the url demands", "not valid for name", "the host in the url"] {
        assert!(failed.stderr.contains(word), "no {word:?} in {}", failed.stderr);
    }
    Ok(())
}

#[tokio::test]
async fn f07_a_server_that_cannot_encrypt_is_not_talked_to_in_plain_text() -> Result<()> {
    let authority = Authority::new()?;
    let (cluster, db) = server(&[]).await?;
    let failed = expect_no_connection(&cluster, &db, &verified_by(&authority)).await?;
    for word in ["encrypted as the url demands", "does not support TLS", "sslmode=disable"] {
        assert!(failed.stderr.contains(word), "no {word:?} in {}", failed.stderr);
    }
    Ok(())
}
