//! The statements by name. A `&str` goes to the driver as it is; a [`Template`](crate::Template) is rendered first.

mod admin;
mod capture;
mod check;
mod clean;
mod cursor;
mod grants;
mod mirror;
mod pacing;
mod plan;
mod replay;
mod retry;
mod ring;
mod scan;
mod session;
mod store;
mod sweep;

pub use admin::*;
pub use capture::*;
pub use check::*;
pub use clean::*;
pub use cursor::*;
pub use grants::*;
pub use mirror::*;
pub use pacing::*;
pub use plan::*;
pub use replay::*;
pub use retry::*;
pub use ring::*;
pub use scan::*;
pub use session::*;
pub use store::*;
pub use sweep::*;
