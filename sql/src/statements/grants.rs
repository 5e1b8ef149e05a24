//! `lfk grants`: the least rights, as a script.

use crate::Template;

/// Lets the installer make schema lfk.
pub const GRANT_DATABASE: Template = Template(include_str!("../../grants/installer_database.sql"));
/// Lets the installer put triggers on a parent.
pub const GRANT_TRIGGERS: Template = Template(include_str!("../../grants/installer_parent.sql"));
/// Lets the worker look for parents.
pub const GRANT_PARENT: Template = Template(include_str!("../../grants/worker_parent.sql"));
/// Lets the worker find, lock and change children.
pub const GRANT_CHILD: Template = Template(include_str!("../../grants/worker_child.sql"));
/// Lets the worker delete children.
pub const GRANT_DELETE: Template = Template(include_str!("../../grants/worker_child_delete.sql"));
/// Lets the worker work with schema lfk where parents live.
pub const GRANT_LFK_PARENTS: Template = Template(include_str!("../../grants/worker_lfk_parents.sql"));
/// Lets the worker work with schema lfk where children live.
pub const GRANT_LFK_CHILDREN: Template = Template(include_str!("../../grants/worker_lfk_children.sql"));
/// Lets the worker read a source with expressions.
pub const GRANT_SOURCE: Template = Template(include_str!("../../grants/worker_source.sql"));
/// Lets the worker write a target.
pub const GRANT_TARGET: Template = Template(include_str!("../../grants/worker_target.sql"));
/// Lets the worker work with schema lfk where targets live.
pub const GRANT_LFK_TARGETS: Template = Template(include_str!("../../grants/worker_lfk_targets.sql"));
/// Takes rights on a source with expressions back.
pub const REVOKE_SOURCE: Template = Template(include_str!("../../grants/revoke_source.sql"));
/// Takes rights on a target back.
pub const REVOKE_TARGET: Template = Template(include_str!("../../grants/revoke_target.sql"));
/// Takes rights on a parent back.
pub const REVOKE_PARENT: Template = Template(include_str!("../../grants/revoke_parent.sql"));
/// Takes rights on a child back.
pub const REVOKE_CHILD: Template = Template(include_str!("../../grants/revoke_child.sql"));
/// Takes rights in schema lfk back.
pub const REVOKE_LFK: Template = Template(include_str!("../../grants/revoke_lfk.sql"));
/// Takes the right to make a schema back.
pub const REVOKE_DATABASE: Template = Template(include_str!("../../grants/revoke_database.sql"));
/// A column in a list.
pub const GRANT_COLUMN: Template = Template(include_str!("../../grants/column.sql"));
