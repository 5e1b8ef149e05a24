//! Rolling checks at given times: a pass at each of them and at no other, by the daemon.

use anyhow::{Context as _, Result};
use lfk_tests::scenario::PATIENCE;
use lfk_tests::{Cli, Pair, Running, Signal, TestDb};

use crate::check_rolling::{CONFIGURED, HEALTH, a_moment_passes, becomes, filled, pass_ends};
use crate::mirror_support::{SOURCE, TARGET, rows};

const PASSES: &str = "SELECT coalesce(pass_started_at::text, 'none') FROM lfk.mirror_check";
const LOOKS: &str = "SELECT looks::text FROM lfk.difference";

/// The minute and hour of the database, so long ago.
async fn ago(main: &TestDb, interval: &str) -> Result<String> {
    let at = format!("SELECT to_char((clock_timestamp() - interval '{interval}') AT TIME ZONE 'UTC', 'FMMI FMHH24')");
    main.scalar(&at).await
}

fn at(pair: &Pair, times: &str) -> Result<Cli> {
    Cli::for_pair(pair, &format!("{CONFIGURED}check = {{ cron = \"{times}\" }}"))
}

async fn stops(mut daemon: Running, main: &TestDb) -> Result<String> {
    daemon.signal(Signal::Terminate)?;
    let said = daemon.wait(PATIENCE).await?.expect(0).stderr;
    main.execute("DELETE FROM lfk.difference").await?;
    Ok(said)
}

/// A difference is noted, which each round looks at before it begins a pass: behind `rounds` looks as many rounds but one have ended.
async fn rounds(pair: &Pair, rounds: u32) -> Result<()> {
    pair.ci.execute("UPDATE copies SET owner = 8 WHERE space_id = 1").await?;
    pair.main.execute("DELETE FROM lfk.difference").await?;
    let noted = "INSERT INTO lfk.difference (mirror, key, class, last_seen) VALUES ('spaces', '{1}', 'different', now() - interval '1 min')";
    pair.main.execute(noted).await?;
    for round in 2..2 + rounds {
        becomes(&pair.main, LOOKS, &[&round.to_string()]).await?;
        a_moment_passes(&pair.main).await?;
    }
    Ok(())
}

#[tokio::test]
async fn m07_the_daemon_begins_a_pass_at_the_times_that_are_asked_for_and_at_no_other() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    filled(&pair).await?;
    // Half an hour ago nobody was there: that is not made up for.
    let past = at(&pair, &format!("{} * * *", ago(&pair.main, "30 min").await?))?;
    let daemon = past.spawn(["run"])?;
    rounds(&pair, 2).await.with_context(|| daemon.stderr())?;
    stops(daemon, &pair.main).await?;
    let never = "SELECT concat_ws(' ', pass_started_at, running_since, owner) FROM lfk.mirror_check";
    assert_eq!(rows(&pair.main, never).await?, [""]);
    // Tomorrow, the day after, and half a day: twice half of that.
    let half = "SELECT (extract(epoch FROM every) / 3600 BETWEEN 29.5 AND 30)::text FROM lfk.mirror_check";
    assert_eq!(rows(&pair.main, half).await?, ["true"]);

    // A moment ago: a daemon that was being deployed makes up for it, once.
    let due = at(&pair, &format!("{} * * *", ago(&pair.main, "2 min").await?))?;
    let daemon = due.spawn(["run"])?;
    pass_ends(&pair.main).await.with_context(|| daemon.stderr())?;
    let first = rows(&pair.main, PASSES).await?;
    rounds(&pair, 2).await.with_context(|| daemon.stderr())?;
    stops(daemon, &pair.main).await?;
    let daemon = due.spawn(["run"])?;
    rounds(&pair, 2).await.with_context(|| daemon.stderr())?;
    let answer = due.run(["status", "--format", "json"]).await?.expect(0).json()?;
    stops(daemon, &pair.main).await?;
    assert_eq!(rows(&pair.main, PASSES).await?, first, "it was made up for once");
    let age = answer["mirrors"][0]["oldest_unverified_seconds"].as_f64().context("it is checked")?;
    assert!(age < 600.0, "{answer}");
    Ok(())
}

#[tokio::test]
async fn m07_a_pass_that_takes_until_after_the_next_time_is_not_doubled_and_that_is_said() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    filled(&pair).await?;
    // Another daemon began it and died.
    let begun = "INSERT INTO lfk.mirror_check (mirror, running_since) VALUES ('spaces', now() - interval '3 min')";
    pair.main.execute(begun).await?;
    let cli = at(&pair, "* * * * *")?;
    let daemon = cli.spawn(["run"])?;
    pass_ends(&pair.main).await.with_context(|| daemon.stderr())?;
    let said = stops(daemon, &pair.main).await?;
    assert_eq!(said.matches("takes until after the next time").count(), 1, "{said}");
    Ok(())
}

#[tokio::test]
async fn s01_passes_that_were_left_out_are_an_alert_and_a_single_one_is_none() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    filled(&pair).await?;
    // The last time was an hour ago, so the next one is tomorrow.
    let cli = at(&pair, &format!("{} * * *", ago(&pair.main, "1 h").await?))?;
    let state = "UPDATE lfk.definition SET state_changed_at = state_changed_at - interval '9 d'";
    pair.main.execute(state).await?;
    // Since 49 hours: one was left out, an hour ago. Since 73 hours: two of them.
    for (age, alert) in [("49 h", "{} 0"), ("73 h", "{unverified} 0")] {
        pair.main.execute("DELETE FROM lfk.mirror_check").await?;
        let aged = format!(
            "INSERT INTO lfk.mirror_check (mirror, oldest_unverified_at) VALUES ('spaces', now() - interval '{age}')"
        );
        pair.main.execute(&aged).await?;
        let daemon = cli.spawn(["run"])?;
        rounds(&pair, 1).await.with_context(|| daemon.stderr())?;
        stops(daemon, &pair.main).await?;
        assert_eq!(rows(&pair.main, HEALTH).await?, [alert], "{age}");
    }
    Ok(())
}

#[tokio::test]
async fn f07_times_that_are_none_are_refused_with_their_place_and_the_remedy() -> Result<()> {
    let config = |check: &str| {
        let head = "format = 1\n[database.main]\nurl = \"postgres://h/a\"\n[database.ci]\nurl = \"postgres://h/b\"\n";
        Cli::new(&format!("{head}{CONFIGURED}check = {check}\n"))
    };
    let wrong = config("{ cron = \"0 25 * * *\" }")?.run(["check-config"]).await?.expect(2).stderr;
    assert!(wrong.contains("lfk.toml:15:18") && wrong.contains("0 3 * * *"), "{wrong}");
    let nowhere = config("{ cron = \"0 3 * * *\", zone = \"Nowhere\" }")?.run(["run"]).await?.expect(2).stderr;
    assert!(nowhere.contains("lfk.toml:15:38") && nowhere.contains("tzdata"), "{nowhere}");
    let right = config("{ cron = \"0 3 * * *\", zone = \"Europe/Berlin\" }")?;
    let read = right.run(["check-config", "--format", "json"]).await?.expect(0).json()?;
    let cron = &read["mirrors"][0]["check_cron"];
    assert_eq!((cron["cron"].as_str(), cron["zone"].as_str()), (Some("0 3 * * *"), Some("Europe/Berlin")));
    assert!(cron["next"].as_str().is_some_and(|next| next.ends_with(":00:00Z")), "{read}");
    assert!(read["mirrors"][0]["check_seconds"].is_null());
    Ok(())
}
