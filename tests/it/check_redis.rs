//! A check whose position is in a Redis that goes away: it goes on, and says nothing that is false. The next one begins anew.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lfk_core::RedisStore;
use lfk_mirror::{Cron, Cursor, Mirrors as _, Options, start_checks};
use lfk_tests::scenario::PATIENCE;
use lfk_tests::{Cli, Frozen, Pair, Redis, eventually};

use crate::check_rolling::{CONFIGURED, filled as filled_spaces, pass_ends};
use crate::check_support::{Found, Mirrored, NOTHING, by_chunks, filled};
use crate::mirror_support::{SOURCE, TARGET, activated, builder, fill, mirror, rows};

/// So many that a pass keeps its position at least once, which it does each second.
const ROWS: u32 = 8_000;
/// On both sides of wherever the position is, and beyond both ends.
const DAMAGE: &str =
    "DELETE FROM item_mirrors WHERE item_id IN (10, 79990); UPDATE item_mirrors SET a = 0 WHERE item_id = 40000;
                      INSERT INTO item_mirrors VALUES (-1), (99999999)";
const DAMAGED: Found = Found { missing: 2, different: 1, extra: 2, ..NOTHING };
const KEPT: &str = "lfk:position:check/items";

/// What happens to Redis once a position is in it.
enum Fate {
    Killed,
    Emptied,
    Frozen,
}

fn kept(redis: &Redis) -> Result<Options> {
    let mut options = by_chunks(10);
    options.cursor = Some(Cursor::new(Arc::new(RedisStore::new(&redis.url())?), "check/items"));
    Ok(options)
}

/// Does it to Redis when the first position was kept; answers with what thaws it.
fn meets(options: &mut Options, redis: &Arc<Redis>, fate: Fate) -> Arc<Mutex<Option<Frozen>>> {
    let (frozen, redis, met) = (Arc::new(Mutex::new(None)), redis.clone(), Mutex::new(false));
    let kept = frozen.clone();
    options.progress = Some(Arc::new(move |_| {
        let mut met = met.lock().expect("nobody panics with it");
        if *met || redis.ask(&["EXISTS", KEPT]).expect("it runs") != ":1\r\n" {
            return;
        }
        *met = true;
        match fate {
            Fate::Killed => redis.kill9().expect("it runs"),
            Fate::Emptied => {
                redis.kill9().expect("it runs");
                redis.restart().expect("it starts");
            }
            Fate::Frozen => *kept.lock().expect("nobody panics with it") = Some(redis.freeze().expect("it runs")),
        }
    }));
    frozen
}

async fn scene() -> Result<(Mirrored, Arc<Redis>)> {
    let (mirrored, redis) = (filled(ROWS).await?, Arc::new(Redis::start(&[]).await?));
    mirrored.target(DAMAGE).await?;
    Ok((mirrored, redis))
}

/// All of it was compared, and exactly what is damaged was found.
async fn finds_everything(mirrored: &Mirrored, options: &Options) -> Result<()> {
    let report = mirrored.check(options).await?;
    assert!(report.complete);
    assert_eq!((Found::of(&report), report.checked_rows), (DAMAGED, ROWS.into()), "{report:?}");
    Ok(())
}

#[tokio::test]
async fn f04_a_check_goes_on_when_its_redis_is_killed_and_the_next_one_begins_anew() -> Result<()> {
    let (mirrored, redis) = scene().await?;
    let mut options = kept(&redis)?;
    meets(&mut options, &redis, Fate::Killed);
    finds_everything(&mirrored, &options).await?;
    assert!(redis.ask(&["PING"]).is_err(), "it was not killed");
    // One that begins while it is away, too; but a person who asks to go on is told that nothing is known.
    finds_everything(&mirrored, &kept(&redis)?).await?;
    let mut again = kept(&redis)?;
    again.resume = true;
    let error = mirrored.check(&again).await.unwrap_err();
    assert!(error.to_string().contains("the cursor store in Redis cannot be reached"), "{error}");
    redis.restart()?;
    again.cursor = kept(&redis)?.cursor;
    finds_everything(&mirrored, &again).await?;
    assert_eq!(redis.ask(&["EXISTS", KEPT])?, ":0\r\n");
    Ok(())
}

#[tokio::test]
async fn f04_a_check_goes_on_when_its_redis_is_restarted_empty() -> Result<()> {
    let (mirrored, redis) = scene().await?;
    let mut options = kept(&redis)?;
    meets(&mut options, &redis, Fate::Emptied);
    finds_everything(&mirrored, &options).await?;
    assert_eq!(redis.ask(&["EXISTS", KEPT])?, ":0\r\n", "what is lost is not written anew from the middle");
    let mut again = kept(&redis)?;
    again.resume = true;
    finds_everything(&mirrored, &again).await
}

#[tokio::test]
async fn f04_a_redis_that_is_frozen_holds_no_check_up() -> Result<()> {
    let (mirrored, redis) = scene().await?;
    let mut options = kept(&redis)?;
    let frozen = meets(&mut options, &redis, Fate::Frozen);
    let begun = Instant::now();
    finds_everything(&mirrored, &options).await?;
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    let thaw = frozen.lock().expect("nobody panics with it").take().context("it was not frozen")?;
    drop(thaw);
    // What it still has is from before. A check that begins does not care; one that goes on there counts what was found before it.
    finds_everything(&mirrored, &kept(&redis)?).await
}

#[tokio::test]
async fn f04_the_command_checks_while_the_configured_redis_is_away() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    filled_spaces(&pair).await?;
    let redis = "[redis]\nurl = \"redis://lfk:tell-nobody@127.0.0.1:1/0\"\n[cursors]\nstore = \"redis\"";
    let cli = Cli::for_pair(&pair, &format!("{CONFIGURED}\n{redis}"))?;
    let equal = cli.run(["mirror", "check", "spaces"]).await?.expect(0);
    assert!(equal.stderr.contains("goes on without keeping its position"), "{equal:?}");
    pair.ci.execute("DELETE FROM copies WHERE space_id = 1").await?;
    let differs = cli.run(["mirror", "check", "spaces"]).await?.expect(3);
    let resumed = cli.run(["mirror", "check", "spaces", "--resume"]).await?.expect(1);
    assert!(!format!("{equal:?}{differs:?}{resumed:?}").contains("tell-nobody"));
    Ok(())
}

#[tokio::test]
async fn f04_a_position_that_redis_has_of_an_older_pass_is_not_gone_on_with() -> Result<()> {
    let more = "; INSERT INTO spaces SELECT n, 'Space ' || n FROM generate_series(10, 50000) n; ANALYZE spaces";
    let pair = Pair::with_schema(&format!("{SOURCE}{more}"), TARGET).await?;
    let redis = Redis::start(&[]).await?;
    let engine = builder(&pair)?.cursor_store(Arc::new(RedisStore::new(&redis.url())?));
    let engine = activated(engine.mirrors([mirror()?]).build()?).await?;
    fill(&engine).await?;
    let checks = start_checks(&engine, &[mirror()?])?;
    let kept = async || Ok(redis.ask(&["EXISTS", "lfk:position:rolling check: spaces"])? == ":1\r\n");
    // Behind a chunk it rests for hours.
    eventually("a position is kept", PATIENCE, kept).await?;
    drop(checks);
    // Another process began a pass while Redis was away, and died.
    let begun = "UPDATE lfk.mirror_check SET running_since = clock_timestamp(), alive_at = alive_at - interval '31 s'
                 RETURNING running_since::text";
    let begun: String = pair.main.scalar(begun).await?;
    let soon = mirror()?.checked_at(Cron::new("* * * * *")?);
    let checks = start_checks(&engine, &[soon])?;
    pass_ends(&pair.main).await?;
    checks.shutdown().await;
    let anew = format!("SELECT (pass_started_at > '{begun}')::text FROM lfk.mirror_check");
    assert_eq!(rows(&pair.main, &anew).await?, ["true"], "rows before the position were not looked at since");
    Ok(())
}

#[tokio::test]
async fn f04_the_rolling_check_walks_while_redis_is_away() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let redis = Redis::start(&[]).await?;
    let store = RedisStore::new(&redis.url())?.with_timeout(Duration::from_millis(200));
    let engine = builder(&pair)?.cursor_store(Arc::new(store));
    let engine = activated(engine.mirrors([mirror()?]).build()?).await?;
    fill(&engine).await?;
    let _frozen = redis.freeze()?;
    let checks = start_checks(&engine, &[mirror()?])?;
    pass_ends(&pair.main).await?;
    checks.shutdown().await;
    let covered = "SELECT (oldest_unverified_at = pass_started_at)::text FROM lfk.mirror_check";
    assert_eq!(rows(&pair.main, covered).await?, ["true"]);
    Ok(())
}
