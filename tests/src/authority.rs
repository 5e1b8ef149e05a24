//! Certificates for servers, made when they are needed.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::guard;
use crate::template::hand_over;

/// A certificate authority that nobody trusts who does not have its file.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
}

/// What a server shows, and the key to it.
#[derive(Debug, Clone)]
pub struct Credentials {
    certificate: String,
    key: String,
}

impl Authority {
    /// A new one, with keys of its own.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn new() -> Result<Self> {
        let folder = guard::folder("authority")?;
        hand_over(&folder)?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority of the tests");
        let key = KeyPair::generate()?;
        fs::write(folder.join("ca.pem"), params.self_signed(&key)?.pem())?;
        Ok(Self { issuer: Issuer::new(params, key), folder })
    }

    /// The file by which a client trusts it.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A certificate for a host, signed by this authority.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn certify(&self, host: &str) -> Result<Credentials> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([host.to_owned()])?.signed_by(&key, &self.issuer)?;
        let path = |what: &str| self.folder.join(format!("{host}.{what}.pem"));
        write_private(&path("certificate"), &certificate.pem())?;
        write_private(&path("key"), &key.serialize_pem())?;
        let text = |path: PathBuf| path.display().to_string();
        Ok(Credentials { certificate: text(path("certificate")), key: text(path("key")) })
    }
}

impl Credentials {
    /// The settings of a server that encrypts with them.
    #[must_use]
    pub fn settings(&self) -> [(&str, &str); 3] {
        [("ssl", "on"), ("ssl_cert_file", &self.certificate), ("ssl_key_file", &self.key)]
    }
}

/// Servers refuse a key that others may read.
fn write_private(path: &Path, text: &str) -> Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())?;
    hand_over(path)
}

impl Drop for Authority {
    fn drop(&mut self) {
        if !guard::keeps() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}
