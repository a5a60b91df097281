//! Asks a registry over HTTP: several addresses, one after the other, each question bounded in time
//! and in size.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::CertificateError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::{HeaderValue, Response, Uri, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use super::fetch::Answers;
use super::many::AT_ONCE;
use crate::SourceError;

/// Longest explanation that is repeated from a registry's answer, in characters.
const EXPLANATION_CHARS_MAX: usize = 200;

/// Longest answer that says why a question was refused, in bytes.
const REFUSAL_BYTES_MAX: u64 = 64 * 1024;

/// What may stand in a path as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How to reach a registry.
#[derive(Clone, Debug, Default)]
pub struct RegistryOptions {
    /// Its addresses up to where the paths of Confluent's REST API begin; one that fails is
    /// followed by the next.
    pub urls: Vec<String>,
    /// What it is shown.
    pub credentials: Option<Credentials>,
    /// A PEM file with the authorities that may sign its certificate, instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// How long one question may take.
    pub timeout: Duration,
    /// How long all questions of one fetch may take.
    pub fetch_timeout: Duration,
    /// The folder of the copy for a start while it is away.
    pub cache_dir: Option<PathBuf>,
}

/// What a registry is shown; never shown to anybody else.
#[derive(Clone)]
pub enum Credentials {
    /// A user and a password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token.
    Bearer(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Basic { user, .. } => write!(f, "Basic({user}, hidden)"),
            Self::Bearer(_) => f.write_str("Bearer(hidden)"),
        }
    }
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Nothing was heard, or nothing in time.
    #[error("{url}: {problem}")]
    Away { url: String, problem: String },
    /// It said no.
    #[error("{url} answers {status}: {explanation}")]
    Refused { url: String, status: u16, code: u32, explanation: String },
    /// It said what makes no sense.
    #[error("{url}: {problem}")]
    Unreadable { url: String, problem: String },
}

impl Failure {
    /// Whether another address may know better.
    fn is_the_servers(&self) -> bool {
        match self {
            Self::Away { .. } | Self::Unreadable { .. } => true,
            Self::Refused { status, .. } => *status >= 500,
        }
    }

    /// Whether what was asked for does not exist.
    pub(super) fn is_not_there(&self) -> bool {
        matches!(self, Self::Refused { status: 404, code: 40401..=40403, .. })
    }
}

/// A registry's own words for a refusal.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Explanation {
    error_code: u32,
    message: String,
}

/// A question: a path below the address, and how long its answer may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) path: &'a str,
    pub(super) bytes_max: u64,
    /// When the whole fetch is over.
    pub(super) deadline: Instant,
}

/// Asks one registry.
#[derive(Debug)]
pub(super) struct Client {
    agent: Agent,
    urls: Vec<String>,
    authorization: Option<HeaderValue>,
    timeout: Duration,
    /// The address that answered last.
    preferred: AtomicUsize,
}

impl Client {
    /// Checks the options; asks nothing.
    pub(super) fn new(options: &RegistryOptions) -> Result<Self, SourceError> {
        let urls = options.urls.iter().map(|url| checked(url)).collect::<Result<Vec<_>, _>>()?;
        if urls.is_empty() {
            return Err(error("the registry", "it has no address"));
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // What is asked elsewhere would be shown the credentials.
            .max_redirects(0)
            // All that is set is in the configuration, not in the environment.
            .proxy(None)
            // One for each question that may be under way.
            .max_idle_connections(AT_ONCE)
            .max_idle_connections_per_host(AT_ONCE)
            .user_agent(concat!("clickmill/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots(options)?).build())
            .build();
        Ok(Self {
            agent: agent.into(),
            urls,
            authorization: options.credentials.as_ref().map(authorization).transpose()?,
            timeout: options.timeout,
            preferred: AtomicUsize::new(0),
        })
    }

    fn ask_at<T: DeserializeOwned>(
        &self,
        url: &str,
        question: &Question<'_>,
    ) -> Result<T, Failure> {
        let left = question.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(away(url, "the time for one fetch is over"));
        }
        let mut request = self.agent.get(format!("{url}{}", question.path));
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request
            .header(header::ACCEPT, "application/vnd.schemaregistry.v1+json, application/json");
        let request = request.config().timeout_global(Some(left.min(self.timeout))).build();
        let response = request.call().map_err(|error| away(url, told(&error)))?;
        if response.status().is_success() {
            read(url, response, question.bytes_max)
        } else {
            Err(refused(url, response))
        }
    }
}

impl Answers for Client {
    /// The first address, which names the registry.
    fn name(&self) -> &str {
        self.urls.first().map_or("", String::as_str)
    }

    /// Asks the address that answered last, then the others.
    fn ask<T: DeserializeOwned>(&self, question: &Question<'_>) -> Result<T, Failure> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = None;
        for at in 0..self.urls.len() {
            let at = (first + at) % self.urls.len();
            match self.ask_at(&self.urls[at], question) {
                Ok(answer) => {
                    self.preferred.store(at, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(failure) if failure.is_the_servers() => last = Some(failure),
                Err(failure) => return Err(failure),
            }
        }
        Err(last.unwrap_or_else(|| away(self.name(), "was not asked")))
    }
}

/// A name as one segment of a path.
pub(super) fn segment(name: &str) -> String {
    utf8_percent_encode(name, PLAIN).to_string()
}

fn read<T: DeserializeOwned>(
    url: &str,
    mut response: Response<ureq::Body>,
    bytes_max: u64,
) -> Result<T, Failure> {
    let unreadable = |problem: String| Failure::Unreadable { url: url.to_owned(), problem };
    let bytes = response.body_mut().with_config().limit(bytes_max).read_to_vec();
    let bytes = bytes.map_err(|error| match error {
        ureq::Error::BodyExceedsLimit(_) => {
            unreadable(format!("its answer is longer than {bytes_max} bytes"))
        }
        other => away(url, other),
    })?;
    opened(url, &bytes)
}

/// Opens the text of an answer.
pub(super) fn opened<T: DeserializeOwned>(url: &str, bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| Failure::Unreadable {
        url: url.to_owned(),
        // It may repeat a text of the answer, however long.
        problem: format!(
            "its answer is not a registry's: {}",
            brief(&error.to_string(), EXPLANATION_CHARS_MAX)
        ),
    })
}

/// The beginning of a text that a registry may have written.
pub(super) fn brief(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn refused(url: &str, mut response: Response<ureq::Body>) -> Failure {
    let status = response.status().as_u16();
    let text = response.body_mut().with_config().limit(REFUSAL_BYTES_MAX).read_to_vec();
    // Something in between may answer with anything; then the status alone says it.
    let said: Explanation =
        text.ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
    let explanation = match said.message.as_str() {
        "" => "no reason given".to_owned(),
        message => brief(message, EXPLANATION_CHARS_MAX),
    };
    Failure::Refused { url: url.to_owned(), status, code: said.error_code, explanation }
}

/// What a failure to ask says. Whom a certificate may be signed by is a matter of the configuration.
fn told(error: &ureq::Error) -> String {
    let of_tls = match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref()),
        _ => None,
    };
    match of_tls {
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature,
        )) => "its certificate is signed by none of the authorities that may; ca_file names others"
            .to_owned(),
        Some(_) | None => error.to_string(),
    }
}

fn away(url: &str, problem: impl fmt::Display) -> Failure {
    Failure::Away { url: url.to_owned(), problem: problem.to_string() }
}

fn error(source_name: &str, problem: impl fmt::Display) -> SourceError {
    SourceError { source_name: source_name.to_owned(), problem: problem.to_string() }
}

/// An address without the slash at its end.
fn checked(url: &str) -> Result<String, SourceError> {
    let uri: Uri = url.parse().map_err(|why| error(url, why))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(error(url, "the address must begin with http:// or https://"));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        // It would be shown wherever the address is.
        return Err(error("the registry", "its address must not hold a password"));
    }
    if uri.query().is_some() {
        return Err(error(url, "the address must have no query"));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn roots(options: &RegistryOptions) -> Result<RootCerts, SourceError> {
    let Some(file) = &options.ca_file else { return Ok(RootCerts::WebPki) };
    let name = file.display().to_string();
    let pem = fs::read(file).map_err(|why| error(&name, why))?;
    let mut certificates: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|why| error(&name, why))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(error(&name, "it holds no certificate"));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

fn authorization(credentials: &Credentials) -> Result<HeaderValue, SourceError> {
    let text = match credentials {
        Credentials::Basic { user, password } => {
            format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
        }
        Credentials::Bearer(token) => format!("Bearer {token}"),
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| error("the registry", "its token has characters that no header may have"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        let options = RegistryOptions { urls: vec![url.to_owned()], ..RegistryOptions::default() };
        Client::new(&options).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_address_is_refused_by_name_and_shows_no_password() {
        assert!(refusal("registry:8081").contains("registry:8081"));
        assert!(refusal("ftp://registry").contains("http://"));
        assert!(refusal("http://registry/?a=b").contains("no query"));
        let secret = refusal("http://me:secret@registry");
        assert!(secret.contains("password") && !secret.contains("secret@"), "{secret}");
        let none = Client::new(&RegistryOptions::default()).unwrap_err();
        assert!(none.to_string().contains("no address"));
    }

    #[test]
    fn credentials_are_never_shown() {
        let basic = Credentials::Basic { user: "me".into(), password: "secret".into() };
        let shown = format!("{basic:?} {:?}", Credentials::Bearer("secret".into()));
        assert!(shown.contains("me") && !shown.contains("secret"), "{shown}");
        assert!(authorization(&Credentials::Bearer("a\nb".into())).is_err());
    }

    #[test]
    fn a_file_without_certificates_is_refused_by_name() {
        let scratch = crate::testing::Scratch::new();
        scratch.write("ca.pem", "nothing");
        for (file, says) in [("ca.pem", "no certificate"), ("none.pem", "none.pem")] {
            let options = RegistryOptions {
                urls: vec!["https://registry".to_owned()],
                ca_file: Some(scratch.path().join(file)),
                ..RegistryOptions::default()
            };
            let error = Client::new(&options).unwrap_err().to_string();
            assert!(error.contains(file) && error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_name_is_one_segment_of_a_path() {
        assert_eq!(segment("web.clicks.a_b-c"), "web.clicks.a_b-c");
        assert_eq!(segment("a/b?c%d é"), "a%2Fb%3Fc%25d%20%C3%A9");
    }
}
