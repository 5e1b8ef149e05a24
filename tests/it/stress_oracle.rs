//! The tables of the stress, and the oracle that compares them with the ledger when everything is quiet.

use std::sync::Arc;

use anyhow::Result;
use lfk_core::{LooseForeignKey, OnDelete};
use lfk_tests::scenario::loose;
use lfk_tests::{Cluster, Pair, TestDb};

use crate::stress_writers::{Ledger, Parent};

/// Users above those of the writers, which sabotaged statements delete.
const VICTIMS: i64 = 300;

/// The databases of a stress, on servers of its own: it terminates backends and prepares transactions.
pub struct Arena {
    pub pair: Pair,
    pub ledger: Arc<Ledger>,
    _servers: [Cluster; 2],
}

/// What is wrong in the end, in rows or keys. All zero when nothing was lost and nothing was done wrongly.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wrongs {
    /// Children of parents that were deleted for good, still there or still referring.
    pub orphans: i64,
    /// Those of the parents that a sabotaged statement deleted.
    pub orphans_of_victims: i64,
    /// Rows that are gone or changed although their parent was there all the time, or more than was declared.
    pub wrongly_changed: i64,
    /// Rows that an observing definition has changed.
    pub changed_by_observing: i64,
    /// Keys in the log that the observing definition has not seen.
    pub unobserved: i64,
    /// Keys that the log holds without a committed delete, or the other way round.
    pub log_differs: i64,
}

const MAIN: &str = "
    CREATE TABLE projects (id bigint PRIMARY KEY, name text);
    CREATE TABLE users (id bigint PRIMARY KEY, name text);
    CREATE TABLE victims (id bigint PRIMARY KEY);
    CREATE TABLE struck (id bigint PRIMARY KEY);";

const CI: &str = "
    CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint NOT NULL, text text);
    CREATE TABLE notes (id bigint PRIMARY KEY, project_id bigint, text text);
    CREATE TABLE audits (id bigint PRIMARY KEY, project_id bigint NOT NULL, text text);
    CREATE TABLE tokens (id bigint PRIMARY KEY, user_id bigint NOT NULL, text text);
    CREATE INDEX ON builds (project_id);
    CREATE INDEX ON notes (project_id);
    CREATE INDEX ON audits (project_id);
    CREATE INDEX ON tokens (user_id);";

/// Deletes, sets null, and deletes on another parent.
pub fn active_definitions() -> Result<Vec<LooseForeignKey>> {
    Ok(vec![
        loose("projects(id)", "builds(project_id)", OnDelete::Delete)?,
        loose("projects(id)", "notes(project_id)", OnDelete::SetNull)?,
        loose("users(id)", "tokens(user_id)", OnDelete::Delete)?,
    ])
}

/// Would delete, but only observes.
pub fn observing_definition() -> Result<LooseForeignKey> {
    loose("projects(id)", "audits(project_id)", OnDelete::Delete)
}

impl Arena {
    /// Parents with one to three children each.
    pub async fn new(projects: i64, users: i64) -> Result<Self> {
        let (main, ci) = tokio::try_join!(Cluster::start(), Cluster::start())?;
        let pair = Pair::on(&main, &ci).await?;
        let all = users + VICTIMS;
        let fill_main = format!(
            "{MAIN} INSERT INTO projects SELECT p, 'as made' FROM generate_series(1, {projects}) p;
             INSERT INTO users SELECT u, 'as made' FROM generate_series(1, {all}) u;
             INSERT INTO victims SELECT v FROM generate_series({users} + 1, {all}) v;"
        );
        let fill_ci = format!(
            "{CI} INSERT INTO builds SELECT p * 4 + n, p, 'build' || n FROM generate_series(1, {projects}) p, generate_series(0, p % 3) n;
             INSERT INTO notes SELECT p, p, 'note ' || p FROM generate_series(1, {projects}) p;
             INSERT INTO audits SELECT p, p, 'audit ' || p FROM generate_series(1, {projects}) p;
             INSERT INTO tokens SELECT u * 2 + n, u, 'token' || n FROM generate_series(1, {all}) u, generate_series(0, u % 2) n;
             CREATE TABLE made_builds AS SELECT * FROM builds;
             CREATE TABLE made_notes AS SELECT * FROM notes;
             CREATE TABLE made_audits AS SELECT * FROM audits;
             CREATE TABLE made_tokens AS SELECT * FROM tokens;"
        );
        tokio::try_join!(pair.main.execute(&fill_main), pair.ci.execute(&fill_ci))?;
        Ok(Self { pair, ledger: Arc::new(Ledger::new([projects, users])), _servers: [main, ci] })
    }

    /// Compares everything with the ledger.
    pub async fn judge(&self) -> Result<Wrongs> {
        let Pair { main, ci } = &self.pair;
        let struck: Vec<i64> = main.scalar("SELECT coalesce(array_agg(id), '{}') FROM struck").await?;
        tokio::try_join!(self.write_down(main, &struck), self.write_down(ci, &struck))?;
        let orphans = "SELECT (SELECT count(*) FROM builds b JOIN fate f ON f.parent = 'projects' AND f.key = b.project_id WHERE f.fate = 'gone')
                            + (SELECT count(*) FROM notes n JOIN fate f ON f.parent = 'projects' AND f.key = n.project_id WHERE f.fate = 'gone')
                            + (SELECT count(*) FROM tokens t JOIN fate f ON f.parent = 'users' AND f.key = t.user_id WHERE f.fate = 'gone')";
        let of_victims = "SELECT count(*) FROM tokens WHERE user_id = ANY ($1)";
        let observed = "SELECT greatest(0, (SELECT coalesce(sum(cardinality(l.keys)), 0) FROM lfk.key_log l WHERE l.table_id = c.table_id) - c.observed_keys)::bigint
                          FROM lfk.cursor c WHERE c.consumer = 'audits.project_id'";
        let audits = "SELECT count(*) FROM (SELECT * FROM audits EXCEPT SELECT * FROM made_audits) a";
        let missing = "SELECT count(*) FROM (SELECT * FROM made_audits EXCEPT SELECT * FROM audits) a";
        Ok(Wrongs {
            orphans: ci.scalar(orphans).await?,
            orphans_of_victims: sqlx::query_scalar(of_victims).bind(&struck).fetch_one(&ci.pool).await?,
            wrongly_changed: wrongly_changed(ci).await?,
            changed_by_observing: ci.scalar::<i64>(audits).await? + ci.scalar::<i64>(missing).await?,
            unobserved: main.scalar(observed).await?,
            log_differs: main.scalar(LOG_DIFFERS).await?,
        })
    }

    /// Writes the ledger into a table.
    async fn write_down(&self, db: &TestDb, struck: &[i64]) -> Result<()> {
        db.execute("CREATE TABLE fate (parent text, key bigint, fate text, PRIMARY KEY (parent, key))").await?;
        let fates = self.ledger.fates();
        let parents: Vec<&str> = fates.iter().map(|(parent, ..)| parent.table()).collect();
        let keys: Vec<i64> = fates.iter().map(|(_, key, _)| *key).collect();
        let names: Vec<&str> = fates.iter().map(|(.., fate)| fate.name()).collect();
        sqlx::query("INSERT INTO fate SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[])")
            .bind(parents)
            .bind(keys)
            .bind(names)
            .execute(&db.pool)
            .await?;
        sqlx::query("INSERT INTO fate SELECT $1, s, 'gone' FROM unnest($2::bigint[]) s")
            .bind(Parent::Users.table())
            .bind(struck)
            .execute(&db.pool)
            .await?;
        db.execute("ANALYZE fate").await?;
        Ok(())
    }
}

/// Distinct keys of the log against those whose delete was committed.
const LOG_DIFFERS: &str = "
    WITH logged AS (SELECT DISTINCT t.relation::text AS parent, k AS key
                      FROM lfk.key_log l JOIN lfk.tracked t USING (table_id) CROSS JOIN unnest(l.keys) k),
         deleted AS (SELECT f.parent, f.key FROM fate f WHERE f.fate <> 'undone')
    SELECT (SELECT count(*) FROM (SELECT * FROM logged EXCEPT SELECT * FROM deleted) a)
         + (SELECT count(*) FROM (SELECT * FROM deleted EXCEPT SELECT * FROM logged) b)";

/// Rows as they were made, but for what was declared: children of parents that were away may be gone, or null.
async fn wrongly_changed(ci: &TestDb) -> Result<i64> {
    let mut wrong = 0;
    for (child, parent, column) in [("builds", "projects", "project_id"), ("tokens", "users", "user_id")] {
        let sql = format!(
            "SELECT (SELECT count(*) FROM made_{child} m LEFT JOIN fate f ON f.parent = '{parent}' AND f.key = m.{column}
                      WHERE f.fate IS DISTINCT FROM 'gone' AND f.fate IS DISTINCT FROM 'back'
                        AND NOT EXISTS (SELECT FROM {child} c WHERE c.id = m.id AND (c.*) = (m.*)))
                  + (SELECT count(*) FROM {child} c WHERE NOT EXISTS (SELECT FROM made_{child} m WHERE m.id = c.id AND (c.*) = (m.*)))"
        );
        wrong += ci.scalar::<i64>(&sql).await?;
    }
    let notes = "
        SELECT (SELECT count(*) FROM made_notes m LEFT JOIN fate f ON f.parent = 'projects' AND f.key = m.project_id
                 WHERE NOT EXISTS (SELECT FROM notes c WHERE c.id = m.id AND c.text = m.text
                         AND (c.project_id = m.project_id OR (c.project_id IS NULL AND f.fate IN ('gone', 'back')))))
             + (SELECT count(*) FROM notes c WHERE NOT EXISTS (SELECT FROM made_notes m WHERE m.id = c.id))";
    Ok(wrong + ci.scalar::<i64>(notes).await?)
}
