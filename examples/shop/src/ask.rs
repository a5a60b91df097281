//! A request as the pages see it: read from HTTP once, nothing of HTTP left but its method.

use crate::sessions::SessionId;

/// One request.
#[derive(Clone, Debug)]
pub struct Ask {
    /// What is wanted of the path.
    pub verb: Verb,
    /// The path, as it was sent.
    pub path: String,
    /// The parameters of the address.
    pub query: Fields,
    /// The fields of a form that was sent.
    pub form: Fields,
    /// The session that the cookie names.
    pub session: Option<SessionId>,
    /// 128 random bits, for whatever this request begins.
    pub random: u128,
    /// Wall time in milliseconds since 1970.
    pub now_ms: u64,
}

/// What is wanted of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// To see it.
    Get,
    /// To send a form to it.
    Post,
}

/// Names and values from a form or an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

/// The most fields that are read.
const FIELDS_MAX: usize = 32;

impl Fields {
    /// Reads percent-encoded fields; bytes that are not UTF-8 become the replacement character.
    pub fn read(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).take(FIELDS_MAX).map(own).collect())
    }

    /// The first value of that name without space around it; empty when it is missing.
    pub fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(have, _)| have == name);
        found.map_or("", |(_, value)| value.trim())
    }
}

fn own<K: Into<String>, V: Into<String>>((key, value): (K, V)) -> (String, String) {
    (key.into(), value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_trimmed_and_bounded() {
        let fields = Fields::read(b"q=a%26b+c&sku=+KET-1+&q=second&x");
        assert_eq!(fields.get("q"), "a&b c");
        assert_eq!(fields.get("sku"), "KET-1");
        assert_eq!(fields.get("x"), "");
        assert_eq!(fields.get("y"), "");
        let many = "a=1&".repeat(FIELDS_MAX + 5);
        assert_eq!(Fields::read(many.as_bytes()).0.len(), FIELDS_MAX);
    }
}
