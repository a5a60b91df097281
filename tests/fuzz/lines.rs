//! Inputs of lines: values of one header, or whole headers with a body behind.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// One header, once for each line; none where a line is no header's value.
pub(crate) fn values(name: &HeaderName, bytes: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        headers.append(name, HeaderValue::from_bytes(line).ok()?);
    }
    Some(headers)
}

/// Headers, `name:value` a line, up to an empty line, and what follows; none where a line is no
/// header.
pub(crate) fn message(bytes: &[u8]) -> Option<(HeaderMap, &[u8])> {
    let mut headers = HeaderMap::new();
    let mut left = bytes;
    while let Some(end) = left.iter().position(|byte| *byte == b'\n') {
        let (line, rest) = (&left[..end], &left[end + 1..]);
        left = rest;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        headers.append(name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?);
    }
    Some((headers, left))
}
