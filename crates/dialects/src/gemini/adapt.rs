//! What a provider of this dialect does differently, applied to a request in place.

use serde_json::Value;

use crate::document::Document;
use crate::error::CannotSay;
use crate::exchange::{Header, Target};
use crate::loss::{Change, Losses};
use crate::quirk::Quirk;

/// Where Gemini keeps what operators name as OpenAI does, in `additional_drop_params` and in providers' rows.
const PLACES: &[(&str, &[&str])] = &[
    ("temperature", &["generationConfig.temperature"]),
    ("top_p", &["generationConfig.topP"]),
    ("top_k", &["generationConfig.topK"]),
    ("n", &["generationConfig.candidateCount"]),
    ("max_tokens", &["generationConfig.maxOutputTokens"]),
    ("max_completion_tokens", &["generationConfig.maxOutputTokens"]),
    ("max_output_tokens", &["generationConfig.maxOutputTokens"]),
    ("stop", &["generationConfig.stopSequences"]),
    ("seed", &["generationConfig.seed"]),
    ("presence_penalty", &["generationConfig.presencePenalty"]),
    ("frequency_penalty", &["generationConfig.frequencyPenalty"]),
    ("logprobs", &["generationConfig.responseLogprobs"]),
    ("top_logprobs", &["generationConfig.logprobs"]),
    (
        "response_format",
        &[
            "generationConfig.responseMimeType",
            "generationConfig.responseSchema",
            "generationConfig.responseJsonSchema",
        ],
    ),
    ("reasoning_effort", &["generationConfig.thinkingConfig"]),
    ("thinking", &["generationConfig.thinkingConfig"]),
    ("modalities", &["generationConfig.responseModalities"]),
    ("audio", &["generationConfig.speechConfig"]),
    ("tools", &["tools", "toolConfig"]),
    ("tool_choice", &["toolConfig.functionCallingConfig"]),
    ("web_search_options", &["tools[*].googleSearch"]),
    ("metadata", &["labels"]),
    ("service_tier", &["serviceTier"]),
];

pub(super) fn adapt(
    document: &mut Document<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Vec<Header>, CannotSay> {
    // Both are said by the path; Google refuses fields that it does not know.
    document.remove("model");
    document.remove("stream");
    for param in &target.policy.additional_drop_params {
        if remove(document, param) {
            losses.note(param, Change::Dropped, "in `additional_drop_params`");
        }
    }
    for quirk in target.quirks {
        match quirk {
            Quirk::Lacks(param) if remove(document, param) => {
                losses.cannot_carry(param, "the provider does not know this parameter")?;
            }
            Quirk::Renames { from, to } if document.rename(from, to) => {
                losses.note(from, Change::Renamed, format!("`{to}`"));
            }
            Quirk::Injects { name, value } if !document.has(name) => {
                document.set_value(name, value);
                losses.note(name, Change::Added, "the provider wants it in every request");
            }
            // The others are about messages in OpenAI's shape.
            _ => {}
        }
    }
    Ok(Vec::new())
}

/// Takes a parameter out, by its name in OpenAI's dialect or by its path in this one.
fn remove(document: &mut Document<'_>, param: &str) -> bool {
    let places = PLACES.iter().find(|(name, _)| *name == param).map(|(_, places)| *places);
    let mut removed = false;
    for path in places.unwrap_or(&[param]) {
        removed |= remove_path(document, path);
    }
    removed
}

fn remove_path(document: &mut Document<'_>, path: &str) -> bool {
    let (first, rest) = path.find(['.', '[']).map_or((path, ""), |at| path.split_at(at));
    let spelled = snake_case(first);
    let Some(name) = [first, spelled.as_str()].into_iter().find(|name| document.get(name).is_some()) else {
        return false;
    };
    if rest.is_empty() {
        return document.remove(name);
    }
    let Some(mut value) = document.value(name) else { return false };
    let removed = remove_within(&mut value, rest);
    if removed {
        if is_empty(&value) {
            document.remove(name);
        } else {
            document.set_value(name, &value);
        }
    }
    removed
}

/// `path` begins with `.name`, `[*]` or `[index]`. Items that are emptied by it go with it.
fn remove_within(value: &mut Value, path: &str) -> bool {
    if let Some(path) = path.strip_prefix('.') {
        let (name, rest) = path.find(['.', '[']).map_or((path, ""), |at| path.split_at(at));
        let Some(fields) = value.as_object_mut() else { return false };
        let spelled = snake_case(name);
        let Some(name) = [name, spelled.as_str()].into_iter().find(|name| fields.contains_key(*name)) else {
            return false;
        };
        if rest.is_empty() {
            return fields.shift_remove(name).is_some();
        }
        return fields.get_mut(name).is_some_and(|inner| remove_within(inner, rest));
    }
    let Some((index, rest)) = path.strip_prefix('[').and_then(|path| path.split_once(']')) else {
        return false;
    };
    let Some(items) = value.as_array_mut() else { return false };
    let mut removed = false;
    let mut at = 0_usize;
    items.retain_mut(|item| {
        let meant = index == "*" || index.parse() == Ok(at);
        at += 1;
        if !meant {
            return true;
        }
        if rest.is_empty() {
            removed = true;
            return false;
        }
        let emptied = remove_within(item, rest);
        removed |= emptied;
        !(emptied && is_empty(item))
    });
    removed
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// `topK` → `top_k`: the other spelling that requests may have.
fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::exchange::ModelFacts;
    use crate::loss::ParameterPolicy;

    fn adapted(source: &str, quirks: &[Quirk], drop: &[&str]) -> Result<String, CannotSay> {
        let policy = ParameterPolicy {
            additional_drop_params: drop.iter().map(|name| (*name).to_owned()).collect(),
            ..ParameterPolicy::default()
        };
        let facts = ModelFacts::default();
        let target = Target { model: "gemini-2.5-flash", quirks, facts: &facts, policy: &policy };
        let mut document = Document::of(source).unwrap();
        adapt(&mut document, &target, &mut Losses::new(false))?;
        Ok(String::from_utf8(document.to_bytes()).unwrap())
    }

    #[test]
    fn an_ordinary_request_goes_through_byte_for_byte() {
        let source = "{\n \"contents\" : [{\"parts\":[{\"text\":\"hi\"}]}],\n \"new_field\": 1.0 }\n";
        assert_eq!(adapted(source, &[], &["temperature", "tools[*].strict"]).unwrap(), source);
    }

    #[test]
    fn model_and_stream_are_said_by_the_path() {
        let source = r#"{"model":"gemini-2.5-pro","contents":[],"stream":true}"#;
        assert_eq!(adapted(source, &[], &[]).unwrap(), r#"{"contents":[]}"#);
    }

    #[test]
    fn parameters_are_dropped_by_either_name_and_spelling() {
        let source = r#"{"contents":[],"generation_config":{"top_k":4,"seed":1},"tools":[{"googleSearch":{}},{"functionDeclarations":[{"name":"f","x":1}]}]}"#;
        assert_eq!(
            adapted(source, &[], &["top_k", "web_search_options", "tools[*].functionDeclarations[*].x"])
                .unwrap(),
            r#"{"contents":[],"generation_config":{"seed":1},"tools":[{"functionDeclarations":[{"name":"f"}]}]}"#
        );
    }

    #[test]
    fn rows_can_lack_rename_and_add() {
        let source = r#"{"contents":[],"generationConfig":{"seed":1}}"#;
        let lacks = Quirk::Lacks("seed".to_owned());
        assert_eq!(adapted(source, &[lacks], &[]).unwrap_err().param, "seed");
        let quirks = [
            Quirk::Renames { from: "generationConfig".to_owned(), to: "config".to_owned() },
            Quirk::Injects { name: "safetySettings".to_owned(), value: json!([]) },
        ];
        assert_eq!(
            adapted(source, &quirks, &[]).unwrap(),
            r#"{"contents":[],"config":{"seed":1},"safetySettings":[]}"#
        );
    }
}
