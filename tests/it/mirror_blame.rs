//! L8 for mirrors: what a single row raises sets that row aside; what is missing for every row makes the mirror wait for a person.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lfk_core::sabotage::Point;
use lfk_core::{Drained, Engine, SetAsideFilter};
use lfk_mirror::{Mirror, Mirrors as _};
use lfk_tests::scenario::PATIENCE;
use lfk_tests::{Pair, eventually};

use crate::fault_hook::At;
use crate::mirror_support::{NAME, activated, builder, rows};

/// Raises what is asked for where the owner is 66.
const RAISES: &str = "
    CREATE FUNCTION odd(owner integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
    BEGIN
      IF owner = 66 THEN RAISE EXCEPTION USING ERRCODE = 'STATE', MESSAGE = 'not this row'; END IF;
      RETURN owner;
    END $$;";
const ITEMS: &str = "CREATE TABLE items (id bigint PRIMARY KEY, owner integer); INSERT INTO items SELECT n, 0 FROM generate_series(1, 40) n;";
const COPIES: &str = "CREATE TABLE copies (id bigint PRIMARY KEY, owner integer);";
const TRIGGER: &str = "
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.owner = public.odd(NEW.owner); RETURN NEW; END $$;
    CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON copies FOR EACH ROW EXECUTE FUNCTION refuse();";

fn items(expression: &str) -> Result<Mirror> {
    let mirror = Mirror::new(NAME, "main:public.items(id)", "ci:public.copies(id)")?;
    Ok(mirror.expression("owner", expression)?)
}

async fn engine(pair: &Pair, expression: &str) -> Result<Engine> {
    activated(builder(pair)?.quarantine_after(1).mirrors([items(expression)?]).build()?).await
}

/// Where the row is refused: by an expression of the source, or by a trigger of the target.
async fn scene(at_source: bool, code: &str) -> Result<(Pair, Engine)> {
    let raises = RAISES.replace("STATE", code);
    let (source, target, expression) = match at_source {
        true => (format!("{ITEMS}{raises}"), COPIES.to_owned(), "public.odd(owner)"),
        false => (ITEMS.to_owned(), format!("{COPIES}{raises}{TRIGGER}"), "owner + 0"),
    };
    let pair = Pair::with_schema(&source, &target).await?;
    let engine = engine(&pair, expression).await?;
    Ok((pair, engine))
}

/// Keys and codes of what is set aside.
async fn aside(engine: &Engine) -> Result<Vec<(String, String)>> {
    let list = engine.retries(&SetAsideFilter::default(), 100).await?;
    let mut all: Vec<_> =
        list.set_aside.iter().map(|one| (one.key.join(","), one.sqlstate.clone().unwrap_or_default())).collect();
    all.sort();
    Ok(all)
}

async fn ends_with(engine: &Engine, keys: &[&str], code: &str) -> Result<()> {
    let end = engine.run_until_drained(Some(PATIENCE)).await?;
    ensure!(end == Drained::NeedsAttention, "{end:?}");
    let wanted: Vec<_> = keys.iter().map(|key| ((*key).to_owned(), code.to_owned())).collect();
    let aside = aside(engine).await?;
    ensure!(aside == wanted, "set aside: {aside:?}");
    let condition = engine.status().await?.mirrors[0].condition.clone();
    ensure!(condition == "ok", "the mirror is {condition}");
    Ok(())
}

#[tokio::test]
async fn l08_a_row_that_is_denied_something_is_found_whatever_was_raised_for_it() -> Result<()> {
    for at_source in [true, false] {
        for code in ["42P01", "42501", "42883", "0A000", "22P02", "3F000"] {
            let ran = async {
                let (pair, engine) = scene(at_source, code).await?;
                // Alone in its batch, then a few among others, then in a fill.
                pair.main.execute("UPDATE items SET owner = 66 WHERE id = 7").await?;
                ends_with(&engine, &["7"], code).await?;
                pair.main
                    .execute("UPDATE items SET owner = CASE WHEN id IN (3, 30) THEN 66 ELSE 5 END WHERE id <> 7")
                    .await?;
                ends_with(&engine, &["3", "30", "7"], code).await?;
                let written = "SELECT count(*)::text FROM copies WHERE owner = 5";
                ensure!(rows(&pair.ci, written).await? == ["37"], "the rest was not written");
                pair.ci.execute("DELETE FROM copies").await?;
                lfk_mirror::begin_backfill(&engine, NAME, true).await?;
                ends_with(&engine, &["3", "30", "7"], code).await?;
                ensure!(rows(&pair.ci, written).await? == ["37"], "the fill did not write the rest");
                // Once it is mended they are done.
                pair.main.execute("UPDATE items SET owner = 6").await?;
                ensure!(engine.run_until_drained(Some(PATIENCE)).await? == Drained::Drained, "something is left");
                let sixes = rows(&pair.ci, "SELECT count(*)::text FROM copies WHERE owner = 6").await?;
                ensure!(sixes == ["40"], "{sixes:?}");
                Ok(())
            };
            ran.await.with_context(|| format!("{code}, at the source: {at_source}"))?;
        }
    }
    Ok(())
}

/// Works until the mirror is blocked. Answers with what it says then.
async fn blocked(engine: &Engine) -> Result<String> {
    let handle = engine.start();
    let blocked = async || Ok(engine.status().await?.mirrors[0].condition == "blocked");
    eventually("it is blocked", Duration::from_secs(30), blocked).await?;
    handle.shutdown().await?;
    let aside = aside(engine).await?;
    ensure!(aside.is_empty(), "rows were blamed: {aside:?}");
    engine.status().await?.mirrors[0].note.clone().context("nothing was said")
}

/// Lets ten rows change, breaks something, and answers with what the blocked mirror says.
async fn broken(main: &str, ci: &str) -> Result<String> {
    let pair = Pair::with_schema(ITEMS, COPIES).await?;
    let engine = engine(&pair, "owner + 0").await?;
    pair.main.execute("UPDATE items SET owner = 1 WHERE id <= 10").await?;
    pair.main.execute(main).await?;
    pair.ci.execute(ci).await?;
    blocked(&engine).await
}

#[tokio::test]
async fn l08_a_missing_column_blocks_the_mirror_and_says_what_to_do() -> Result<()> {
    let note = broken("ALTER TABLE items RENAME COLUMN owner TO possessor", "SELECT 1").await?;
    assert!(note.contains("42703") && note.contains("lfk plan"), "{note}");
    let note = broken("SELECT 1", "ALTER TABLE copies RENAME COLUMN owner TO possessor").await?;
    assert!(note.contains("has no column") && note.contains('('), "{note}");
    Ok(())
}

#[tokio::test]
async fn l08_what_goes_missing_in_the_middle_of_a_batch_is_no_row_s_fault() -> Result<()> {
    let trigger =
        "CREATE FUNCTION peek() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE insufficient_privilege; END $$;
        CREATE TRIGGER peek BEFORE INSERT ON copies FOR EACH ROW EXECUTE FUNCTION peek()";
    for (ci, says) in [("ALTER TABLE copies RENAME COLUMN owner TO possessor", "42703"), (trigger, "42501")] {
        // One batch, the first 500 keys of which are written before it happens.
        let items = "CREATE TABLE items (id bigint PRIMARY KEY, owner integer)";
        let pair = Pair::with_schema(items, COPIES).await?;
        let target = pair.ci.clone();
        let breaks = At::the(Point::TargetWritten, 1, move || {
            let target = target.clone();
            async move { target.execute(ci).await.map(|_| ()) }
        });
        let mirrors = [self::items("owner + 0")?];
        let engine = activated(builder(&pair)?.quarantine_after(1).mirrors(mirrors).hook(breaks).build()?).await?;
        pair.main.execute("INSERT INTO items SELECT n, 0 FROM generate_series(1, 700) n").await?;
        let note = blocked(&engine).await?;
        assert!(note.contains(says), "{note}");
        assert_eq!(rows(&pair.ci, "SELECT count(*)::text FROM copies").await?, ["500"]);
    }
    Ok(())
}

#[tokio::test]
async fn l08_a_missing_right_blocks_the_mirror_and_says_what_to_do() -> Result<()> {
    // Raised by a trigger, as an owner lacks no right.
    let trigger =
        "CREATE FUNCTION peek() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE insufficient_privilege; END $$;
        CREATE TRIGGER peek BEFORE INSERT ON copies FOR EACH ROW EXECUTE FUNCTION peek()";
    let of_statement = trigger.replace("FOR EACH ROW", "FOR EACH STATEMENT");
    for ci in [trigger, &of_statement] {
        let note = broken("SELECT 1", ci).await?;
        assert!(note.contains("42501") && note.contains("a right is missing"), "{note}");
    }
    Ok(())
}
