//! What a URL means: where to, and how it is encrypted.

use std::net::IpAddr;
use std::str::FromStr as _;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::error::{Error, Result};

/// Reads a URL.
///
/// Encryption is verified (`verify-full`) unless the server is on this machine or the URL says otherwise: the driver's
/// own default falls back to plain text.
///
/// # Errors
/// When it cannot be read. The message never repeats it, because it may hold a password.
pub(super) fn parse(database: &str, url: &str) -> Result<PgConnectOptions> {
    let wrong = |why: &str| {
        Error::config(format!("the url is not a PostgreSQL URL: {why}"))
            .in_database(database)
            .with_hint("write postgres://user@host:port/database")
    };
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return Err(wrong("it does not begin with postgres://"));
    }
    if let Some(unknown) = unknown_parameter(url) {
        return Err(wrong(&format!("it has an unknown parameter \"{unknown}\"")));
    }
    let mut options = PgConnectOptions::from_str(url).map_err(|_| wrong("it cannot be parsed"))?;
    if !has_parameter(url, "sslmode") && !has_parameter(url, "ssl-mode") {
        let mode = if is_local(&options) { PgSslMode::Prefer } else { PgSslMode::VerifyFull };
        options = options.ssl_mode(mode);
    }
    if options.get_application_name().is_none() {
        options = options.application_name(concat!("lfk/", env!("CARGO_PKG_VERSION")));
    }
    Ok(options)
}

/// The driver ignores parameters that it does not know; a misspelt `sslmode` would silently mean no encryption.
fn unknown_parameter(url: &str) -> Option<&str> {
    const KNOWN: [&str; 18] = [
        "sslmode",
        "ssl-mode",
        "sslrootcert",
        "ssl-root-cert",
        "ssl-ca",
        "sslcert",
        "ssl-cert",
        "sslkey",
        "ssl-key",
        "statement-cache-capacity",
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "application_name",
        "options",
    ];
    parameters(url).find(|name| !KNOWN.contains(name) && !name.starts_with("options["))
}

fn has_parameter(url: &str, wanted: &str) -> bool {
    parameters(url).any(|name| name == wanted)
}

/// The names in the query of a URL, as they are written.
fn parameters(url: &str) -> impl Iterator<Item = &str> {
    let before_fragment = url.split('#').next().unwrap_or(url);
    let query = before_fragment.split_once('?').map_or("", |(_, query)| query);
    query.split('&').map(|pair| pair.split('=').next().unwrap_or(pair)).filter(|name| !name.is_empty())
}

/// Whether the packets never leave this machine.
fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_that_the_driver_would_ignore_are_found() {
        assert_eq!(unknown_parameter("postgres://a:b@c/d?sslmod=require"), Some("sslmod"));
        assert_eq!(unknown_parameter("postgres://a:b@c/d?sslmode=require&options[x]=y#z"), None);
        assert_eq!(unknown_parameter("postgres://a:b@c/d"), None);
    }

    #[track_caller]
    fn encryption(url: &str, expected: &str) {
        let options = parse("main", url).unwrap();
        assert_eq!(format!("{:?}", options.get_ssl_mode()), expected, "{url}");
    }

    #[test]
    fn what_leaves_this_machine_is_encrypted_and_verified_unless_the_url_says_otherwise() {
        for url in [
            "postgres://u@db.example.com/d",
            "postgres://u@10.0.0.7:5433/d?application_name=x",
            "postgres://u@[2001:db8::1]/d",
            "postgres:///d?host=db.example.com&user=u",
            "postgres://u@localhost/d?hostaddr=192.0.2.1",
            "postgres://u@localhost.example.com/d",
            // Text that only looks like a parameter.
            "postgres://u:sslmode=disable@db.example.com/d",
            "postgres://u@db.example.com/d?application_name=sslmode=disable",
            "postgres://u@db.example.com/d#?sslmode=disable",
        ] {
            encryption(url, "VerifyFull");
        }
        encryption("postgres://u@db.example.com/d?sslmode=disable", "Disable");
        encryption("postgres://u@db.example.com/d?sslmode=verify-ca", "VerifyCa");
    }

    #[test]
    fn what_stays_on_this_machine_need_not_be_encrypted() {
        for url in [
            "postgres://u@localhost/d",
            "postgres://u@127.0.0.1:5433/d",
            "postgres://u@127.9.9.9/d",
            "postgres://u@[::1]/d",
            "postgres://u@%2Fvar%2Frun%2Fpostgresql/d",
            "postgres://u@db.example.com/d?host=/var/run/postgresql",
        ] {
            encryption(url, "Prefer");
        }
        encryption("postgres://u@localhost/d?sslmode=verify-full", "VerifyFull");
    }
}
