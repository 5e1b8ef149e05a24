//! What the tests of capture share: a database with the SQL of lfk in it, and what its key log holds.

use std::sync::LazyLock;

use anyhow::Result;
use lfk_sql::statements;
use lfk_tests::{Pair, Role, TestDb};
use sqlx::{Executor as _, PgConnection};

/// Four fruits: the parents of most tests.
pub(crate) const FRUITS: &str = "
    CREATE TABLE fruits (id bigint PRIMARY KEY, name text NOT NULL);
    INSERT INTO fruits VALUES (1, 'apple'), (2, 'pear'), (3, 'plum'), (4, 'fig')";

/// A database with schema `lfk` and these tables, of which `tracked` names each with its key: `("fruits", "{id}")`.
///
/// Nothing but the SQL that any migration tool would run: no engine has been here.
pub(crate) async fn database(tables: &str, tracked: &[(&str, &str)]) -> Result<TestDb> {
    static SCHEMA: LazyLock<String> = LazyLock::new(|| statements::SCHEMA.join("\n"));
    let db = TestDb::with_schema(Role::Main, &SCHEMA).await?;
    db.execute(tables).await?;
    for (table, key) in tracked {
        track(&db, table, key).await?;
    }
    cover(&db).await?;
    Ok(db)
}

/// The fruits, tracked.
pub(crate) async fn fruits() -> Result<TestDb> {
    database(FRUITS, &[("fruits", "{id}")]).await
}

/// Has the keys of one more table logged, once `lfk.cover` has made the triggers.
pub(crate) async fn track(db: &TestDb, table: &str, key: &str) -> Result<()> {
    db.execute(&format!("SELECT lfk.track('{table}', '{key}')")).await?;
    Ok(())
}

/// Calls `lfk.cover()` and answers with its rows: `events_9 created d, u, t`.
pub(crate) async fn cover(db: &TestDb) -> Result<Vec<String>> {
    let sql = "SELECT concat_ws(' ', relation, outcome, detail) FROM lfk.cover() ORDER BY 1";
    lines(db, sql).await
}

/// Hangs a definition on table 1, as if one were installed: only then `lfk.cover` asks for sweeps.
pub(crate) async fn hang_a_definition_on(db: &TestDb, table: &str) -> Result<()> {
    db.execute(&format!(
        "INSERT INTO lfk.definition (name, table_id, parent, child, on_delete, fingerprint, child_identity, nonce)
         SELECT 'a child', table_id, '', '', '', '', gen_random_uuid(), gen_random_uuid() FROM lfk.tracked
          WHERE relation = '{table}'::regclass"
    ))
    .await?;
    Ok(())
}

/// Everything that the key log holds, one line a key, sorted: `fruits d 1` for a deleted key, `fruits u 1` for a changed one,
/// `fruits t` and `fruits s` for markers. Columns of a composite key are joined by slashes. A key that was logged twice is
/// there twice.
pub(crate) async fn logged(db: &TestDb) -> Result<Vec<String>> {
    let sql = "
        SELECT concat_ws(' ', t.relation::text, l.op::text, k.key) FROM lfk.key_log l JOIN lfk.tracked t USING (table_id)
          LEFT JOIN LATERAL (SELECT string_agg(u.v, '/' ORDER BY u.n) AS key
                               FROM unnest(coalesce(l.keys::text[], l.tkeys)) WITH ORDINALITY u(v, n)
                              GROUP BY (u.n - 1) / cardinality(t.key_columns)) k ON true
         ORDER BY 1";
    lines(db, sql).await
}

/// Empties the key log, so that a test sees only what comes now.
pub(crate) async fn forget(db: &TestDb) -> Result<()> {
    db.execute("TRUNCATE lfk.key_log").await?;
    Ok(())
}

/// The rows of a query as lines: `1|apple`, NULL spelled out.
pub(crate) async fn lines(db: &TestDb, sql: &str) -> Result<Vec<String>> {
    let line = |row: &Vec<Option<String>>| {
        let values: Vec<&str> = row.iter().map(|value| value.as_deref().unwrap_or("NULL")).collect();
        values.join("|")
    };
    Ok(db.rows(sql).await?.iter().map(line).collect())
}

/// Everything in a table, sorted by its first column.
pub(crate) async fn rows(db: &TestDb, table: &str) -> Result<Vec<String>> {
    lines(db, &format!("SELECT * FROM {table} ORDER BY 1")).await
}

/// Runs statements in a session that a test holds.
pub(crate) async fn run(session: &mut PgConnection, sql: &'static str) -> Result<()> {
    session.execute(sqlx::raw_sql(sql)).await?;
    Ok(())
}

/// A new role of this test's own on the server of `db`.
pub(crate) async fn role(db: &TestDb, suffix: &str) -> Result<String> {
    let role = format!("{}_{suffix}", db.name);
    db.execute(&format!("CREATE ROLE {role} LOGIN")).await?;
    Ok(role)
}

/// The URL of a database for another role.
pub(crate) fn url_as(db: &TestDb, role: &str) -> String {
    db.url.replacen("//postgres@", &format!("//{role}@"), 1)
}

/// Runs SQL in both databases of a pair.
pub(crate) async fn in_both(pair: &Pair, main: &str, ci: &str) -> Result<()> {
    let (main, ci) = tokio::join!(pair.main.execute(main), pair.ci.execute(ci));
    main.and(ci)?;
    Ok(())
}
