//! Parameters of a request's query.

use std::borrow::Cow;

use hyper::Uri;

/// The first parameter of that name, percent-decoded; `+` is a space. Bytes that are not UTF-8
/// become the replacement character.
pub fn find<'a>(uri: &'a Uri, name: &str) -> Option<Cow<'a, str>> {
    let query = uri.query()?;
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value)
}

/// All parameters in their order, percent-decoded like those that [`find`] finds.
pub fn all(uri: &Uri) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, expected: Option<&str>) {
        let uri: Uri = uri.parse().unwrap();
        assert_eq!(find(&uri, "k").as_deref(), expected, "{uri}");
    }

    #[test]
    fn parameters_are_found_and_decoded() {
        check("/v1/events", None);
        check("/v1/events?", None);
        check("/v1/events?kk=1", None);
        check("/v1/events?k", Some(""));
        check("/v1/events?a=1&k=demo&k=other", Some("demo"));
        check("/v1/events?k=a%2Fb+c%3d", Some("a/b c="));
        check("/v1/events?k=%zz%ff", Some("%zz\u{fffd}"));
    }
}
