//! TLS by rustls: certificates from files, exchanged while connections stay.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use tokio_rustls::TlsAcceptor;

/// The protocols that are offered, by preference.
const ALPN: [&[u8]; 2] = [H2, b"http/1.1"];

/// HTTP/2 as ALPN names it.
pub(crate) const H2: &[u8] = b"h2";

/// Where certificate and key lie.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// PEM file with our certificate and those between it and the root, ours first.
    pub certificate_file: PathBuf,
    /// PEM file with its private key.
    pub key_file: PathBuf,
}

/// Why certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not there, or is no PEM of that kind.
    #[error("`listen.tls.{key}`: {} {problem}", file.display())]
    File {
        /// The configuration key it came from.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// The rest of the sentence.
        problem: String,
    },
    /// They do not belong together, or are of a kind that is not supported.
    #[error("`listen.tls`: certificate and key cannot be used: {0}")]
    Pair(#[from] rustls::Error),
}

/// Certificate and key that were read and belong together.
pub struct Certified(Arc<ServerConfig>);

impl fmt::Debug for Certified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certified").finish_non_exhaustive()
    }
}

/// Takes TLS handshakes. Clones are the same: all of them use the certificate that was read last.
#[derive(Clone)]
pub struct Tls {
    current: Arc<ArcSwap<ServerConfig>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads certificate and key, and takes them.
    ///
    /// # Errors
    /// Names the file that is wrong.
    pub fn open(files: &TlsConfig) -> Result<Self, TlsError> {
        Ok(Self { current: Arc::new(ArcSwap::new(Self::read(files)?.0)) })
    }

    /// Reads certificate and key, to be taken once all else is good, too.
    ///
    /// # Errors
    /// Names the file that is wrong.
    pub fn read(files: &TlsConfig) -> Result<Certified, TlsError> {
        read(files).map(|config| Certified(Arc::new(config)))
    }

    /// Takes another certificate. Handshakes from now on use it; open connections stay.
    pub fn take(&self, certified: Certified) {
        self.current.store(certified.0);
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }
}

fn read(files: &TlsConfig) -> Result<ServerConfig, TlsError> {
    let TlsConfig { certificate_file, key_file } = files;
    let no_certificate = |problem| file_error("certificate_file", certificate_file, problem);
    let chain = CertificateDer::pem_file_iter(certificate_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| no_certificate(problem(error)))?;
    if chain.is_empty() {
        return Err(no_certificate("holds no certificate".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key_file)
        .map_err(|error| file_error("key_file", key_file, problem(error)))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

fn file_error(key: &'static str, file: &Path, problem: String) -> TlsError {
    TlsError::File { key, file: file.to_owned(), problem }
}

fn problem(error: rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error;
    match error {
        Error::Io(error) => format!("cannot be read: {error}"),
        Error::NoItemsFound => "holds none".to_owned(),
        // Its own text may show a part of the file.
        _ => "is no PEM file".to_owned(),
    }
}
