//! What a failure of Redis means. In words of our own: those of the server may repeat what was sent to it.

use std::time::Duration;

use ::redis::{ErrorKind as Of, RedisError, ServerErrorKind};

use super::foreign;
use crate::error::{Error, ErrorKind};

const WHO: &str = "the cursor store in Redis";

/// A call that was answered with an error, or not at all.
pub(super) fn error(error: &RedisError) -> Error {
    match error.kind() {
        Of::Io => {
            let cause = error.to_string();
            Error { source: Some(cause.into()), ..unusable("cannot be reached", "start it, or correct the url") }
        }
        Of::AuthenticationFailed | Of::Server(ServerErrorKind::NoPerm) => turned_away(),
        Of::Server(ServerErrorKind::BusyLoading) => unusable("is still starting", "it passes by itself"),
        Of::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown) => {
            unusable("is a replica that takes no writes", "point the url at the primary")
        }
        Of::Server(ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::ClusterDown) => {
            unusable("is a node of a cluster", "use a single server, or the store in PostgreSQL")
        }
        Of::Parse | Of::UnexpectedReturnType => foreign(),
        _ => by_code(error.code()),
    }
}

/// What the driver has no name for, by the first word of the server's answer.
fn by_code(code: Option<&str>) -> Error {
    match code {
        Some("WRONGTYPE") => foreign(),
        Some("NOAUTH" | "WRONGPASS") => turned_away(),
        Some("OOM") => unusable("is full", "give it more memory (maxmemory), or let it evict keys"),
        Some("MISCONF") => unusable("takes no writes, because it cannot save to its disk", "mend its disk"),
        Some(code) if code.len() <= 20 && code.bytes().all(|b| b.is_ascii_uppercase()) => {
            unusable(&format!("answered with the error {code}"), "see the log of the server")
        }
        _ => unusable("answered with an error", "see the log of the server"),
    }
}

/// A call whose time was up.
pub(super) fn too_slow(timeout: Duration) -> Error {
    let message = format!("has not answered within {} ms", timeout.as_millis());
    unusable(&message, "look for what blocks it, for example a slow script or command of another client")
}

fn turned_away() -> Error {
    unusable(
        "turns away the user or the password, or does not allow what lfk does",
        "correct the url; a user needs: ACL SETUSER lfk on >PASSWORD ~lfk:position:* +hmget +hget +hset +exists +del +eval \
         (with the prefix of lfk), and +select for a database other than 0",
    )
}

fn unusable(what: &str, hint: &str) -> Error {
    Error::new(ErrorKind::Unreachable, format!("{WHO} {what}")).with_hint(hint)
}
