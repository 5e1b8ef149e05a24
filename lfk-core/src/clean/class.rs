//! What an error of a cleaning statement means for the batch. Pure decisions.

use crate::error::{Error, ErrorKind};

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The batch ends here and its keys stay unread: lease lost, killed, paused, refused.
    Stop,
    /// The database is away, full, read-only or going down: the definition waits, nothing is to blame.
    Hold,
    /// A right, a table or a column is missing: the definition waits for a person.
    Block,
    /// The statement took too long: never again at this size.
    Slow,
    /// The application has rows locked.
    Locked,
    /// A deadlock or a serialisation failure: the same again, soon.
    Contended,
    /// Some key of the batch is to blame: find it.
    Poison,
}

/// What an error means for the batch.
#[must_use]
pub fn classify(error: &Error) -> Class {
    match error.kind {
        ErrorKind::Unreachable | ErrorKind::Held => Class::Hold,
        ErrorKind::Sql => match error.sqlstate().as_deref() {
            Some(code) => classify_sqlstate(code),
            // The driver could not read the answer: a person has to look.
            None => Class::Block,
        },
        _ => Class::Stop,
    }
}

fn classify_sqlstate(code: &str) -> Class {
    match code {
        "57014" => Class::Slow,
        "55P03" => Class::Locked,
        "40001" | "40P01" => Class::Contended,
        // Read-only, or a transaction that slept too long.
        "25006" | "25P03" => Class::Hold,
        _ if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => Class::Hold,
        // 0A: rules make the statement impossible; 28, 3D, 3F: no login, database or schema.
        _ if ["42", "0A", "28", "3D", "3F"].iter().any(|class| code.starts_with(class)) => Class::Block,
        _ => Class::Poison,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_the_design_is_told_apart() {
        for (code, class) in [
            ("57014", Class::Slow),
            ("57P01", Class::Hold),
            ("53300", Class::Hold),
            ("53200", Class::Hold),
            ("08006", Class::Hold),
            ("25006", Class::Hold),
            ("25P03", Class::Hold),
            ("55P03", Class::Locked),
            ("40P01", Class::Contended),
            ("40001", Class::Contended),
            ("42501", Class::Block),
            ("42703", Class::Block),
            ("0A000", Class::Block),
            ("23503", Class::Poison),
            ("P0001", Class::Poison),
            ("22003", Class::Poison),
        ] {
            assert_eq!(classify_sqlstate(code), class, "{code}");
        }
    }
}
