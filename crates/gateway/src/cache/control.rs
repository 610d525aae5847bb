//! What one request wants of the cache: `cache: {…}` in its body, LiteLLM's names.

use std::time::Duration;

use dialects::Invalid;
use serde_json::{Map, Value};

/// The longest namespace that a request may name.
const MAX_NAMESPACE_BYTES: usize = 256;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controls {
    /// `ttl`: how long this answer is kept.
    pub ttl: Option<Duration>,
    /// `s-maxage`: older answers are not taken.
    pub max_age: Option<Duration>,
    /// `no-cache`: the model is asked in any case; its answer is stored.
    pub no_cache: bool,
    /// `no-store`: the answer is not stored.
    pub no_store: bool,
    /// `namespace`: instead of the configuration's.
    pub namespace: Option<String>,
    /// `use-cache`: asks for it where `mode` is `default_off`.
    pub use_cache: bool,
}

impl Controls {
    /// Reads the object.
    ///
    /// # Errors
    /// Names the field that has the wrong type.
    pub fn read(json: &str) -> Result<Self, Invalid> {
        let mut controls = Self::default();
        let fields = match serde_json::from_str(json) {
            Ok(Value::Object(fields)) => fields,
            Ok(Value::Null) => return Ok(controls),
            // A field of a form.
            Ok(Value::String(text)) if text.starts_with('{') => return Self::read(&text),
            _ => return Err(Invalid::new("cache", "expected an object such as {\"no-cache\": true}")),
        };
        controls.ttl = seconds(&fields, "ttl")?;
        if controls.ttl.is_some_and(|ttl| ttl.is_zero()) {
            return Err(Invalid::new(
                "cache.ttl",
                "expected a number of seconds above 0; `no-store` keeps nothing",
            ));
        }
        controls.max_age = match seconds(&fields, "s-maxage")? {
            Some(age) => Some(age),
            None => seconds(&fields, "s-max-age")?,
        };
        controls.no_cache = flag(&fields, "no-cache")?;
        controls.no_store = flag(&fields, "no-store")?;
        controls.use_cache = flag(&fields, "use-cache")?;
        controls.namespace = match fields.get("namespace") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) if name.len() <= MAX_NAMESPACE_BYTES => Some(name.clone()),
            Some(_) => {
                let expected = format!("expected a string of at most {MAX_NAMESPACE_BYTES} bytes");
                return Err(Invalid::new("cache.namespace", expected));
            }
        };
        Ok(controls)
    }

    /// Neither read nor write.
    #[must_use]
    pub fn declines(&self) -> bool {
        self.no_cache && self.no_store
    }

    /// `s-maxage` of a request's `Cache-Control` header. Its other directives are ignored, as in LiteLLM: browsers and
    /// proxies send them without anyone having asked.
    #[must_use]
    pub fn max_age_of_header(value: &str) -> Option<Duration> {
        let directives = value.split(',').filter_map(|directive| directive.split_once('='));
        let (_, seconds) =
            directives.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("s-maxage"))?;
        seconds.trim().trim_matches('"').parse().ok().map(Duration::from_secs)
    }
}

fn flag(fields: &Map<String, Value>, name: &str) -> Result<bool, Invalid> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(Invalid::new(format!("cache.{name}"), "expected a boolean")),
    }
}

fn seconds(fields: &Map<String, Value>, name: &str) -> Result<Option<Duration>, Invalid> {
    let number = match fields.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_f64(),
        Some(_) => None,
    };
    // The bound keeps a time in milliseconds representable.
    let duration = number.filter(|number| (0.0..1e12).contains(number)).map(Duration::from_secs_f64);
    duration.map(Some).ok_or_else(|| Invalid::new(format!("cache.{name}"), "expected a number of seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn litellms_names_are_read() {
        let controls = Controls::read(
            r#"{"ttl": 60, "s-maxage": 1.5, "no-cache": true, "no-store": false, "namespace": "a", "use-cache": true, "new": 1}"#,
        );
        let expected = Controls {
            ttl: Some(Duration::from_secs(60)),
            max_age: Some(Duration::from_millis(1500)),
            no_cache: true,
            no_store: false,
            namespace: Some("a".to_owned()),
            use_cache: true,
        };
        assert_eq!(controls.unwrap(), expected);
        assert_eq!(Controls::read(r#"{"s-max-age": 2}"#).unwrap().max_age, Some(Duration::from_secs(2)));
        assert_eq!(Controls::read("null").unwrap(), Controls::default());
    }

    #[test]
    fn a_wrong_type_is_named() {
        for (json, field) in [
            ("true", "cache"),
            (r#"{"ttl": "60"}"#, "cache.ttl"),
            (r#"{"ttl": 0}"#, "cache.ttl"),
            (r#"{"ttl": -1}"#, "cache.ttl"),
            (r#"{"s-maxage": []}"#, "cache.s-maxage"),
            (r#"{"s-max-age": "x"}"#, "cache.s-max-age"),
            (r#"{"no-cache": "yes"}"#, "cache.no-cache"),
            (r#"{"no-store": 1}"#, "cache.no-store"),
            (r#"{"use-cache": 1}"#, "cache.use-cache"),
            (r#"{"namespace": 1}"#, "cache.namespace"),
        ] {
            assert_eq!(Controls::read(json).unwrap_err().param.as_deref(), Some(field), "{json}");
        }
    }

    #[test]
    fn of_the_header_only_the_age_counts() {
        let age = Controls::max_age_of_header;
        assert_eq!(age("no-cache, s-maxage=30"), Some(Duration::from_secs(30)));
        assert_eq!(age("S-MaxAge=\"0\""), Some(Duration::ZERO));
        assert_eq!(age("no-cache"), None);
        assert_eq!(age("s-maxage=soon"), None);
    }
}
