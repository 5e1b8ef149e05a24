//! The three daemons of the soak: killed, stopped, frozen and cut off, and always started again.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lfk_tests::{Cli, Pair, Running, Signal};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio_util::sync::CancellationToken;

use crate::soak_oracle::{Memory, resident};
use crate::soak_writers::add;

/// The first one is never ended, so that its memory can be followed from the beginning to the end.
const DAEMONS: usize = 3;
/// Longer than the grace of a daemon.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// What happened to the daemons.
#[derive(Debug, Default)]
pub struct Blows {
    pub killed: AtomicU64,
    pub stopped: AtomicU64,
    pub frozen: AtomicU64,
    pub cut_off: AtomicU64,
}

/// Daemons of one configuration.
pub struct Fleet {
    cli: Arc<Cli>,
    daemons: Vec<Running>,
    /// What those that have ended have said.
    said: String,
}

impl Fleet {
    pub fn start(cli: Arc<Cli>) -> Result<Self> {
        let daemons = (0..DAEMONS).map(|_| cli.spawn(["run"])).collect::<Result<_>>()?;
        Ok(Self { cli, daemons, said: String::new() })
    }

    /// Hurts them until it is over, then lets all of them run.
    pub async fn hurt(
        mut self,
        seed: u64,
        pair: Pair,
        blows: Arc<Blows>,
        lasts: Duration,
        over: CancellationToken,
    ) -> Result<(Self, Memory)> {
        let mut rng = StdRng::seed_from_u64(seed);
        let (begun, mut memory) = (Instant::now(), Memory::default());
        let mut next = begun;
        let mut frozen: Option<(usize, Instant)> = None;
        while !over.is_cancelled() {
            self.look(begun.elapsed().as_secs_f64() / lasts.as_secs_f64(), &mut memory);
            if frozen.is_some_and(|(_, until)| until < Instant::now()) {
                self.thaw(&mut frozen)?;
            }
            if next < Instant::now() {
                let sacrificed = rng.random_range(1..DAEMONS);
                match rng.random_range(0..100) {
                    0..25 => self.kill(sacrificed, &mut frozen, &blows).await?,
                    25..40 => {
                        self.stop(sacrificed, &mut frozen).await?;
                        add(&blows.stopped, 1);
                    }
                    40..60 => {
                        self.thaw(&mut frozen)?;
                        let (whom, millis) = (rng.random_range(0..DAEMONS), rng.random_range(200..13_000));
                        self.daemons[whom].signal(Signal::Stop)?;
                        add(&blows.frozen, 1);
                        frozen = Some((whom, Instant::now() + Duration::from_millis(millis)));
                    }
                    _ => cut_off(&pair, &blows, rng.random_range(1..4)).await?,
                }
                next = Instant::now() + Duration::from_millis(rng.random_range(300..2500));
            }
            let _ = tokio::time::timeout(Duration::from_millis(100), over.cancelled()).await;
        }
        self.thaw(&mut frozen)?;
        Ok((self, memory))
    }

    /// Ends the daemons that may be ended and starts others: they look after coverage and old leaves at once.
    pub async fn renew(&mut self) -> Result<()> {
        for whom in 1..DAEMONS {
            self.stop(whom, &mut None).await?;
        }
        Ok(())
    }

    /// Ends all of them, and answers with all that any of them has said.
    pub async fn end(mut self) -> Result<String> {
        for mut daemon in std::mem::take(&mut self.daemons) {
            daemon.signal(Signal::Terminate)?;
            self.said += &daemon.wait(ENDS_WITHIN).await?.expect(0).stderr;
        }
        Ok(self.said)
    }

    /// What any of them has said so far.
    pub fn said(&self) -> String {
        self.daemons.iter().fold(self.said.clone(), |said, daemon| said + &daemon.stderr())
    }

    fn look(&self, at: f64, memory: &mut Memory) {
        for (slot, daemon) in self.daemons.iter().enumerate() {
            let Some(kb) = resident(daemon.pid()) else { continue };
            memory.most = memory.most.max(kb);
            if slot == 0 {
                memory.of_the_eldest.push((at, kb));
            }
        }
    }

    fn thaw(&mut self, frozen: &mut Option<(usize, Instant)>) -> Result<()> {
        frozen.take().map_or(Ok(()), |(whom, _)| self.daemons[whom].signal(Signal::Continue))
    }

    async fn kill(&mut self, whom: usize, frozen: &mut Option<(usize, Instant)>, blows: &Blows) -> Result<()> {
        if frozen.is_some_and(|(other, _)| other == whom) {
            *frozen = None;
        }
        self.daemons[whom].signal(Signal::Kill)?;
        add(&blows.killed, 1);
        self.replace(whom, 137).await
    }

    async fn stop(&mut self, whom: usize, frozen: &mut Option<(usize, Instant)>) -> Result<()> {
        self.thaw(frozen)?;
        self.daemons[whom].signal(Signal::Terminate)?;
        self.replace(whom, 0).await
    }

    async fn replace(&mut self, whom: usize, code: i32) -> Result<()> {
        let another = self.cli.spawn(["run"])?;
        let ended = std::mem::replace(&mut self.daemons[whom], another).wait(ENDS_WITHIN).await?;
        // A signal in its first moments, before it handles any, ends a program as it would any other: it had not begun to work.
        let not_begun = code == 0 && ended.code == 143 && ended.stderr.is_empty();
        ensure!(
            ended.code == code || not_begun,
            "a daemon has ended with {} and not {code}: {}",
            ended.code,
            ended.stderr
        );
        self.said += &ended.stderr;
        Ok(())
    }
}

/// Ends some of lfk's sessions.
async fn cut_off(pair: &Pair, blows: &Blows, most: u32) -> Result<()> {
    for db in [&pair.main, &pair.ci] {
        let some = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
              WHERE datname = current_database() AND application_name LIKE 'lfk/%' ORDER BY random() LIMIT {most}) s"
        );
        let cut: i64 = db.scalar(&some).await.context("cutting off")?;
        add(&blows.cut_off, u64::try_from(cut)?);
    }
    Ok(())
}
