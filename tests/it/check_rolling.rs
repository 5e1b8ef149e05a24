//! Checks that never end: what was synced is looked at once more, every row again and again, and only what persists is told.

use anyhow::{Context as _, Result};
use lfk_core::{Engine, State};
use lfk_mirror::{Mirror, Mirrors as _, start_checks};
use lfk_tests::scenario::{PATIENCE, as_installer, drain};
use lfk_tests::{Cli, Pair, Signal, TestDb, eventually};

use crate::log_support::let_pass;
use crate::mirror_support::{
    NAME, SOURCE, TARGET, activated, active, builder, copied, fill, is_equal, mirror, rows, wanted,
};

const NOTED: &str =
    "SELECT key::text || ' ' || class || ' ' || least(looks, 2) || ' ' || handed FROM lfk.difference ORDER BY key";
pub const HEALTH: &str = "SELECT alert::text || ' ' || confirmed_differences FROM lfk.health";

/// The spaces, mirrored and in step.
pub async fn filled(pair: &Pair) -> Result<Engine> {
    let engine = active(pair).await?;
    fill(&engine).await?;
    Ok(engine)
}

/// Works until the keys that are in the log now were looked at once more.
async fn look_once_more(engine: &Engine, main: &TestDb) -> Result<()> {
    let_pass(main, "20 minutes").await?;
    let due = "SELECT c.cur IS NOT NULL OR c.lease_until > clock_timestamp()
                      OR EXISTS (SELECT FROM lfk.tick t WHERE t.at > c.prev_at AND t.at <= clock_timestamp() - c.settle)
                 FROM lfk.cursor c WHERE c.settle IS NOT NULL";
    let handle = engine.start();
    let made = eventually("the second look", PATIENCE, async || Ok(!main.scalar::<bool>(due).await?)).await;
    handle.shutdown().await?;
    made
}

/// A moment passes for every difference that is noted.
pub async fn a_moment_passes(main: &TestDb) -> Result<()> {
    main.execute("UPDATE lfk.difference SET last_seen = last_seen - interval '11 s'").await?;
    Ok(())
}

pub async fn becomes(main: &TestDb, sql: &str, wanted: &[&str]) -> Result<()> {
    let done = eventually(sql, PATIENCE, async || Ok(rows(main, sql).await? == wanted)).await;
    let found = rows(main, sql).await?;
    done.with_context(|| format!("{found:?} and not {wanted:?}"))
}

pub async fn pass_ends(main: &TestDb) -> Result<()> {
    let ended = "SELECT coalesce(bool_or(pass_finished_at IS NOT NULL), false) FROM lfk.mirror_check";
    eventually("a pass ends", PATIENCE, async || main.scalar(ended).await).await
}

#[tokio::test]
async fn m04_what_was_synced_is_looked_at_once_more() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = filled(&pair).await?;
    pair.main.execute("UPDATE spaces SET owner = 7 WHERE id IN (1, 2, 4); DELETE FROM spaces WHERE id = 3").await?;
    drain(&engine).await?;
    // Somebody else writes to the target afterwards.
    pair.ci.execute("UPDATE copies SET owner = 8 WHERE space_id = 1; INSERT INTO copies VALUES (3)").await?;
    look_once_more(&engine, &pair.main).await?;
    let counted = "SELECT recent_checked || ' ' || recent_confirmed FROM lfk.mirror_check";
    assert_eq!(rows(&pair.main, counted).await?, ["4 2"], "the archived space has no row on either side");
    assert_eq!(rows(&pair.main, NOTED).await?, ["{1} different 1 0", "{3} extra 1 0"]);
    assert_eq!(rows(&pair.main, HEALTH).await?, ["{} 0"], "one look is no alarm");
    let kept = rows(&pair.ci, "SELECT (space_id, owner)::text FROM copies WHERE space_id IN (1, 3) ORDER BY 1").await?;
    assert_eq!(kept, ["(1,8)", "(3,)"], "it only looks");
    Ok(())
}

#[tokio::test]
async fn m04_the_second_look_takes_no_lag_for_a_difference() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = filled(&pair).await?;
    pair.main.execute("UPDATE spaces SET owner = 7 WHERE id = 1").await?;
    drain(&engine).await?;
    let_pass(&pair.main, "20 minutes").await?;
    // The head may not go on: its lease is somebody's who does nothing.
    pair.main
        .execute(
            "UPDATE lfk.cursor SET owner = gen_random_uuid(), lease_until = 'infinity', stamp = pg_current_xact_id()
              WHERE settle IS NULL",
        )
        .await?;
    pair.main.execute("UPDATE spaces SET owner = 9").await?;
    look_once_more(&engine, &pair.main).await?;
    assert!(pair.main.scalar::<bool>("SELECT keys_total > 1 FROM lfk.cursor WHERE settle IS NOT NULL").await?);
    assert_eq!(rows(&pair.main, NOTED).await?, Vec::<String>::new());
    assert_eq!(pair.main.scalar::<i64>("SELECT recent_confirmed FROM lfk.mirror_check").await?, 0);
    Ok(())
}

#[tokio::test]
async fn m04_a_row_that_the_source_cannot_compute_does_not_keep_the_others_from_their_second_look() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let mirror = Mirror::new(NAME, "main:public.spaces(id)", "ci:public.copies(space_id)")?;
    let engine = builder(&pair)?.mirrors([mirror.expression("owner", "10 / owner")?]).build()?;
    let engine = activated(engine).await?;
    fill(&engine).await?;
    pair.main
        .execute("UPDATE spaces SET owner = 5 WHERE id IN (1, 2); UPDATE spaces SET owner = 0 WHERE id = 5")
        .await?;
    // It is set aside, and tried again.
    engine.run_once().await?;
    pair.ci.execute("UPDATE copies SET owner = 8 WHERE space_id = 1").await?;
    look_once_more(&engine, &pair.main).await?;
    assert_eq!(rows(&pair.main, NOTED).await?, ["{1} different 1 0"]);
    assert_eq!(rows(&pair.main, "SELECT condition FROM lfk.definition").await?, ["ok"]);
    Ok(())
}

#[tokio::test]
async fn m04_only_a_difference_that_persists_is_an_alarm_and_it_ends_with_the_difference() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = filled(&pair).await?;
    pair.ci.execute("DELETE FROM copies WHERE space_id = 1; UPDATE copies SET owner = 8 WHERE space_id = 2").await?;
    let checks = start_checks(&engine, &[mirror()?])?;
    becomes(&pair.main, NOTED, &["{1} missing 1 0", "{2} different 1 0"]).await?;
    assert_eq!(rows(&pair.main, HEALTH).await?, ["{} 0"]);
    pair.ci.execute("UPDATE copies SET owner = 2 WHERE space_id = 2").await?;
    a_moment_passes(&pair.main).await?;
    becomes(&pair.main, NOTED, &["{1} missing 2 0"]).await?;
    assert_eq!(rows(&pair.main, HEALTH).await?, ["{differences} 1"]);
    assert_eq!(engine.status().await?.mirrors[0].confirmed_differences, Some(1));
    pair.main.execute("DELETE FROM spaces WHERE id = 1").await?;
    drain(&engine).await?;
    a_moment_passes(&pair.main).await?;
    becomes(&pair.main, HEALTH, &["{} 0"]).await?;
    checks.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn m05_what_persists_is_repaired_where_that_is_wanted() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = filled(&pair).await?;
    pair.ci.execute("DELETE FROM copies WHERE space_id = 1; UPDATE copies SET owner = 8 WHERE space_id = 2").await?;
    let checks = start_checks(&engine, &[mirror()?.repaired(true)])?;
    becomes(&pair.main, NOTED, &["{1} missing 1 0", "{2} different 1 0"]).await?;
    assert_eq!(rows(&pair.main, "SELECT key::text FROM lfk.retry").await?, Vec::<String>::new(), "seen once");
    let handle = engine.start();
    a_moment_passes(&pair.main).await?;
    let equal = async || Ok(wanted(&pair.main).await? == copied(&pair.ci).await?);
    eventually("it is repaired", PATIENCE, equal).await?;
    is_equal(&pair).await?;
    handle.shutdown().await?;
    let kept = rows(&pair.ci, "SELECT row ->> 'owner' FROM lfk.before_image").await?;
    assert_eq!(kept, ["8"], "as it was before");
    a_moment_passes(&pair.main).await?;
    becomes(&pair.main, NOTED, &[]).await?;
    checks.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn m08_when_more_than_one_of_a_hundred_rows_differs_the_rolling_check_repairs_nothing() -> Result<()> {
    let more = "; INSERT INTO spaces SELECT n, 'Space ' || n FROM generate_series(10, 1999) n WHERE n % 4 > 0";
    let pair = Pair::with_schema(&format!("{SOURCE}{more}"), TARGET).await?;
    let engine = filled(&pair).await?;
    pair.ci.execute("UPDATE copies SET handle = 'x' WHERE space_id BETWEEN 101 AND 140").await?;
    let checks = start_checks(&engine, &[mirror()?.repaired(true)])?;
    pass_ends(&pair.main).await?;
    a_moment_passes(&pair.main).await?;
    becomes(&pair.main, "SELECT DISTINCT looks::text || ' ' || handed FROM lfk.difference", &["2 0"]).await?;
    // A third look comes after everything that the second one does.
    a_moment_passes(&pair.main).await?;
    becomes(&pair.main, "SELECT DISTINCT looks::text || ' ' || handed FROM lfk.difference", &["3 0"]).await?;
    assert_eq!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.retry").await?, 0);
    checks.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn m08_while_the_source_is_empty_the_rolling_check_repairs_nothing() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = filled(&pair).await?;
    // As in a database that was swapped: no trigger has seen it.
    pair.main
        .execute("SET session_replication_role = replica; DELETE FROM spaces; RESET session_replication_role")
        .await?;
    let checks = start_checks(&engine, &[mirror()?.repaired(true)])?;
    let noted = "SELECT count(*) || ' ' || max(looks) || ' ' || max(handed) FROM lfk.difference";
    becomes(&pair.main, noted, &["7 1 0"]).await?;
    for wanted in ["7 2 0", "7 3 0"] {
        a_moment_passes(&pair.main).await?;
        becomes(&pair.main, noted, &[wanted]).await?;
    }
    assert_eq!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.retry").await?, 0);
    checks.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn m07_a_rolling_check_that_was_killed_goes_on_where_it_was_in_another_process() -> Result<()> {
    let more = "; INSERT INTO spaces SELECT n, 'Space ' || n FROM generate_series(10, 50000) n; ANALYZE spaces";
    let pair = Pair::with_schema(&format!("{SOURCE}{more}"), TARGET).await?;
    let engine = filled(&pair).await?;
    let chunks =
        "SELECT coalesce(max((value::json ->> 'chunks')::int8), 0) FROM lfk.position WHERE name LIKE 'rolling%'";
    let since = "SELECT running_since::text FROM lfk.mirror_check";
    let mut began = None;
    for chunk in 1..=2 {
        let checks = start_checks(&engine, &[mirror()?])?;
        // Behind a chunk it rests for hours.
        eventually("a chunk is done", PATIENCE, async || Ok(pair.main.scalar::<i64>(chunks).await? == chunk)).await?;
        let now = rows(&pair.main, since).await?;
        assert_eq!(began.get_or_insert(now.clone()), &now, "it is the same pass");
        // As a crash: it says nothing, and is waited for.
        drop(checks);
        pair.main.execute("UPDATE lfk.mirror_check SET alive_at = alive_at - interval '31 s'").await?;
    }
    let checks = start_checks(&engine, &[mirror()?])?;
    pass_ends(&pair.main).await?;
    checks.shutdown().await;
    let covered = "SELECT (oldest_unverified_at = pass_started_at)::text || ' ' || pass_started_at::text
                          || ' ' || checked_rows || ' ' || (owner IS NULL)::text FROM lfk.mirror_check";
    let expected = pair.main.scalar::<i64>("SELECT count(*) FROM spaces WHERE NOT archived").await?;
    let began = began.context("it began")?.concat();
    assert_eq!(rows(&pair.main, covered).await?, [format!("true {began} {expected} true")]);
    Ok(())
}

#[tokio::test]
async fn m07_one_process_walks_and_another_one_takes_over_when_it_is_silent_or_leaves() -> Result<()> {
    let target = format!("{TARGET}; CREATE TABLE others (space_id bigint PRIMARY KEY)");
    let pair = Pair::with_schema(SOURCE, &target).await?;
    let other = Mirror::new("others", "main:public.spaces(id)", "ci:public.others(space_id)")?;
    let mirrors = [mirror()?, other];
    let engine = activated(builder(&pair)?.mirrors(mirrors.clone()).build()?).await?;
    engine.set_state(&["others".to_owned()], State::Active, false).await?;
    let walks = "INSERT INTO lfk.mirror_check (mirror, owner, alive_at) VALUES ('spaces', gen_random_uuid(), clock_timestamp())";
    pair.main.execute(walks).await?;
    let owner = "SELECT owner::text FROM lfk.mirror_check WHERE mirror = 'spaces'";
    let first = rows(&pair.main, owner).await?;
    let checks = start_checks(&engine, &mirrors)?;
    // The other mirror's pass ends after both have asked whether they may walk.
    pass_ends(&pair.main).await?;
    assert_eq!(rows(&pair.main, owner).await?, first, "it is not silent");
    pair.main
        .execute("UPDATE lfk.mirror_check SET alive_at = alive_at - interval '31 s' WHERE mirror = 'spaces'")
        .await?;
    let taken = async || Ok(rows(&pair.main, owner).await? != first);
    eventually("another one takes over", PATIENCE, taken).await?;
    checks.shutdown().await;
    assert_eq!(pair.main.scalar::<i64>("SELECT count(owner) FROM lfk.mirror_check").await?, 0, "it leaves");
    Ok(())
}

#[tokio::test]
async fn m07_a_pass_before_the_mirror_is_filled_proves_nothing() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = active(&pair).await?;
    let checks = start_checks(&engine, &[mirror()?])?;
    pass_ends(&pair.main).await?;
    checks.shutdown().await;
    let covered = "SELECT (oldest_unverified_at < pass_started_at)::text FROM lfk.mirror_check";
    assert_eq!(rows(&pair.main, covered).await?, ["true"]);
    assert_eq!(rows(&pair.main, NOTED).await?, Vec::<String>::new(), "what is not there yet is not missing");
    Ok(())
}

#[tokio::test]
async fn m07_what_was_proven_of_a_mirror_says_nothing_once_it_is_another_one() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = filled(&pair).await?;
    pair.ci.execute("UPDATE copies SET owner = 8 WHERE space_id = 1").await?;
    let checks = start_checks(&engine, &[mirror()?])?;
    pass_ends(&pair.main).await?;
    checks.shutdown().await;
    let known = "SELECT (SELECT count(*) FROM lfk.mirror_check) || ' ' || (SELECT count(*) FROM lfk.difference)";
    as_installer(&engine)?.install().await?;
    assert_eq!(rows(&pair.main, known).await?, ["1 1"], "nothing has changed");
    let other = Mirror::new(NAME, "main:public.spaces(id)", "ci:public.copies(space_id)")?;
    as_installer(&builder(&pair)?.mirrors([other]).build()?)?.install().await?;
    assert_eq!(rows(&pair.main, known).await?, ["0 0"]);
    Ok(())
}

#[tokio::test]
async fn s01_rows_that_nobody_looked_at_for_twice_the_time_are_an_alert() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = filled(&pair).await?;
    pair.main.execute("INSERT INTO lfk.mirror_check (mirror, every) VALUES ('spaces', '24 h')").await?;
    pair.main.execute("UPDATE lfk.definition SET state_changed_at = state_changed_at - interval '9 d'").await?;
    for (age, alert) in [("47 h 59 min", "{} 0"), ("48 h 1 min", "{unverified} 0")] {
        let aged = format!("UPDATE lfk.mirror_check SET oldest_unverified_at = clock_timestamp() - interval '{age}'");
        pair.main.execute(&aged).await?;
        assert_eq!(rows(&pair.main, HEALTH).await?, [alert], "{age}");
    }
    let age = engine.status().await?.mirrors[0].oldest_unverified_seconds.context("it is checked")?;
    assert!((172_860.0..172_960.0).contains(&age), "{age}");
    // Where it is off nobody waits for it, and a mirror that was paused has its time to catch up.
    pair.main.execute("UPDATE lfk.definition SET state_changed_at = clock_timestamp()").await?;
    assert_eq!(rows(&pair.main, HEALTH).await?, ["{} 0"]);
    pair.main.execute("UPDATE lfk.definition SET state_changed_at = state_changed_at - interval '9 d'; UPDATE lfk.mirror_check SET every = NULL").await?;
    assert_eq!(rows(&pair.main, HEALTH).await?, ["{} 0"]);
    assert_eq!(engine.status().await?.mirrors[0].oldest_unverified_seconds, None);
    Ok(())
}

pub const CONFIGURED: &str = r#"
[[mirror]]
name = "spaces"
source = "main:public.spaces"
target = "ci:public.copies"
key = { id = "space_id" }
columns = { path = "path", owner = "owner" }
expressions = { handle = "lower(name)" }
where = "NOT archived"
"#;

#[tokio::test]
async fn m07_the_daemon_checks_unless_that_is_off_and_status_says_since_when() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    filled(&pair).await?;
    let cli = Cli::for_pair(&pair, CONFIGURED)?;
    let mut daemon = cli.spawn(["run"])?;
    let ended = pass_ends(&pair.main).await;
    ended.with_context(|| daemon.stderr())?;
    daemon.signal(Signal::Terminate)?;
    daemon.wait(PATIENCE).await?.expect(0);
    assert_eq!(pair.main.scalar::<i64>("SELECT count(owner) FROM lfk.mirror_check").await?, 0);
    let answer = cli.run(["status", "--format", "json"]).await?.expect(0).json()?;
    let mirror = &answer["mirrors"][0];
    assert!(mirror["oldest_unverified_seconds"].as_f64().is_some_and(|age| age < 600.0), "{answer}");
    assert!(mirror["last_pass_seconds_ago"].is_f64() && mirror["confirmed_differences"] == 0, "{answer}");
    let text = cli.run(["status"]).await?.expect(0).stdout;
    assert!(text.contains("OLDEST LOOK"), "{text}");

    pair.main.execute("DELETE FROM lfk.mirror_check").await?;
    let off = Cli::for_pair(&pair, &format!("{CONFIGURED}check = \"off\""))?;
    let mut daemon = off.spawn(["run"])?;
    pair.ci.execute("UPDATE copies SET owner = 8 WHERE space_id = 1").await?;
    // What is noted is looked at all the same, and that is after a pass would have begun.
    let noted = "INSERT INTO lfk.difference (mirror, key, class, last_seen) VALUES ('spaces', '{1}', 'different', now() - interval '1 min')";
    pair.main.execute(noted).await?;
    becomes(&pair.main, NOTED, &["{1} different 2 0"]).await.with_context(|| daemon.stderr())?;
    daemon.signal(Signal::Terminate)?;
    daemon.wait(PATIENCE).await?.expect(0);
    let passes = "SELECT count(*) FROM lfk.mirror_check WHERE every IS NULL AND running_since IS NULL AND pass_started_at IS NULL";
    assert_eq!(pair.main.scalar::<i64>(passes).await?, 1);
    Ok(())
}

#[tokio::test]
async fn m07_a_mirror_that_is_not_active_is_not_checked() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = filled(&pair).await?;
    engine.set_state(&[NAME.to_owned()], State::Paused, false).await?;
    let noted = "INSERT INTO lfk.difference (mirror, key, class, last_seen) VALUES ('spaces', '{1}', 'different', now() - interval '1 min')";
    pair.main.execute(noted).await?;
    let checks = start_checks(&engine, &[mirror()?])?;
    // Active again, the same checks go on by themselves: until then nothing was done.
    assert_eq!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.mirror_check WHERE owner IS NOT NULL").await?, 0);
    engine.set_state(&[NAME.to_owned()], State::Active, false).await?;
    becomes(&pair.main, NOTED, &[]).await?;
    checks.shutdown().await;
    Ok(())
}
