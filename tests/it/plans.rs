//! How the server runs our statements: by index, whatever its statistics say, and at the same cost after millions of keys.

use anyhow::{Context as _, Result};
use lfk_core::{LooseForeignKey, OnDelete, sabotage};
use lfk_sql::{Ident, TableName, statements};
use lfk_tests::scenario::{active, loose};
use lfk_tests::{Pair, Role, TestDb};
use serde_json::Value;

/// What the planner is asked.
struct Question<'a> {
    /// The settings under which a worker sends it.
    begin: &'a str,
    statement: &'a str,
    /// The values of its parameters, in parentheses.
    arguments: &'a str,
    generic: bool,
}

impl Question<'_> {
    async fn ask(&self, db: &TestDb, options: &str) -> Result<Value> {
        let Question { begin, statement, arguments, generic } = self;
        let mode = if *generic { "force_generic_plan" } else { "force_custom_plan" };
        let sql = format!(
            "{begin};
             SET LOCAL plan_cache_mode = {mode};
             PREPARE asked AS {statement};
             EXPLAIN ({options} FORMAT JSON) EXECUTE asked{arguments};
             ROLLBACK;
             DEALLOCATE asked"
        );
        let rows = db.rows(&sql).await?;
        // The settings answer with a row as well.
        let text = rows.last().and_then(|row| row.first()?.as_deref()).context("no plan")?;
        let plan: Value = serde_json::from_str(text)?;
        Ok(plan[0]["Plan"].clone())
    }

    async fn plan(&self, db: &TestDb) -> Result<Value> {
        self.ask(db, "").await
    }

    /// The blocks that running it touches.
    async fn blocks(&self, db: &TestDb) -> Result<i64> {
        let plan = self.ask(db, "ANALYZE, BUFFERS, TIMING off,").await?;
        let count = |name: &str| plan[name].as_i64().with_context(|| format!("no {name}"));
        Ok(count("Shared Hit Blocks")? + count("Shared Read Blocks")?)
    }
}

/// A plan and everything below it.
fn nodes(plan: &Value) -> Vec<&Value> {
    let below = plan["Plans"].as_array().into_iter().flatten();
    std::iter::once(plan).chain(below.flat_map(nodes)).collect()
}

fn text<'a>(node: &'a Value, name: &str) -> &'a str {
    node[name].as_str().unwrap_or_default()
}

/// What is wrong with how a plan reads tables whose names begin so: by index and without a filter is right.
fn complaints(plan: &Value, tables: &str) -> Vec<String> {
    let of_these: Vec<&Value> =
        nodes(plan).into_iter().filter(|node| text(node, "Relation Name").starts_with(tables)).collect();
    let wrong = |node: &&&Value| {
        let by_index = matches!(text(node, "Node Type"), "Index Scan" | "Index Only Scan");
        !by_index || !node["Filter"].is_null() || node["Index Cond"].is_null()
    };
    let mut complaints: Vec<String> = of_these.iter().filter(wrong).map(|node| summary(node)).collect();
    if of_these.is_empty() {
        complaints.push(format!("nothing reads {tables}: {plan}"));
    }
    complaints
}

fn summary(node: &Value) -> String {
    let names = ["Node Type", "Relation Name", "Index Cond", "Filter"];
    names.map(|name| text(node, name)).join(" | ")
}

/// A database with a definition, and a log of a hundred thousand rows that transactions 1001 to 101000 wrote. Statistics
/// are only what the test makes of them.
struct Log {
    pair: Pair,
}

const HUNDRED_THOUSAND: &str = "
    INSERT INTO lfk.key_log (leaf, table_id, xid, id, keys) OVERRIDING SYSTEM VALUE
    SELECT 3, t.table_id, (1000 + n)::text::xid8, n, '{1}' FROM lfk.tracked t, generate_series(1, 100000) n";

impl Log {
    async fn new(statistics: &str) -> Result<Self> {
        let pair = Pair::with_schema(
            "CREATE TABLE projects (id bigint PRIMARY KEY)",
            "CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint); CREATE INDEX ON builds (project_id)",
        )
        .await?;
        active(&pair, [loose("projects(id)", "builds(project_id)", OnDelete::Delete)?]).await?;
        let leaves = (0..8).map(|n| format!("ALTER TABLE lfk.key_log_{n} SET (autovacuum_enabled = off);"));
        pair.main.execute(&format!("{} {statistics}", leaves.collect::<String>())).await?;
        Ok(Self { pair })
    }

    /// Puts the cursor into a window.
    async fn window(&self, prev: &str, cur: &str) -> Result<()> {
        let set = format!(
            "UPDATE lfk.cursor SET prev = '{prev}', cur = {cur}, token = 1, pos_xid = '0', pos_id = 0, stamp = pg_current_xact_id()"
        );
        self.pair.main.execute(&set).await?;
        Ok(())
    }
}

fn of_the_log<'a>(statement: &'a str, arguments: &'a str, generic: bool) -> Question<'a> {
    Question { begin: statements::BEGIN_LOG, statement, arguments, generic }
}

const FIRST_PAGE: &str = "('builds.project_id', 1, 100, '0', 0, 20000)";

/// Statistics as they are in life: always of another day.
fn stale() -> [(&'static str, String); 4] {
    [
        ("nothing was ever analysed", String::new()),
        ("a leaf has grown from nothing", format!("ANALYZE lfk.key_log; {HUNDRED_THOUSAND}")),
        ("a full leaf is known", format!("{HUNDRED_THOUSAND}; ANALYZE lfk.key_log")),
        (
            "a known leaf was truncated and filled",
            format!("{HUNDRED_THOUSAND}; ANALYZE lfk.key_log; TRUNCATE lfk.key_log_3; {HUNDRED_THOUSAND}"),
        ),
    ]
}

#[tokio::test]
async fn l15_the_log_is_read_by_index_whatever_the_statistics_say() -> Result<()> {
    for (case, statistics) in stale() {
        let log = Log::new(&statistics).await?;
        log.window("500:503:501", "'200000:200000:'").await?;
        for generic in [true, false] {
            for (statement, arguments) in [
                (statements::PAGE, FIRST_PAGE),
                (statements::PROBE.as_str(), "(1)"),
                (statements::IDLE_MOVE.as_str(), ""),
            ] {
                let plan = of_the_log(statement, arguments, generic).plan(&log.pair.main).await?;
                let none: [String; 0] = [];
                assert_eq!(complaints(&plan, "key_log"), none, "{case}, generic: {generic}, {statement}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn l15_a_page_walks_only_between_the_ends_of_its_ranges() -> Result<()> {
    let log = Log::new("").await?;
    log.window("500:503:501", "'200000:200000:'").await?;
    let plan = of_the_log(statements::PAGE, FIRST_PAGE, true).plan(&log.pair.main).await?;
    let conditions: Vec<&str> = nodes(&plan)
        .into_iter()
        .filter(|node| text(node, "Relation Name").starts_with("key_log"))
        .map(|node| text(node, "Index Cond"))
        .collect();
    assert_eq!(conditions.len(), 9, "eight leaves and the DEFAULT one");
    for condition in conditions {
        assert!(
            condition.contains("(ROW(xid, id) > ROW(") && condition.contains("(ROW(xid, id) < ROW("),
            "{condition}"
        );
    }
    Ok(())
}

const PAGE_BY_OR: &str = include_str!("../sabotage/page_by_or.sql");

#[tokio::test]
async fn l15_sabotage_one_or_over_both_kinds_of_transactions_is_a_filter() -> Result<()> {
    let log = Log::new(HUNDRED_THOUSAND).await?;
    log.window("500:503:501", "'200000:200000:'").await?;
    let plan = of_the_log(PAGE_BY_OR, FIRST_PAGE, true).plan(&log.pair.main).await?;
    let complaints = complaints(&plan, "key_log");
    assert!(complaints.iter().any(|complaint| complaint.contains(" OR ")), "{complaints:?}");
    Ok(())
}

/// A hundred thousand rows were read and are kept; two transactions were running meanwhile, one of them still is.
async fn consumed() -> Result<Log> {
    let log = Log::new(HUNDRED_THOUSAND).await?;
    log.window("150000:150003:150000,150001", "'150001:150010:150001'").await?;
    Ok(log)
}

#[tokio::test]
async fn l15_an_empty_window_costs_nothing_after_a_hundred_thousand_rows_that_are_kept() -> Result<()> {
    let log = consumed().await?;
    let db = &log.pair.main;
    let page = of_the_log(statements::PAGE, FIRST_PAGE, true).blocks(db).await?;
    let probe = of_the_log(statements::PROBE.as_str(), "(1)", true).blocks(db).await?;
    assert!(page < 200 && probe < 200, "blocks: page {page}, probe {probe}");
    // The measure would show it.
    let broken = of_the_log(PAGE_BY_OR, FIRST_PAGE, true).blocks(db).await?;
    assert!(broken > 1000, "blocks of the broken page: {broken}");
    Ok(())
}

#[tokio::test]
async fn l15_a_page_costs_the_same_at_the_beginning_in_the_middle_and_at_the_end() -> Result<()> {
    let log = Log::new(HUNDRED_THOUSAND).await?;
    log.window("500:500:", "'200000:200000:'").await?;
    let mut blocks = Vec::new();
    for arguments in [
        FIRST_PAGE,
        "('builds.project_id', 1, 100, '51000', 50000, 20000)",
        "('builds.project_id', 1, 100, '100900', 99900, 20000)",
    ] {
        blocks.push(of_the_log(statements::PAGE, arguments, true).blocks(&log.pair.main).await?);
    }
    let (least, most) = (blocks.iter().min().context("none")?, blocks.iter().max().context("none")?);
    assert!(*most < 300 && most - least < 50, "{blocks:?}");
    Ok(())
}

/// Parents and children by the hundred thousand. All keys are even, so that statistics know nothing of odd ones.
const BOTH_ENDS: &str = "
    CREATE TABLE projects (id bigint PRIMARY KEY);
    CREATE TABLE pages (book bigint, name text, PRIMARY KEY (book, name));
    CREATE TABLE small (id bigint PRIMARY KEY, project_id smallint);
    CREATE TABLE medium (id bigint PRIMARY KEY, project_id int);
    CREATE TABLE large (id bigint PRIMARY KEY, project_id bigint);
    CREATE TABLE lines (id bigint PRIMARY KEY, book bigint, page text);
    CREATE TABLE builds (id bigint, project_id bigint) PARTITION BY RANGE (id);
    CREATE TABLE builds_1 PARTITION OF builds FOR VALUES FROM (0) TO (1000000);
    CREATE INDEX ON small (project_id);
    CREATE INDEX ON medium (project_id);
    CREATE INDEX ON large (project_id);
    CREATE INDEX ON lines (book, page);
    CREATE INDEX ON builds (project_id);";

const FILL: &str = "
    INSERT INTO projects SELECT 2 * n FROM generate_series(1, 100000) n;
    INSERT INTO pages SELECT 2 * n, 'p' FROM generate_series(1, 100000) n;
    INSERT INTO small SELECT n, n % 16000 * 2 FROM generate_series(1, 100000) n;
    INSERT INTO medium SELECT n, 2 * n FROM generate_series(1, 100000) n;
    INSERT INTO large SELECT n, 2 * n FROM generate_series(1, 100000) n;
    INSERT INTO lines SELECT n, 2 * n, 'p' FROM generate_series(1, 100000) n;
    INSERT INTO builds SELECT n, 2 * n FROM generate_series(1, 100000) n;";

/// A definition, the types of its key, the leaf that is cleaned, and five hundred keys as its statements bind them.
struct Cleaning {
    definition: LooseForeignKey,
    key_types: &'static [&'static str],
    leaf: &'static str,
    keys: String,
}

/// The numbers 1 to 500, and as many names.
fn numbers() -> String {
    let all: Vec<String> = (1..=500).map(|n: i64| n.to_string()).collect();
    format!("'{{{}}}'", all.join(","))
}

fn numbers_and_names() -> String {
    format!("{}, array_fill('p'::text, ARRAY[500])", numbers())
}

fn cleanings() -> Result<Vec<Cleaning>> {
    let of_projects = |child: &str, leaf| -> Result<Cleaning> {
        let definition = loose("projects(id)", &format!("{child}(project_id)"), OnDelete::Delete)?;
        Ok(Cleaning { definition, key_types: &["int8"], leaf, keys: numbers() })
    };
    let mut nulling = of_projects("large", "large")?;
    nulling.definition.on_delete = OnDelete::SetNull;
    let composite = Cleaning {
        definition: loose("pages(book, name)", "lines(book, page)", OnDelete::Delete)?,
        key_types: &["int8", "text"],
        leaf: "lines",
        keys: numbers_and_names(),
    };
    Ok(vec![
        of_projects("small", "small")?,
        of_projects("medium", "medium")?,
        of_projects("large", "large")?,
        of_projects("builds", "builds_1")?,
        nulling,
        composite,
    ])
}

/// What is wrong with a plan that looks for children or parents: every row must be found by an index that knows the key,
/// or, in the capped form, by its address.
fn searches(plan: &Value, table: &str, key: &str) -> Vec<String> {
    let mut found = false;
    let mut wrong = Vec::new();
    for node in nodes(plan).into_iter().filter(|node| text(node, "Relation Name") == table) {
        let by_key = |node: &Value| text(node, "Index Cond").contains(key);
        let right = match text(node, "Node Type") {
            "ModifyTable" | "Tid Scan" => continue,
            "Index Scan" | "Index Only Scan" => by_key(node),
            "Bitmap Heap Scan" => node["Plans"].as_array().into_iter().flatten().all(by_key),
            _ => false,
        };
        found = true;
        if !right {
            wrong.push(summary(node));
        }
    }
    if !found {
        wrong.push(format!("nothing looks for {key} in {table}: {plan}"));
    }
    wrong
}

/// Every statement of a definition, under its settings, with generic and with custom plans.
async fn check_cleaning(db: &TestDb, cleaning: &Cleaning, case: &str) -> Result<()> {
    let Cleaning { definition, key_types, leaf, keys } = cleaning;
    let (parent, key) = (definition.parent.table.table.as_str(), definition.parent.columns[0].as_str());
    let child_key = definition.child.columns[0].as_str();
    let leaf_name = TableName::new(Ident::new("public")?, Ident::new(*leaf)?);
    let (recheck, write) = (statements::BEGIN_RECHECK, statements::BEGIN_WRITE);
    for same_database in [false, true] {
        let sql = sabotage::statements(definition, key_types, &leaf_name, same_database).context("no key type")?;
        // After the keys: the deadline and what limits the rows.
        let (whole, capped) = match same_database {
            false => (format!("({keys}, 1e10)"), format!("({keys}, 1e10, 2000)")),
            true => (format!("({keys}, 1e10, '{{\"(0,1)\"}}')"), format!("({keys}, 1e10, '{{\"(0,1)\"}}')")),
        };
        let between = format!("({keys}, 1, 500)");
        let dense = sql.recheck_dense.as_ref().map(|sql| ("dense re-check", recheck, sql, &between, parent, key));
        let (only_keys, limited) = (format!("({keys})"), format!("({keys}, 2000)"));
        let (counted, by_index) =
            (format!("({keys}, 20000, 80000)"), format!("{recheck}; {}", statements::ONLY_BY_INDEX));
        let questions = [
            ("re-check", recheck, &sql.recheck, &only_keys, parent, key),
            ("whole", write, &sql.whole, &whole, *leaf, child_key),
            ("capped", write, &sql.capped, &capped, *leaf, child_key),
            ("lock", write, &sql.lock, &limited, *leaf, child_key),
            ("remaining", recheck, &sql.remaining, &only_keys, *leaf, child_key),
            ("count", &by_index, &sql.count, &counted, *leaf, child_key),
        ];
        for (what, begin, statement, arguments, table, key) in questions.into_iter().chain(dense) {
            // With the locked rows at hand, the server may go straight to them.
            if same_database && matches!(what, "whole" | "capped") {
                continue;
            }
            for generic in [true, false] {
                let plan = Question { begin, statement, arguments, generic }.plan(db).await?;
                let mut wrong = searches(&plan, table, key);
                if what == "count" && nodes(&plan).iter().any(|node| text(node, "Node Type").starts_with("Bitmap")) {
                    wrong.push("a bitmap is made of all rows, whatever the limit".to_owned());
                }
                assert!(wrong.is_empty(), "{case}, {what} of {definition:?}, generic: {generic}: {wrong:#?}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn l07_children_and_parents_are_found_by_index_with_fresh_statistics() -> Result<()> {
    let db = TestDb::new(Role::Ci).await?;
    db.execute(&format!("{BOTH_ENDS} {FILL} ANALYZE")).await?;
    for cleaning in cleanings()? {
        check_cleaning(&db, &cleaning, "fresh").await?;
    }
    Ok(())
}

#[tokio::test]
async fn l07_children_and_parents_are_found_by_index_with_statistics_of_empty_tables() -> Result<()> {
    let db = TestDb::new(Role::Ci).await?;
    db.execute(&format!("{BOTH_ENDS} ANALYZE")).await?;
    db.execute(FILL).await?;
    for cleaning in cleanings()? {
        check_cleaning(&db, &cleaning, "stale").await?;
    }
    Ok(())
}

#[tokio::test]
async fn l07_sabotage_without_an_index_the_check_complains() -> Result<()> {
    let db = TestDb::new(Role::Ci).await?;
    db.execute(&format!("{BOTH_ENDS} {FILL} DROP INDEX large_project_id_idx; ANALYZE")).await?;
    let Cleaning { definition, key_types, leaf, keys } = cleanings()?.swap_remove(2);
    let leaf_name = TableName::new(Ident::new("public")?, Ident::new(leaf)?);
    let sql = sabotage::statements(&definition, key_types, &leaf_name, false).context("no key type")?;
    let arguments = format!("({keys}, 1e10)");
    let question =
        Question { begin: statements::BEGIN_WRITE, statement: &sql.whole, arguments: &arguments, generic: true };
    assert_ne!(searches(&question.plan(&db).await?, leaf, "project_id"), Vec::<String>::new());
    Ok(())
}
