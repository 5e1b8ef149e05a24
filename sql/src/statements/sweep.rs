//! Finding orphans without a list of keys.

use crate::Template;

/// Begins or goes on.
pub const BEGIN_SWEEP: &str = include_str!("../../sweep/begin_sweep.sql");
/// Stores the position.
pub const MOVE_SWEEP: &str = include_str!("../../sweep/move_sweep.sql");
/// Whether a finished sweep stands for a marker.
pub const IS_SWEPT: &str = include_str!("../../sweep/is_swept.sql");
/// Child keys without a parent.
pub const ADD_SUSPECTS: &str = include_str!("../../sweep/add_suspects.sql");
/// A number that every running transaction is below.
pub const RAISE_BARRIER: &str = include_str!("../../sweep/raise_barrier.sql");
/// The next distinct keys of the children.
pub const NEXT_CHILD_KEYS: Template = Template(include_str!("../../sweep/next_child_keys.sql"));

/// Fragments that fit into the holes of [`NEXT_CHILD_KEYS`].
pub mod sweep_fragment {
    use crate::Template;

    /// Behind a key.
    pub const BEHIND: Template = Template(include_str!("../../sweep/behind.sql"));
    /// One column of a single key.
    pub const KEY_VALUE: Template = Template(include_str!("../../sweep/key_value.sql"));
    /// Refers to something.
    pub const NOT_NULL: Template = Template(include_str!("../../sweep/not_null.sql"));
    /// A column as keys travel.
    pub const CHILD_TEXT: Template = Template(include_str!("../../sweep/child_text.sql"));
}
