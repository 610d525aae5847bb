//! Where the entries of a price map stand in its text. Shared with the build script, which makes the index of
//! the embedded map with it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Byte positions of one model's name (without quotes) and entry (a JSON object).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) name: u32,
    pub(crate) name_len: u16,
    pub(crate) entry: u32,
    pub(crate) entry_len: u32,
}

impl Place {
    pub(crate) fn name(self, text: &str) -> &str {
        slice(text, self.name, u32::from(self.name_len))
    }

    pub(crate) fn entry(self, text: &str) -> &str {
        slice(text, self.entry, self.entry_len)
    }
}

fn slice(text: &str, start: u32, len: u32) -> &str {
    let start = start as usize;
    text.get(start..start.saturating_add(len as usize)).unwrap_or_default()
}

/// The order of the index: letter case counts only between names that are otherwise equal, so that a binary
/// search finds a name however it is spelt.
pub(crate) fn order(a: &str, b: &str) -> Ordering {
    folded_order(a, b).then_with(|| a.cmp(b))
}

/// [`order`] without regard to letter case.
pub(crate) fn folded_order(a: &str, b: &str) -> Ordering {
    let a = a.bytes().map(|byte| byte.to_ascii_lowercase());
    a.cmp(b.bytes().map(|byte| byte.to_ascii_lowercase()))
}

/// Finds all entries of the JSON object `text`, sorted by [`order`].
pub(crate) fn places(text: &str) -> Result<Vec<Place>, String> {
    // Names are borrowed, since their position is wanted: one written with escapes is an error.
    let map: BTreeMap<&str, &RawValue> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let position = |part: &str| {
        let offset = (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
        u32::try_from(offset).map_err(|_| "larger than 4 GiB".to_owned())
    };
    let mut places = Vec::with_capacity(map.len());
    for (name, entry) in &map {
        places.push(Place {
            name: position(name)?,
            name_len: u16::try_from(name.len()).map_err(|_| format!("the name `{name}` is too long"))?,
            entry: position(entry.get())?,
            entry_len: u32::try_from(entry.get().len()).map_err(|_| format!("`{name}` is too long"))?,
        });
    }
    places.sort_by(|a, b| order(a.name(text), b.name(text)));
    Ok(places)
}
