//! The statements by name. A `&str` goes to the driver as it is; a [`Template`](crate::Template) is rendered first.

mod admin;
mod capture;
mod clean;
mod cursor;
mod grants;
mod pacing;
mod plan;
mod retry;
mod ring;
mod scan;
mod session;
mod sweep;

pub use admin::*;
pub use capture::*;
pub use clean::*;
pub use cursor::*;
pub use grants::*;
pub use pacing::*;
pub use plan::*;
pub use retry::*;
pub use ring::*;
pub use scan::*;
pub use session::*;
pub use sweep::*;
