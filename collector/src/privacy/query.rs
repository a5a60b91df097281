//! Addresses without what a form, a mail or a login has put into them: user names, and parameters whose
//! names say that they are somebody's or secret.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde::Deserialize;

/// Names of parameters that are not kept unless a site says otherwise: what opens something, and what
/// tells who or where somebody is.
const HIDDEN: [&str; 24] = [
    "*token*",
    "*secret*",
    "*passw*",
    "pwd",
    "*auth*",
    "*jwt*",
    "*signature*",
    "sig",
    "otp",
    "code",
    "ticket",
    "nonce",
    "key",
    "*api_key*",
    "*apikey*",
    "session*",
    "sid",
    "*email*",
    "*e-mail*",
    "mail",
    "*phone*",
    "*first_name*",
    "*last_name*",
    "*address*",
];

/// Which parameters of the addresses of pages and referrers are kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueryRule {
    /// The names of those that are; `*` is one for any letters, at the beginning or the end.
    pub keep: Vec<NamePattern>,
    /// The names of those that are not, of what would be kept.
    pub hide: Vec<NamePattern>,
}

/// The name of a parameter, small or large; a `*` at its beginning or end stands for any letters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct NamePattern {
    text: String,
    is_open_before: bool,
    is_open_behind: bool,
}

/// A pattern that says less or more than can be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name with a `*` at its beginning or end at the most")]
pub struct BadPattern(String);

impl TryFrom<String> for NamePattern {
    type Error = BadPattern;

    fn try_from(pattern: String) -> Result<Self, BadPattern> {
        let rest = pattern.strip_prefix('*');
        let (is_open_before, rest) = (rest.is_some(), rest.unwrap_or(&pattern));
        let name = rest.strip_suffix('*');
        let is_open_behind = name.is_some() || rest.is_empty();
        let text = name.unwrap_or(rest).to_lowercase();
        if text.contains('*') || pattern.is_empty() {
            return Err(BadPattern(pattern));
        }
        Ok(Self { text, is_open_before, is_open_behind })
    }
}

impl NamePattern {
    fn holds(&self, name: &str) -> bool {
        let text = self.text.as_str();
        match (self.is_open_before, self.is_open_behind) {
            (true, true) => name.contains(text),
            (true, false) => name.ends_with(text),
            (false, true) => name.starts_with(text),
            (false, false) => name == text,
        }
    }
}

impl Default for QueryRule {
    fn default() -> Self {
        // None of them is bad: a test looks.
        let all = |names: &[&str]| {
            names.iter().filter_map(|name| NamePattern::try_from((*name).to_owned()).ok()).collect()
        };
        Self { keep: all(&["*"]), hide: all(&HIDDEN) }
    }
}

impl QueryRule {
    /// The address without what is not kept; none if all of it is.
    pub(crate) fn cleaned(&self, url: &str) -> Option<String> {
        if !url.contains(['?', '#', '@']) {
            return None;
        }
        let (rest, fragment) = cut(url, '#');
        let (place, query) = cut(rest, '?');
        let mut cleaned = without_user(place).into_owned();
        if let Some(query) = query {
            push(&mut cleaned, '?', &self.kept(query));
        }
        // Some logins answer behind the mark that is for places on a page.
        match fragment {
            Some(fragment) if fragment.contains('=') => {
                let (route, query) = match fragment.split_once('?') {
                    Some((route, query)) => (route, query),
                    None => ("", fragment),
                };
                let mut left = route.to_owned();
                let kept = self.kept(query);
                if route.is_empty() {
                    left.push_str(&kept)
                } else {
                    push(&mut left, '?', &kept)
                }
                push(&mut cleaned, '#', &left);
            }
            Some(fragment) => push(&mut cleaned, '#', fragment),
            None => {}
        }
        (cleaned != url).then_some(cleaned)
    }

    fn kept(&self, parameters: &str) -> String {
        let is_kept = |parameter: &&str| {
            let (name, _) = cut(parameter, '=');
            let name = percent_decode_str(name).decode_utf8_lossy().to_lowercase();
            let holds = |pattern: &NamePattern| pattern.holds(&name);
            self.keep.iter().any(holds) && !self.hide.iter().any(holds)
        };
        parameters.split('&').filter(is_kept).collect::<Vec<_>>().join("&")
    }
}

fn cut(text: &str, mark: char) -> (&str, Option<&str>) {
    text.split_once(mark).map_or((text, None), |(before, behind)| (before, Some(behind)))
}

fn push(cleaned: &mut String, mark: char, part: &str) {
    if !part.is_empty() {
        cleaned.push(mark);
        cleaned.push_str(part);
    }
}

/// `https://user:word@host/path` without user and word.
fn without_user(place: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = place.split_once("://") else { return Cow::Borrowed(place) };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match host.rsplit_once('@') {
        Some((_, host)) => Cow::Owned(format!("{scheme}://{host}{path}")),
        None => Cow::Borrowed(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(names: &[&str]) -> Vec<NamePattern> {
        names.iter().map(|name| NamePattern::try_from((*name).to_owned()).unwrap()).collect()
    }

    #[test]
    fn what_is_somebodys_or_opens_something_is_not_kept() {
        let rule = QueryRule::default();
        assert_eq!(rule.hide.len(), HIDDEN.len());
        let cleaned = |url: &str| rule.cleaned(url).unwrap_or_else(|| url.to_owned());
        for (sent, kept) in [
            ("https://shop.example/reset?token=a1b2", "https://shop.example/reset"),
            ("/thanks?email=a%40b.c&page=2", "/thanks?page=2"),
            ("/thanks?page=2&user%5BEmail%5D=a@b.c&q=red%20shoe", "/thanks?page=2&q=red%20shoe"),
            ("https://ada:pw@shop.example/x?reset_Token=1&&a", "https://shop.example/x?&a"),
            ("/cb#access_token=1&state=2", "/cb#state=2"),
            ("/long#chapter-2", "/long#chapter-2"),
            ("/app#/cb?code=abc&tab=2", "/app#/cb?tab=2"),
            ("/app#/cb?code=abc", "/app#/cb"),
            (
                "/p/A?utm_source=mail&sku=A&monkey=1&color=code",
                "/p/A?utm_source=mail&sku=A&monkey=1&color=code",
            ),
            ("/users/a@b/c", "/users/a@b/c"),
            ("?code=1", ""),
        ] {
            assert_eq!(cleaned(sent), kept);
        }
        assert_eq!(rule.cleaned("https://shop.example/p/A?sku=A"), None);
    }

    #[test]
    fn a_site_may_keep_what_it_lists_alone() {
        let rule = QueryRule { keep: patterns(&["utm_*", "SKU"]), hide: patterns(&["*_term"]) };
        let cleaned = rule.cleaned("/p?sku=A&utm_source=x&utm_term=y&other=z&sku2=B#a=b");
        assert_eq!(cleaned.unwrap(), "/p?sku=A&utm_source=x");
        for bad in ["", "a*b", "**a", "a**"] {
            assert!(NamePattern::try_from(bad.to_owned()).is_err(), "{bad}");
        }
        assert!(patterns(&["*"])[0].holds("anything"));
    }
}
