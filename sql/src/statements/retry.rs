//! Keys set aside, as a person asks for them, and how they leave quarantine.

use std::sync::LazyLock;

use crate::{Sql, Template};

/// A statement whose one hole is the choice of keys.
fn of_chosen(text: &'static str) -> Sql {
    let chosen = Template(include_str!("../../retry/chosen_keys.sql")).render(&[]);
    Template(text).render(&[("chosen", chosen.into())])
}

/// Keys set aside.
pub static LIST_RETRIES: LazyLock<Sql> = LazyLock::new(|| of_chosen(include_str!("../../retry/list_retries.sql")));
/// Makes keys due at once.
pub static RETRY_NOW: LazyLock<Sql> = LazyLock::new(|| of_chosen(include_str!("../../retry/retry_now.sql")));
/// Forgets keys.
pub static DROP_RETRIES: LazyLock<Sql> = LazyLock::new(|| of_chosen(include_str!("../../retry/drop_retries.sql")));
/// Whether there is anything that could leave quarantine.
pub const HAS_QUARANTINED: &str = include_str!("../../retry/has_quarantined.sql");
/// Keys that were done although they are in quarantine.
pub const LEAVE_QUARANTINE: &str = include_str!("../../retry/leave_quarantine.sql");
