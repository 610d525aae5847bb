//! `data/model_prices.json` → where each model's entry stands in the text, sorted by name, which models a provider
//! has, and by what the list is told from others.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;

use serde::Deserialize;

use crate::hash;

#[path = "../src/prices/index.rs"]
mod index;

#[derive(Deserialize)]
struct Entry<'a> {
    litellm_provider: &'a str,
}

pub(crate) fn generate(text: &str) -> Result<String, Box<dyn Error>> {
    let places = index::places(text).map_err(|error| format!("data/model_prices.json: {error}"))?;
    let mut out = String::new();
    writeln!(out, "const VERSION: &str = \"{:016x}\";", hash::hash(text.as_bytes()))?;
    writeln!(out, "static PLACES: [Place; {}] = [", places.len())?;
    let mut by_provider: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, place) in places.iter().enumerate() {
        let index::Place { name, name_len, entry, entry_len } = place;
        writeln!(
            out,
            "Place {{ name: {name}, name_len: {name_len}, entry: {entry}, entry_len: {entry_len} }},"
        )?;
        let (name, entry) = (place.name(text), place.entry(text));
        let fields: Entry<'_> = serde_json::from_str(entry)
            .map_err(|error| format!("data/model_prices.json: model `{name}`: {error}"))?;
        by_provider.entry(fields.litellm_provider).or_default().push(number);
    }
    writeln!(out, "];\nstatic BY_PROVIDER: [(&str, &[u16]); {}] = [", by_provider.len())?;
    for (provider, numbers) in &by_provider {
        let numbers: Vec<u16> = numbers.iter().map(|n| u16::try_from(*n)).collect::<Result<_, _>>()?;
        writeln!(out, "({provider:?}, &{numbers:?}),")?;
    }
    writeln!(out, "];")?;
    Ok(out)
}
