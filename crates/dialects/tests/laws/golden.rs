//! The inputs of the golden files.

use std::path::PathBuf;

use dialects::Dialect;

pub(crate) struct Golden {
    /// `streams/gemini/text.sse`, for messages.
    pub(crate) name: String,
    pub(crate) dialect: Dialect,
    pub(crate) text: String,
}

/// All inputs of a kind (`requests`, `answers`, `streams`), of all dialects.
pub(crate) fn inputs(kind: &str) -> Vec<Golden> {
    let mut inputs = Vec::new();
    for dialect in Dialect::ALL {
        let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "golden", kind, dialect.name()].iter().collect();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_str().unwrap();
            // Beside an input stand its translations, `<case>.to-<dialect>.json`.
            if !file.contains(".to-") {
                let name = format!("{kind}/{dialect}/{file}");
                inputs.push(Golden { name, dialect, text: std::fs::read_to_string(&path).unwrap() });
            }
        }
    }
    inputs.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(inputs.len() > 20, "{} {kind}", inputs.len());
    inputs
}
