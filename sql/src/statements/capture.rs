//! What install creates.

/// The parts of schema `lfk`, in the order in which they are made.
pub const SCHEMA: &[&str] = &[
    include_str!("../../schema/010_schema.sql"),
    include_str!("../../schema/020_key_log.sql"),
    include_str!("../../schema/030_definitions.sql"),
];
