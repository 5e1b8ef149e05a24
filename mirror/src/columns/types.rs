//! As what the two sides of a column are compared. Pure.
//!
//! Both sides are cast to the target's type, and what is hashed is the value's binary form wherever a hash of the value
//! itself would fold different values together: 64-bit integers and everything made of them fold to 32 bits, arrays forget
//! their shape, an interval of a day hashes as 24 hours do. So numbers keep their scale and floats the sign of zero, as in the
//! rows that the sync writes.

use super::catalog::Found;

/// A key's kind: what keys are cast to wherever they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// `smallint`, `integer`, `bigint`.
    Int8,
    /// `uuid`.
    Uuid,
    /// `text` and `character varying`.
    Text,
}

impl KeyKind {
    pub(super) fn of(column: &Found) -> Option<Self> {
        match column.base.as_str() {
            _ if !column.built_in => None,
            "int2" | "int4" | "int8" => Some(Self::Int8),
            "uuid" => Some(Self::Uuid),
            "text" | "varchar" => Some(Self::Text),
            _ => None,
        }
    }

    /// The type's name in schema `pg_catalog`.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Uuid => "uuid",
            Self::Text => "text",
        }
    }
}

/// How a compared value is made ready for the row hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hashed {
    /// The value itself: its type's own hash tells every two values apart that differ.
    Raw,
    /// The text, byte by byte.
    Bytes,
    /// The binary form by this function.
    Send(String),
}

/// As what a column is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Compared {
    /// Casts from the inside out.
    pub casts: Vec<String>,
    /// Characters behind which an assignment cuts blanks in silence.
    pub cut: Option<i64>,
    pub hashed: Hashed,
}

/// Types whose values hash differently whenever they differ.
const RAW: &[&str] = &["bool", "int2", "int4", "uuid", "bytea", "date", "oid"];
/// Types with a precision that an assignment rounds to, so that both sides must be rounded before they are compared. What is
/// too long for a text or a bit string is an error of the assignment instead, and must show as a difference.
const ROUNDED: &[&str] = &["numeric", "time", "timetz", "timestamp", "timestamptz", "interval"];

/// Decides by the target's type. `source` is nothing for an expression.
pub(super) fn compared(target: &Found, source: Option<&Found>) -> Compared {
    let qualified = |name: &str| format!("pg_catalog.{}", quoted(name));
    let as_text = Compared { casts: vec![qualified("text")], cut: None, hashed: Hashed::Bytes };
    if !target.built_in {
        return as_text;
    }
    let element = target.element.as_deref().unwrap_or(&target.base);
    let cast = if target.has_modifier && ROUNDED.contains(&element) {
        target.base_declared.clone()
    } else {
        qualified(&target.base)
    };
    match (target.base.as_str(), &target.send) {
        // A number that is too large for the target is a difference, not a failing check.
        ("int2" | "int4", _) if source.is_none_or(|s| s.base != target.base) => {
            Compared { casts: vec![qualified("int8")], cut: None, hashed: Hashed::Send("int8send".to_owned()) }
        }
        (name, _) if RAW.contains(&name) => Compared { casts: vec![cast], cut: None, hashed: Hashed::Raw },
        // Its trailing blanks mean nothing, and as a text it has none.
        ("bpchar", _) => Compared { casts: vec![cast, qualified("text")], cut: None, hashed: Hashed::Bytes },
        // It is cut to its 63 bytes without a word, by an assignment too.
        ("name", _) => Compared { casts: vec![cast, qualified("text")], cut: None, hashed: Hashed::Bytes },
        ("varchar", _) => Compared { cut: target.text_limit(), ..as_text },
        ("text" | "xml", _) => as_text,
        // They name things of their own database by number.
        (name, _) if name.starts_with("reg") || element.starts_with("reg") => as_text,
        (_, Some(send)) => Compared { casts: vec![cast], cut: None, hashed: Hashed::Send(send.clone()) },
        (_, None) => as_text,
    }
}

/// Names of built-in types need quotes only where they are keywords with a meaning of their own, such as `"char"` and `bit`.
fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(base: &str, declared: &str) -> Found {
        Found {
            table_id: 1,
            name: "c".to_owned(),
            declared: declared.to_owned(),
            own_type: format!("pg_catalog.{base}"),
            base: base.to_owned(),
            base_declared: declared.to_owned(),
            has_modifier: declared.contains('('),
            built_in: true,
            element: base.strip_prefix('_').map(ToOwned::to_owned),
            send: Some(format!("{}send", base.strip_prefix('_').map_or(base, |_| "array_"))),
            not_null: false,
            deterministic: true,
            may_select: true,
            sorted: None,
            collation: None,
        }
    }

    fn how(target: &str, declared: &str, source: &str) -> (String, Hashed) {
        let compared = compared(&found(target, declared), Some(&found(source, source)));
        (compared.casts.join(" "), compared.hashed)
    }

    #[test]
    fn what_folds_64_bits_is_hashed_in_its_binary_form() {
        for base in ["int8", "timestamp", "timestamptz", "time", "interval", "numeric", "float8", "jsonb", "_int4"] {
            assert!(matches!(how(base, base, base).1, Hashed::Send(_)), "{base}");
        }
        for base in ["int4", "bool", "uuid", "date"] {
            assert_eq!(how(base, base, base).1, Hashed::Raw, "{base}");
        }
        for base in ["text", "varchar", "bpchar", "regclass"] {
            assert_eq!(how(base, base, base).1, Hashed::Bytes, "{base}");
        }
    }

    #[test]
    fn what_an_assignment_rounds_is_rounded_and_what_it_refuses_is_not_cut() {
        assert_eq!(how("numeric", "numeric(12,2)", "numeric").0, "numeric(12,2)");
        assert_eq!(how("_numeric", "numeric(12,2)[]", "_numeric").0, "numeric(12,2)[]");
        assert_eq!(how("varchar", "character varying(3)", "text").0, "pg_catalog.\"text\"");
        let limited = compared(&found("varchar", "character varying(3)"), None);
        assert_eq!((limited.cut, compared(&found("varchar", "character varying"), None).cut), (Some(3), None));
        assert_eq!(how("name", "name", "text").0, "pg_catalog.\"name\" pg_catalog.\"text\"");
        assert_eq!(how("bit", "bit(3)", "bit").0, "pg_catalog.\"bit\"");
        assert_eq!(how("bpchar", "character(3)", "text").0, "pg_catalog.\"bpchar\" pg_catalog.\"text\"");
    }

    #[test]
    fn a_number_that_is_too_large_for_the_target_is_a_difference() {
        assert_eq!(how("int4", "integer", "int8").0, "pg_catalog.\"int8\"");
        assert_eq!(how("int4", "integer", "int4").0, "pg_catalog.\"int4\"");
        assert_eq!(compared(&found("int2", "smallint"), None).casts, ["pg_catalog.\"int8\""]);
    }

    #[test]
    fn types_that_other_databases_know_by_another_number_are_compared_as_text() {
        let mood = Found { built_in: false, ..found("mood", "mood") };
        assert_eq!(compared(&mood, None).hashed, Hashed::Bytes);
    }
}
