//! A secret in configuration: given inline or as a file, never shown.

use std::fmt;
use std::fs;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq as _;

/// Bytes that no log line and no error shows. Clones share them.
///
/// In configuration it is the text itself or `file:` and a path (relative to the working
/// directory), whose content is taken without trailing line breaks. An empty one is refused.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<[u8]>);

impl Secret {
    /// Takes the bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into().into())
    }

    /// The bytes, for the place that signs or logs in with them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether these are its bytes. How long the answer takes tells nothing of them but their number.
    pub fn is(&self, shown: &[u8]) -> bool {
        shown.ct_eq(&self.0).into()
    }

    /// The bytes as text, for a place that takes no bytes. `None` if they are not UTF-8.
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let text = String::deserialize(source)?;
        let bytes = match text.strip_prefix("file:") {
            Some(path) => fs::read(path).map_err(|error| {
                D::Error::custom(format_args!("the secret's file {path} cannot be read: {error}"))
            })?,
            None => text.into_bytes(),
        };
        let end = bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r'));
        match end {
            Some(last) => Ok(Self::new(&bytes[..=last])),
            None => Err(D::Error::custom("the secret is empty")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Secret, serde_json::Error> {
        serde_json::from_value(serde_json::Value::from(text))
    }

    #[test]
    fn it_comes_inline_or_from_a_file() {
        assert_eq!(read("abc").unwrap().expose(), b"abc");
        let path = std::env::temp_dir().join(format!("clickmill-secret-{}", std::process::id()));
        fs::write(&path, "from a file\n").unwrap();
        let secret = read(&format!("file:{}", path.display())).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(secret.expose_text(), Some("from a file"));
    }

    #[test]
    fn a_missing_file_and_an_empty_secret_are_refused() {
        let error = read("file:nowhere/key").unwrap_err().to_string();
        assert!(error.starts_with("the secret's file nowhere/key cannot be read: "), "{error}");
        assert_eq!(read("\n").unwrap_err().to_string(), "the secret is empty");
    }

    #[test]
    fn it_is_never_shown() {
        assert_eq!(format!("{:?}", Secret::new("abc")), "Secret(hidden)");
    }
}
