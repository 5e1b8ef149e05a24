//! A network that fails on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::cluster::{Cluster, free_port};

/// What a [`Proxy`] does to its connections, the open and the coming ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Passes everything on.
    Pass,
    /// Passes everything on, each piece so much later, in both directions.
    Delay(Duration),
    /// A black hole: connections stay open and nothing arrives, not even their end. What was sent meanwhile arrives when the
    /// mode changes.
    Stall,
    /// The way to the server is a black hole, the way back is open.
    StallRequests,
    /// The way to the server is open, the way back is a black hole.
    StallReplies,
    /// Passes everything on until a client executes a prepared statement: from that request on, [`Mode::StallRequests`].
    StallOnExecution,
    /// Passes everything on until a client commits: from that request on, [`Mode::StallRequests`].
    StallOnCommit,
    /// Passes everything on until a client commits: the commit is carried out, and then it is [`Mode::StallReplies`].
    StallAfterCommit,
    /// The server is down: connections are cut and new ones refused.
    Refuse,
    /// Requests arrive and are carried out, replies are lost. A connection that has lost one is cut when the mode changes.
    LoseReplies,
    /// Passes everything on until a client commits: the commit is carried out, its reply is lost and the connection cut,
    /// and the mode is [`Mode::Pass`] again.
    LoseNextCommit,
}

/// Connections that wait to be taken.
const BACKLOG: u32 = 128;

/// A TCP proxy in front of a server, in the test's own runtime. Dropping it cuts every connection.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    listening: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    mode: watch::Sender<Mode>,
    /// The port of the server that connections lead to.
    server: AtomicU16,
    /// Connections that were taken before the last time that this was raised are black holes for ever.
    vanished: watch::Sender<u64>,
    lost: AtomicU64,
    accepted: AtomicU64,
    /// Connections that stall now, in one direction or both.
    stalled: watch::Sender<usize>,
}

impl Proxy {
    /// Starts a proxy, in mode [`Mode::Pass`].
    ///
    /// # Errors
    /// When no port is free.
    pub async fn in_front_of(cluster: &Cluster) -> Result<Self> {
        Self::before(cluster.port()).await
    }

    /// Starts a proxy before any port of 127.0.0.1, in mode [`Mode::Pass`].
    ///
    /// # Errors
    /// When no port is free.
    pub async fn before(server: u16) -> Result<Self> {
        let (port, listener) = listen_somewhere()?;
        let mode = watch::Sender::new(Mode::Pass);
        let shared = Arc::new(Shared {
            mode,
            server: AtomicU16::new(server),
            vanished: watch::Sender::new(0),
            lost: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            stalled: watch::Sender::new(0),
        });
        let (report, listening) = watch::channel(true);
        let task = tokio::spawn(accept(port, listener, Arc::clone(&shared), report));
        Ok(Self { port, shared, listening, task })
    }

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a database behind it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Changes the mode. When it returns, connections are refused, or taken, as the mode says.
    ///
    /// # Errors
    /// When the proxy has died.
    pub async fn set(&self, mode: Mode) -> Result<()> {
        self.shared.mode.send_replace(mode);
        self.listening.clone().wait_for(|listening| *listening == (mode != Mode::Refuse)).await?;
        Ok(())
    }

    /// The mode now: [`Mode::LoseNextCommit`] ends by itself.
    #[must_use]
    pub fn mode(&self) -> Mode {
        *self.shared.mode.borrow()
    }

    /// Cuts every open connection once; new ones are taken at once, in the mode that was set.
    ///
    /// # Errors
    /// When the proxy has died.
    pub async fn cut(&self) -> Result<()> {
        let mode = self.mode();
        self.set(Mode::Refuse).await?;
        self.set(mode).await
    }

    /// From now on new connections lead to another server; those that are open stay.
    pub fn lead_to(&self, cluster: &Cluster) {
        self.shared.server.store(cluster.port(), Ordering::SeqCst);
    }

    /// The other side of every open connection vanishes without a word: they stay open, and nothing passes any more, in
    /// neither direction and whatever the mode is. New ones work.
    pub fn vanish(&self) {
        self.shared.vanished.send_modify(|times| *times += 1);
    }

    /// Waits until something is held up by a mode that stalls.
    ///
    /// # Errors
    /// When nothing is, for a long time.
    pub async fn is_holding(&self) -> Result<()> {
        let mut stalled = self.shared.stalled.subscribe();
        tokio::time::timeout(Duration::from_secs(30), stalled.wait_for(|stalled| *stalled > 0)).await??;
        Ok(())
    }

    /// How many replies were lost, and so how many outcomes a client cannot know.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::SeqCst)
    }

    /// How many connections were taken so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn listen_somewhere() -> Result<(u16, TcpListener)> {
    loop {
        let port = free_port()?;
        if let Ok(listener) = listen(port) {
            return Ok((port, listener));
        }
    }
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    keep(port)?.listen(BACKLOG)
}

/// A socket that nobody can connect to, and that keeps others from the port.
fn keep(port: u16) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    Ok(socket)
}

/// Owns the listener and, so that all of them end with it, the connections.
async fn accept(port: u16, first: TcpListener, shared: Arc<Shared>, report: watch::Sender<bool>) {
    let mut mode = shared.mode.subscribe();
    let mut listener = first;
    let mut connections = JoinSet::new();
    loop {
        let refuses = *mode.borrow_and_update() == Mode::Refuse;
        if refuses {
            drop(listener);
            // A dying proxy is an error of the next `set`, which is where a test can see it.
            let Ok(kept) = keep(port) else { return };
            connections.shutdown().await;
            report.send_replace(false);
            if mode.wait_for(|mode| *mode != Mode::Refuse).await.is_err() {
                return;
            }
            let Ok(again) = kept.listen(BACKLOG) else { return };
            listener = again;
            report.send_replace(true);
        }
        tokio::select! {
            _ = mode.changed() => {}
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                connections.spawn(connection(client, Arc::clone(&shared)));
            }
        }
    }
}

async fn connection(client: TcpStream, shared: Arc<Shared>) {
    let mut vanished = shared.vanished.subscribe();
    let before = *vanished.borrow_and_update();
    let Ok(server) = TcpStream::connect(("127.0.0.1", shared.server.load(Ordering::SeqCst))).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    // True once the reply to a commit is to be lost.
    let doomed = watch::Sender::new(false);
    tokio::select! {
        () = requests(&mut from_client, &mut to_server, &shared, &doomed) => {}
        () = replies(&mut from_server, &mut to_client, &shared, &doomed) => {}
        // The sockets stay open: neither side hears anything.
        () = async { let _ = vanished.wait_for(|times| *times > before).await; } => std::future::pending().await,
    }
}

async fn requests(
    client: &mut OwnedReadHalf,
    server: &mut OwnedWriteHalf,
    shared: &Shared,
    doomed: &watch::Sender<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = client.read(&mut buffer).await;
        let piece = &buffer[..read.unwrap_or(0)];
        shared.mode.send_if_modified(|mode| mode.meets(piece));
        hold(shared, Mode::StallRequests).await;
        if piece.is_empty() {
            return;
        }
        if is_commit(piece) && shared.mode.send_if_modified(claim) {
            doomed.send_replace(true);
        }
        if server.write_all(piece).await.is_err() {
            return;
        }
    }
}

async fn replies(
    server: &mut OwnedReadHalf,
    client: &mut OwnedWriteHalf,
    shared: &Shared,
    doomed: &watch::Sender<bool>,
) {
    let mut mode = shared.mode.subscribe();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = server.read(&mut buffer).await;
        hold(shared, Mode::StallReplies).await;
        let Ok(length @ 1..) = read else { return };
        if *doomed.borrow() {
            shared.lost.fetch_add(1, Ordering::SeqCst);
            return;
        }
        if *mode.borrow_and_update() == Mode::LoseReplies {
            shared.lost.fetch_add(1, Ordering::SeqCst);
            swallow(server, mode).await;
            return;
        }
        if client.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// Reads and forgets until the mode changes: the server must not notice anything, and the client not that it hung up.
async fn swallow(server: &mut OwnedReadHalf, mut mode: watch::Receiver<Mode>) {
    let mut buffer = vec![0; 64 * 1024];
    let forget = async {
        while let Ok(1..) = server.read(&mut buffer).await {}
        std::future::pending().await
    };
    tokio::select! {
        _ = mode.wait_for(|mode| *mode != Mode::LoseReplies) => {}
        () = forget => {}
    }
}

/// Waits as long as the mode says; `stall` is the one that stalls only this direction.
async fn hold(shared: &Shared, stall: Mode) {
    let mode = *shared.mode.borrow();
    if let Mode::Delay(delay) = mode {
        tokio::time::sleep(delay).await;
    } else if mode == Mode::Stall || mode == stall {
        shared.stalled.send_modify(|stalled| *stalled += 1);
        let _ = shared.mode.subscribe().wait_for(|mode| *mode != Mode::Stall && *mode != stall).await;
        shared.stalled.send_modify(|stalled| *stalled -= 1);
    }
}

impl Mode {
    /// Changes with what a client sends, where it waits for that.
    fn meets(&mut self, piece: &[u8]) -> bool {
        let next = match self {
            Self::StallOnExecution if piece.first() == Some(&b'B') => Self::StallRequests,
            Self::StallOnCommit if is_commit(piece) => Self::StallRequests,
            Self::StallAfterCommit if is_commit(piece) => Self::StallReplies,
            _ => return false,
        };
        *self = next;
        true
    }
}

/// Only one connection loses its commit.
fn claim(mode: &mut Mode) -> bool {
    let mine = *mode == Mode::LoseNextCommit;
    if mine {
        *mode = Mode::Pass;
    }
    mine
}

/// Whether a piece holds COMMIT as a simple query, which is how drivers send it.
fn is_commit(piece: &[u8]) -> bool {
    piece.windows(7).any(|bytes| bytes.eq_ignore_ascii_case(b"COMMIT\0"))
}
