//! M1 and L9: how much of a mirror goes at once.

use std::sync::Arc;

use anyhow::{Result, ensure};
use lfk_core::Engine;
use lfk_core::sabotage::{Hook, Point, Verdict};
use lfk_mirror::{Mirror, Mirrors as _};
use lfk_tests::Pair;
use lfk_tests::scenario::drain;

use crate::fault_hook::Passings;
use crate::mirror_support::{NAME, activated, builder, fill, rows};

/// Counts what is passed.
#[derive(Default)]
struct Counts(Passings);

impl Hook for Counts {
    fn pass<'a>(&'a self, point: Point, _: &'a str) -> futures::future::BoxFuture<'a, Verdict> {
        self.0.count(point);
        Box::pin(std::future::ready(Verdict::GoOn))
    }
}

async fn engine(pair: &Pair, counts: Arc<Counts>) -> Result<Engine> {
    let mirror = Mirror::new(NAME, "main:public.papers(id)", "ci:public.copies(id)")?.column("body", "body")?;
    activated(builder(pair)?.mirrors([mirror]).hook(counts).build()?).await
}

async fn same(pair: &Pair) -> Result<()> {
    let all = |table| format!("SELECT (id, md5(body))::text FROM {table} ORDER BY id");
    let (source, target) = (rows(&pair.main, &all("papers")).await?, rows(&pair.ci, &all("copies")).await?);
    ensure!(source == target, "{} rows and {} rows differ", source.len(), target.len());
    Ok(())
}

#[tokio::test]
async fn m01_wide_rows_of_a_mirror_are_read_and_written_a_few_megabytes_at_a_time() -> Result<()> {
    let papers = "CREATE TABLE papers (id bigint PRIMARY KEY, body text);
        INSERT INTO papers SELECT n, repeat(md5(n::text), 32768) FROM generate_series(1, 100) n;
        INSERT INTO papers SELECT 200, repeat('x', 20000000)";
    let pair = Pair::with_schema(papers, "CREATE TABLE copies (id bigint PRIMARY KEY, body text)").await?;
    let counts = Arc::new(Counts::default());
    let engine = engine(&pair, counts.clone()).await?;
    fill(&engine).await?;
    same(&pair).await?;
    // 120 MB, 8 MB at a time, and the row that exceeds them.
    let pages = counts.0.of(Point::FillPageDone);
    assert!(pages >= 12, "{pages} pages");
    let before = counts.0.of(Point::TargetUncommitted);
    // Narrow rows teach that many go at once; then the same keys become wide.
    pair.main.execute("UPDATE papers SET body = 'short' || id").await?;
    drain(&engine).await?;
    let narrow = counts.0.of(Point::TargetUncommitted);
    assert!(narrow - before < 101, "{} writes of 101 narrow rows", narrow - before);
    pair.main.execute("UPDATE papers SET body = repeat(md5(id::text), 50000)").await?;
    drain(&engine).await?;
    same(&pair).await?;
    let wide = counts.0.of(Point::TargetUncommitted) - narrow;
    assert!(wide >= 14, "{wide} writes of 101 wide rows");
    Ok(())
}

/// Refuses more than 300 rows at once as a timeout would, and counts how often the same rows come again.
const SLOW: &str = "
    CREATE TABLE copies (id bigint PRIMARY KEY, body text);
    CREATE SEQUENCE refused; CREATE SEQUENCE again; CREATE SEQUENCE last;
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE many bigint; first bigint;
    BEGIN
      SELECT count(*), min(id) INTO many, first FROM fresh;
      IF many > 300 THEN
        PERFORM nextval('public.refused');
        IF (SELECT last_value FROM public.last) = first * 100000 + many THEN PERFORM nextval('public.again'); END IF;
        PERFORM setval('public.last', first * 100000 + many);
        RAISE EXCEPTION USING ERRCODE = '57014', MESSAGE = 'canceling statement due to statement timeout';
      END IF;
      RETURN NULL;
    END $$;
    CREATE TRIGGER slow AFTER INSERT ON copies REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION slow();";

#[tokio::test]
async fn l09_a_page_of_a_fill_that_timed_out_is_followed_by_a_smaller_one() -> Result<()> {
    let papers = "CREATE TABLE papers (id bigint PRIMARY KEY, body text);
        INSERT INTO papers SELECT n, 'b' || n FROM generate_series(1, 3000) n";
    let pair = Pair::with_schema(papers, SLOW).await?;
    let engine = engine(&pair, Arc::new(Counts::default())).await?;
    fill(&engine).await?;
    same(&pair).await?;
    let called = |name| format!("SELECT CASE WHEN is_called THEN last_value ELSE 0 END::text FROM {name}");
    assert_ne!(rows(&pair.ci, &called("refused")).await?, ["0"], "nothing took too long");
    assert_eq!(rows(&pair.ci, &called("again")).await?, ["0"], "the same rows were tried again at once");
    Ok(())
}
