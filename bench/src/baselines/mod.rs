//! What lfk is compared with.

pub mod giant;
pub mod status_queue;
