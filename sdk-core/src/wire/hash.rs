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
    /// The first 32 bits of the fractions of the cube roots of the first 64 primes.
    const ROUND: [u32; 64] = [
        0x428a_2f98,
        0x7137_4491,
        0xb5c0_fbcf,
        0xe9b5_dba5,
        0x3956_c25b,
        0x59f1_11f1,
        0x923f_82a4,
        0xab1c_5ed5,
        0xd807_aa98,
        0x1283_5b01,
        0x2431_85be,
        0x550c_7dc3,
        0x72be_5d74,
        0x80de_b1fe,
        0x9bdc_06a7,
        0xc19b_f174,
        0xe49b_69c1,
        0xefbe_4786,
        0x0fc1_9dc6,
        0x240c_a1cc,
        0x2de9_2c6f,
        0x4a74_84aa,
        0x5cb0_a9dc,
        0x76f9_88da,
        0x983e_5152,
        0xa831_c66d,
        0xb003_27c8,
        0xbf59_7fc7,
        0xc6e0_0bf3,
        0xd5a7_9147,
        0x06ca_6351,
        0x1429_2967,
        0x27b7_0a85,
        0x2e1b_2138,
        0x4d2c_6dfc,
        0x5338_0d13,
        0x650a_7354,
        0x766a_0abb,
        0x81c2_c92e,
        0x9272_2c85,
        0xa2bf_e8a1,
        0xa81a_664b,
        0xc24b_8b70,
        0xc76c_51a3,
        0xd192_e819,
        0xd699_0624,
        0xf40e_3585,
        0x106a_a070,
        0x19a4_c116,
        0x1e37_6c08,
        0x2748_774c,
        0x34b0_bcb5,
        0x391c_0cb3,
        0x4ed8_aa4a,
        0x5b9c_ca4f,
        0x682e_6ff3,
        0x748f_82ee,
        0x78a5_636f,
        0x84c8_7814,
        0x8cc7_0208,
        0x90be_fffa,
        0xa450_6ceb,
        0xbef9_a3f7,
        0xc671_78f2,
    ];
    /// And of the square roots of the first eight.
    const BEGIN: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];

    #[inline(never)]
    pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
        let mut text = Vec::new();
        parts.iter().for_each(|part| text.extend_from_slice(part));
        let bits = text.len() as u64 * 8;
        text.push(0x80);
        while text.len() % 64 != 56 {
            text.push(0);
        }
        text.extend_from_slice(&bits.to_be_bytes());
        let mut state = BEGIN;
        text.chunks_exact(64).for_each(|block| compress(&mut state, block));
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
        for i in 0..64 {
            w[i] = if i < 16 {
                (0..4).fold(0, |word, at| word << 8 | u32::from(block[i * 4 + at]))
            } else {
                let (x, y) = (w[i - 15], w[i - 2]);
                turn(x, 7, 18, x >> 3)
                    .wrapping_add(turn(y, 17, 19, y >> 10))
                    .wrapping_add(w[i - 16])
                    .wrapping_add(w[i - 7])
            };
            let [a, b, c, d, e, f, g, h] = s;
            let first = turn(e, 6, 11, e.rotate_right(25))
                .wrapping_add((e & f) ^ (!e & g))
                .wrapping_add(h)
                .wrapping_add(ROUND[i])
                .wrapping_add(w[i]);
            let second =
                turn(a, 2, 13, a.rotate_right(22)).wrapping_add((a & b) ^ (a & c) ^ (b & c));
            s.copy_within(0..7, 1);
            (s[0], s[4]) = (first.wrapping_add(second), d.wrapping_add(first));
        }
        for (sum, word) in state.iter_mut().zip(s) {
            *sum = sum.wrapping_add(word);
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
