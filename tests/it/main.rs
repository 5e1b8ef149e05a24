//! The integration tests, all in one binary: each further one would link the whole tree again.

mod capture_deletes;
mod capture_peace;
mod capture_schema_changes;
mod capture_sessions;
mod capture_support;
mod capture_trees;
mod capture_updates;
mod clean_actions;
mod clean_chains;
mod clean_keys;
mod clean_refused;
mod clean_returning;
mod clean_support;
mod clean_switches;
mod clean_trees;
mod clean_waiting;
mod cover;
mod harness;
mod stress;
mod stress_chaos;
mod stress_interleavings;
mod stress_oracle;
mod stress_writers;
