//! `golden/*.yaml` and beside each the report that it gets: the specification of what people are told.
//!
//! `TOLLWAY_GOLDEN=write cargo test -p tollway-gateway golden` writes the reports; read the diff.

use std::io;
use std::path::{Path, PathBuf};

use super::super::{Config, Sources};
use super::{crate_folder, provider, variable};

fn folder() -> PathBuf {
    crate_folder().join("src/config/golden")
}

fn read(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(folder().join(path)).map_err(|error| io::Error::new(error.kind(), "no such file"))
}

#[test]
fn every_case_is_reported_as_written() {
    let write = std::env::var("TOLLWAY_GOLDEN").is_ok_and(|mode| mode == "write");
    let mut cases = 0;
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        cases += 1;
        let name = path.file_name().unwrap();
        let sources = Sources { environment: &variable, file: &read, provider: &provider };
        let loaded = Config::load(Path::new(name), &sources);
        assert_eq!(loaded.config.is_some(), !loaded.report.has_errors(), "{}", path.display());
        let report = loaded.report.to_string();
        let expected = path.with_extension("report");
        if write {
            std::fs::write(&expected, &report).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != report {
            wrong.push(format!("{}:\n{report}", name.to_string_lossy()));
        }
    }
    assert!(cases >= 30, "{cases} cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_report_shows_a_secret() {
    let secrets = [
        "plain-secret",
        "header-secret",
        "token-secret",
        "variable-secret",
        "master-secret",
        "db-secret",
        "0123456789abcdef",
        "hunter2",
        "sk-from",
    ];
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "report") {
            let report = std::fs::read_to_string(&path).unwrap();
            for secret in secrets {
                assert!(!report.contains(secret), "{}: {secret}", path.display());
            }
        }
    }
}
