//! What lfk is compared with.

pub mod anti_join;
pub mod comparing;
pub mod giant;
pub mod giant_upsert;
pub mod status_queue;
