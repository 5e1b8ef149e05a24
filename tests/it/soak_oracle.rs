//! The oracle of the soak: what must hold when everything is quiet.
//!
//! **A child of a living parent** is judged by births. Each row of a parent has a number, `born`, and whoever brings a key
//! back in a later transaction gives it a new one. A writer reads a parent's `born` in a committed state, inserts the child
//! afterwards and notes the number in the same transaction. When the same number stands in the parent at the end, no commit in
//! between showed the key absent, so there was no moment at which its child might be touched: it must be there, unchanged.
//! The other way round nothing is claimed of children whose parent was away for a moment.
//!
//! One gap is accepted between two databases (docs/guarantees.md): a key that comes back just after lfk has looked for it,
//! together with its children. A statement ends 10 s after its re-check at most. So a child counts only when its parent was
//! there from the beginning or had been committed 12 s before it was read (by the server's own commit times). Inside one
//! database there is no such gap, and every child counts.
//!
//! **An orphan** is a child whose key is absent, by definition. There are none: a child is committed 8 s at most after its
//! parent was read (or its writer rolls back), and the second visit of a key comes 20 s after its delete.

use std::collections::BTreeMap;

use anyhow::Result;
use lfk_tests::TestDb;

use crate::soak_setup::{Action, Arena, CHILDREN, Child, Side, WIDE};

/// What is wrong in the end, by table. Empty when nothing was lost and nothing was done wrongly.
pub type Wrongs = BTreeMap<String, i64>;

impl Arena {
    /// Compares everything with the ledger. The keys of `dropped` were given up by decision: their invoices stay.
    pub async fn judge(&self, dropped: &[i64]) -> Result<Wrongs> {
        self.copy_parents().await?;
        let dropped = dropped.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        let mut wrongs = Wrongs::new();
        let mut note = |what: String, count: i64| (count != 0).then(|| wrongs.insert(what, count));
        for child in &CHILDREN {
            let (db, table) = (self.db(child.side), child.table);
            note(format!("{table}: orphans"), db.scalar(&orphans(child, &dropped)).await?);
            note(format!("{table}: children of living parents"), db.scalar(&missing(child)).await?);
            note(format!("{table}: rows nobody made"), db.scalar(&strange(child)).await?);
            if child.action != Action::Delete {
                note(format!("{table}: rows that should only change"), db.scalar(&vanished(table)).await?);
            }
        }
        let decoys = "SELECT count(*) FROM ledger l WHERE l.child = 'decoys'
            AND NOT EXISTS (SELECT FROM notes n WHERE n.id = l.id AND n.parent_id = l.key AND n.kind = 'Other')";
        note("notes: rows of another kind".to_owned(), self.pair.ci.scalar(decoys).await?);
        let kept = format!(
            "SELECT count(*) FROM unnest(ARRAY[{dropped}]::bigint[]) k WHERE NOT EXISTS (SELECT FROM invoices i WHERE i.parent_id = k)"
        );
        note("invoices: children of dropped keys".to_owned(), self.pair.ci.scalar(&kept).await?);
        Ok(wrongs)
    }

    /// Both databases get a table of all parents that live in either.
    async fn copy_parents(&self) -> Result<()> {
        for db in [&self.pair.main, &self.pair.ci] {
            db.execute("DROP TABLE IF EXISTS living; CREATE TABLE living (parent text, id bigint, born bigint, PRIMARY KEY (parent, id))")
                .await?;
        }
        for (table, side) in [
            ("projects", Side::Main),
            ("orgs", Side::Main),
            ("tenants", Side::Main),
            ("events", Side::Main),
            ("groups", Side::Ci),
        ] {
            let all = |column| format!("SELECT coalesce(array_agg({column} ORDER BY id), '{{}}') FROM {table}");
            let ids: Vec<i64> = self.db(side).scalar(&all("id")).await?;
            let born: Vec<i64> = self.db(side).scalar(&all("born")).await?;
            for db in [&self.pair.main, &self.pair.ci] {
                sqlx::query("INSERT INTO living SELECT $1, * FROM unnest($2::bigint[], $3::bigint[])")
                    .bind(table)
                    .bind(&ids)
                    .bind(&born)
                    .execute(&db.pool)
                    .await?;
            }
        }
        analyze(&self.pair.main).await?;
        analyze(&self.pair.ci).await
    }
}

async fn analyze(db: &TestDb) -> Result<()> {
    db.execute("ANALYZE living; ANALYZE ledger").await?;
    Ok(())
}

/// What a row of the child looks like while it refers to its parent.
fn intact(child: &Child) -> &'static str {
    match (child.action, child.table) {
        (Action::Set, _) => "c.status = 0",
        (_, "notes") => "c.kind = 'Project'",
        _ => "true",
    }
}

fn orphans(child: &Child, dropped: &str) -> String {
    let Child { table, parent, .. } = child;
    let left = match (child.action, child.table) {
        (Action::Set, _) => "c.status IS DISTINCT FROM 4".to_owned(),
        (_, "invoices") => format!("c.parent_id <> ALL (ARRAY[{dropped}]::bigint[])"),
        _ => intact(child).to_owned(),
    };
    format!(
        "SELECT count(*) FROM {table} c WHERE c.parent_id IS NOT NULL AND {left}
            AND NOT EXISTS (SELECT FROM living v WHERE v.parent = '{parent}' AND v.id = c.parent_id)"
    )
}

fn missing(child: &Child) -> String {
    let (Child { table, parent, .. }, intact) = (child, intact(child));
    format!(
        "SELECT count(*) FROM ledger l JOIN living v ON v.parent = '{parent}' AND v.id = l.key AND v.born = l.born
          WHERE l.child = '{table}' AND l.claim
            AND NOT EXISTS (SELECT FROM {table} c WHERE c.id = l.id AND c.parent_id = l.key AND {intact})"
    )
}

/// Rows that refer to another parent than the one that was written, or that nobody has written.
fn strange(child: &Child) -> String {
    let (table, intact) = (child.table, if child.table == "notes" { "c.kind = 'Project'" } else { "true" });
    let wide = WIDE.start();
    format!(
        "SELECT count(*) FROM {table} c WHERE {intact} AND c.parent_id IS NOT NULL AND c.parent_id NOT BETWEEN {wide} AND {}
            AND NOT EXISTS (SELECT FROM ledger l WHERE l.child = '{table}' AND l.id = c.id AND l.key = c.parent_id)",
        WIDE.end()
    )
}

fn vanished(table: &str) -> String {
    format!(
        "SELECT count(*) FROM ledger l WHERE l.child = '{table}' AND NOT EXISTS (SELECT FROM {table} c WHERE c.id = l.id)"
    )
}

/// The resident memory of daemons over the time of a run, in kB.
#[derive(Debug, Default)]
pub struct Memory {
    /// How much of the run was over, from 0 to 1, and what the daemon had that lived from the beginning to the end.
    pub of_the_eldest: Vec<(f64, u64)>,
    /// The most that any of them had.
    pub most: u64,
}

impl Memory {
    /// The highest of the first third and of the last one.
    pub fn thirds(&self) -> (u64, u64) {
        let highest = |from: f64, to: f64| {
            self.of_the_eldest.iter().filter(|(at, _)| (from..=to).contains(at)).map(|(_, kb)| *kb).max().unwrap_or(0)
        };
        (highest(0.0, 1.0 / 3.0), highest(2.0 / 3.0, 1.0))
    }
}

/// What a process has in memory now, in kB; nothing when it is gone.
pub fn resident(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}
