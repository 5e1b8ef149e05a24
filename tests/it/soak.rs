//! The soak: three daemons of the real binary, killed and frozen and cut off, between applications that do everything at once,
//! for as long as wanted; and then nothing may be missing and nothing may be left.
//!
//! `LFK_SOAK_SECONDS` says how long (120 unless set; by hand 600), `LFK_SOAK_SEED` repeats the choices of a run, though not its
//! interleaving. With `LFK_BIN` it is another binary than the debug build, such as that of `cargo build --release -p lfk`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lfk_tests::{Pair, eventually};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::soak_chaos::{Events, Trouble, days, poison, thaw, wide_parents};
use crate::soak_daemons::{Blows, Fleet};
use crate::soak_oracle::{Memory, Wrongs};
use crate::soak_quiet::{QUIET_WITHIN, quiet};
use crate::soak_setup::{Arena, CHILDREN, WIDE, let_a_day_pass};
use crate::soak_writers::{Count, Writer};

/// Applications with short transactions.
const WRITERS: u64 = 3;
/// The definition of the children that cannot be deleted.
const INVOICES: &str = "invoices.parent_id";
/// Poisoned keys that are given up in the end.
const DROPPED: usize = 3;
/// What a daemon may have in memory.
const MOST_MEMORY_KB: u64 = 60 * 1024;
/// By how much the highest of the last third may be above that of the first: a quarter and 4 MB. What leaks does so with every
/// key, batch or turn, and grows on; what is cached comes to an end in the first third.
const GROWTH: fn(u64) -> u64 = |first| first + first / 4 + 4 * 1024;

struct Soak {
    arena: Arena,
    seed: u64,
    lasts: Duration,
    count: Arc<Count>,
    events: Arc<Events>,
    blows: Arc<Blows>,
}

impl Soak {
    async fn new() -> Result<Self> {
        let seed: u64 = match std::env::var("LFK_SOAK_SEED") {
            Ok(seed) => seed.parse().context("LFK_SOAK_SEED is no number")?,
            Err(_) => rand::random::<u32>().into(),
        };
        eprintln!("LFK_SOAK_SEED={seed}");
        let seconds = std::env::var("LFK_SOAK_SECONDS").unwrap_or_else(|_| "120".to_owned());
        let lasts = Duration::from_secs(seconds.parse().context("LFK_SOAK_SECONDS is no number")?);
        let arena = Arena::new().await?;
        Ok(Self { arena, seed, lasts, count: Arc::default(), events: Arc::default(), blows: Arc::default() })
    }

    /// Everything at once, until the time is over.
    async fn run(&self) -> Result<(Fleet, Memory)> {
        let (seed, lasts, over) = (self.seed, self.lasts, CancellationToken::new());
        let (pair, cli, events) = (&self.arena.pair, &self.arena.cli, &self.events);
        let fleet = Fleet::start(cli.clone())?;
        let hurting = tokio::spawn(fleet.hurt(seed, pair.clone(), self.blows.clone(), lasts, over.clone()));
        let mut tasks: JoinSet<Result<()>> = JoinSet::new();
        for n in 0..=WRITERS {
            let writer = Writer::new(&self.arena, seed + 100 + n, self.count.clone(), over.clone()).await?;
            match n {
                WRITERS => tasks.spawn(writer.run_slowly()),
                _ => tasks.spawn(writer.run()),
            };
        }
        let trouble = |n| Trouble::new(seed + n, pair, events, &over);
        tasks.spawn(trouble(200).locks());
        tasks.spawn(trouble(201).locks());
        tasks.spawn(trouble(202).snapshots(lasts));
        tasks.spawn(trouble(203).truncates());
        tasks.spawn(trouble(204).partitions());
        tasks.spawn(poison(trouble(205), cli.clone()));
        tasks.spawn(wide_parents(pair.clone(), events.clone(), lasts, over.clone()));
        tasks.spawn(days(pair.clone(), events.clone(), over.clone()));
        let time = tokio::time::sleep(lasts);
        tokio::pin!(time);
        // Those that end by themselves have done what they had to; a failure ends the soak.
        let mut failed = Ok(());
        loop {
            tokio::select! {
                () = &mut time => break,
                Some(ended) = tasks.join_next() => if let Err(error) = ended? {
                    failed = Err(error);
                    break;
                }
            }
        }
        over.cancel();
        while let Some(ended) = tasks.join_next().await {
            failed = failed.and(ended?);
        }
        let hurt = hurting.await??;
        failed.map(|()| hurt)
    }

    /// Releases what is poisoned but for a few keys; gives those up.
    async fn release(&self) -> Result<Vec<i64>> {
        let Arena { pair, cli, .. } = &self.arena;
        let poisoned = self.events.poisoned();
        let kept: Vec<i64> =
            poisoned.iter().rev().filter(|(_, thawed)| !thawed).map(|(key, _)| *key).take(DROPPED).collect();
        let rest: Vec<i64> = poisoned.iter().map(|(key, _)| *key).filter(|key| !kept.contains(key)).collect();
        thaw(&pair.ci, &rest).await?;
        cli.run(["retry", "now", "--all"]).await?.expect(0);
        quiet(pair, &kept).await?;
        // Who is trying a key when it is dropped sets it aside anew: so nobody is.
        cli.run(["pause", INVOICES]).await?.expect(0);
        eventually("nobody tries them", QUIET_WITHIN, async || {
            let free = "SELECT bool_and(lease_until < clock_timestamp()) FROM lfk.cursor WHERE definition = 'invoices.parent_id'";
            pair.main.scalar(free).await
        })
        .await?;
        for key in &kept {
            let key = key.to_string();
            cli.run(["retry", "drop", INVOICES, "--key", &key, "--yes"]).await?.expect(0);
        }
        cli.run(["activate", INVOICES]).await?.expect(0);
        quiet(pair, &[]).await?;
        Ok(kept)
    }

    /// A day later every leaf of both logs is emptied. Daemons look at the leaves when they start, and each minute.
    async fn retire(&self, fleet: &mut Fleet) -> Result<()> {
        let Pair { main, ci } = &self.arena.pair;
        let begun = Instant::now();
        loop {
            let_a_day_pass(main).await?;
            let_a_day_pass(ci).await?;
            fleet.renew().await?;
            let kept = "SELECT count(*) FROM lfk.key_log";
            let emptied = async || Ok(main.scalar::<i64>(kept).await? + ci.scalar::<i64>(kept).await? == 0);
            match eventually("the logs are retired", Duration::from_secs(5), emptied).await {
                Err(error) if begun.elapsed() > QUIET_WITHIN => return Err(error),
                Err(_) => {}
                Ok(()) => return Ok(()),
            }
        }
    }
}

fn happened(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l13_f1_a_soak_loses_nothing_and_deletes_nothing_of_living_parents() -> Result<()> {
    let soak = Soak::new().await?;
    let (mut fleet, memory) = soak.run().await?;
    let Soak { arena, count, events, blows, .. } = &soak;
    let Pair { main, ci } = &arena.pair;
    let ended = Instant::now();
    let retired = fleet.said().matches("a leaf of the key log was retired").count();
    // Those that come up look after partitions at once.
    fleet.renew().await?;
    let dropped = soak.release().await?;
    let quiet = ended.elapsed();
    let wrongs = arena.judge(&dropped).await?;
    soak.retire(&mut fleet).await?;
    let bytes = "SELECT sum(pg_total_relation_size(relid))::bigint FROM pg_partition_tree('lfk.key_log')";
    let bytes = [main.scalar::<i64>(bytes).await?, ci.scalar::<i64>(bytes).await?];
    let wide = format!("SELECT count(*) FROM builds WHERE parent_id BETWEEN {} AND {}", WIDE.start(), WIDE.end());
    let wide_left: i64 = ci.scalar(&wide).await?;
    let done = "SELECT sum(keys_total)::bigint FROM lfk.health";
    let done = main.scalar::<i64>(done).await? + ci.scalar::<i64>(done).await?;
    let said = fleet.end().await?;
    let (first, last) = memory.thirds();
    eprintln!(
        "{count:?}\n{blows:?}\n{events:?}\n{done} keys visited, {retired} leaves retired in the run, quiet after {quiet:?}, \
         logs of {bytes:?} bytes, memory {first} kB in the first third, {last} kB in the last, {} kB at most",
        memory.most
    );
    assert_eq!(wrongs, Wrongs::new());
    assert_eq!(wide_left, 0);
    assert!(bytes.iter().all(|bytes| *bytes < 1 << 20), "the logs are not empty: {bytes:?} bytes");
    assert!(!said.contains("panicked"), "a daemon panicked: {said}");
    assert!(last <= GROWTH(first), "the memory of a daemon grew from {first} kB to {last} kB");
    assert!(memory.most <= MOST_MEMORY_KB, "a daemon had {} kB", memory.most);
    assert_eq!(dropped.len(), DROPPED);
    let Count { keys_deleted, keys_back, reborn, children, late_children, moved, .. } = &**count;
    let Blows { killed, stopped, frozen, cut_off } = &**blows;
    let Events { locks, truncates, partitions, wide, held_snapshots, .. } = &**events;
    let all = [
        keys_deleted,
        keys_back,
        reborn,
        children,
        late_children,
        moved,
        killed,
        stopped,
        frozen,
        cut_off,
        locks,
        truncates,
        wide,
        held_snapshots,
    ];
    assert!(all.into_iter().chain(partitions).all(|count| happened(count) > 0), "something did not happen");
    assert!(retired > 0, "no leaf was retired");
    Ok(())
}

#[tokio::test]
async fn l13_sabotage_the_soak_sees_orphans_and_missing_children() -> Result<()> {
    let arena = Arena::new().await?;
    assert_eq!(arena.judge(&[]).await?, Wrongs::new());
    let mut expected = Wrongs::new();
    // For each child: one of a parent that is gone, one that is gone while its parent lives, and one that nobody wrote.
    for (n, child) in CHILDREN.iter().enumerate() {
        let (db, parents) = (arena.db(child.side), arena.db(child.parents));
        let (table, parent, key) = (child.table, child.parent, 100 + n);
        let column = if parent == "groups" { "id, parent_id" } else { "id" };
        let value = if parent == "groups" { format!("{key}, 7") } else { key.to_string() };
        if parent == "groups" {
            parents.execute(&format!("INSERT INTO groups ({column}) VALUES ({value}); INSERT INTO ledger VALUES ('groups', {key}, 7, 0, false)")).await?;
        }
        let born: i64 = parents.scalar(&format!("SELECT born FROM {parent} WHERE id = {key}")).await?;
        let gone = 50_000_000;
        db.execute(&format!(
            "INSERT INTO ledger VALUES ('{table}', 60001, {key}, {born}, true), ('{table}', 60002, {gone}, 1, true), ('{table}', 60003, {key}, 1, true);
             INSERT INTO {table} (id, parent_id) VALUES (60002, {gone}), (60004, {key})"
        ))
        .await?;
        expected.insert(format!("{table}: orphans"), 1);
        expected.insert(format!("{table}: children of living parents"), 1);
        expected.insert(format!("{table}: rows nobody made"), 1);
        if ["tickets", "jobs"].contains(&table) {
            expected.insert(format!("{table}: rows that should only change"), 2);
        }
    }
    arena.pair.ci.execute("INSERT INTO ledger VALUES ('decoys', 60005, 1, 1, true)").await?;
    expected.insert("notes: rows of another kind".to_owned(), 1);
    expected.insert("invoices: children of dropped keys".to_owned(), 1);
    assert_eq!(arena.judge(&[60_000_000]).await?, expected);
    let grows = Memory { of_the_eldest: vec![(0.1, 10_000), (0.5, 99_000), (0.9, 20_000)], most: 99_000 };
    assert!(grows.thirds() == (10_000, 20_000) && grows.thirds().1 > GROWTH(grows.thirds().0));
    Ok(())
}
