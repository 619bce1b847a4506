//! Numbers and addresses in text, without formatting machinery: it would cost several percent of a request.

use std::io::Write;
use std::net::IpAddr;

/// Appends a number in decimal.
pub fn write_number(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    let mut rest = number;
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends a number in decimal, with zeros in front up to `width` digits; at most 20.
pub(crate) fn write_padded(number: u64, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    write_number(number, out);
    let missing = width.min(20).saturating_sub(out.len() - start);
    out.resize(out.len() + missing, b'0');
    out[start..].rotate_right(missing);
}

/// Appends an address.
pub fn write_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            for (number, octet) in address.octets().into_iter().enumerate() {
                if number > 0 {
                    out.push(b'.');
                }
                write_number(octet.into(), out);
            }
        }
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

#[cfg(test)]
mod tests;
