//! The loop that reads the key log of one database and gives consumers their turns.
//!
//! The cursor rows are authoritative for who works on what; a worker only remembers how fast each consumer goes and when it
//! may be tried again. Nothing here waits while a transaction is open. A worker that dies leaves its leases to run out and
//! its row in `lfk.worker` to go stale.

mod ring;
mod upkeep;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lfk_sql::statements;
use sqlx::Row as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::clean::{Class, Pace, classify};
use crate::consumer::{Effort, End, Turn};
use crate::context::Context;
use crate::database::{Database, Purpose};
use crate::definition::State;
use crate::error::{Error, ErrorKind, Result};
use crate::pair;
use crate::schedule::{Candidate, Lane, pick};

/// How often the log is probed when nothing was found for a while.
const IDLE_POLL: Duration = Duration::from_millis(250);
/// How often it is probed while turns run.
const BUSY_POLL: Duration = Duration::from_millis(50);
/// How often it is probed soon after a turn: deletes seldom come alone.
const WARM_POLL: Duration = Duration::from_millis(20);
/// How long after a turn that is.
const WARM_FOR: Duration = Duration::from_secs(1);
/// A turn gives its lease back after this long, so that consumers and workers share by time.
const QUANTUM: Duration = Duration::from_secs(2);
/// A probe that takes longer than this is not sent for every turn: with a thousand definitions it takes as long as one.
const DEAR_PROBE: Duration = Duration::from_millis(8);
/// What it found is worked through then for so many times as long as it took.
const DEAR_REST: u32 = 5;
/// Turns of one worker at the same time.
const PARALLEL_TURNS: usize = 4;
/// How often a worker says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(3);
/// How often new partitions are covered. Idle cursors are moved as often, unless a test says otherwise.
pub(crate) const UPKEEP: Duration = Duration::from_secs(60);
/// How often a tick is offered; the database keeps one in 30 s.
const TICK: Duration = Duration::from_secs(30);
/// How long a round may still take once the worker is to stop.
const LAST_ROUND: Duration = Duration::from_secs(1);
/// The longest wait before a failed definition or database is tried again.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// Reads one database's key log.
pub(crate) struct Worker {
    ctx: Arc<Context>,
    home: Database,
    /// One per worker process and database; fences compare it with the token.
    id: Uuid,
    stop: CancellationToken,
    turns: JoinSet<Finished>,
    /// What definitions do in their other databases now and then: one that is away must not hold up a round.
    chores: JoinSet<()>,
    consumers: HashMap<String, Consumer>,
    live_workers: usize,
    /// When a turn last ended.
    last_turn: Option<Instant>,
    probed: Option<Probed>,
    due: Due,
}

/// What a probe found that took long, and until when it will do.
struct Probed {
    at: Instant,
    until: Instant,
    candidates: Vec<Candidate>,
}

/// What a worker remembers of a consumer. Losing it costs a little speed.
struct Consumer {
    running: bool,
    pace: Pace,
    served: Option<Instant>,
    failures: u32,
    not_before: Option<Instant>,
}

/// When each recurring duty was last done.
#[derive(Default)]
struct Due {
    first_round: bool,
    identity: bool,
    heartbeat: Option<Instant>,
    idle_move: Option<Instant>,
    cover: Option<Instant>,
    tick: Option<Instant>,
}

struct Finished {
    name: String,
    definition: String,
    lane: Lane,
    result: Result<End>,
    pace: Pace,
    effort: Effort,
    was_troubled: bool,
}

impl Worker {
    pub(crate) fn new(ctx: Arc<Context>, home: Database, stop: CancellationToken) -> Self {
        Self {
            ctx,
            home,
            id: Uuid::new_v4(),
            stop,
            turns: JoinSet::new(),
            chores: JoinSet::new(),
            consumers: HashMap::new(),
            live_workers: 1,
            last_turn: None,
            probed: None,
            due: Due::default(),
        }
    }

    /// Works until it is stopped. A database that is away is waited for; everything else about it goes on when it returns.
    ///
    /// # Errors
    /// Only when a test killed it.
    pub(crate) async fn run(mut self) -> Result<()> {
        let mut failures = 0;
        while !self.stop.is_cancelled() {
            let stop = self.stop.clone();
            let round = tokio::select! {
                round = self.round() => round,
                // A database that does not answer must not hold up the end; nothing of a round has to be finished.
                () = async { stop.cancelled().await; tokio::time::sleep(LAST_ROUND).await } => break,
            };
            if !std::mem::replace(&mut self.due.first_round, true) {
                self.ctx.pulse.first_round();
            }
            let wait = match round {
                Ok(started) => {
                    failures = 0;
                    next_probe(started || !self.turns.is_empty(), self.last_turn.map(|ended| ended.elapsed()))
                }
                Err(error) if error.kind == ErrorKind::Crashed => return Err(error),
                Err(error) => {
                    failures += 1;
                    self.ctx.troubles.note(self.home.name(), &error);
                    if failures == 1 {
                        tracing::warn!(database = self.home.name(), error = %error, hint = error.hint, "the key log cannot be read; it is tried again");
                    }
                    self.due.identity = false;
                    backoff(failures)
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                Some(finished) = self.turns.join_next(), if !self.turns.is_empty() => self.finished(finished).await?,
            }
        }
        self.wind_down().await
    }

    /// One look at the log. Answers whether a turn was started.
    async fn round(&mut self) -> Result<bool> {
        if !self.due.identity {
            pair::check_identity(&self.home).await?;
            self.due.identity = true;
        }
        if is_due(self.due.heartbeat, HEARTBEAT) {
            self.live_workers = upkeep::heartbeat(&self.home, self.id, &self.ctx.host).await?;
            self.due.heartbeat = Some(Instant::now());
        }
        let candidates = self.candidates().await?;
        self.ctx.troubles.clear(self.home.name());
        let free = PARALLEL_TURNS.saturating_sub(self.turns.len());
        let chosen = pick(candidates, self.id, self.live_workers, free);
        let started = !chosen.is_empty();
        for candidate in chosen {
            self.start_turn(candidate);
        }
        if is_due(self.due.tick, TICK) {
            upkeep::tick(&self.home).await?;
            self.due.tick = Some(Instant::now());
        }
        if is_due(self.due.idle_move, self.ctx.log_sql.idle_every) {
            upkeep::move_idle_cursors(&self.home, &self.ctx.log_sql).await?;
            self.due.idle_move = Some(Instant::now());
        }
        if is_due(self.due.cover, UPKEEP) {
            upkeep::cover(&self.home).await?;
            ring::retire(&self.ctx, &self.home).await?;
            self.due.cover = Some(Instant::now());
            self.start_chores();
        }
        Ok(started)
    }

    /// The consumers that have work: what the last probe found and nobody has served since, if it was a dear one, else what there is now.
    async fn candidates(&mut self) -> Result<Vec<Candidate>> {
        let began = Instant::now();
        if let Some(probed) = self.probed.take_if(|probed| probed.until > began) {
            let open = probed.candidates.iter().filter_map(|candidate| self.still_open(candidate, probed.at)).collect();
            self.probed = Some(probed);
            return Ok(open);
        }
        let candidates = self.probe().await?;
        let took = began.elapsed();
        let until = Instant::now() + took * DEAR_REST;
        self.probed = (took > DEAR_PROBE).then(|| Probed { at: began, until, candidates: candidates.clone() });
        Ok(candidates)
    }

    /// As the candidate stands since the probe: nothing once it was served.
    fn still_open(&self, candidate: &Candidate, probed: Instant) -> Option<Candidate> {
        let Some(known) = self.consumers.get(&candidate.name) else { return Some(candidate.clone()) };
        if known.running {
            return Some(Candidate { may_run: false, holder: Some(self.id), ..candidate.clone() });
        }
        known.served.is_none_or(|served| served < probed).then(|| candidate.clone())
    }

    /// The consumers that have work, with what this worker remembers of each.
    async fn probe(&mut self) -> Result<Vec<Candidate>> {
        // Without holding the shape of the log: what is overlooked while a leaf is restored is found by the next probe.
        let mut tx = self.home.begin(Purpose::Log).await?;
        let rows = tx
            .query(statements::PROBE.clone().into_sql_str())
            .bind(self.ctx.policy.longest_wait.as_secs_f64())
            .fetch_all(tx.conn())
            .await
            .map_err(|e| pair::missing(&self.home, e))?;
        tx.commit().await?;
        let now = Instant::now();
        let candidates = rows.iter().filter_map(|row| {
            let name: String = row.get("consumer");
            let definition: String = row.get("definition");
            let state = State::from_sql(row.get("state"));
            let ours =
                self.ctx.definition(&definition).is_some_and(|d| d.declaration().parent.database == self.home.name());
            let has_work =
                row.get::<bool, _>("log_work") || (state == State::Active && row.get::<bool, _>("retry_work"));
            let known = self.consumers.get(&name);
            let resting = known.is_some_and(|c| c.running || c.not_before.is_some_and(|until| until > now));
            has_work.then(|| Candidate {
                may_run: ours && !resting,
                holder: row.get::<bool, _>("leased").then(|| row.get::<Option<Uuid>, _>("owner")).flatten(),
                troubled: row.get::<&str, _>("condition") != "ok",
                served: known.and_then(|c| c.served),
                lane: if row.get("trailing") { Lane::Trailing } else { Lane::Head },
                definition,
                name,
            })
        });
        Ok(candidates.collect())
    }

    /// Not while the last ones are still at it.
    fn start_chores(&mut self) {
        while self.chores.try_join_next().is_some() {}
        if self.chores.is_empty() {
            self.chores.spawn(upkeep::definitions(self.ctx.clone(), self.home.clone()));
        }
    }

    fn start_turn(&mut self, candidate: Candidate) {
        let Candidate { name, definition, lane, troubled: was_troubled, .. } = candidate;
        let target = self.ctx.target;
        let consumer = self.consumers.entry(name.clone()).or_insert_with(|| Consumer {
            running: false,
            pace: Pace::new(target),
            served: None,
            failures: 0,
            not_before: None,
        });
        consumer.running = true;
        consumer.served = Some(Instant::now());
        let mut pace = consumer.pace.clone();
        let (ctx, home, owner, stop) = (self.ctx.clone(), self.home.clone(), self.id, self.stop.clone());
        let span = tracing::info_span!("turn", consumer = %name, database = home.name());
        let turn = async move {
            let mut effort = Effort::default();
            let who = Who { definition: &definition, consumer: &name, lane };
            let result = ctx.turn(who, &home, owner, &stop, QUANTUM, &mut pace, &mut effort).await;
            Finished { name, definition, lane, result, pace, effort, was_troubled }
        };
        if lane == Lane::Head {
            self.ctx.pulse.turn_begins();
        }
        self.turns.spawn(turn.instrument(span));
    }

    /// A turn has ended. Booked first: who waits for the end of the work may then read what it came to.
    async fn finished(&mut self, finished: std::result::Result<Finished, tokio::task::JoinError>) -> Result<()> {
        let finished = finished
            .map_err(|e| Error::new(ErrorKind::Crashed, format!("a turn died: {e}")).in_database(self.home.name()))?;
        let lane = finished.lane;
        let booked = self.book(finished).await;
        if lane == Lane::Head {
            self.ctx.pulse.turn_ended();
        }
        booked
    }

    /// Books a turn that ended: metrics, the note in the definition's row, and when to try again.
    async fn book(&mut self, finished: Finished) -> Result<()> {
        let Finished { name, definition, result, pace, effort, was_troubled, .. } = finished;
        metrics::counter!("lfk_keys_total", "definition" => definition.clone()).increment(effort.keys);
        metrics::counter!("lfk_rows_affected_total", "definition" => definition.clone()).increment(effort.rows);
        self.last_turn = Some(Instant::now());
        let Some(consumer) = self.consumers.get_mut(&name) else { return Ok(()) };
        consumer.running = false;
        consumer.pace = pace;
        consumer.not_before = None;
        // A turn that was stopped has not shown that all is well again.
        let unproven = self.stop.is_cancelled() && matches!(result, Ok(End::Interrupted));
        let trouble = match result {
            Ok(_) => None,
            Err(error) if error.kind == ErrorKind::Crashed => return Err(error),
            Err(error) if error.kind == ErrorKind::LeaseLost => {
                // Nothing was shown, neither that all is well nor that anything is wrong.
                tracing::info!(definition = name, "the lease went to another worker");
                return Ok(());
            }
            Err(error) => Some(error),
        };
        match trouble {
            None => {
                consumer.failures = 0;
                self.ctx.troubles.clear(&name);
                if was_troubled && !unproven {
                    upkeep::note(&self.home, &definition, "ok", None).await;
                }
            }
            Some(error) => {
                let (condition, note) = (condition_of(&error), describe(&error));
                consumer.failures += 1;
                consumer.not_before = Some(Instant::now() + backoff(consumer.failures));
                if consumer.failures == 1 {
                    tracing::warn!(
                        definition = name,
                        condition,
                        note,
                        "the definition does not get on; it is tried again"
                    );
                }
                // In a database that is not ours to work in, not even a note is written; in one that is away, none can be.
                let cannot = matches!(error.kind, ErrorKind::Refused | ErrorKind::Unreachable)
                    && error.database.as_deref() == Some(self.home.name());
                if !cannot {
                    upkeep::note(&self.home, &definition, condition, Some(&note)).await;
                }
                self.ctx.troubles.note(&name, &error);
            }
        }
        Ok(())
    }

    /// Lets the running batches end, books them, and takes the worker's row along.
    async fn wind_down(mut self) -> Result<()> {
        while let Some(finished) = self.turns.join_next().await {
            self.finished(finished).await?;
        }
        // The row goes stale by itself when the database is away.
        let _ = upkeep::forget(&self.home, self.id).await;
        Ok(())
    }
}

/// How long to wait for the next look at the log. While turns run, their end wakes the worker as well.
fn next_probe(busy: bool, since_last_turn: Option<Duration>) -> Duration {
    match since_last_turn {
        _ if busy => BUSY_POLL,
        Some(ago) if ago < WARM_FOR => WARM_POLL,
        _ => IDLE_POLL,
    }
}

fn is_due(last: Option<Instant>, every: Duration) -> bool {
    last.is_none_or(|last| last.elapsed() >= every)
}

/// 0.5, 1, 2, 4, then 5 s, with a quarter of jitter so that workers do not come back together.
fn backoff(failures: u32) -> Duration {
    let base = Duration::from_millis(250) * 2u32.saturating_pow(failures.min(10));
    base.min(LONGEST_BACKOFF).mul_f64(rand::random_range(0.75..1.0))
}

fn condition_of(error: &Error) -> &'static str {
    match classify(error) {
        // None of them needs a person: they pass.
        Class::Hold | Class::Slow | Class::Locked | Class::Contended => "held",
        _ => "blocked",
    }
}

/// The error as a note: never with key values or URLs, which `Error` does not hold.
fn describe(error: &Error) -> String {
    let place = error.database.as_deref().map(|d| format!("database \"{d}\": ")).unwrap_or_default();
    let hint = error.hint.as_deref().map(|h| format!(" ({h})")).unwrap_or_default();
    format!("{place}{}{hint}", error.message)
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Who<'a> {
    pub(crate) definition: &'a str,
    pub(crate) consumer: &'a str,
    pub(crate) lane: Lane,
}

impl Context {
    /// One turn with everything that it borrows.
    #[expect(clippy::too_many_arguments, reason = "the worker lends each of them for the length of the turn")]
    pub(crate) async fn turn(
        &self,
        who: Who<'_>,
        home: &Database,
        owner: Uuid,
        stop: &CancellationToken,
        quantum: Duration,
        pace: &mut Pace,
        effort: &mut Effort,
    ) -> Result<End> {
        let missing = || {
            Error::config("the definition speaks of a database that is not configured").for_definition(who.definition)
        };
        let definition = self.definition(who.definition).ok_or_else(missing)?;
        let away = self.database(&definition.declaration().child.database).ok_or_else(missing)?;
        let limiter = self.limiter(away.name()).ok_or_else(missing)?;
        let turn = Turn {
            definition: definition.as_ref(),
            consumer: who.consumer,
            lane: who.lane,
            home,
            away,
            owner,
            limiter,
            policy: &self.policy,
            points: &self.points,
            log_sql: &self.log_sql,
            stop,
            quantum,
        };
        turn.take(pace, effort).await.map_err(|e| e.for_definition(who.definition))
    }
}
