//! Positions of scans and checks.

/// A position.
pub const LOAD_POSITION: &str = include_str!("../../store/load_position.sql");
/// A position where there is none.
pub const INSERT_POSITION: &str = include_str!("../../store/insert_position.sql");
/// Moves a position.
pub const MOVE_POSITION: &str = include_str!("../../store/move_position.sql");
/// Forgets a position.
pub const FORGET_POSITION: &str = include_str!("../../store/forget_position.sql");
