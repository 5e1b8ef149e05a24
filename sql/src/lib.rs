#![doc = include_str!("../README.md")]

mod expression;
mod ident;
mod template;

pub mod statements;

pub use expression::{Expression, ExpressionError};
pub use ident::{Ident, IdentError, MAX_IDENT_BYTES, TableName};
pub use template::{Piece, Sql, Template};
