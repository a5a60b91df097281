//! A topic's name, which says what is in it and whether that is personal.

use std::fmt;

/// Longest name that Kafka takes, in bytes; a prefix counts as well.
pub(crate) const NAME_BYTES_MAX: usize = 249;

/// A topic's name: `<domain>.<dataset>.<stage>.<pii|open>.v<major>`, checked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName {
    text: String,
    privacy: Privacy,
    major: u32,
}

/// Whether a topic's content is about identifiable persons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Privacy {
    /// It is not.
    Open,
    /// It is.
    Pii,
}

impl TopicName {
    /// Checks a name.
    ///
    /// # Errors
    /// One clause that says what is wrong, to follow the name.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > NAME_BYTES_MAX {
            return Err(format!("is longer than {NAME_BYTES_MAX} bytes"));
        }
        let parts: Vec<&str> = text.split('.').collect();
        let [domain, dataset, stage, privacy, version] = parts.as_slice() else {
            return Err(
                "must have five parts: <domain>.<dataset>.<stage>.<pii|open>.v<major>".to_owned()
            );
        };
        for (what, part) in [("domain", domain), ("dataset", dataset), ("stage", stage)] {
            if !is_word(part) {
                return Err(format!(
                    "has the {what} `{part}`, which must be lower-case letters, digits and \
                     hyphens, a letter first"
                ));
            }
        }
        let privacy = match *privacy {
            "open" => Privacy::Open,
            "pii" => Privacy::Pii,
            other => return Err(format!("says `{other}` where `pii` or `open` must stand")),
        };
        let digits = version.strip_prefix('v').filter(|digits| !digits.starts_with('0'));
        let digits = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        let Some(major) = digits.and_then(|digits| digits.parse().ok()) else {
            return Err(format!("ends in `{version}`, which must be v and a number from 1"));
        };
        Ok(Self { text: text.to_owned(), privacy, major })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether its content is personal.
    pub fn privacy(&self) -> Privacy {
        self.privacy
    }

    /// The major version.
    pub fn major(&self) -> u32 {
        self.major
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_word(part: &str) -> bool {
    part.starts_with(|first: char| first.is_ascii_lowercase())
        && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_name_is_taken_apart() {
        let name = TopicName::parse("web.clicks.raw.pii.v12").unwrap();
        assert_eq!((name.privacy(), name.major()), (Privacy::Pii, 12));
        let name = TopicName::parse("products.catalogue.view.open.v1").unwrap();
        assert_eq!((name.privacy(), name.major()), (Privacy::Open, 1));
    }

    #[test]
    fn a_bad_name_says_what_is_wrong() {
        for (name, says) in [
            ("clicks", "five parts"),
            ("web.clicks.raw.pii.v1.x", "five parts"),
            ("Web.clicks.raw.pii.v1", "domain `Web`"),
            ("web.click_s.raw.pii.v1", "dataset `click_s`"),
            ("web.clicks..pii.v1", "stage ``"),
            ("web.clicks.raw.secret.v1", "says `secret`"),
            ("web.clicks.raw.pii.1", "ends in `1`"),
            ("web.clicks.raw.pii.v0", "ends in `v0`"),
            ("web.clicks.raw.pii.v+1", "ends in `v+1`"),
            ("web.clicks.raw.pii.v", "ends in `v`"),
        ] {
            let error = TopicName::parse(name).unwrap_err();
            assert!(error.contains(says), "{name}: {error}");
        }
        assert!(TopicName::parse(&format!("{}.b.c.pii.v1", "a".repeat(250))).is_err());
    }
}
