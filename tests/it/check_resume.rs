//! A check that is killed goes on; a lost position means to start again; two at once are harmless.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Result;
use lfk_mirror::{Cursor, Options};

use crate::check_support::{Found, Memory, NOTHING, by_chunks, filled, samples};

fn kept(store: &Memory) -> Options {
    let mut options = by_chunks(10);
    options.cursor = Some(Cursor::new(Arc::new(store.clone()), "check/items"));
    options
}

/// Ends after so many chunks, between two statements, as a person or a deadline does.
fn ends_after(mut options: Options, chunks: i64) -> Options {
    let cancel = options.cancel.clone();
    options.progress = Some(Arc::new(move |progress| {
        if progress.chunks >= chunks {
            cancel.cancel();
        }
    }));
    options
}

const DAMAGE: &str =
    "DELETE FROM item_mirrors WHERE item_id IN (50, 1000); INSERT INTO item_mirrors VALUES (105), (1999)";

#[tokio::test]
async fn m07_a_check_that_was_ended_goes_on_and_finds_the_same() -> Result<()> {
    let mirrored = filled(200).await?;
    mirrored.target(DAMAGE).await?;
    let store = Memory::default();
    let first = mirrored.check(&ends_after(kept(&store), 7)).await?;
    assert!(!first.complete && first.checked_rows < 200 && first.checked_rows > 0, "{first:?}");
    assert!(store.kept("check/items").is_some());
    let mut again = ends_after(kept(&store), 14);
    again.resume = true;
    assert!(!mirrored.check(&again).await?.complete);
    let mut last = kept(&store);
    last.resume = true;
    let report = mirrored.check(&last).await?;
    assert!(report.complete);
    assert_eq!(Found::of(&report), Found { missing: 2, extra: 2, ..NOTHING });
    assert_eq!(report.checked_rows, 200);
    assert_eq!(store.kept("check/items"), None);
    Ok(())
}

#[tokio::test]
async fn m07_a_check_that_is_not_resumed_begins_at_the_beginning() -> Result<()> {
    let mirrored = filled(200).await?;
    let store = Memory::default();
    mirrored.check(&ends_after(kept(&store), 7)).await?;
    let report = mirrored.check(&kept(&store)).await?;
    assert!(report.complete);
    assert_eq!(report.checked_rows, 200);
    Ok(())
}

#[tokio::test]
async fn m07_keys_that_were_in_flight_when_it_was_ended_are_not_forgotten() -> Result<()> {
    let mirrored = filled(200).await?;
    mirrored.write("INSERT INTO items VALUES (15, 1, 'x')", &["15"]).await?;
    let store = Memory::default();
    let first = mirrored.check(&ends_after(kept(&store), 7)).await?;
    assert_eq!(first.in_flight, 1);
    // The sync says that it is done, and it is not.
    mirrored.acknowledge().await?;
    let mut last = kept(&store);
    last.resume = true;
    assert_eq!(mirrored.found_by(&last).await?, Found { missing: 1, ..NOTHING });
    Ok(())
}

#[tokio::test]
async fn m07_a_position_of_another_schema_is_not_used() -> Result<()> {
    let mirrored = filled(200).await?;
    let store = Memory::default();
    mirrored.check(&ends_after(kept(&store), 7)).await?;
    mirrored.target("ALTER TABLE item_mirrors ALTER COLUMN a TYPE numeric").await?;
    let mut last = kept(&store);
    last.resume = true;
    assert_eq!(mirrored.check(&last).await?.chunks, 21);
    Ok(())
}

#[tokio::test]
async fn m07_two_checks_at_once_find_the_same() -> Result<()> {
    let mirrored = filled(200).await?;
    mirrored.target(DAMAGE).await?;
    let store = Memory::default();
    let (one, other) = (kept(&store), kept(&store));
    let (one, other) = tokio::join!(mirrored.check(&one), mirrored.check(&other));
    for report in [one?, other?] {
        assert_eq!(Found::of(&report), Found { missing: 2, extra: 2, ..NOTHING });
        assert_eq!(samples(&report), ["extra 105", "extra 1999", "missing 1000", "missing 50"]);
    }
    Ok(())
}

#[tokio::test]
async fn m07_time_that_is_over_ends_a_check_between_two_statements() -> Result<()> {
    let mirrored = filled(200).await?;
    let store = Memory::default();
    let mut options = kept(&store);
    options.timeout = Some(Duration::ZERO);
    let report = mirrored.check(&options).await?;
    assert!(!report.complete);
    assert_eq!(report.chunks, 0);
    assert!(store.kept("check/items").is_some());
    Ok(())
}

#[tokio::test]
async fn m07_progress_never_goes_back_and_ends_at_one() -> Result<()> {
    let mirrored = filled(200).await?;
    mirrored.pair.main.execute("ANALYZE items").await?;
    let last = Arc::new(AtomicI64::new(0));
    let mut options = by_chunks(10);
    let seen = last.clone();
    options.progress = Some(Arc::new(move |progress| {
        let percent = (progress.fraction.expect("the table was analysed") * 100.0).round();
        let percent: i64 = format!("{percent}").parse().expect("a whole number");
        assert!(seen.swap(percent, Ordering::SeqCst) <= percent);
    }));
    mirrored.check(&options).await?;
    assert_eq!(last.load(Ordering::SeqCst), 100);
    Ok(())
}
