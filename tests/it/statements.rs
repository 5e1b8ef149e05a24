//! Every SQL file is used, says what it is for, and is SQL that a server with lfk installed accepts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use lfk_core::OnDelete;
use lfk_sql::statements;
use lfk_tests::scenario::active;
use lfk_tests::{Pair, scenario};
use sqlx::{Connection as _, Executor as _, SqlSafeStr as _, SqlStr};

use crate::capture_support::in_both;

/// How a file is used by the modules of statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Goes to the driver as it is.
    Statement,
    /// Has holes.
    Template,
    /// Stands in a hole of a template.
    Fragment,
    /// A part of the schema.
    Schema,
}

fn sql_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sql")
}

/// Every `.sql` file below `sql/`, such as `cursor/page.sql`.
fn files() -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for folder in std::fs::read_dir(sql_folder())? {
        let folder = folder?.path();
        if !folder.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&folder)? {
            let file = file?.path();
            if file.extension().is_some_and(|e| e == "sql") {
                let name = file.strip_prefix(sql_folder())?.to_string_lossy().into_owned();
                found.insert(name);
            }
        }
    }
    Ok(found)
}

/// What the modules of statements include, and how.
fn uses() -> Result<BTreeMap<String, Use>> {
    let mut uses = BTreeMap::new();
    for module in std::fs::read_dir(sql_folder().join("src/statements"))? {
        let text = std::fs::read_to_string(module?.path())?;
        let mut how_now = Use::Statement;
        for line in text.lines() {
            if line.starts_with("pub mod fragment") {
                how_now = Use::Fragment;
            } else if line.starts_with("pub const SCHEMA") {
                how_now = Use::Schema;
            } else if line == "}" || line == "];" {
                how_now = Use::Statement;
            }
            let Some((before, rest)) = line.split_once("include_str!(\"../../") else { continue };
            let (file, _) = rest.split_once('"').context("an include_str! without an end")?;
            // A hole stands where the server would see an identifier or a literal with a brace in it.
            let text = read(file)?;
            let has_holes = before.contains("Template(") || text.contains("\"{") || text.contains("'{");
            let how = if how_now == Use::Statement && has_holes { Use::Template } else { how_now };
            let again = uses.insert(file.to_owned(), how);
            assert_eq!(again, None, "{file} is included twice");
        }
    }
    Ok(uses)
}

fn read(file: &str) -> Result<String> {
    Ok(std::fs::read_to_string(sql_folder().join(file))?)
}

#[test]
fn every_sql_file_is_used_and_every_used_file_is_there() -> Result<()> {
    let used: BTreeSet<String> = uses()?.into_keys().collect();
    assert_eq!(files()?, used);
    assert!(used.len() > 100, "the search finds too little: {used:?}");
    Ok(())
}

#[test]
fn every_part_of_the_schema_is_in_the_schema_in_the_order_of_its_name() -> Result<()> {
    let parts: Vec<String> = files()?.into_iter().filter(|f| f.starts_with("schema/")).collect();
    let texts: Vec<String> = parts.iter().map(|f| read(f)).collect::<Result<_>>()?;
    assert_eq!(statements::SCHEMA, texts);
    Ok(())
}

#[test]
fn every_sql_file_says_what_it_is_for() -> Result<()> {
    for (file, how) in uses()? {
        let text = read(&file)?;
        let head: String = text.lines().take_while(|l| l.starts_with("--")).collect::<Vec<_>>().join("\n");
        assert!(head.starts_with("-- Purpose: "), "{file}");
        // How a transaction begins is no statement of its own: it says why each setting is what it is.
        let wanted: &[&str] = match how {
            _ if file.starts_with("session/") => &["Why these:"],
            Use::Fragment => &["Purpose: fragment"],
            _ if head.starts_with("-- Purpose: fragment") => &[],
            _ => &["Locks:", "Repeat:"],
        };
        for word in wanted {
            assert!(head.contains(word), "{file} does not say {word}");
        }
    }
    Ok(())
}

/// A pair with lfk at work in it, so that everything that statements name is there.
async fn installed() -> Result<Pair> {
    let pair = Pair::new().await?;
    in_both(
        &pair,
        "CREATE TABLE trees (id bigint PRIMARY KEY)",
        "CREATE TABLE apples (id int PRIMARY KEY, tree_id bigint); CREATE INDEX ON apples (tree_id)",
    )
    .await?;
    active(&pair, [scenario::loose("trees(id)", "apples(tree_id)", OnDelete::Delete)?]).await?;
    Ok(pair)
}

/// Has the server parse, and analyse where it does so without running, one statement.
async fn prepared(pair: &Pair, name: &str, sql: SqlStr) -> Result<()> {
    let mut connection = pair.main.connect().await?;
    connection.execute(statements::BEGIN_LOG).await?;
    connection.prepare(sql).await.with_context(|| name.to_owned())?;
    Ok(connection.close().await?)
}

#[tokio::test]
async fn every_statement_without_holes_is_understood_by_the_server() -> Result<()> {
    let pair = installed().await?;
    let mut count = 0;
    for (file, how) in uses()? {
        if how != Use::Statement || file.starts_with("session/") {
            continue;
        }
        let text: &'static str = Box::leak(read(&file)?.into_boxed_str());
        prepared(&pair, &file, text.into_sql_str()).await?;
        count += 1;
    }
    assert!(count > 60, "only {count} were found");
    Ok(())
}

#[tokio::test]
async fn every_statement_with_a_fixed_fragment_is_understood_by_the_server() -> Result<()> {
    let pair = installed().await?;
    let fixed =
        [("probe", &statements::PROBE), ("idle_move", &statements::IDLE_MOVE), ("backlog", &statements::BACKLOG)];
    for (name, sql) in fixed {
        prepared(&pair, name, (**sql).clone().into_sql_str()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn every_beginning_of_a_transaction_says_all_it_needs() -> Result<()> {
    let pair = installed().await?;
    for (name, begin, writes) in [
        ("log", statements::BEGIN_LOG, true),
        ("recheck", statements::BEGIN_RECHECK, false),
        ("check", statements::BEGIN_CHECK, false),
        ("write", statements::BEGIN_WRITE, true),
        ("admin", statements::BEGIN_ADMIN, true),
    ] {
        let mut connection = pair.main.connect().await?;
        // The worst defaults that a role or a database may have.
        connection
            .execute(
                "SET default_transaction_isolation = 'serializable'; SET row_security = on; SET synchronous_commit = off;
                 SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0;
                 SET default_transaction_read_only = on",
            )
            .await?;
        connection.execute(begin).await.with_context(|| name.to_owned())?;
        let setting = async |connection: &mut sqlx::PgConnection, setting: &'static str| {
            sqlx::query_scalar::<_, String>("SELECT current_setting($1)").bind(setting).fetch_one(connection).await
        };
        assert_eq!(setting(&mut connection, "transaction_isolation").await?, "read committed", "{name}");
        assert_eq!(setting(&mut connection, "row_security").await?, "off", "{name}");
        assert_eq!(
            setting(&mut connection, "transaction_read_only").await?,
            if writes { "off" } else { "on" },
            "{name}"
        );
        for timeout in ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"] {
            assert_ne!(setting(&mut connection, timeout).await?, "0", "{name}: {timeout}");
        }
        if writes {
            assert_eq!(setting(&mut connection, "synchronous_commit").await?, "on", "{name}");
        }
    }
    Ok(())
}
