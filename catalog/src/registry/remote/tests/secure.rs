//! A registry behind TLS, and the authorities that may sign for it.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

/// An authority with its certificate in a file.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

impl Authority {
    fn new(name: &str, scratch: &Scratch) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let pem = STANDARD.encode(certificate.der());
        let text = format!("-----BEGIN CERTIFICATE-----\n{pem}\n-----END CERTIFICATE-----\n");
        scratch.write(name, &text);
        Self { issuer: Issuer::new(params, key), file: scratch.path().join(name) }
    }

    /// A registry that shows a certificate of this authority for that name.
    fn registry(&self, name: &str) -> Server {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        Server::behind("https", move |stream, served| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            serve(StreamOwned::new(connection, stream), served);
        })
    }
}

#[test]
fn a_registry_behind_tls_is_asked_where_its_authority_is_the_one_that_is_named() {
    let scratch = Scratch::new();
    let (ours, another) = (Authority::new("ours.pem", &scratch), Authority::new("x.pem", &scratch));
    let server = ours.registry("127.0.0.1");
    server.register("web.clicks.wish", 1, &requiring(11, "a"));
    let registry = |server: &Server, ca_file: Option<&Authority>| {
        let ca_file = ca_file.map(|authority| authority.file.clone());
        Registry::new(&RegistryOptions { ca_file, ..server.options() }).unwrap()
    };
    let good = registry(&server, Some(&ours));
    assert_eq!(versions(&fetch(&good)), [wish(1, 11)]);
    assert_eq!(good.standing(), Standing { held: true, ..Standing::default() });
    assert_eq!(server.asked().len(), 3);

    let elsewhere = ours.registry("registry.example");
    for (server, ca_file, says) in [
        (&server, Some(&another), "ca_file"),
        (&server, None, "ca_file"),
        (&elsewhere, Some(&ours), "127.0.0.1"),
    ] {
        let refused = registry(server, ca_file);
        assert!(fetch(&refused).schemas.is_empty());
        let why = refused.standing().away.unwrap();
        assert!(why.starts_with(&server.url) && why.contains("certificate"), "{why}");
        assert!(why.contains(says), "{why}");
        // Nothing was said to it, the credentials least of all.
        assert!(server.asked().is_empty());
    }
}
