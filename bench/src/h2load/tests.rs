use std::time::Duration;

use super::answer;

#[test]
fn a_line_of_the_log_counts_with_status_200_only() {
    assert_eq!(answer("1761212345000000\t200\t1312"), Some(Duration::from_micros(1312)));
    assert_eq!(answer("1761212345000000\t503\t1312"), None);
    assert_eq!(answer("1761212345000000\t-1\t1312"), None);
    assert_eq!(answer("1761212345000000\t200"), None);
}
