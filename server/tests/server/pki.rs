//! Certificates made on the spot, the files they lie in, and clients that trust them.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clickmill_server::serve::Transport;
use clickmill_server::tls::{Tls, TlsConfig};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The name in every certificate of these tests.
const NAME: &str = "edge.example";

/// Certificate and key in files of their own, which go when it is dropped.
pub(crate) struct Pair {
    pub(crate) files: TlsConfig,
    folder: PathBuf,
    pub(crate) certificate: CertificateDer<'static>,
}

impl Pair {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let folder = format!("clickmill-tls-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(&folder).unwrap();
        let files = TlsConfig {
            certificate_file: folder.join("edge.pem"),
            key_file: folder.join("edge.key"),
        };
        let certificate = write(&files);
        Self { files, folder, certificate }
    }

    /// Another certificate and key in the same files.
    pub(crate) fn renew(&mut self) {
        self.certificate = write(&self.files);
    }

    pub(crate) fn transport(&self) -> Transport {
        Transport { tls: Some(Tls::open(&self.files).unwrap()), proxies: None }
    }

    /// Speaks TLS over a connection; trusts this certificate alone and offers this protocol.
    pub(crate) async fn try_secure(
        &self,
        stream: TcpStream,
        protocol: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let name = ServerName::try_from(NAME).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    pub(crate) async fn secure(&self, stream: TcpStream, protocol: &str) -> TlsStream<TcpStream> {
        let secured = self.try_secure(stream, protocol).await.unwrap();
        let agreed = secured.get_ref().1.alpn_protocol();
        assert_eq!(agreed, Some(protocol.as_bytes()), "the protocol is agreed on");
        secured
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn write(files: &TlsConfig) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    fs::write(&files.certificate_file, pem("CERTIFICATE", made.cert.der())).unwrap();
    fs::write(&files.key_file, pem("PRIVATE KEY", &made.signing_key.serialize_der())).unwrap();
    made.cert.der().clone()
}

fn pem(kind: &str, der: &[u8]) -> String {
    let lines: Vec<String> = STANDARD
        .encode(der)
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}
