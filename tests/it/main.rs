//! The integration tests, all in one binary: each further one would link the whole tree again.

mod clean_actions;
mod clean_chains;
mod clean_keys;
mod clean_refused;
mod clean_returning;
mod clean_support;
mod clean_switches;
mod clean_trees;
mod clean_waiting;
mod harness;
