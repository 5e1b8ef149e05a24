//! A network that fails on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
    /// A black hole: connections stay open and nothing arrives. What was sent meanwhile arrives when the mode changes.
    Stall,
    /// The server is down: connections are cut and new ones refused.
    Refuse,
    /// Requests arrive and are carried out, replies are lost. A connection that has lost one is cut when the mode changes.
    LoseReplies,
    /// Passes everything on until a client commits: the commit is carried out, its reply is lost and the connection cut,
    /// and the mode is [`Mode::Pass`] again.
    LoseNextCommit,
}

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
    lost: AtomicU64,
    accepted: AtomicU64,
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
        let shared = Arc::new(Shared { mode, lost: AtomicU64::new(0), accepted: AtomicU64::new(0) });
        let (report, listening) = watch::channel(true);
        let task = tokio::spawn(accept(port, listener, server, Arc::clone(&shared), report));
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
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    socket.listen(128)
}

/// Owns the listener and, so that all of them end with it, the connections.
async fn accept(port: u16, first: TcpListener, server: u16, shared: Arc<Shared>, report: watch::Sender<bool>) {
    let mut mode = shared.mode.subscribe();
    let mut listener = first;
    let mut connections = JoinSet::new();
    loop {
        let refuses = *mode.borrow_and_update() == Mode::Refuse;
        if refuses {
            drop(listener);
            connections.shutdown().await;
            report.send_replace(false);
            if mode.wait_for(|mode| *mode != Mode::Refuse).await.is_err() {
                return;
            }
            // A dying proxy is an error of the next `set`, which is where a test can see it.
            let Ok(again) = listen(port) else { return };
            listener = again;
            report.send_replace(true);
        }
        tokio::select! {
            _ = mode.changed() => {}
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                connections.spawn(connection(client, server, Arc::clone(&shared)));
            }
        }
    }
}

async fn connection(client: TcpStream, server: u16, shared: Arc<Shared>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // True once the reply to a commit is to be lost.
    let doomed = watch::Sender::new(false);
    tokio::select! {
        () = requests(from_client, to_server, &shared, &doomed) => {}
        () = replies(from_server, to_client, &shared, &doomed) => {}
    }
}

async fn requests(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    shared: &Shared,
    doomed: &watch::Sender<bool>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = client.read(&mut buffer).await {
        let piece = &buffer[..length];
        hold(&shared.mode).await;
        if is_commit(piece) && shared.mode.send_if_modified(claim) {
            doomed.send_replace(true);
        }
        if server.write_all(piece).await.is_err() {
            return;
        }
    }
}

async fn replies(mut server: OwnedReadHalf, mut client: OwnedWriteHalf, shared: &Shared, doomed: &watch::Sender<bool>) {
    let mut mode = shared.mode.subscribe();
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = server.read(&mut buffer).await {
        hold(&shared.mode).await;
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
async fn swallow(mut server: OwnedReadHalf, mut mode: watch::Receiver<Mode>) {
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

/// Waits as long as the mode says.
async fn hold(mode: &watch::Sender<Mode>) {
    let delay = match *mode.borrow() {
        Mode::Delay(delay) => Some(delay),
        Mode::Stall => None,
        _ => return,
    };
    match delay {
        Some(delay) => tokio::time::sleep(delay).await,
        None => {
            let _ = mode.subscribe().wait_for(|mode| *mode != Mode::Stall).await;
        }
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
