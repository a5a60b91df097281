//! A way into a listener that speaks TLS: plain HTTP goes in on this side, and it is known what the
//! other side shows and whether it ever breaks off.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, copy, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::certificate::{Certificate, NAME};

/// A tunnel from a plain port of loopback to one that speaks TLS.
#[derive(Debug)]
pub struct Tunnel {
    /// The address of its near end, without a path.
    pub url: String,
    far: Far,
    broken_off: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// What is at the far end, and whom it may be.
#[derive(Clone)]
struct Far {
    address: String,
    connector: TlsConnector,
}

impl Tunnel {
    /// One to that address (without a path), which may show one of these certificates.
    ///
    /// # Panics
    /// When the machine has no free port.
    pub async fn to(url: &str, known: &[&Certificate]) -> Self {
        let address = url.trim_start_matches("http://").to_owned();
        let far = Far { address, connector: connector(known) };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("the port's number"));
        let broken_off = Arc::default();
        let task = tokio::spawn(serve(listener, far.clone(), Arc::clone(&broken_off)));
        Self { url, far, broken_off, task }
    }

    /// How many connections the far end has ended, or never let come about.
    pub fn broken_off(&self) -> usize {
        self.broken_off.load(Ordering::Relaxed)
    }

    /// What the far end shows to one who comes now.
    ///
    /// # Panics
    /// When it shows nothing that is known.
    pub async fn shown(&self) -> CertificateDer<'static> {
        let stream = self.far.open().await.expect("a handshake");
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        shown.expect("a certificate").clone().into_owned()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl std::fmt::Debug for Far {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.address)
    }
}

impl Far {
    async fn open(&self) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(NAME).expect("a name");
        self.connector.connect(name, stream).await
    }
}

fn connector(known: &[&Certificate]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in known {
        roots.add(certificate.der.clone()).expect("a certificate");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the usual versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn serve(listener: TcpListener, far: Far, broken_off: Arc<AtomicUsize>) {
    while let Ok((near, _)) = listener.accept().await {
        let (far, broken_off) = (far.clone(), Arc::clone(&broken_off));
        tokio::spawn(async move {
            let ended_by_far = match far.open().await {
                Ok(far) => join(near, far).await,
                Err(_) => true,
            };
            broken_off.fetch_add(usize::from(ended_by_far), Ordering::Relaxed);
        });
    }
}

/// Passes bytes both ways until one end is over; whether that was the far one.
async fn join(near: TcpStream, far: impl AsyncRead + AsyncWrite) -> bool {
    // Fails only on a connection that is gone.
    let _ = near.set_nodelay(true);
    let ((mut from_near, mut to_near), (mut from_far, mut to_far)) = (split(near), split(far));
    tokio::select! {
        // The near end first: whoever leaves is not broken off.
        biased;
        _ = copy(&mut from_near, &mut to_far) => false,
        _ = copy(&mut from_far, &mut to_near) => true,
    }
}
