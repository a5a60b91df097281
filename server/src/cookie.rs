//! One named cookie in, one `Set-Cookie` out.

use std::fmt::Write;
use std::time::Duration;

use hyper::header::{COOKIE, HeaderMap, HeaderValue};

/// The value of the first cookie of that name, as it was sent; quotes around it are taken off.
pub fn find<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(have, _)| *have == name)
        .map(|(_, value)| {
            value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value)
        })
}

/// When a browser sends a cookie along with a request that another site caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Only when the person follows a link.
    Lax,
    /// Always; browsers take this only together with [`Transport::Https`].
    None,
    /// Never.
    Strict,
}

/// Over which connections a cookie travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Any: for development on the loopback address.
    Any,
    /// Encrypted ones alone (`Secure`).
    Https,
}

/// Who may read a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Servers alone (`HttpOnly`).
    Server,
    /// Servers and the page's scripts.
    ServerAndPage,
}

/// A cookie to set. Without a domain it belongs to the host that sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetCookie<'a> {
    /// Its name: letters, digits and the marks that HTTP allows in a token.
    pub name: &'a str,
    /// Its value: visible ASCII without quotes, commas, semicolons or backslashes.
    pub value: &'a str,
    /// The domain, with all below it, that it is for.
    pub domain: Option<&'a str>,
    /// The path, with all below it, that it is for.
    pub path: &'a str,
    /// How long it lives, in whole seconds; zero deletes it.
    pub max_age: Duration,
    /// Who may read it.
    pub reader: Reader,
    /// When it is sent along with another site's requests.
    pub same_site: SameSite,
    /// Over which connections it travels.
    pub transport: Transport,
}

/// A part of a cookie holds a character that would end it or start another attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {0} of a cookie holds a character that it must not")]
pub struct CookieError(&'static str);

impl SetCookie<'_> {
    /// The header's value. Errors if a part would not come back as it was given.
    pub fn header(&self) -> Result<HeaderValue, CookieError> {
        self.check()?;
        let mut text = format!(
            "{}={}; Path={}; Max-Age={}",
            self.name,
            self.value,
            self.path,
            self.max_age.as_secs()
        );
        if let Some(domain) = self.domain {
            // Writing to a String cannot fail.
            let _ = write!(text, "; Domain={domain}");
        }
        text.push_str(match self.reader {
            Reader::Server => "; HttpOnly",
            Reader::ServerAndPage => "",
        });
        text.push_str(match self.transport {
            Transport::Any => "",
            Transport::Https => "; Secure",
        });
        text.push_str(match self.same_site {
            SameSite::Lax => "; SameSite=Lax",
            SameSite::None => "; SameSite=None",
            SameSite::Strict => "; SameSite=Strict",
        });
        HeaderValue::try_from(text).map_err(|_| CookieError("text"))
    }

    fn check(&self) -> Result<(), CookieError> {
        let is_octet = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b',' | b';' | b'\\');
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if self.name.is_empty() || !self.name.bytes().all(is_token) {
            return Err(CookieError("name"));
        }
        if !self.value.bytes().all(is_octet) {
            return Err(CookieError("value"));
        }
        if !self.path.starts_with('/') || !self.path.bytes().all(is_octet) {
            return Err(CookieError("path"));
        }
        let is_host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        match self.domain {
            Some(domain) if domain.is_empty() || !domain.bytes().all(is_host) => {
                Err(CookieError("domain"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COOKIE_TO_SET: SetCookie<'_> = SetCookie {
        name: "cm_id",
        value: "1.k.demo.v.9.mac-_",
        domain: None,
        path: "/",
        max_age: Duration::from_secs(60),
        reader: Reader::Server,
        same_site: SameSite::Lax,
        transport: Transport::Https,
    };

    fn check(lines: &[&'static str], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        assert_eq!(find(&headers, "cm_id"), expected, "{lines:?}");
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        check(&[], None);
        check(&["cm_id=a"], Some("a"));
        check(&["x=1; cm_id=a=b ; cm_id=c"], Some("a=b"));
        check(&["xcm_id=1; cm_id2=2; cm_id"], None);
        check(&["x=1", "cm_id=\"q\""], Some("q"));
        check(&["cm_id=\""], Some("\""));
    }

    #[test]
    fn all_attributes_are_written() {
        let header = COOKIE_TO_SET.header().unwrap();
        assert_eq!(
            header,
            "cm_id=1.k.demo.v.9.mac-_; Path=/; Max-Age=60; HttpOnly; Secure; SameSite=Lax"
        );
        let open = SetCookie {
            domain: Some("shop.example"),
            max_age: Duration::ZERO,
            reader: Reader::ServerAndPage,
            same_site: SameSite::Strict,
            transport: Transport::Any,
            ..COOKIE_TO_SET
        };
        assert_eq!(
            open.header().unwrap(),
            "cm_id=1.k.demo.v.9.mac-_; Path=/; Max-Age=0; Domain=shop.example; SameSite=Strict"
        );
    }

    #[test]
    fn nothing_slips_into_an_attribute() {
        let bad = [
            SetCookie { value: "a; Domain=evil.example", ..COOKIE_TO_SET },
            SetCookie { value: "a\r\nX: y", ..COOKIE_TO_SET },
            SetCookie { name: "a b", ..COOKIE_TO_SET },
            SetCookie { name: "", ..COOKIE_TO_SET },
            SetCookie { path: "events", ..COOKIE_TO_SET },
            SetCookie { path: "/;", ..COOKIE_TO_SET },
            SetCookie { domain: Some("a;b"), ..COOKIE_TO_SET },
        ];
        for cookie in bad {
            assert!(cookie.header().is_err(), "{cookie:?}");
        }
    }
}
