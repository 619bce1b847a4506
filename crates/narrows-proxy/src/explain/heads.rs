//! Heads before and after, line by line.

use super::explanation::{HeadLine, Mark};

/// Lines of a head that are told; the rest is left out.
const LINES: usize = 256;
/// Bytes of a line that are told.
const LINE_BYTES: usize = 4096;

/// The lines of `before` and `after`: those that stayed and those that went in the order of `before`, then what is new.
pub(super) fn compare(before: &[u8], after: &[u8]) -> Vec<HeadLine> {
    let (before, after) = (lines(before), lines(after));
    let mut new: Vec<Option<&String>> = after.iter().map(Some).collect();
    let mut compared: Vec<HeadLine> = Vec::with_capacity(before.len() + 8);
    for line in before {
        let kept = new.iter_mut().find(|one| one.is_some_and(|one| *one == line));
        let mark = match kept {
            Some(kept) => {
                *kept = None;
                Mark::Same
            }
            None => Mark::Removed,
        };
        compared.push(HeadLine { mark, line });
    }
    let added = new.into_iter().flatten().cloned();
    compared.extend(added.map(|line| HeadLine { mark: Mark::Added, line }));
    compared
}

fn lines(head: &[u8]) -> Vec<String> {
    let lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let text = |line: &[u8]| String::from_utf8_lossy(&line[..line.len().min(LINE_BYTES)]).into_owned();
    lines.filter(|line| !line.is_empty()).take(LINES).map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_stay_go_and_come_are_told_apart() {
        let before = b"GET /a HTTP/1.1\r\nHost: x\r\nA: 1\r\nA: 1\r\n\r\n";
        let after = b"GET /b HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\n\r\n";
        let compared = compare(before, after);
        let marks: Vec<_> = compared.iter().map(|line| (line.mark, line.line.as_str())).collect();
        let expected = [
            (Mark::Removed, "GET /a HTTP/1.1"),
            (Mark::Same, "Host: x"),
            (Mark::Same, "A: 1"),
            (Mark::Removed, "A: 1"),
            (Mark::Added, "GET /b HTTP/1.1"),
            (Mark::Added, "B: 2"),
        ];
        assert_eq!(marks, expected);
    }

    #[test]
    fn a_head_of_any_size_and_any_bytes_is_told_in_part() {
        let long = [b"X: \xff".repeat(3000), b"\r\n".repeat(5), b"a: b\r\n".repeat(1000)].concat();
        let compared = compare(&long, b"");
        assert_eq!(compared.len(), LINES);
        assert!(compared.iter().all(|line| line.line.chars().count() <= LINE_BYTES));
    }
}
