//! CRC-32 as zlib and NGINX compute it (reflected, polynomial 0xEDB88320).

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0xEDB8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
}

/// The state before any byte.
pub(super) const START: u32 = u32::MAX;

/// The state after further bytes.
pub(super) fn update(state: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(state, |state, byte| TABLE[((state ^ u32::from(*byte)) & 0xff) as usize] ^ (state >> 8))
}

/// The checksum that a state stands for.
pub(super) fn finish(state: u32) -> u32 {
    !state
}

/// The checksum of some bytes.
pub(super) fn of(bytes: &[u8]) -> u32 {
    finish(update(START, bytes))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_check_value_of_the_catalogues_comes_out() {
        assert_eq!(super::of(b"123456789"), 0xCBF4_3926);
        assert_eq!(super::of(b""), 0);
    }
}
