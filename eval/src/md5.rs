//! MD5 (RFC 1321): what BEIR publishes for its archives. It finds a broken
//! download; against somebody who makes two files with one sum it is of no use.

/// Rotations of each round's four steps.
const TURNS: [[u32; 4]; 4] = [
    [7, 12, 17, 22],
    [5, 9, 14, 20],
    [4, 11, 16, 23],
    [6, 10, 15, 21],
];

/// A sum of bytes that come in parts.
#[derive(Clone, Debug)]
pub struct Md5 {
    state: [u32; 4],
    /// Bytes that do not fill a block yet.
    rest: Vec<u8>,
    bytes: u64,
}

impl Default for Md5 {
    fn default() -> Self {
        Self {
            state: [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476],
            rest: Vec::with_capacity(64),
            bytes: 0,
        }
    }
}

impl Md5 {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.rest.extend_from_slice(bytes);
        let whole = self.rest.len() / 64 * 64;
        for block in self.rest[..whole].chunks_exact(64) {
            add(&mut self.state, block);
        }
        self.rest.drain(..whole);
    }

    /// The sum as 32 hexadecimal digits.
    pub fn finish(mut self) -> String {
        let bits = self.bytes.wrapping_mul(8);
        let mut end = vec![0x80];
        end.resize(1 + (119 - self.rest.len()) % 64, 0);
        end.extend(bits.to_le_bytes());
        self.update(&end);
        let bytes = self.state.iter().flat_map(|word| word.to_le_bytes());
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }
}

fn add(state: &mut [u32; 4], block: &[u8]) {
    let word = |at: usize| {
        let bytes = [
            block[4 * at],
            block[4 * at + 1],
            block[4 * at + 2],
            block[4 * at + 3],
        ];
        u32::from_le_bytes(bytes)
    };
    let [mut a, mut b, mut c, mut d] = *state;
    for step in 0..64 {
        let (mix, at) = match step / 16 {
            0 => ((b & c) | (!b & d), step),
            1 => ((d & b) | (!d & c), 5 * step + 1),
            2 => (b ^ c ^ d, 3 * step + 5),
            _ => (c ^ (b | !d), 7 * step),
        };
        // The integer part of 2^32 |sin(step + 1)|.
        let sine = (((step + 1) as f64).sin().abs() * 4_294_967_296.0) as u32;
        let sum = a
            .wrapping_add(mix)
            .wrapping_add(sine)
            .wrapping_add(word(at % 16));
        (a, d, c) = (d, c, b);
        b = b.wrapping_add(sum.rotate_left(TURNS[step / 16][step % 4]));
    }
    for (word, by) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(text: &str, step: usize) -> String {
        let mut md5 = Md5::default();
        for part in text.as_bytes().chunks(step) {
            md5.update(part);
        }
        md5.finish()
    }

    #[test]
    fn the_sums_of_the_rfc() {
        let long = "1234567890".repeat(8);
        for (text, expected) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            (
                "abcdefghijklmnopqrstuvwxyz",
                "c3fcd3d76192e4007dfb496cca67e13b",
            ),
            (long.as_str(), "57edf4a22be3c955ac49da2e2107b67a"),
        ] {
            assert_eq!(sum(text, 1), expected);
            assert_eq!(sum(text, 100), expected);
        }
    }
}
