#![doc = include_str!("../README.md")]

mod definition;

pub use definition::{Column, Mirror, Value};
