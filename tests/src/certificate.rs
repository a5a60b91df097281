//! Certificates made on the spot, and the files they lie in.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;

/// The name in every certificate.
pub const NAME: &str = "edge.example";

/// A certificate that signs itself, with its key.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate as it goes over the wire.
    pub der: CertificateDer<'static>,
    key: Vec<u8>,
}

/// Where a service looks for its certificate and key.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    /// The certificate's file.
    pub certificate: PathBuf,
    /// The key's file.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes one.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
        Self { der: made.cert.der().clone(), key: made.signing_key.serialize_der() }
    }
}

impl Default for Certificate {
    fn default() -> Self {
        Self::new()
    }
}

impl CertificateFiles {
    /// Files in this folder, with that certificate in them.
    pub fn new(folder: &Path, certificate: &Certificate) -> Self {
        let files = Self { certificate: folder.join("edge.pem"), key: folder.join("edge.key") };
        files.hold(certificate);
        files
    }

    /// Puts another certificate into them.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn hold(&self, certificate: &Certificate) {
        let write = |file: &Path, kind: &str, der: &[u8]| {
            std::fs::write(file, pem(kind, der)).expect("a file of our own");
        };
        write(&self.certificate, "CERTIFICATE", &certificate.der);
        write(&self.key, "PRIVATE KEY", &certificate.key);
    }

    /// The lines of a configuration that name them.
    pub fn setting(&self) -> String {
        let Self { certificate, key } = self;
        format!("listen.tls = {{ certificate_file = {certificate:?}, key_file = {key:?} }}\n")
    }
}

fn pem(kind: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}
