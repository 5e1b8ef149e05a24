//! M1, M5 and L9: how much of a mirror goes at once, and how long after it was read.

use std::sync::Arc;

use anyhow::{Result, ensure};
use lfk_core::sabotage::{Hook, Point, Verdict};
use lfk_core::{Database, Drained, Engine, Limits};
use lfk_mirror::{Mirror, Mirrors as _};
use lfk_tests::Pair;
use lfk_tests::scenario::{PATIENCE, drain};

use crate::fault_hook::{Passings, Steps, Task};
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

/// Tells every row that was ever written.
const NOTED: &str = "
    CREATE TABLE copies (id bigint PRIMARY KEY, body text);
    CREATE TABLE noted (id bigint);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO public.noted VALUES (NEW.id); RETURN NULL; END $$;
    CREATE TRIGGER note AFTER INSERT ON copies FOR EACH ROW EXECUTE FUNCTION note();";

#[tokio::test]
async fn m05_a_row_that_is_gone_before_the_limits_let_it_be_written_is_not_written() -> Result<()> {
    // The rows of the first page have to be paid for; or one statement may be sent a second.
    for limits in [Limits::new(Some(200), None), Limits::new(None, Some(1))] {
        let pair = Pair::with_schema("CREATE TABLE papers (id bigint PRIMARY KEY, body text)", NOTED).await?;
        let ci = Database::connect_lazy("ci", &pair.ci.url)?.with_limits(limits);
        let databases = Engine::builder().database(Database::connect_lazy("main", &pair.main.url)?).database(ci);
        let steps = Steps::through(&[Point::SourceRead, Point::SourceRead]);
        let mirror = Mirror::new(NAME, "main:public.papers(id)", "ci:public.copies(id)")?.column("body", "body")?;
        let engine = activated(databases.mirrors([mirror]).hook(steps.clone()).build()?).await?;
        // A page of 500 keys, and the rest.
        pair.main.execute("INSERT INTO papers SELECT n, 'b' || n FROM generate_series(1, 600) n").await?;
        let drained = Task::spawn(async move { (engine.run_until_drained(Some(PATIENCE)).await, engine) });
        steps.has_stood_at(1).await?;
        steps.go_on();
        // The worker comes here once more while the first page is written, or behind it.
        steps.has_stood_at(2).await?;
        pair.main.execute("DELETE FROM papers WHERE id > 500").await?;
        steps.go_on();
        let (end, engine) = drained.end().await?;
        ensure!(end? == Drained::Drained, "{:?}", engine.status().await?.mirrors);
        same(&pair).await?;
        let noted = rows(&pair.ci, "SELECT count(*) || ' ' || max(id) FROM noted").await?;
        assert_eq!(noted, ["500 500"], "rows were written that had long been gone, with {limits:?}");
    }
    Ok(())
}
