//! What a URL of Redis means.

use ::redis::{Client, ConnectionInfo, IntoConnectionInfo as _, TlsCertificates};

use crate::error::{Error, Result};

const SHAPE: &str = "write redis://user:password@host:port/0, rediss:// for an encrypted connection, or \
                     redis+unix:///path/to/socket; a special character in a password is written as %23 for #, %2F for / and so on";

/// A client for it. Reads the file of CAs that it may name, and touches no network.
///
/// # Errors
/// When it cannot be read. The message never repeats it, because it may hold a password.
pub(super) fn client(url: &str) -> Result<Client> {
    let wrong =
        |why: &str| Error::config(format!("the url of Redis is not one that can be used: {why}")).with_hint(SHAPE);
    let Some(parsed) = ::redis::parse_redis_url(url) else {
        return Err(wrong("it does not begin with redis:// or cannot be parsed"));
    };
    // The driver would ignore what stands behind it, and all but one word of it turn the verification off.
    if parsed.fragment().is_some() {
        return Err(wrong("it contains a #"));
    }
    let encrypted = matches!(parsed.scheme(), "rediss" | "valkeys");
    let known: &[&str] = match parsed.scheme() {
        "redis" | "valkey" => &["protocol"],
        _ if encrypted => &["protocol", "sslrootcert"],
        _ => &["protocol", "db", "user", "pass"],
    };
    // A misspelt parameter would be ignored as well. What is unknown is not repeated: it may be the end of a password.
    if parsed.query_pairs().any(|(name, _)| !known.contains(&&*name)) {
        return Err(wrong(&format!("it has a parameter other than {}", known.join(", "))));
    }
    let authorities = parsed.query_pairs().find(|(name, _)| name == "sslrootcert").map(|(_, file)| file.into_owned());
    let info = parsed.into_connection_info().map_err(|_| wrong("it cannot be read"))?;
    // Saying which driver this is would be one more command that a user has to be allowed.
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    open(info.set_redis_settings(settings), authorities.as_deref()).map_err(|why| wrong(&why))
}

fn open(info: ConnectionInfo, authorities: Option<&str>) -> std::result::Result<Client, String> {
    let Some(file) = authorities else {
        return Client::open(info).map_err(|_| "it cannot be used".to_owned());
    };
    let pem = std::fs::read(file).map_err(|e| format!("the file in sslrootcert cannot be read: {e}"))?;
    let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem) };
    Client::build_with_tls(info, certificates).map_err(|_| "the file in sslrootcert holds no certificates".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_driver_would_ignore_is_refused_and_never_repeated() {
        for url in [
            "redis://u:hunter2@host:port",
            "redis://u:hunter2@host/zero",
            "redis://u:hunter#2@host",
            "rediss://u:hunter2@host#insecure",
            "redis://u:hunter2@host?tls=hunter2",
            "redis://u:hunter2@host?sslrootcert=/hunter2",
            "rediss://u:hunter2@host?sslrootcert=/nowhere/at/all",
            "redis+unix:///path?password=hunter2",
            "http://u:hunter2@host",
            "u:hunter2@host",
            "",
        ] {
            let error = client(url).unwrap_err();
            let said = format!("{error:?} {error}");
            assert_eq!(error.kind, crate::ErrorKind::Config, "{url}");
            assert!(error.hint.is_some() && !said.contains("hunter2"), "{url}: {said}");
        }
    }

    #[test]
    fn urls_of_every_kind_are_read() {
        for url in [
            "redis://localhost",
            "redis://:p%23ss@[::1]:7000/3",
            "rediss://u:p@redis.example.com",
            "redis+unix:///run/redis.sock?db=1&user=u&pass=p",
            "unix:///run/redis.sock",
            "valkey://localhost?protocol=resp3",
        ] {
            assert!(client(url).is_ok(), "{url}");
        }
        let client = client("redis://u:p%23s%2Fs@h/3").unwrap();
        assert_eq!(client.get_connection_info().redis_settings().password(), Some("p#s/s"));
        assert_eq!(client.get_connection_info().redis_settings().db(), 3);
    }
}
