//! Ranges of the Unicode general categories that the tokenizers tell apart.

use std::error::Error;
use std::fmt::Write as _;

use regex_syntax::hir::{Class as HirClass, HirKind};

pub(crate) fn generate() -> Result<String, Box<dyn Error>> {
    let mut ranges = Vec::new();
    for (class, pattern) in [
        ("Upper", r"[\p{Lu}\p{Lt}]"),
        ("Lower", r"\p{Ll}"),
        ("Letter", r"[\p{Lm}\p{Lo}]"),
        ("Mark", r"\p{M}"),
        ("Number", r"\p{N}"),
    ] {
        let hir = regex_syntax::parse(pattern)?;
        let HirKind::Class(HirClass::Unicode(set)) = hir.kind() else {
            return Err(format!("{pattern} is no class of characters").into());
        };
        ranges.extend(set.ranges().iter().map(|range| (range.start(), range.end(), class)));
    }
    ranges.sort_unstable();
    let mut out = format!("static CLASSES: [(char, char, Class); {}] = [\n", ranges.len());
    for (start, end, class) in ranges {
        writeln!(out, "({start:?}, {end:?}, Class::{class}),")?;
    }
    writeln!(out, "];")?;
    Ok(out)
}
