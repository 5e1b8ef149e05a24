//! The statements by name. A `&str` goes to the driver as it is; a [`Template`](crate::Template) is rendered first.

mod admin;
mod capture;
mod clean;
mod cursor;
mod plan;
mod ring;
mod session;
mod sweep;

pub use admin::*;
pub use capture::*;
pub use clean::*;
pub use cursor::*;
pub use plan::*;
pub use ring::*;
pub use session::*;
pub use sweep::*;
