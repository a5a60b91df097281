//! Appends to texts that are bytes.

/// Appends to a text.
pub(crate) trait Put {
    /// Bytes as they are.
    fn put(&mut self, bytes: &[u8]) -> &mut Self;
    /// A number in decimal digits.
    fn put_number(&mut self, number: u64) -> &mut Self;
}

impl Put for Vec<u8> {
    // Not inlined: it stands in a hundred places, and the browser loads each of them.
    #[inline(never)]
    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.extend_from_slice(bytes);
        self
    }

    #[inline(never)]
    fn put_number(&mut self, mut number: u64) -> &mut Self {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return self.put(&digits[at..]);
            }
        }
    }
}
