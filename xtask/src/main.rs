//! Chores of the repository: `cargo xtask <chore>`.

mod tidy;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str =
    "usage: cargo xtask tidy\n\n  tidy   check what compilers and linters do not: see xtask/src/tidy.rs";

fn main() -> ExitCode {
    let mut out = std::io::stderr().lock();
    let chores: Vec<String> = std::env::args().skip(1).collect();
    let told = match chores.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tidy"] => match tidy::check(&root()) {
            Ok(mistakes) if mistakes.is_empty() => return ExitCode::SUCCESS,
            Ok(mistakes) => mistakes.join("\n"),
            Err(error) => error.to_string(),
        },
        _ => USAGE.to_owned(),
    };
    // Where standard error is closed, the exit code has to say it all.
    _ = writeln!(out, "{told}");
    ExitCode::FAILURE
}

/// The repository's folder.
fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}
