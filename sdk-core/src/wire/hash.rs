//! SHA-256: the standard's own words where a browser loads them, a quick library elsewhere.

/// SHA-256 over parts that follow each other.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    parts.iter().fold(Sha256::new(), |hash, part| hash.chain_update(part)).finalize().into()
}

#[cfg(target_arch = "wasm32")]
pub(crate) use short::sha256;

/// As FIPS 180-4 writes it down, a round after the other: a third of the library's code. It hashes
/// a secret once, and a few names. The same tests hold both, natively and as wasm.
#[cfg(any(target_arch = "wasm32", test))]
mod short {
    /// The first 32 bits of a root's fraction. The constants are such fractions: of the square roots
    /// of the first eight primes, and of the cube roots of the first 64. Found anew, they cost a page
    /// less than loaded; a double has bits to spare.
    fn fraction(root: f64) -> u32 {
        (root * 4_294_967_296.0) as u64 as u32
    }

    /// The first prime above.
    fn prime_above(mut number: u32) -> u32 {
        loop {
            number += 1;
            if !(2..number).any(|part| number.is_multiple_of(part)) {
                return number;
            }
        }
    }

    #[inline(never)]
    pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
        let mut text = Vec::new();
        for part in parts {
            text.extend_from_slice(part);
        }
        let bits = text.len() as u64 * 8;
        text.push(0x80);
        while text.len() % 64 != 56 {
            text.push(0);
        }
        text.extend_from_slice(&bits.to_be_bytes());
        let mut state = [0; 8];
        let mut prime = 1;
        for word in &mut state {
            prime = prime_above(prime);
            *word = fraction(f64::from(prime).sqrt());
        }
        for block in text.chunks_exact(64) {
            compress(&mut state, block);
        }
        let mut hash = [0; 32];
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = (state[at / 4] >> (24 - at % 4 * 8)) as u8;
        }
        hash
    }

    fn compress(state: &mut [u32; 8], block: &[u8]) {
        let turn = |x: u32, a, b, c: u32| x.rotate_right(a) ^ x.rotate_right(b) ^ c;
        let mut w = [0_u32; 64];
        let mut s = *state;
        let mut prime = 1;
        for i in 0..64 {
            if i < 16 {
                for at in 0..4 {
                    w[i] = w[i] << 8 | u32::from(block[i * 4 + at]);
                }
            } else {
                let (x, y) = (w[i - 15], w[i - 2]);
                let both = turn(x, 7, 18, x >> 3).wrapping_add(turn(y, 17, 19, y >> 10));
                w[i] = both.wrapping_add(w[i - 16]).wrapping_add(w[i - 7]);
            }
            prime = prime_above(prime);
            let cube = f64::from(prime);
            let mut root = 7.0;
            for _ in 0..20 {
                root -= (root * root * root - cube) / (3.0 * root * root);
            }
            let (a, e) = (s[0], s[4]);
            let first = turn(e, 6, 11, e.rotate_right(25))
                .wrapping_add((e & s[5]) ^ (!e & s[6]))
                .wrapping_add(s[7])
                .wrapping_add(fraction(root))
                .wrapping_add(w[i]);
            let second = turn(a, 2, 13, a.rotate_right(22));
            let second = second.wrapping_add((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
            for at in (1..8).rev() {
                s[at] = s[at - 1];
            }
            s[0] = first.wrapping_add(second);
            s[4] = s[4].wrapping_add(first);
        }
        for at in 0..8 {
            state[at] = state[at].wrapping_add(s[at]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{sha256, short};

    #[test]
    fn both_say_what_the_standard_says() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(crate::wire::id::hex(&short::sha256(&[b"a", b"bc"])), abc);
        for length in [0, 1, 40, 55, 56, 63, 64, 65, 119, 120, 300] {
            let text = vec![b'x'; length];
            assert_eq!(short::sha256(&[b"y", &text]), sha256(&[b"y", &text]), "{length}");
        }
    }
}
