//! Speed of lfk, measured side by side with what else could be done. The library of the program `lfk-bench`.
//!
//! A bench makes its data once ([`stage::Stage`]), copies it as files for every run, lets ours and the baselines run in turn
//! ([`round::Rounds`]) on servers as durable as those in production ([`server::Server`]), proves by SQL after each run that the
//! databases are as they have to be ([`verify::Expected`]), and answers with [`report::Case`]s. docs/benchmarks.md says what each
//! bench shows, and what it does not.
//!
//! A new bench is a file in `benches/` and a line in [`benches::ALL`]; its SQL is files in `bench/sql/`.

pub mod baselines;
pub mod benches;
pub mod copying;
pub mod cpu;
pub mod following;
pub mod latencies;
pub mod load;
pub mod mirrors;
pub mod ours;
pub mod report;
pub mod round;
pub mod sent;
pub mod server;
pub mod stage;
pub mod statements;
pub mod verify;
