//! The harness of the integration tests: real PostgreSQL servers, made in milliseconds and gone without a trace.
//!
//! ```no_run
//! # use lfk_tests::{Pair, eventually};
//! # use std::time::Duration;
//! # async fn test() -> anyhow::Result<()> {
//! let pair = Pair::new().await?;
//! pair.main.execute("CREATE TABLE projects (id bigint PRIMARY KEY)").await?;
//! let projects: i64 = pair.main.scalar("SELECT count(*) FROM projects").await?;
//! assert_eq!(projects, 0);
//! # Ok(()) }
//! ```
//!
//! **Servers.** [`Pair`] and [`TestDb`] give each test databases of its own on two servers, `main` and `ci`, which all
//! tests of the process share. A test that stops or kills a server starts a [`Cluster`] of its own. A [`Proxy`] in front
//! of one makes the network fail.
//!
//! **Nothing stays behind**, whatever ends the test process, `kill -9` included. Every server gets SIGQUIT from the kernel
//! when the process is gone (`PR_SET_PDEATHSIG`), and a guard process, which waits for the same moment on a pipe, stops
//! what is left and removes the folder of the run. `LFK_KEEP=1` keeps databases and folders (`/tmp/lfk-*`), to look at a
//! failure; a server that is started on one of them shows what the test saw.
//!
//! **Privileges.** As root the servers run as `nobody`, because PostgreSQL refuses root; otherwise as the current user.

mod authority;
mod binaries;
mod cli;
mod cluster;
mod database;
mod guard;
mod os;
mod pgbouncer;
mod proxy;
mod redis;
mod roles;
pub mod scenario;
mod template;
mod wait;

pub use authority::{Authority, Credentials};
pub use binaries::{Binaries, pg_bin};
pub use cli::{Cli, Outcome, Running, lfk_binary};
pub use cluster::Cluster;
pub use database::{Pair, Role, TestDb, databases, engine};
pub use os::{Signal, is_running};
pub use pgbouncer::PgBouncer;
pub use proxy::{Mode, Proxy};
pub use redis::{Frozen, Redis};
pub use roles::{LeastRoles, with_least_rights};
pub use wait::eventually;
