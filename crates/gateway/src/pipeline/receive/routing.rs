//! What one request says about where it goes: retries, fallbacks, tags, region.
//!
//! Names and shapes are LiteLLM's. A value of a wrong type is a 400 that names the field, never a setting that is
//! silently ignored.

use std::sync::Arc;

use dialects::document::Document;
use dialects::{ErrorClass, Invalid};
use http::HeaderMap;
use http::header::USER_AGENT;
use routing::Overrides;
use routing::settings::{PerClass, Strategy, Target};
use serde_json::Value;

use super::{header, is_ours, names};
use crate::routing_json::{self, Fallbacks, WHOLE_NUMBER, whole_number, wrong};

/// What one request says about its own routing.
#[derive(Clone, Debug, Default)]
pub(in crate::pipeline) struct RoutingWishes {
    /// Instead of the settings.
    pub overrides: Overrides,
    /// `x-litellm-tags`, `tags`, `metadata.tags` and `litellm_metadata.tags`, each once.
    pub tags: Vec<String>,
    /// `allowed_model_region`.
    pub region: Option<Arc<str>>,
    /// `mock_testing_fallbacks` and its like: the first group counts as failed with this.
    pub mock_failure: Option<ErrorClass>,
}

/// The fields that make a request's first group fail, and how.
const MOCKS: [(&str, ErrorClass); 4] = [
    ("mock_testing_fallbacks", ErrorClass::Internal),
    ("mock_testing_context_fallbacks", ErrorClass::ContextWindowExceeded),
    ("mock_testing_content_policy_fallbacks", ErrorClass::ContentPolicy),
    ("mock_testing_rate_limit_error", ErrorClass::RateLimited),
];

/// Reads the fields; they are still in the document afterwards. `model` is the one that is asked for, and
/// `allow_mock_testing` is `general_settings.dangerously_allow_mock_testing_request_params`.
///
/// # Errors
/// When a field has a wrong type, with its path.
pub(in crate::pipeline) fn routing_wishes(
    document: &Document<'_>,
    headers: &HeaderMap,
    model: &str,
    allow_mock_testing: bool,
) -> Result<RoutingWishes, Invalid> {
    // Most requests say nothing of the kind, and each field would be looked for by itself.
    if headers.is_empty() && !document.names().any(|name| name == "metadata" || is_ours(name)) {
        return Ok(RoutingWishes::default());
    }
    let overrides = Overrides {
        num_retries: num_retries(document, headers)?,
        retry_policy: retry_policy(document)?,
        fallbacks: fallbacks(document, "fallbacks", model)?,
        context_window_fallbacks: match fallbacks(document, "context_window_fallbacks", model)? {
            Some(list) => Some(list),
            None => context_window_fallback(document, model)?,
        },
        content_policy_fallbacks: fallbacks(document, "content_policy_fallbacks", model)?,
        disable_fallbacks: document.flag("disable_fallbacks")?.unwrap_or(false),
        strategy: strategy(document)?,
    };
    Ok(RoutingWishes {
        overrides,
        tags: tags(document, headers)?,
        region: document.text("allowed_model_region")?.map(|region| region.as_ref().into()),
        mock_failure: mock_failure(document, allow_mock_testing)?,
    })
}

/// The header, else `num_retries`, else a `max_retries` above 0: to LiteLLM that is the number for the provider's SDK,
/// where 0 leaves the gateway's own retries as they are, and there is one number here.
fn num_retries(document: &Document<'_>, headers: &HeaderMap) -> Result<Option<u32>, Invalid> {
    if let Some(text) = header(headers, &names::NUM_RETRIES) {
        let number = text.trim().parse().ok();
        return number.map(Some).ok_or_else(|| wrong(names::NUM_RETRIES.as_str(), WHOLE_NUMBER, &text));
    }
    let number = |name: &str| value(document, name).map(|value| whole_number(name, &value)).transpose();
    let of_sdk = number("max_retries")?.filter(|retries| *retries > 0);
    Ok(number("num_retries")?.or(of_sdk))
}

fn retry_policy(document: &Document<'_>) -> Result<Option<PerClass>, Invalid> {
    const FIELD: &str = "retry_policy";
    value(document, FIELD).map(|value| routing_json::retry_policy(FIELD, &value)).transpose()
}

fn strategy(document: &Document<'_>) -> Result<Option<Strategy>, Invalid> {
    const FIELD: &str = "routing_strategy";
    document.text(FIELD)?.map(|name| routing_json::strategy(FIELD, &name)).transpose()
}

fn fallbacks(document: &Document<'_>, field: &str, model: &str) -> Result<Option<Vec<Target>>, Invalid> {
    let Some(value) = value(document, field) else { return Ok(None) };
    // Who says that there are others for other groups has none for this one.
    Ok(Some(Fallbacks::read(field, value)?.of(model).unwrap_or_default().to_vec()))
}

/// The entry of `context_window_fallback_dict` for the model: a name, or a list of them.
fn context_window_fallback(document: &Document<'_>, model: &str) -> Result<Option<Vec<Target>>, Invalid> {
    const FIELD: &str = "context_window_fallback_dict";
    let Some(value) = value(document, FIELD) else { return Ok(None) };
    let Value::Object(entries) = value else { return Err(wrong(FIELD, "an object of model names", &value)) };
    let mut found = None;
    for (group, other) in entries {
        let path = format!("{FIELD}.{group}");
        let Value::String(name) = other else { return Err(wrong(&path, "a model's name", &other)) };
        if group == model {
            found = Some(vec![Target { name: name.into(), params: None }]);
        }
    }
    Ok(found)
}

fn tags(document: &Document<'_>, headers: &HeaderMap) -> Result<Vec<String>, Invalid> {
    let mut tags: Vec<String> = Vec::new();
    let mut add = |tag: String| {
        if !tag.is_empty() && !tags.contains(&tag) {
            tags.push(tag);
        }
    };
    let of_header = header(headers, &names::TAGS).unwrap_or_default();
    of_header.split(',').for_each(|tag| add(tag.trim().to_owned()));
    if let Some(value) = value(document, "tags") {
        texts("tags", value)?.into_iter().for_each(&mut add);
    }
    for name in ["metadata", "litellm_metadata"] {
        // Most metadata has no tags and need not be read.
        if !document.get(name).is_some_and(|text| text.contains("\"tags\"")) {
            continue;
        }
        let Some(Value::Object(mut metadata)) = value(document, name) else { continue };
        // OpenAI's metadata is a mapping of strings, in which `tags` means nothing to the gateway.
        if let Some(value @ Value::Array(_)) = metadata.shift_remove("tags") {
            texts(&format!("{name}.tags"), value)?.into_iter().for_each(&mut add);
        }
    }
    Ok(tags)
}

/// What `tag_regex` is matched with: `User-Agent: …`.
pub(in crate::pipeline) fn tag_lines(headers: &HeaderMap) -> Vec<String> {
    header(headers, USER_AGENT).map(|agent| format!("User-Agent: {agent}")).into_iter().collect()
}

fn texts(path: &str, value: Value) -> Result<Vec<String>, Invalid> {
    let Value::Array(items) = value else { return Err(wrong(path, "a list of strings", &value)) };
    let text = |(place, item)| match item {
        Value::String(text) => Ok(text),
        other => Err(wrong(&format!("{path}[{place}]"), "a string", &other)),
    };
    items.into_iter().enumerate().map(text).collect()
}

fn mock_failure(document: &Document<'_>, allowed: bool) -> Result<Option<ErrorClass>, Invalid> {
    let mut failure = None;
    for (name, class) in MOCKS {
        if !document.has(name) || document.flag(name)? != Some(true) {
            continue;
        }
        if !allowed {
            return Err(Invalid::new(
                name,
                "tests of fallbacks are off; the gateway's operator can turn them on with \
                 `general_settings.dangerously_allow_mock_testing_request_params: true`",
            ));
        }
        failure = failure.or(Some(class));
    }
    Ok(failure)
}

/// The field as a tree; a null counts as absent.
fn value(document: &Document<'_>, name: &str) -> Option<Value> {
    document.value(name).filter(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use routing::settings::FailureClass;

    use super::*;

    fn read_with(body: &str, headers: &[(&'static str, &'static str)]) -> Result<RoutingWishes, Invalid> {
        let document = Document::parse(body.as_bytes()).unwrap();
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        routing_wishes(&document, &headers, "openai/gpt-4o", true)
    }

    fn read(body: &str) -> RoutingWishes {
        read_with(body, &[]).unwrap()
    }

    fn shown(targets: Option<Vec<Target>>) -> Option<String> {
        let target = |target: Target| match target.params {
            Some(params) => format!("{}{}", target.name, Value::Object((*params).clone())),
            None => target.name.to_string(),
        };
        targets.map(|targets| targets.into_iter().map(target).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn a_plain_request_wishes_nothing() {
        let wishes = read(r#"{"model": "gpt-4o", "metadata": {"tags": "openai's own"}, "tags": null}"#);
        let Overrides {
            num_retries,
            retry_policy,
            fallbacks,
            context_window_fallbacks,
            content_policy_fallbacks,
            disable_fallbacks,
            strategy,
        } = wishes.overrides;
        assert!(num_retries.is_none() && retry_policy.is_none() && strategy.is_none() && !disable_fallbacks);
        assert!(fallbacks.is_none() && context_window_fallbacks.is_none());
        assert!(content_policy_fallbacks.is_none());
        assert!(wishes.tags.is_empty() && wishes.region.is_none());
        assert!(wishes.mock_failure.is_none());
    }

    #[test]
    fn the_header_wins_over_the_body_and_num_over_max() {
        let body = r#"{"num_retries": 3, "max_retries": 5}"#;
        let header = [("x-litellm-num-retries", " 1 ")];
        assert_eq!(read_with(body, &header).unwrap().overrides.num_retries, Some(1));
        assert_eq!(read(body).overrides.num_retries, Some(3));
        assert_eq!(read(r#"{"max_retries": 5}"#).overrides.num_retries, Some(5));
        assert_eq!(read(r#"{"num_retries": 0, "max_retries": 5}"#).overrides.num_retries, Some(0));
        assert_eq!(read(r#"{"max_retries": 0}"#).overrides.num_retries, None);
    }

    #[test]
    fn fallbacks_are_names_objects_or_rules() {
        let table = [
            (r#"["a", "b"]"#, "a, b"),
            (r#"[{"model": "a", "temperature": 0}, "b"]"#, r#"a{"temperature":0}, b"#),
            (r#"[{"other": ["a"]}, {"gpt-4o": ["b", {"model": "c"}]}, {"*": ["d"]}]"#, "b, c"),
            (r#"[{"*": ["d"]}, {"openai/gpt-4o": ["a"]}]"#, "a"),
            (r#"[{"*": ["d"]}]"#, "d"),
            (r#"[{"other": ["a"]}]"#, ""),
            ("[]", ""),
        ];
        for (json, expected) in table {
            for field in ["fallbacks", "context_window_fallbacks", "content_policy_fallbacks"] {
                let overrides = read(&format!(r#"{{"{field}": {json}}}"#)).overrides;
                let found = match field {
                    "fallbacks" => overrides.fallbacks,
                    "context_window_fallbacks" => overrides.context_window_fallbacks,
                    _ => overrides.content_policy_fallbacks,
                };
                assert_eq!(shown(found).as_deref(), Some(expected), "{field}: {json}");
            }
        }
    }

    #[test]
    fn the_dict_is_for_the_model_that_is_asked_for() {
        let dict = r#""context_window_fallback_dict": {"x": "y", "openai/gpt-4o": "larger"}"#;
        let overrides = read(&format!("{{{dict}}}")).overrides;
        assert_eq!(shown(overrides.context_window_fallbacks).as_deref(), Some("larger"));
        let overrides = read(&format!(r#"{{{dict}, "context_window_fallbacks": ["list"]}}"#)).overrides;
        assert_eq!(shown(overrides.context_window_fallbacks).as_deref(), Some("list"));
        let overrides = read(r#"{"context_window_fallback_dict": {"x": "y"}}"#).overrides;
        assert_eq!(shown(overrides.context_window_fallbacks), None);
    }

    #[test]
    fn tags_of_all_places_are_joined_each_once() {
        let body =
            r#"{"tags": ["b", "c"], "metadata": {"tags": ["c", "d"]}, "litellm_metadata": {"tags": ["e"]}}"#;
        let wishes = read_with(body, &[("x-litellm-tags", "a, b,,")]).unwrap();
        assert_eq!(wishes.tags, ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn a_client_is_known_by_its_program() {
        let headers = HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static("curl/8"))]);
        assert_eq!(tag_lines(&headers), ["User-Agent: curl/8"]);
    }

    #[test]
    fn the_other_wishes_are_read() {
        let wishes = read(
            r#"{"retry_policy": {"TimeoutErrorRetries": 4, "DefaultRetries": null}, "disable_fallbacks": true,
                "allowed_model_region": "eu", "routing_strategy": "least-busy"}"#,
        );
        let mut policy = PerClass::default();
        policy.set(FailureClass::Timeout, 4);
        assert_eq!(wishes.overrides.retry_policy, Some(policy));
        assert!(wishes.overrides.disable_fallbacks);
        assert_eq!(wishes.overrides.strategy, Some(Strategy::LeastBusy));
        assert_eq!(wishes.region.as_deref(), Some("eu"));
    }

    #[test]
    fn a_test_of_fallbacks_makes_the_first_group_fail_where_that_is_allowed() {
        for (field, class) in MOCKS {
            let body = format!(r#"{{"{field}": true}}"#);
            assert_eq!(read(&body).mock_failure, Some(class));
            let document = Document::parse(body.as_bytes()).unwrap();
            let refused = routing_wishes(&document, &HeaderMap::new(), "a", false).unwrap_err();
            assert_eq!(refused.param.as_deref(), Some(field));
            assert_eq!(read(&format!(r#"{{"{field}": false}}"#)).mock_failure, None);
        }
    }

    #[test]
    fn a_wrong_type_is_told_with_its_place() {
        let table = [
            (r#"{"num_retries": "3"}"#, "num_retries"),
            (r#"{"num_retries": -1}"#, "num_retries"),
            (r#"{"num_retries": 1.5}"#, "num_retries"),
            (r#"{"max_retries": {}}"#, "max_retries"),
            (r#"{"fallbacks": "a"}"#, "fallbacks"),
            (r#"{"fallbacks": {"a": ["b"]}}"#, "fallbacks"),
            (r#"{"fallbacks": ["a", 5]}"#, "fallbacks[1]"),
            (r#"{"fallbacks": ["a", {"model": 5}]}"#, "fallbacks[1].model"),
            (r#"{"fallbacks": ["a", {"temperature": 5}]}"#, "fallbacks[1].model"),
            (r#"{"fallbacks": [{"gpt-4o": ["a", null]}]}"#, "fallbacks[0].gpt-4o[1]"),
            (r#"{"fallbacks": [{"model": "a", "api_base": "http://x"}]}"#, "fallbacks[0].api_base"),
            (r#"{"context_window_fallbacks": 1}"#, "context_window_fallbacks"),
            (r#"{"content_policy_fallbacks": [[]]}"#, "content_policy_fallbacks[0]"),
            (r#"{"context_window_fallback_dict": []}"#, "context_window_fallback_dict"),
            (r#"{"context_window_fallback_dict": {"a": 1}}"#, "context_window_fallback_dict.a"),
            (r#"{"disable_fallbacks": "yes"}"#, "disable_fallbacks"),
            (r#"{"retry_policy": 3}"#, "retry_policy"),
            (r#"{"retry_policy": {"TimeoutErrorRetries": "x"}}"#, "retry_policy.TimeoutErrorRetries"),
            (r#"{"retry_policy": {"TimeoutErrorAllowedFails": 1}}"#, "retry_policy.TimeoutErrorAllowedFails"),
            (r#"{"tags": "a,b"}"#, "tags"),
            (r#"{"tags": ["a", 1]}"#, "tags[1]"),
            (r#"{"metadata": {"tags": [1]}}"#, "metadata.tags[0]"),
            (r#"{"allowed_model_region": 1}"#, "allowed_model_region"),
            (r#"{"routing_strategy": "best"}"#, "routing_strategy"),
            (r#"{"mock_testing_fallbacks": 1}"#, "mock_testing_fallbacks"),
        ];
        for (body, path) in table {
            let invalid = read_with(body, &[]).expect_err(body);
            assert_eq!(invalid.param.as_deref(), Some(path), "{body}");
        }
        let header = [("x-litellm-num-retries", "many")];
        let invalid = read_with("{}", &header).unwrap_err();
        assert_eq!(invalid.param.as_deref(), Some("x-litellm-num-retries"));
    }
}
