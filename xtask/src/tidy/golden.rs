//! Every golden case has its snapshots: one for every dialect.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;

/// The folders of golden pairs in `tollway-dialects`, and how their files end.
const KINDS: [(&str, &str); 3] = [("requests", "json"), ("answers", "json"), ("streams", "sse")];

pub(super) fn check(root: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let golden = root.join("crates/dialects/golden");
    let mut mistakes = Vec::new();
    for (kind, ending) in KINDS {
        let dialects = names(&golden.join(kind))?;
        for dialect in &dialects {
            let files = names(&golden.join(kind).join(dialect))?;
            for problem in problems(&files, &dialects, ending) {
                mistakes.push(format!("crates/dialects/golden/{kind}/{dialect}/{problem}"));
            }
        }
    }
    Ok(mistakes)
}

fn names(folder: &Path) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        names.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    Ok(names)
}

fn problems(files: &BTreeSet<String>, dialects: &BTreeSet<String>, ending: &str) -> Vec<String> {
    let mut expected = BTreeSet::new();
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| !file.contains(".to-")) {
        let Some(case) = file.strip_suffix(ending).and_then(|case| case.strip_suffix('.')) else {
            problems.push(format!("{file}: not a .{ending} file"));
            continue;
        };
        expected.insert(file.clone());
        expected.extend(dialects.iter().map(|dialect| format!("{case}.to-{dialect}.{ending}")));
    }
    problems.extend(expected.difference(files).map(|file| format!("{file}: there is no snapshot")));
    let left = files.difference(&expected).filter(|file| file.contains(".to-"));
    problems.extend(left.map(|file| format!("{file}: there is no such case or dialect")));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_and_left_over_snapshots_are_found() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let dialects = set(&["a", "b"]);
        let complete = set(&["x.json", "x.to-a.json", "x.to-b.json"]);
        assert!(problems(&complete, &dialects, "json").is_empty());
        let wrong = set(&["x.json", "x.to-a.json", "y.to-b.json"]);
        assert_eq!(
            problems(&wrong, &dialects, "json"),
            ["x.to-b.json: there is no snapshot", "y.to-b.json: there is no such case or dialect"]
        );
    }
}
