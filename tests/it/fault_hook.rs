//! Hooks that hold or kill a worker at a point, for the tests of faults and of sharing.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::BoxFuture;
use lfk_core::sabotage::{Hook, Point, Verdict};
use lfk_core::{Builder, Engine, LooseForeignKey};
use lfk_tests::Pair;
use tokio::sync::{Semaphore, watch};

/// How long a test waits for something that happens at once unless all is lost.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// An engine over a pair that calls `hook` at every point.
pub(crate) fn hooked(
    pair: &Pair,
    definitions: impl IntoIterator<Item = LooseForeignKey>,
    hook: Arc<dyn Hook>,
) -> Result<Engine> {
    hooked_over(&[("main", &pair.main.url), ("ci", &pair.ci.url)], definitions, hook)
}

/// The same over databases by name and URL.
pub(crate) fn hooked_over(
    databases: &[(&str, &str)],
    definitions: impl IntoIterator<Item = LooseForeignKey>,
    hook: Arc<dyn Hook>,
) -> Result<Engine> {
    let builder = lfk_tests::databases(databases)?.into_iter().fold(Engine::builder(), Builder::database);
    Ok(builder.definitions(definitions).hook(hook).build()?)
}

/// How often each point was passed, over all consumers.
#[derive(Debug, Default)]
pub(crate) struct Passings(Mutex<HashMap<Point, usize>>);

impl Passings {
    /// Counts one and answers which it is, from one on.
    pub(crate) fn count(&self, point: Point) -> usize {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let n = all.entry(point).or_default();
        *n += 1;
        *n
    }

    /// How many there were.
    pub(crate) fn of(&self, point: Point) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&point).copied().unwrap_or(0)
    }
}

/// Holds whoever passes a point for the n-th time (or anybody, when n is 0), until the gate is opened.
#[derive(Debug)]
pub(crate) struct Gate {
    at: Point,
    nth: usize,
    pub(crate) passings: Passings,
    held: watch::Sender<bool>,
    open: watch::Sender<bool>,
}

impl Gate {
    pub(crate) fn at(at: Point, nth: usize) -> Arc<Self> {
        let (held, open) = (watch::Sender::new(false), watch::Sender::new(false));
        Arc::new(Self { at, nth, passings: Passings::default(), held, open })
    }

    /// Waits until a worker stands at the gate.
    pub(crate) async fn is_held(&self) -> Result<()> {
        let mut held = self.held.subscribe();
        let waited = tokio::time::timeout(SOON, held.wait_for(|held| *held)).await;
        waited.with_context(|| format!("no worker came to {:?} number {}", self.at, self.nth))??;
        Ok(())
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }
}

impl Hook for Gate {
    fn pass<'a>(&'a self, point: Point, _consumer: &'a str) -> BoxFuture<'a, Verdict> {
        let n = self.passings.count(point);
        Box::pin(async move {
            if point == self.at && (self.nth == 0 || n == self.nth) {
                self.held.send_replace(true);
                let _ = self.open.subscribe().wait_for(|open| *open).await;
            }
            Verdict::GoOn
        })
    }
}

/// Runs an action of the test at the n-th passing of a point; the worker waits for its end.
pub(crate) struct At<F> {
    at: Point,
    nth: usize,
    pub(crate) passings: Passings,
    action: F,
}

impl<F> At<F> {
    pub(crate) fn the(at: Point, nth: usize, action: F) -> Arc<Self> {
        Arc::new(Self { at, nth, passings: Passings::default(), action })
    }
}

impl<F, T> Hook for At<F>
where
    F: Fn() -> T + Send + Sync,
    T: Future<Output = Result<()>> + Send + 'static,
{
    fn pass<'a>(&'a self, point: Point, _consumer: &'a str) -> BoxFuture<'a, Verdict> {
        let mine = self.passings.count(point) == self.nth && point == self.at;
        let action = mine.then(|| (self.action)());
        Box::pin(async move {
            if let Some(action) = action {
                // A panic of a turn ends the run with an error, so the test fails with it.
                action.await.expect("the action of the test failed");
            }
            Verdict::GoOn
        })
    }
}

/// A worker stands at each of these points once, until it is told to go on.
pub(crate) struct Steps {
    left: Mutex<VecDeque<Point>>,
    at: watch::Sender<Option<Point>>,
    stood: watch::Sender<usize>,
    go: Semaphore,
}

impl Steps {
    pub(crate) fn through(points: &[Point]) -> Arc<Self> {
        let left = Mutex::new(points.iter().copied().collect());
        Arc::new(Self { left, at: watch::Sender::new(None), stood: watch::Sender::new(0), go: Semaphore::new(0) })
    }

    /// Waits until a worker stands, or has stood, at so many of the points.
    pub(crate) async fn has_stood_at(&self, points: usize) -> Result<()> {
        let mut stood = self.stood.subscribe();
        let waited = tokio::time::timeout(SOON, stood.wait_for(|stood| *stood >= points)).await;
        waited.with_context(|| format!("no worker came to the point number {points}"))??;
        Ok(())
    }

    pub(crate) async fn stands_at(&self, point: Point) -> Result<()> {
        let mut at = self.at.subscribe();
        let waited = tokio::time::timeout(SOON, at.wait_for(|at| *at == Some(point))).await;
        waited.with_context(|| format!("no worker came to {point:?}"))??;
        Ok(())
    }

    pub(crate) fn go_on(&self) {
        self.go.add_permits(1);
    }
}

impl Hook for Steps {
    fn pass<'a>(&'a self, point: Point, _: &'a str) -> BoxFuture<'a, Verdict> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let stops = left.front() == Some(&point) && left.pop_front().is_some();
        Box::pin(async move {
            if stops {
                self.at.send_replace(Some(point));
                self.stood.send_modify(|stood| *stood += 1);
                if let Ok(permit) = self.go.acquire().await {
                    permit.forget();
                }
            }
            Verdict::GoOn
        })
    }
}

/// A test's task that ends with it.
pub(crate) struct Task<T>(tokio::task::JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    pub(crate) fn spawn(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }

    /// Its result, which must come soon.
    pub(crate) async fn end(mut self) -> Result<T> {
        Ok(tokio::time::timeout(SOON, &mut self.0).await.context("the task does not end")??)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
