//! Mirrors whose tables are changed under them.

use anyhow::Result;
use lfk_tests::scenario::{PATIENCE, drain};
use lfk_tests::{Pair, eventually};

use crate::mirror_support::{SOURCE, TARGET, active, copied, fill, is_equal, rows, wanted};

#[tokio::test]
async fn m01_a_column_that_is_dropped_blocks_the_mirror_and_is_made_up_for_when_it_is_back() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = active(&pair).await?;
    fill(&engine).await?;
    let before = copied(&pair.ci).await?;
    pair.main.execute("ALTER TABLE spaces RENAME owner TO owned_by").await?;
    // The application's own writes go on.
    pair.main.execute("UPDATE spaces SET owned_by = 50 WHERE id = 1; DELETE FROM spaces WHERE id = 2").await?;
    let running = engine.start();
    let blocked = async || {
        let mirror = engine.status().await?.mirrors.swap_remove(0);
        Ok(mirror.condition == "blocked" && mirror.note.is_some_and(|note| note.contains("owner")))
    };
    eventually("it is blocked, with the column", PATIENCE, blocked).await?;
    assert_eq!(copied(&pair.ci).await?, before, "nothing is written meanwhile");
    pair.main.execute("ALTER TABLE spaces RENAME owned_by TO owner").await?;
    let equal = async || Ok(wanted(&pair.main).await? == copied(&pair.ci).await?);
    eventually("the target has what the source has", PATIENCE, equal).await?;
    running.shutdown().await?;
    is_equal(&pair).await
}

#[tokio::test]
async fn m01_a_column_that_is_added_changes_nothing_and_one_of_another_type_goes_on() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = active(&pair).await?;
    fill(&engine).await?;
    pair.main.execute("ALTER TABLE spaces ADD color text DEFAULT 'red'; UPDATE spaces SET color = 'blue'").await?;
    drain(&engine).await?;
    is_equal(&pair).await?;
    pair.main.execute("ALTER TABLE spaces ALTER owner TYPE bigint").await?;
    pair.main
        .execute("UPDATE spaces SET owner = 70 WHERE id = 1; UPDATE spaces SET owner = 5000000000 WHERE id = 2")
        .await?;
    let end = engine.run_until_drained(Some(PATIENCE)).await?;
    assert_eq!(rows(&pair.ci, "SELECT owner::text FROM copies WHERE space_id = 1").await?, ["70"]);
    // What the target cannot hold is set aside, and the rest goes on.
    assert_eq!(rows(&pair.main, "SELECT key[1] FROM lfk.retry").await?, ["2"], "{end:?}");
    Ok(())
}

#[tokio::test]
async fn m01_a_truncate_is_followed_and_other_rows_are_filled_anew() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = active(&pair).await?;
    fill(&engine).await?;
    pair.main.execute("TRUNCATE spaces; INSERT INTO spaces VALUES (3, 'Three'), (30, 'Thirty')").await?;
    drain(&engine).await?;
    is_equal(&pair).await
}
