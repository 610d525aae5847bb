//! What a field of a request may hold.

use catalog::{NanoUsd, Usd};
use ledger::rules::period::Period;
use serde_json::{Number, Value};

use crate::moment;

/// A field of a body or a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
}

/// What its value must be. `null` is always as good as nothing, and in an update takes away what was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// USD, 0 or more.
    Amount,
    /// A whole number, 0 or more.
    Count,
    Bool,
    /// `30s`, `24h`, `7d`, `1mo`
    Duration,
    /// A date, or a date and time, as ISO 8601.
    Moment,
    /// A list of texts.
    Texts,
    /// An object whose values are texts.
    TextMap,
    /// An object whose values are whole numbers, 0 or more.
    CountMap,
    Object,
    List,
    /// A list or an object.
    ListOrObject,
    OneOf(&'static [&'static str]),
    Any,
}

/// A field that may be left out.
#[must_use]
pub const fn field(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: false }
}

/// A field that may not.
#[must_use]
pub const fn required(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, required: true }
}

impl Kind {
    /// Whether a value is of this kind.
    ///
    /// # Errors
    /// What it should be.
    pub fn check(self, value: &Value) -> Result<(), String> {
        if value.is_null() {
            return Ok(());
        }
        let fits = match self {
            Self::Text => value.is_string(),
            Self::Amount => return amount(value).map(drop),
            Self::Count => return count(value).map(drop),
            Self::Bool => value.is_boolean(),
            Self::Duration => {
                // `-1`: without end.
                return match value.as_str() {
                    Some("-1") => Ok(()),
                    Some(text) => Period::parse(text).map(drop).map_err(|error| error.to_string()),
                    None => Err(format!("must be {}", self.expected())),
                };
            }
            Self::Moment => value.as_str().is_some_and(|text| moment::parse(text).is_some()),
            Self::Texts => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
            Self::TextMap => value.as_object().is_some_and(|map| map.values().all(Value::is_string)),
            Self::CountMap => {
                let Some(map) = value.as_object() else {
                    return Err(format!("must be {}", self.expected()));
                };
                for (name, value) in map {
                    count(value).map_err(|error| format!("has `{name}`, which {error}"))?;
                }
                true
            }
            Self::Object => value.is_object(),
            Self::List => value.is_array(),
            Self::ListOrObject => value.is_array() || value.is_object(),
            Self::OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Self::Any => true,
        };
        if fits { Ok(()) } else { Err(format!("must be {}", self.expected())) }
    }

    fn expected(self) -> String {
        match self {
            Self::Text => "a text",
            Self::Amount => "a number of US dollars",
            Self::Count => "a whole number, 0 or more",
            Self::Bool => "true or false",
            Self::Duration => "a duration such as `30s`, `24h`, `7d` or `1mo`",
            Self::Moment => "a date such as `2026-11-21`, or a date and time such as `2026-11-21T09:30:00Z`",
            Self::Texts => "a list of texts",
            Self::TextMap => "an object of texts",
            Self::CountMap => "an object of whole numbers",
            Self::Object => "an object",
            Self::List => "a list",
            Self::ListOrObject => "a list or an object",
            Self::OneOf(words) => return format!("one of {}", words.join(", ")),
            Self::Any => "anything",
        }
        .to_owned()
    }

    /// As a JSON schema, for `OpenAPI`.
    #[must_use]
    pub fn schema(self) -> Value {
        use serde_json::json;
        match self {
            Self::Text | Self::Duration => json!({"type": ["string", "null"]}),
            Self::Moment => json!({"type": ["string", "null"], "format": "date-time"}),
            Self::Amount => json!({"type": ["number", "null"], "minimum": 0}),
            Self::Count => json!({"type": ["integer", "null"], "minimum": 0}),
            Self::Bool => json!({"type": ["boolean", "null"]}),
            Self::Texts => json!({"type": ["array", "null"], "items": {"type": "string"}}),
            Self::TextMap => {
                json!({"type": ["object", "null"], "additionalProperties": {"type": "string"}})
            }
            Self::CountMap => {
                json!({"type": ["object", "null"], "additionalProperties": {"type": "integer"}})
            }
            Self::Object => json!({"type": ["object", "null"]}),
            Self::List => json!({"type": ["array", "null"]}),
            Self::ListOrObject => json!({"type": ["array", "object", "null"]}),
            Self::OneOf(words) => json!({"enum": words}),
            Self::Any => json!({}),
        }
    }
}

/// An amount of USD, 0 or more, from a number or the text of one.
///
/// # Errors
/// What it should be.
pub fn amount(value: &Value) -> Result<NanoUsd, String> {
    let digits = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return Err(format!("must be {}", Kind::Amount.expected())),
    };
    let amount = Usd::parse(&digits)
        .map_err(|error| format!("must be {}; `{digits}` is {error}", Kind::Amount.expected()))?;
    // A finer one would be rounded to nothing, which is another budget.
    let nano = amount.to_nano();
    if nano < NanoUsd::ZERO {
        return Err("may not be negative; for no budget leave it out".to_owned());
    }
    if nano == NanoUsd::ZERO && !amount.is_zero() {
        return Err(format!("is `{digits}`; amounts below a nano-dollar (0.000000001) cannot be kept"));
    }
    Ok(nano)
}

/// A whole number, 0 or more.
///
/// # Errors
/// What it should be.
pub fn count(value: &Value) -> Result<u64, String> {
    let whole = |number: &Number| {
        number.as_u64().or_else(|| number.to_string().strip_suffix(".0").and_then(|text| text.parse().ok()))
    };
    let found = match value {
        Value::Number(number) => whole(number),
        _ => None,
    };
    found
        .filter(|number| i64::try_from(*number).is_ok())
        .ok_or_else(|| format!("must be {}", Kind::Count.expected()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_does_not_fit_is_told_with_what_would() {
        for (kind, value, told) in [
            (Kind::Text, json!(5), "must be a text"),
            (Kind::Amount, json!(-1), "may not be negative; for no budget leave it out"),
            (
                Kind::Amount,
                json!(1e300),
                "must be a number of US dollars; `1e+300` is more than 170 million dollars",
            ),
            (Kind::Amount, json!("ten"), "must be a number of US dollars; `ten` is not a number"),
            (Kind::Count, json!(-1), "must be a whole number, 0 or more"),
            (Kind::Count, json!(1.5), "must be a whole number, 0 or more"),
            (Kind::Bool, json!("yes"), "must be true or false"),
            (Kind::Texts, json!(["a", 1]), "must be a list of texts"),
            (Kind::CountMap, json!({"gpt-4o": -1}), "has `gpt-4o`, which must be a whole number, 0 or more"),
            (Kind::OneOf(&["a", "b"]), json!("c"), "must be one of a, b"),
        ] {
            assert_eq!(kind.check(&value), Err(told.to_owned()), "{value}");
        }
        let told = Kind::Duration.check(&json!("soon")).unwrap_err();
        assert!(told.starts_with("`soon` is not a duration; write"), "{told}");
    }

    #[test]
    fn null_and_whole_floats_are_fine() {
        assert_eq!(Kind::Count.check(&Value::Null), Ok(()));
        assert_eq!(count(&json!(100.0)), Ok(100));
        assert_eq!(amount(&json!("0.05")), Ok(NanoUsd(50_000_000)));
        assert_eq!(Kind::Duration.check(&json!("-1")), Ok(()));
    }
}
