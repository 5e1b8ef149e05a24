//! One walk over all keys of one definition, with the second look that makes a suspect an orphan.
//!
//! The order is what makes it right: children first, then their parents on the primary, then a transaction number (the
//! barrier); when everybody below that number has ended, the parents again, what lfk has yet to work on, and the children
//! again. No transaction is open across any of these steps, so nothing is held up, however long it takes.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use sqlx::Row as _;
use tokio_util::sync::CancellationToken;

use super::barrier;
use super::home::{self, Found, Home};
use super::parents::{LOOK_UPS, Learned, Parents};
use super::position::{Counts, Cursor, Start};
use super::queue::{Queue, Unit};
use super::report::{Scan, ScanEnd, ScanOptions, ScanProgress};
use super::seen::Seen;
use super::walk::{PageKeys, Place, Walker};
use crate::clean::Shape;
use crate::database::{Database, Purpose};
use crate::definition::{LooseForeignKey, State};
use crate::error::Result;
use crate::key::{Key, sort_unique};
use crate::limiter::Limiter;
use crate::points::{Point, Points};

/// Keys whose children are counted in one statement, at first.
const COUNTED_KEYS: usize = 500;
/// Children of a key that are counted while others are in the statement.
const COUNT_MANY: i64 = 10_000;
/// Children of a key that are counted at most.
const COUNT_ONE: i64 = 1_000_000;
/// Suspects that wait at most; then the walk waits for them.
const MOST_SUSPECTS: usize = 50_000;
/// How often suspects are looked at again, and the position is stored.
const EVERY: Duration = Duration::from_secs(1);
/// How often a barrier is looked at while nothing else is to do.
const POLL: Duration = Duration::from_millis(100);

/// An orphan, and its rows as they were counted.
#[derive(Debug, Clone)]
pub(super) struct Orphan {
    pub(super) key: Key,
    pub(super) rows: u64,
}

/// What a walk works with.
pub(super) struct Hunt<'a> {
    pub(super) definition: &'a LooseForeignKey,
    pub(super) home: &'a Database,
    pub(super) away: &'a Database,
    pub(super) shape: &'a Shape,
    pub(super) limiter: &'a Limiter,
    pub(super) points: &'a Points,
    pub(super) options: &'a ScanOptions,
    pub(super) stop: &'a CancellationToken,
    pub(super) until: Option<Instant>,
    /// The time between both looks; a scan needs none.
    pub(super) settle: Duration,
    /// Orphans that are kept for a repair.
    pub(super) keep: usize,
}

/// What changes while it goes on.
struct Walk<'a> {
    walker: Walker<'a>,
    parents: Learned,
    queue: Queue,
    cursor: Cursor,
    /// Up to here every page is decided.
    decided: Place,
    counts: Counts,
    seen: Option<Seen>,
    orphans: Vec<Orphan>,
    samples: Vec<Vec<String>>,
    unconfirmed_because: Option<String>,
    began: Instant,
    /// When suspects were looked at again, and the position was stored.
    looked: Option<Instant>,
    checked: u64,
}

impl Walk<'_> {
    fn is_due(&self) -> bool {
        self.looked.is_none_or(|looked| looked.elapsed() >= EVERY)
    }

    /// The keys of a page, each once.
    fn first_seen(&mut self, keys: PageKeys) -> Asked {
        let asked = match keys {
            PageKeys::Counted(counted) => {
                let mut keys: Vec<Key> = counted.into_iter().map(|(key, _)| key).collect();
                if let Some(seen) = &mut self.seen {
                    keys.retain(|key| seen.is_new(key));
                }
                sort_unique(&mut keys);
                Asked::Keys(keys)
            }
            PageKeys::Numbers(mut numbers) => {
                if let Some(seen) = &mut self.seen {
                    numbers.retain(|number| seen.is_new_number(*number));
                }
                Asked::Numbers(numbers)
            }
        };
        self.counts.checked_is_upper_bound |= self.seen.as_ref().is_some_and(|seen| seen.overflowed);
        asked
    }
}

impl Hunt<'_> {
    /// Walks to the end, or until it is stopped or out of time. Answers what it found and the orphans that are kept.
    pub(super) async fn run(&self, walker: Walker<'_>, found: &Found) -> Result<(Scan, Vec<Orphan>)> {
        let began = Instant::now();
        let store = self.options.cursor.clone();
        let (cursor, start) = Cursor::open(store, self.definition, &walker.tables, self.options.resume).await?;
        let Start { mut place, counts, resumed } = start;
        let several = walker.tables.len() > 1 || walker.tables.iter().any(|table| !table.is_indexed());
        let mut now = Walk {
            walker,
            parents: Learned::default(),
            queue: Queue::default(),
            cursor,
            decided: place.clone(),
            checked: counts.checked,
            counts,
            seen: several.then(Seen::default),
            orphans: Vec::new(),
            samples: Vec::new(),
            unconfirmed_because: None,
            began,
            looked: None,
        };
        now.counts.checked_is_upper_bound |= resumed && several;
        let active = found.home == Home::Definition(State::Active);
        let mut result = ScanEnd::Done;
        self.limiter.statement(self.stop).await;
        let mut ahead = now.walker.page(&place).await?;
        loop {
            if let Some(end) = self.is_over() {
                result = end;
                break;
            }
            let Some(page) = ahead else { break };
            place = page.after;
            let asked = now.first_seen(page.keys);
            self.limiter.statement(self.stop).await;
            // The children's database reads the next page while the parents' looks for those of this one.
            let (unit, next) =
                tokio::join!(self.first_look(asked, place.clone(), &mut now.parents), now.walker.page(&place));
            (ahead, now.checked) = (next?, now.checked + unit.as_ref().map_or(0, |unit| unit.checked));
            now.queue.push(unit?);
            self.points.pass(Point::ScanLooked, &self.definition.name).await?;
            self.tell(&now, None);
            let full = now.queue.suspects() > MOST_SUSPECTS;
            if full {
                self.wait_for_all(&mut now, active).await?;
            } else if now.is_due() {
                self.decide_ready(&mut now, active).await?;
            }
        }
        if result == ScanEnd::Done {
            self.wait_for_all(&mut now, active).await?;
            result = match self.is_over() {
                Some(end) if !now.queue.is_empty() => end,
                _ => self.give_up(&mut now).await?,
            };
        } else {
            self.decide_ready(&mut now, active).await?;
        }
        let scan = self.report(&mut now, result, resumed, found);
        Ok((scan, now.orphans))
    }

    fn is_over(&self) -> Option<ScanEnd> {
        if self.stop.is_cancelled() {
            return Some(ScanEnd::Stopped);
        }
        self.until.is_some_and(|until| Instant::now() >= until).then_some(ScanEnd::TimedOut)
    }

    /// The parents of a page's keys. A barrier is raised only after its children were read, and only for suspects.
    async fn first_look(&self, asked: Asked, after: Place, learned: &mut Learned) -> Result<Unit> {
        let (checked, suspects) = match &asked {
            Asked::Keys(keys) => (keys.len(), self.parents().absent(keys).await?),
            Asked::Numbers(numbers) => (numbers.len(), self.parents().absent_numbers(numbers, learned).await?),
        };
        let barrier = if suspects.is_empty() { 0 } else { barrier::raise(self.home).await? };
        Ok(Unit { after, checked: checked as u64, suspects, barrier, seen: Instant::now() })
    }

    fn parents(&self) -> Parents<'_> {
        Parents { shape: self.shape, home: self.home, name: &self.definition.name }
    }

    /// Waits until every suspect can be decided, and decides; gives up after a while, or when it is over.
    async fn wait_for_all(&self, now: &mut Walk<'_>, active: bool) -> Result<()> {
        let settled = Instant::now() + now.queue.settled_in(self.settle);
        let give_up = settled + self.options.wait;
        loop {
            if now.queue.suspects() == 0 || Instant::now() >= settled || now.is_due() {
                self.decide_ready(now, active).await?;
            }
            if now.queue.is_empty() || Instant::now() >= give_up || self.is_over().is_some() {
                return Ok(());
            }
            if Instant::now() < settled {
                self.tell(now, Some("the settle time"));
            } else {
                let writer = barrier::oldest_writer(self.home).await?;
                self.tell(now, Some(&writer));
            }
            tokio::select! {
                () = tokio::time::sleep(POLL) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// Decides the pages at the front whose time has come.
    async fn decide_ready(&self, now: &mut Walk<'_>, active: bool) -> Result<()> {
        now.looked = Some(Instant::now());
        // Where children are found by reading the whole table only, that is done once, at the end of it.
        let by_walking = now.walker.tables.iter().any(|table| !table.is_indexed());
        let walked = now.queue.suspects() > MOST_SUSPECTS || self.is_walked(now);
        if now.queue.is_empty() || (by_walking && now.queue.suspects() > 0 && !walked) {
            return Ok(());
        }
        let oldest = if now.queue.suspects() == 0 { 0 } else { barrier::oldest_running(self.home).await? };
        let ready = now.queue.ready(oldest, self.settle);
        let Some(last) = ready.last() else { return Ok(()) };
        let after = last.after.clone();
        self.points.pass(Point::ScanDecides, &self.definition.name).await?;
        let mut suspects = Vec::new();
        let mut counts = now.counts.clone();
        for mut unit in ready {
            counts.checked += unit.checked;
            suspects.append(&mut unit.suspects);
        }
        sort_unique(&mut suspects);
        for keys in suspects.chunks(LOOK_UPS) {
            if !self.second_look(now, &mut counts, keys, active).await? {
                // It was stopped half-way: nothing of this counts, and whoever resumes looks at it again.
                return Ok(());
            }
        }
        (now.counts, now.decided) = (counts, after);
        now.cursor.save(&now.decided, &now.walker.tables, &now.counts).await?;
        Ok(())
    }

    fn is_walked(&self, now: &Walk<'_>) -> bool {
        now.queue.last_place().is_some_and(|place| place.leaf >= now.walker.tables.len())
    }

    /// The parents again; then what lfk has yet to work on; then the children. In this order: whoever has cleaned a key by
    /// the time of the second question has no child of it left at the third.
    async fn second_look(&self, now: &mut Walk<'_>, counts: &mut Counts, keys: &[Key], active: bool) -> Result<bool> {
        let absent = self.parents().absent(keys).await?;
        let pending = if active && !absent.is_empty() {
            home::pending(&self.definition.name, self.home, &absent).await?
        } else {
            HashSet::new()
        };
        let Some(rows) = self.count(now, &absent).await? else { return Ok(false) };
        for (key, Count { rows, is_lower_bound }) in absent.into_iter().zip(rows) {
            if rows == 0 {
                continue;
            }
            if pending.contains(&key) {
                counts.in_flight += 1;
                continue;
            }
            counts.orphans += 1;
            counts.rows += rows;
            counts.rows_is_lower_bound |= is_lower_bound;
            if now.samples.len() < self.options.samples {
                now.samples.push(key.0.clone());
            }
            if now.orphans.len() < self.keep {
                now.orphans.push(Orphan { key, rows });
            }
        }
        Ok(true)
    }

    /// How many children each key has. `None`: it was stopped.
    async fn count(&self, now: &mut Walk<'_>, keys: &[Key]) -> Result<Option<Vec<Count>>> {
        let mut counts = vec![Count::default(); keys.len()];
        if keys.is_empty() {
            return Ok(Some(counts));
        }
        for leaf in 0..now.walker.tables.len() {
            if now.walker.tables.get(leaf).is_some_and(super::walk::Table::is_indexed) {
                self.count_by_index(&now.walker, leaf, keys, &mut counts).await?;
                continue;
            }
            let mut by_key: HashMap<Key, u64> = keys.iter().map(|key| (key.clone(), 0)).collect();
            if !now.walker.count_by_walking(leaf, &mut by_key, || self.is_over().is_none()).await? {
                return Ok(None);
            }
            for (key, count) in keys.iter().zip(&mut counts) {
                count.rows += by_key.get(key).copied().unwrap_or(0);
            }
        }
        Ok(Some(counts))
    }

    /// Pieces of keys, smaller when one takes too long; a key that alone takes too long has at least one row.
    async fn count_by_index(&self, walker: &Walker<'_>, leaf: usize, keys: &[Key], counts: &mut [Count]) -> Result<()> {
        let mut work: Vec<(usize, usize, i64)> = (0..keys.len())
            .step_by(COUNTED_KEYS)
            .map(|at| (at, keys.len().min(at + COUNTED_KEYS), COUNT_MANY))
            .collect();
        while let Some((from, to, limit)) = work.pop() {
            self.limiter.statement(self.stop).await;
            match self.count_in_leaf(walker, leaf, keys.get(from..to).unwrap_or_default(), limit).await {
                Ok(rows) => {
                    for (at, rows) in (from..to).zip(rows) {
                        if rows >= limit && limit == COUNT_MANY {
                            work.push((at, at + 1, COUNT_ONE));
                            continue;
                        }
                        counts[at].rows += u64::try_from(rows).unwrap_or(0);
                        counts[at].is_lower_bound |= rows >= limit;
                    }
                }
                Err(error) if error.sqlstate().as_deref() == Some("57014") => match (to - from, limit) {
                    (2.., _) => {
                        let middle = from + (to - from) / 2;
                        work.extend([(from, middle, limit), (middle, to, limit)]);
                    }
                    (_, 2..) => {
                        counts[from].is_lower_bound = true;
                        work.push((from, to, if limit > COUNT_MANY { COUNT_MANY - 1 } else { 1 }));
                    }
                    _ => return Err(error),
                },
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn count_in_leaf(&self, walker: &Walker<'_>, leaf: usize, keys: &[Key], limit: i64) -> Result<Vec<i64>> {
        let Some(table) = walker.tables.get(leaf) else { return Ok(vec![0; keys.len()]) };
        let mut tx = self.away.begin(Purpose::Recheck).await?;
        let mut query = tx.query(self.shape.count_children(&table.name).into_sql_str());
        for column in Key::by_column(keys, self.shape.width()) {
            query = query.bind(column);
        }
        let rows = query.bind(limit).fetch_all(tx.conn()).await.map_err(|e| self.away.error(e))?;
        tx.commit().await?;
        let mut counts = vec![0; keys.len()];
        for row in &rows {
            let at = usize::try_from(row.get::<i64, _>("ord")).unwrap_or(0).checked_sub(1);
            if let Some(count) = at.and_then(|at| counts.get_mut(at)) {
                *count = row.get("rows");
            }
        }
        Ok(counts)
    }

    /// What is still undecided at the end counts as unconfirmed. The stored position stays before it, with its own counts.
    async fn give_up(&self, now: &mut Walk<'_>) -> Result<ScanEnd> {
        if now.queue.is_empty() {
            return Ok(ScanEnd::Done);
        }
        now.unconfirmed_because = Some(barrier::oldest_writer(self.home).await?);
        for unit in now.queue.rest() {
            now.counts.checked += unit.checked;
            now.counts.unconfirmed += unit.suspects.len() as u64;
        }
        Ok(ScanEnd::Done)
    }

    fn tell(&self, now: &Walk<'_>, waits_for: Option<&str>) {
        let Some(watcher) = &self.options.progress else { return };
        let estimates = now.walker.tables.iter().map(|table| table.estimated_keys);
        (watcher.0)(&ScanProgress {
            name: &self.definition.name,
            checked_keys: now.checked,
            estimated_keys: estimates.sum(),
            suspects: now.counts.orphans + now.queue.suspects() as u64,
            elapsed: now.began.elapsed(),
            waits_for,
        });
    }

    fn report(&self, now: &mut Walk<'_>, result: ScanEnd, resumed: bool, found: &Found) -> Scan {
        let counts = &now.counts;
        Scan {
            name: self.definition.name.clone(),
            result,
            checked_keys: counts.checked,
            checked_keys_is_upper_bound: counts.checked_is_upper_bound,
            orphan_keys: counts.orphans,
            orphan_rows: counts.rows,
            orphan_rows_is_lower_bound: counts.rows_is_lower_bound,
            in_flight: counts.in_flight,
            unconfirmed: counts.unconfirmed,
            unconfirmed_because: now.unconfirmed_because.take(),
            seconds: now.began.elapsed().as_secs_f64(),
            resumed,
            warnings: found.warnings.clone(),
            samples: (self.options.samples > 0).then(|| std::mem::take(&mut now.samples)),
            error: None,
        }
    }
}

/// Keys whose parents are looked for.
enum Asked {
    Keys(Vec<Key>),
    /// In their order.
    Numbers(Vec<i64>),
}

/// Children of a key.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    rows: u64,
    is_lower_bound: bool,
}
