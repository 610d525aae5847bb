//! What a provider of this dialect does differently, applied to a request in place.

use crate::adapt;
use crate::document::Document;
use crate::error::CannotSay;
use crate::exchange::{Header, Target};
use crate::field_path::{self, Naming};
use crate::loss::Losses;
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

pub(super) fn adapt_request(
    document: &mut Document<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Vec<Header>, CannotSay> {
    // Both are said by the path; Google refuses fields that it does not know.
    document.remove("model");
    document.remove("stream");
    adapt::drop_listed(document, target, losses, remove);
    for quirk in target.quirks {
        if let Quirk::Lacks(param) = quirk
            && remove(document, param)
        {
            losses.cannot_carry(param, "this provider does not know it")?;
        }
    }
    adapt::edit_fields(document, target, losses);
    Ok(Vec::new())
}

/// Takes a parameter out, by its name in OpenAI's dialect or by its path in this one.
fn remove(document: &mut Document<'_>, param: &str) -> bool {
    let places = PLACES.iter().find(|(name, _)| *name == param).map(|(_, places)| *places);
    let mut removed = false;
    for path in places.unwrap_or(&[param]) {
        removed |= field_path::remove(document, path, Naming::Protobuf);
    }
    removed
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
        adapt_request(&mut document, &target, &mut Losses::new(false))?;
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
