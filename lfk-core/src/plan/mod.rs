//! Deciding, from the catalogs of both ends, whether a definition may be installed and run.

mod key_type;

#[allow(unused_imports, reason = "the cleaning code casts keys with it")]
pub(crate) use key_type::KeyType;
