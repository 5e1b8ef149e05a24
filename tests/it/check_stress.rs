//! Checks that look all the time, while applications write, and daemons of the real binary follow, which are killed, frozen, cut off
//! and always several: not one false difference, and every damage is found, and repaired when that is asked for.
//!
//! `LFK_CHECK_STRESS_SECONDS` says how long (30 unless set; by hand 300), `LFK_CHECK_STRESS_SEED` repeats the choices of a run, though
//! not its interleaving.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lfk_core::parts::Key;
use lfk_core::{Database, ErrorKind};
use lfk_mirror::parts::{Probe, Verdict};
use lfk_mirror::{Confirmed, Mirror, Mirrors as _, Options, Report, Stopped, check};
use lfk_tests::scenario::drain;
use lfk_tests::{Cli, Pair, eventually};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::check_rolling::CONFIGURED;
use crate::check_stress_load::{EMPTIED, Load, QUIET, damage, is_quiet, slow_writer, truncater, writer};
use crate::mirror_support::{NAME, SOURCE, TARGET, activated, builder, fill, is_equal, rows};
use crate::soak_daemons::{Blows, Fleet};
use crate::soak_writers::add;

const WRITERS: u64 = 3;
/// How long damage may stay unseen: a daemon that was killed is followed by another one after its lease.
const FOUND_WITHIN: Duration = Duration::from_secs(90);
/// As many as a report shows.
const PROBED: i64 = 60;

/// What the checks have seen.
#[derive(Debug, Default)]
struct Seen {
    passes: AtomicU64,
    /// Checks that ended with an error, because a session was ended or a table was locked for long.
    broken_off: AtomicU64,
    /// Keys in flight, hot or not yet there, over all passes.
    unsettled: AtomicU64,
    damages: AtomicU64,
    damaged_rows: AtomicU64,
    /// Damages that took more than one pass, because the backlog was too long to be read.
    later: AtomicU64,
    repairs: AtomicU64,
    sandwiches: AtomicU64,
    /// What would have been called a difference without the second look at the source.
    wrong_without_second_look: AtomicU64,
}

struct Stress {
    pair: Pair,
    seed: u64,
    load: Arc<Load>,
    seen: Seen,
    over: CancellationToken,
}

/// The mirror as the configuration of the daemons has it, which sorts columns.
fn spaces() -> Result<Mirror> {
    let mirror = Mirror::new(NAME, "main:public.spaces(id)", "ci:public.copies(space_id)")?;
    let mirror = mirror.column("owner", "owner")?.column("path", "path")?;
    Ok(mirror.expression("handle", "lower(name)")?.only_where("NOT archived")?)
}

/// A number from the environment.
fn given(name: &str) -> Result<Option<u64>> {
    let text = std::env::var(name).ok();
    text.map(|text| text.parse().with_context(|| format!("{name} is no number"))).transpose()
}

/// Nothing, where a session was ended or something was locked: the evidence is gone, and no answer is no false one.
fn evidence<T>(answer: lfk_core::Result<T>, seen: &Seen) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.kind == ErrorKind::Unreachable || error.sqlstate().as_deref() == Some("55P03") => {
            add(&seen.broken_off, 1);
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn differing(report: &Report) -> BTreeSet<String> {
    report.samples.iter().map(|sample| format!("{} {}", sample.class, sample.key.concat())).collect()
}

impl Stress {
    fn random(&self, number: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed.wrapping_add(number))
    }

    fn databases(&self) -> Result<[Database; 2]> {
        let Pair { main, ci } = &self.pair;
        Ok([Database::connect_lazy("main", &main.url)?, Database::connect_lazy("ci", &ci.url)?])
    }

    /// A pass that comes to its end, however often it takes.
    async fn checked(&self, options: &Options) -> Result<Report> {
        let [main, ci] = self.databases()?;
        let begun = Instant::now();
        loop {
            let report = evidence(check(&spaces()?, &main, &ci, options).await, &self.seen)?;
            if let Some(report) = report {
                add(&self.seen.passes, 1);
                add(&self.seen.unsettled, u64::try_from(report.in_flight + report.hot + report.not_yet)?);
                return Ok(report);
            }
            ensure!(begun.elapsed() < FOUND_WITHIN, "seed {}: no check comes to its end", self.seed);
        }
    }

    /// Checks on and on; now and then something is damaged.
    async fn check(&self) -> Result<()> {
        let mut random = self.random(1);
        while !self.over.is_cancelled() {
            let mut options = Options::default();
            options.chunk_rows = Some(random.random_range(5..3_000));
            options.patience = Duration::from_millis(random.random_range(0..400));
            options.show_keys = true;
            let report = self.checked(&options).await?;
            ensure!(report.confirmed == Confirmed::default(), "seed {}: {report:?}", self.seed);
            if random.random_bool(0.3) {
                let _calm = self.load.calm.lock().await;
                self.damaged(&mut random, options).await?;
            }
        }
        Ok(())
    }

    async fn damaged(&self, random: &mut StdRng, mut options: Options) -> Result<()> {
        eventually("the sync has passed what was emptied", FOUND_WITHIN, async || is_quiet(&self.pair.main).await)
            .await?;
        let damaged = damage(&self.pair, random).await?;
        add(&self.seen.damages, 1);
        add(&self.seen.damaged_rows, damaged.len().try_into()?);
        let (begun, mut passes) = (Instant::now(), 0);
        loop {
            let report = self.checked(&options).await?;
            let found = differing(&report);
            ensure!(found.is_subset(&damaged), "seed {}: {found:?} of {damaged:?}: {report:?}", self.seed);
            if found == damaged {
                break;
            }
            // A pass that could read what is pending says something of every key.
            passes += 1;
            ensure!(begun.elapsed() < FOUND_WITHIN, "seed {}: {damaged:?}, and not only {report:?}", self.seed);
        }
        add(&self.seen.later, u64::from(passes > 0));
        options.repair = true;
        options.patience = Duration::from_secs(10);
        while !self.is_repaired().await? {
            let report = self.checked(&options).await?;
            let found = differing(&report);
            ensure!(found.is_subset(&damaged), "seed {}: {found:?} of {damaged:?}: {report:?}", self.seed);
            let repaired = report.repair.clone().context("it was asked for")?;
            // Daemons that die and freeze all the time may take longer than the patience of one check.
            let stopped = repaired.stopped.filter(|stopped| *stopped != Stopped::TimedOut);
            ensure!(stopped.is_none() && repaired.stuck == 0, "seed {}: {repaired:?}", self.seed);
            add(&self.seen.repairs, 1);
            if begun.elapsed() > FOUND_WITHIN * 2 {
                let standing = self.standing().await?;
                bail!("seed {}: {damaged:?} is not repaired: {repaired:?}, {report:?}, {standing}", self.seed);
            }
        }
        Ok(())
    }

    /// How the sync stands, for people.
    async fn standing(&self) -> Result<String> {
        let mut all = String::new();
        for what in ["lfk.cursor", "lfk.sweep", "lfk.retry", "lfk.health"] {
            let some = rows(&self.pair.main, &format!("SELECT row_to_json(t)::text FROM {what} t LIMIT 12")).await?;
            all += &format!("\n{what}: {}", some.join("\n  "));
        }
        Ok(all)
    }

    /// Whether the target has again what the source has, where nobody writes.
    async fn is_repaired(&self) -> Result<bool> {
        let quiet = format!("NOT BETWEEN 1 AND {}", QUIET.start() - 1);
        let wanted = format!(
            "SELECT (id, path, owner, lower(name))::text FROM spaces WHERE id {quiet} AND NOT archived ORDER BY id"
        );
        let copied = format!(
            "SELECT (space_id, path, owner, handle)::text FROM copies WHERE space_id {quiet} ORDER BY space_id"
        );
        Ok(rows(&self.pair.main, &wanted).await? == rows(&self.pair.ci, &copied).await?)
    }

    /// Slow sandwiches of the keys that are written: anything may happen between their looks.
    async fn probe(&self) -> Result<()> {
        let mut random = self.random(2);
        let [main, ci] = self.databases()?;
        let keys: Vec<Key> = (1..=PROBED).map(|key| Key(vec![key.to_string()])).collect();
        while !self.over.is_cancelled() {
            let looked = self.sandwich(&main, &ci, &keys, &mut random).await;
            let Some((weaker, full)) = evidence(looked, &self.seen)? else { continue };
            let wrong = |verdicts: &[Verdict]| verdicts.iter().filter(|verdict| verdict.is_confirmed()).count();
            ensure!(wrong(&full) == 0, "seed {}: {full:?}", self.seed);
            add(&self.seen.sandwiches, 1);
            add(&self.seen.wrong_without_second_look, wrong(&weaker).try_into()?);
        }
        Ok(())
    }

    async fn sandwich(
        &self,
        main: &Database,
        ci: &Database,
        keys: &[Key],
        random: &mut StdRng,
    ) -> lfk_core::Result<(Vec<Verdict>, Vec<Verdict>)> {
        let mirror = spaces().map_err(|e| lfk_core::Error::config(e.to_string()))?;
        let probe = Probe::new(&mirror, main, ci, keys.to_vec()).await?;
        let mut sandwich = probe.first().await?;
        // A checker that is slow, or was stopped, for so long.
        let mut stalls = async || {
            let stall = Duration::from_millis(random.random_range(0..700));
            let _ = tokio::time::timeout(stall, self.over.cancelled()).await;
        };
        stalls().await;
        sandwich.target().await?;
        stalls().await;
        let weaker = sandwich.without_second_look();
        Ok((weaker, sandwich.second().await?.verdicts))
    }

    /// Everything at once, until the time is over.
    async fn run(&self, fleet: Fleet, blows: &Arc<Blows>, lasts: Duration) -> Result<Fleet> {
        let (main, over) = (&self.pair.main, &self.over);
        // However it ends, everything else ends with it; the daemons last, because a repair waits for them.
        let daemons = CancellationToken::new();
        let hurting = fleet.hurt(self.seed, self.pair.clone(), blows.clone(), lasts, daemons.clone());
        let hurting = tokio::spawn(hurting);
        let mut tasks: JoinSet<Result<()>> = JoinSet::new();
        for n in 0..WRITERS {
            tasks.spawn(writer(main.clone(), self.random(10 + n), self.load.clone(), over.clone()));
        }
        tasks.spawn(slow_writer(main.clone(), self.random(20), self.load.clone(), over.clone()));
        tasks.spawn(truncater(main.clone(), self.random(21), self.load.clone(), over.clone()));
        let ends = async {
            let _ = tokio::time::timeout(lasts, over.cancelled()).await;
            over.cancel();
        };
        let check = async {
            let _over = over.clone().drop_guard();
            self.check().await
        };
        let probe = async {
            let _over = over.clone().drop_guard();
            self.probe().await
        };
        let (checked, probed, ()) = tokio::join!(check, probe, ends);
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        daemons.cancel();
        let (fleet, _) = hurting.await??;
        if checked.is_err() || probed.is_err() {
            eprintln!("{}", fleet.said());
        }
        checked.and(probed).map(|()| fleet)
    }
}

/// Whatever the daemons' own checks note is kept.
const NOTED: &str = "
    CREATE TABLE noted (key bigint, class text);
    CREATE FUNCTION keep_noted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS
      $$ BEGIN INSERT INTO noted VALUES (NEW.key[1]::bigint, NEW.class); RETURN NULL; END $$;
    CREATE TRIGGER keep_noted AFTER INSERT OR UPDATE ON lfk.difference FOR EACH ROW EXECUTE FUNCTION keep_noted()";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn m04_a_check_under_load_reports_no_difference_that_is_none_and_every_one_that_is() -> Result<()> {
    let seed = given("LFK_CHECK_STRESS_SEED")?.unwrap_or_else(|| rand::random::<u32>().into());
    eprintln!("LFK_CHECK_STRESS_SEED={seed}");
    let lasts = Duration::from_secs(given("LFK_CHECK_STRESS_SECONDS")?.unwrap_or(30));
    let pair = Pair::with_schema(&format!("{SOURCE}; {EMPTIED}"), TARGET).await?;
    let engine = activated(builder(&pair)?.mirrors([spaces()?]).build()?).await?;
    let quiet = format!(
        "INSERT INTO spaces SELECT n, 'quiet ' || n, ARRAY[n, n + 4294967296] FROM generate_series({}, {}) n;
         INSERT INTO spaces SELECT n + 4000, 'archived', '{{}}', NULL, true FROM generate_series({0}, {1}) n WHERE n % 2 = 0; {NOTED}",
        QUIET.start(),
        QUIET.end()
    );
    pair.main.execute(&quiet).await?;
    fill(&engine).await?;
    is_equal(&pair).await?;

    // Their rolling checks begin a pass twice a minute.
    let fleet = Fleet::start(Arc::new(Cli::for_pair(&pair, &format!("{CONFIGURED}check = \"1m\""))?))?;
    let (blows, over) = (Arc::new(Blows::default()), CancellationToken::new());
    let stress = Stress { pair, seed, load: Arc::default(), seen: Seen::default(), over };
    let fleet = stress.run(fleet, &blows, lasts).await?;
    let said = fleet.end().await?;
    let Stress { pair, load, seen, .. } = &stress;
    let passes = "SELECT count(*)::text || ' keys noted by daemons' FROM noted";
    eprintln!("{load:?}\n{blows:?}\n{seen:?}\n{:?}", rows(&pair.main, passes).await?);
    let false_ones = format!("SELECT (key, class)::text FROM noted WHERE key BETWEEN 1 AND {}", QUIET.start() - 1);
    assert_eq!(rows(&pair.main, &false_ones).await?, Vec::<String>::new(), "seed {seed}: noted by a daemon");
    assert!(!said.contains("panicked"), "a daemon panicked: {said}");
    drain(&engine).await?;
    is_equal(pair).await?;
    let report = stress.checked(&Options::default()).await?;
    ensure!(report.confirmed == Confirmed::default() && report.in_flight + report.hot == 0, "{report:?}");
    let happened = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let Seen { passes, unsettled, damages, wrong_without_second_look, .. } = seen;
    let all = [passes, unsettled, damages, &load.written, &load.slow, &load.truncates];
    assert!(all.into_iter().all(|count| happened(count) > 0), "it was too quiet");
    // A weaker rule is wrong here, so a checker that followed one would have been caught; in a short run it may have luck.
    assert!(lasts.as_secs() < 120 || happened(wrong_without_second_look) > 0, "it was too quiet for a weaker rule");
    let Blows { killed, stopped, frozen, cut_off } = &*blows;
    let blows = [killed, stopped, frozen, cut_off].map(happened);
    // Which of them come in a short run is left to chance.
    assert!(blows.iter().sum::<u64>() > 3 && (lasts.as_secs() < 120 || !blows.contains(&0)), "{blows:?}");
    Ok(())
}
