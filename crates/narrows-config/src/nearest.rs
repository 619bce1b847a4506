//! The known name that an unknown one was probably meant to be.

/// Most letters that may be wrong.
const MAXIMUM_SLIPS: usize = 3;
/// Most names that are compared, so that a long text of mistakes is told quickly.
const MAXIMUM_NAMES: usize = 1000;

/// The nearest of `known`, when it is near enough to be a slip.
pub(crate) fn nearest<'k>(written: &str, known: &[&'k str]) -> Option<&'k str> {
    if written.len() > 64 {
        return None;
    }
    let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '_'], "");
    let wanted = plain(written);
    let allowed = (wanted.chars().count() / 3).clamp(1, MAXIMUM_SLIPS);
    let is_comparable = |name: &&&str| name.len().abs_diff(written.len()) <= 2 * MAXIMUM_SLIPS;
    known
        .iter()
        .take(MAXIMUM_NAMES)
        .filter(is_comparable)
        .map(|name| (distance(&wanted, &plain(name)), *name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
        .or_else(|| {
            // One is the other with more letters: `upstreams` and `upstream`.
            let related = |name: &&&str| wanted.len() > 2 && (plain(name).starts_with(&wanted));
            known.iter().take(MAXIMUM_NAMES).find(related).copied()
        })
}

/// Letters to insert, remove, replace or swap (Damerau-Levenshtein, optimal string alignment).
fn distance(one: &str, two: &str) -> usize {
    let (one, two): (Vec<char>, Vec<char>) = (one.chars().collect(), two.chars().collect());
    let mut rows = vec![(0..=two.len()).collect::<Vec<usize>>()];
    for i in 1..=one.len() {
        let mut row = vec![i];
        for j in 1..=two.len() {
            let replace = rows[i - 1][j - 1] + usize::from(one[i - 1] != two[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && one[i - 1] == two[j - 2] && one[i - 2] == two[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[one.len()][two.len()]
}
