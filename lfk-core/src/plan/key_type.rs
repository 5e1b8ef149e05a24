//! The types that a key may have, and the one form in which keys of each travel.

/// How keys of a column travel between the databases. Keys are cast to this, the parent's family, and never to the
/// child's own type: `'{70000}'::int2[]` would fail a whole batch for a key that no child can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum KeyType {
    /// `smallint`, `integer`, `bigint`: comparable with each other, and an index on any of them is used.
    Int8,
    /// `uuid`.
    Uuid,
    /// `text` and `character varying`.
    Text,
}

impl KeyType {
    /// Reads a type's name as `pg_type.typname` or as `format_type` spells it, a length included.
    pub(crate) fn from_type_name(name: &str) -> Option<Self> {
        let base = name.split('(').next().unwrap_or(name).trim();
        match base {
            "int2" | "int4" | "int8" | "smallint" | "integer" | "bigint" => Some(Self::Int8),
            "uuid" => Some(Self::Uuid),
            "text" | "varchar" | "character varying" => Some(Self::Text),
            _ => None,
        }
    }

    /// The type that a key is cast to in SQL.
    pub(crate) fn cast(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Uuid => "uuid",
            Self::Text => "text",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalog_names_and_printed_names_are_read_alike() {
        for (name, cast) in [
            ("int2", "int8"),
            ("smallint", "int8"),
            ("integer", "int8"),
            ("bigint", "int8"),
            ("uuid", "uuid"),
            ("text", "text"),
            ("varchar", "text"),
            ("character varying", "text"),
            ("character varying(40)", "text"),
        ] {
            assert_eq!(KeyType::from_type_name(name).map(KeyType::cast), Some(cast), "{name}");
        }
    }

    #[test]
    fn other_types_are_no_keys() {
        for name in ["numeric", "numeric(10,0)", "character(3)", "bpchar", "bytea", "integer[]", "_int4", "citext", ""]
        {
            assert_eq!(KeyType::from_type_name(name), None, "{name}");
        }
    }
}
