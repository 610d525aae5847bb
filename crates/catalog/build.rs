//! Turns the data files into what the crate embeds, and fails the build where they break their schema.

#[path = "src/tokens/hash.rs"]
mod hash;
#[path = "build/prices.rs"]
mod prices;
#[path = "build/providers.rs"]
mod providers;
#[path = "build/unicode.rs"]
mod unicode;
#[path = "build/vocabulary.rs"]
mod vocabulary;

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=data");
    println!("cargo::rerun-if-changed=src/prices/index.rs");
    println!("cargo::rerun-if-changed=src/tokens/hash.rs");

    let out = PathBuf::from(env::var("OUT_DIR")?);
    let read = |name: &str| fs::read_to_string(PathBuf::from("data").join(name));

    fs::write(out.join("providers.rs"), providers::generate(&read("providers.json")?)?)?;
    let prices = prices::generate(&read("model_prices.json")?)?;
    fs::write(out.join("price_index.rs"), prices)?;
    fs::write(out.join("unicode_classes.rs"), unicode::generate()?)?;
    for name in ["o200k_base", "cl100k_base"] {
        let table = vocabulary::generate(&read(&format!("{name}.tiktoken"))?)
            .map_err(|error| format!("data/{name}.tiktoken: {error}"))?;
        fs::write(out.join(format!("{name}.bytes")), table.bytes)?;
        fs::write(out.join(format!("{name}.starts")), table.starts)?;
        fs::write(out.join(format!("{name}.slots")), table.slots)?;
    }
    Ok(())
}
