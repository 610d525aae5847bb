//! The known name that someone most likely meant.

/// The candidate nearest to `name`, if one is near: at most a third of the letters differ.
pub(crate) fn nearest<'c>(name: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let name = fold(name);
    let allowed = (name.len() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let folded = fold(candidate);
            (folded.len().abs_diff(name.len()) <= allowed)
                .then(|| (distance(&name, &folded), candidate))
                .filter(|&(distance, _)| distance <= allowed)
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// `maxTokens`, `max-tokens` and `max_tokens` are one name misspelled.
fn fold(name: &str) -> Vec<char> {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).map(|c| c.to_ascii_lowercase()).collect()
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut previous_a = None;
    for (row, &from) in a.iter().enumerate() {
        let mut current = Vec::with_capacity(last.len());
        current.push(row + 1);
        let mut left = row + 1;
        let mut previous_b = None;
        for (column, &to) in b.iter().enumerate() {
            let at = |line: &[usize], place: usize| line.get(place).copied().unwrap_or(usize::MAX / 2);
            let replaced = at(&last, column) + usize::from(from != to);
            let mut best = replaced.min(at(&last, column + 1) + 1).min(left + 1);
            if column > 0 && previous_a == Some(to) && previous_b == Some(from) {
                best = best.min(at(&before_last, column - 1) + 1);
            }
            current.push(best);
            left = best;
            previous_b = Some(to);
        }
        previous_a = Some(from);
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_name_finds_the_right_one() {
        let known = ["num_retries", "max_tokens", "api_key", "api_base", "timeout"];
        let table = [
            ("num_retrys", Some("num_retries")),
            ("numRetries", Some("num_retries")),
            ("apikey", Some("api_key")),
            ("api_bsae", Some("api_base")),
            ("timeuot", Some("timeout")),
            ("telemetry", None),
            ("t", None),
        ];
        for (name, expected) in table {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
