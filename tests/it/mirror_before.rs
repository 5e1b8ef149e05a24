//! S3 for mirrors: rows from before a repair are kept as long as was asked for.

use anyhow::Result;
use lfk_tests::scenario::{PATIENCE, installed};
use lfk_tests::{Pair, eventually};

use crate::mirror_support::{NAME, SOURCE, TARGET, builder, mirror, rows};

#[tokio::test]
async fn s3_rows_from_before_a_repair_are_forgotten_after_their_time_and_no_others() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let two_days = std::time::Duration::from_secs(2 * 86_400);
    let engine = lfk_mirror::Mirrors::mirrors(builder(&pair)?, [mirror()?.keeping_before(two_days)]).build()?;
    let engine = installed(engine).await?;
    let source: String = pair.main.scalar("SELECT id::text FROM lfk.identity").await?;
    pair.ci
        .execute(&format!(
            "INSERT INTO lfk.before_image (mirror, source_identity, at, row)
             SELECT m, s::uuid, now() - days * interval '1 day', '{{}}'
               FROM (VALUES ('{NAME}', '{source}', 3, 2500), ('{NAME}', '{source}', 1, 3), ('other', '{source}', 40, 5),
                            ('{NAME}', gen_random_uuid()::text, 40, 7)) v(m, s, days, n), generate_series(1, n)"
        ))
        .await?;
    let handle = engine.start();
    let left = async || Ok(pair.ci.scalar::<i64>("SELECT count(*) FROM lfk.before_image").await? == 3 + 5 + 7);
    eventually("old rows are forgotten", PATIENCE, left).await?;
    handle.shutdown().await?;
    let kept = "SELECT mirror || ' ' || count(*) FROM lfk.before_image GROUP BY mirror ORDER BY 1";
    assert_eq!(rows(&pair.ci, kept).await?, ["other 5".to_owned(), format!("{NAME} 10")]);
    // Whatever a worker asks for, the last day stays.
    let asked = format!("SELECT lfk.prune_before('{NAME}', '{source}', interval '0', 1000)");
    assert_eq!(pair.ci.scalar::<i64>(&asked).await?, 3, "a day and a moment old");
    pair.ci
        .execute(&format!(
            "INSERT INTO lfk.before_image (mirror, source_identity, row) VALUES ('{NAME}', '{source}', '{{}}')"
        ))
        .await?;
    assert_eq!(pair.ci.scalar::<i64>(&asked).await?, 0);
    Ok(())
}
