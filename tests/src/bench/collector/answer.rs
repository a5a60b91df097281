//! The little of an answer that a load generator must read.

/// Room for the longest answer that is expected.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// An answer as it comes in. It serves for one after the other.
#[derive(Debug)]
pub(super) struct Answer {
    bytes: Vec<u8>,
    length: usize,
}

impl Default for Answer {
    fn default() -> Self {
        Self { bytes: vec![0; ANSWER_BYTES_MAX], length: 0 }
    }
}

impl Answer {
    /// Where more of it goes.
    pub(super) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.length..]
    }

    /// Whether it is whole, now that so many bytes more have come: then all events of the batch are
    /// accepted.
    ///
    /// # Panics
    /// When the connection was closed, or not all are.
    pub(super) fn grows(&mut self, read: usize, batch: usize) -> bool {
        assert!(read > 0, "the collector closed a connection");
        self.length += read;
        let answer = &self.bytes[..self.length];
        let Some(count) = accepted(answer) else { return false };
        assert_eq!(count, batch, "{}", String::from_utf8_lossy(answer));
        self.length = 0;
        true
    }
}

/// How many events an answer says are accepted; none while it is incomplete.
///
/// # Panics
/// When it is no success.
fn accepted(answer: &[u8]) -> Option<usize> {
    let (head, body) = split(answer)?;
    assert!(head.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(answer));
    let length = number_after(head, b"content-length: ").expect("the length of the answer");
    if body.len() < length {
        return None;
    }
    assert_eq!(body.len(), length, "one answer to one request");
    Some(number_after(body, br#"{"accepted":"#).expect("a receipt"))
}

fn split(answer: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = find(answer, b"\r\n\r\n")?;
    Some((&answer[..end], &answer[end + 4..]))
}

fn find(text: &[u8], mark: &[u8]) -> Option<usize> {
    text.windows(mark.len()).position(|window| window == mark)
}

fn number_after(text: &[u8], mark: &[u8]) -> Option<usize> {
    let rest = &text[find(text, mark)? + mark.len()..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_once_it_is_whole() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\nx: y\r\n\r\n{\"accepted\":20}";
        for end in 0..whole.len() {
            assert_eq!(accepted(&whole[..end]), None, "{end}");
        }
        assert_eq!(accepted(whole), Some(20));
    }

    #[test]
    #[should_panic(expected = "503")]
    fn a_refusal_ends_the_run() {
        accepted(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
    }
}
