//! Reading JSON so that a mistake is named with its place.

pub(crate) mod scan;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Number;
use serde_json::value::RawValue;

use crate::error::Invalid;

/// Reads `text` as a `T`; on a mistake names the field.
///
/// The path of a field costs time to keep, so it is only looked for once the plain reading has failed.
///
/// # Errors
/// Names the first field with a wrong type or value, or the place where the text is not JSON.
pub fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Invalid> {
    serde_json::from_slice(text).map_err(|plain| explain::<T>(text, &plain))
}

#[cold]
fn explain<T: DeserializeOwned>(text: &[u8], plain: &serde_json::Error) -> Invalid {
    // A number that is out of range counts as a mistake of syntax, wherever it is.
    if !plain.is_data() && serde_json::from_slice::<&RawValue>(text).is_err() {
        return syntax(plain);
    }
    let deserializer = &mut serde_json::Deserializer::from_slice(text);
    match serde_path_to_error::deserialize::<_, T>(deserializer) {
        Ok(_) => Invalid::body(without_place(&plain.to_string())),
        Err(error) => {
            let path = error.path().to_string();
            let message = without_place(&error.into_inner().to_string());
            if path == "." { Invalid::body(message) } else { Invalid::new(path, message) }
        }
    }
}

/// A number's whole part. Some servers write counts and seconds with a fraction.
pub(crate) fn whole(number: &Number) -> Option<u64> {
    number.as_u64().or_else(|| number.to_string().split('.').next()?.parse().ok())
}

/// Writes a value. (Its `to_string` goes through the formatting machinery, which takes twice as long.)
#[must_use]
pub(crate) fn write<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    // Writing to memory cannot fail, and what is written here has names that are text.
    serde_json::to_vec(value).unwrap_or_default()
}

/// [`write()`], as a text.
#[must_use]
pub(crate) fn write_text<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// A message for text that is not JSON at all.
#[must_use]
pub fn syntax(error: &serde_json::Error) -> Invalid {
    Invalid::body(format!("Invalid JSON payload: {error}"))
}

/// serde's messages end in a line and column, which say nothing where the field is named.
fn without_place(message: &str) -> String {
    message.rsplit_once(" at line ").map_or(message, |(text, _)| text).to_owned()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Outer {
        #[serde(rename = "items")]
        _items: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[serde(rename = "size")]
        _size: u32,
    }

    #[test]
    fn a_wrong_type_names_its_field() {
        let error = read::<Outer>(br#"{"items":[{"size":1},{"size":"x"}]}"#).unwrap_err();
        assert_eq!(error.to_string(), "`items[1].size`: invalid type: string \"x\", expected u32");
    }

    #[test]
    fn a_number_out_of_range_names_its_field() {
        let error = read::<Outer>(br#"{"items":[{"size":1},{"size":1e999}]}"#).unwrap_err();
        assert_eq!(error.to_string(), "`items[1].size`: number out of range");
        let error = read::<serde_json::Value>(b"1e999").unwrap_err();
        assert_eq!(error.under("temperature").to_string(), "`temperature`: number out of range");
    }

    #[test]
    fn broken_json_names_its_place() {
        let error = read::<Outer>(br#"{"items":["#).unwrap_err();
        assert_eq!(error.param, None);
        assert_eq!(error.message, "Invalid JSON payload: EOF while parsing a list at line 1 column 10");
    }
}
