//! The integration tests, all in one binary: each further one would link the whole tree again.

mod harness;
