//! The last edits of a request that speaks this dialect: the model's name, what the provider's row says, and the
//! beta headers that the body calls for.

use memchr::memmem;
use serde::Deserialize;

use super::model::Model;
use crate::adapt;
use crate::document::Document;
use crate::error::CannotSay;
use crate::exchange::{Header, Target};
use crate::field_path;
use crate::loss::{Change, Losses};
use crate::quirk::{NamedQuirk, Quirk};

pub(super) fn adapt_request(
    document: &mut Document<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Vec<Header>, CannotSay> {
    if target.quirks.contains(&Quirk::Named(NamedQuirk::NoModelInBody)) {
        document.remove("model");
    } else {
        adapt::write_model(document, target.model);
    }
    adapt::drop_listed(document, target, losses, field_path::remove_exact);
    adapt::refuse_lacking(document, target, losses)?;
    adapt::edit_fields(document, target, losses);
    if target.policy.drop_params && Model::of(target.model, target.facts).refuses_sampling() {
        for param in ["temperature", "top_p", "top_k"] {
            if document.remove(param) {
                let why = format!("`{}` has no sampling parameters", target.model);
                losses.note(param, Change::Dropped, why);
            }
        }
    }
    let betas = betas(document, target);
    Ok(if betas.is_empty() { Vec::new() } else { vec![("anthropic-beta", betas.join(","))] })
}

/// The betas that a body needs to be understood:
/// <https://platform.claude.com/docs/en/api/beta-headers> and the pages of the features.
fn betas(document: &Document<'_>, target: &Target<'_>) -> Vec<&'static str> {
    let mut betas = Betas(Vec::new());
    if document.has("output_format") {
        betas.add("structured-outputs-2025-11-13");
    }
    if document.get("messages").is_some_and(|messages| mentions(messages, "\"file_id\"")) {
        betas.add("files-api-2025-04-14");
    }
    if let Some(edits) = document.get("context_management").filter(|text| *text != "null") {
        betas.add("context-management-2025-06-27");
        if mentions(edits, "compact_20260112") {
            betas.add("compact-2026-01-12");
        }
    }
    let tools = document.get("tools").unwrap_or_default();
    if document.has("mcp_servers") {
        let toolset = mentions(tools, "mcp_toolset");
        betas.add(if toolset { "mcp-client-2025-11-20" } else { "mcp-client-2025-04-04" });
    }
    if document.get("container").is_some_and(|container| mentions(container, "\"skills\"")) {
        betas.add("skills-2025-10-02");
    }
    if document.get("speed") == Some("\"fast\"") {
        betas.add("fast-mode-2026-02-01");
    }
    if let Some(config) = document.get("output_config") {
        if mentions(config, "\"task_budget\"") {
            betas.add("task-budgets-2026-03-13");
        }
        if mentions(config, "\"effort\"") && Model::of(target.model, target.facts).wants_effort_beta() {
            betas.add("effort-2025-11-24");
        }
    }
    // Hosted tools have a date in their type; a body without one is not looked into.
    if mentions(tools, "_20") {
        for kind in tool_types(tools) {
            betas.add_for_tool(&kind);
        }
    }
    betas.0
}

struct Betas(Vec<&'static str>);

impl Betas {
    fn add(&mut self, beta: &'static str) {
        if !self.0.contains(&beta) {
            self.0.push(beta);
        }
    }

    /// Types that are not listed need no beta.
    fn add_for_tool(&mut self, kind: &str) {
        let beta = match kind {
            "computer_20241022" => "computer-use-2024-10-22",
            "computer_20250124" => "computer-use-2025-01-24",
            "computer_20251124" => "computer-use-2025-11-24",
            "code_execution_20250522" => "code-execution-2025-05-22",
            "code_execution_20250825" => "code-execution-2025-08-25",
            "web_fetch_20250910" => "web-fetch-2025-09-10",
            "memory_20250818" => "context-management-2025-06-27",
            "tool_search_tool_regex_20251119" | "tool_search_tool_bm25_20251119" => {
                "advanced-tool-use-2025-11-20"
            }
            _ => return,
        };
        self.add(beta);
    }
}

fn mentions(text: &str, what: &str) -> bool {
    memmem::find(text.as_bytes(), what.as_bytes()).is_some()
}

fn tool_types(tools: &str) -> Vec<String> {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(default, rename = "type")]
        kind: Option<String>,
    }

    let tools: Vec<Typed> = serde_json::from_str(tools).unwrap_or_default();
    tools.into_iter().filter_map(|tool| tool.kind).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::exchange::ModelFacts;
    use crate::loss::ParameterPolicy;

    struct Adapted {
        body: String,
        betas: String,
    }

    fn adapted(
        body: &str,
        model: &str,
        quirks: &[Quirk],
        policy: &ParameterPolicy,
    ) -> Result<Adapted, CannotSay> {
        let mut document = Document::of(body).unwrap();
        let facts = ModelFacts::default();
        let target = Target { model, quirks, facts: &facts, policy };
        let headers = adapt_request(&mut document, &target, &mut Losses::new(policy.drop_params))?;
        Ok(Adapted {
            body: String::from_utf8(document.to_bytes()).unwrap(),
            betas: headers.into_iter().map(|(_, value)| value).collect(),
        })
    }

    fn plain(body: &str) -> Adapted {
        adapted(body, "claude-opus-4-5", &[], &ParameterPolicy::default()).unwrap()
    }

    #[test]
    fn only_the_models_name_changes() {
        let body = "{ \"model\": \"alias\", \"max_tokens\":1,\n \"messages\": [], \"new\": {\"a\": 1.0} }";
        assert_eq!(plain(body).body, body.replace(" \"alias\"", "\"claude-opus-4-5\""));
        let right = body.replace("alias", "claude-opus-4-5");
        assert_eq!(plain(&right).body, right);
    }

    #[test]
    fn the_body_tells_the_betas() {
        let betas = |fields: Value| plain(&fields.to_string()).betas;
        assert_eq!(betas(json!({"messages": [{"content": "the file_id"}], "tools": [{"name": "f"}]})), "");
        let file = json!([{"role": "user", "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}]}]);
        assert_eq!(betas(json!({"messages": file})), "files-api-2025-04-14");
        let tools = json!([{"type": "computer_20250124"}, {"type": "web_search_20250305"}, {"type": "memory_20250818"}]);
        assert_eq!(
            betas(json!({"tools": tools, "context_management": {"edits": []}})),
            "context-management-2025-06-27,computer-use-2025-01-24"
        );
        assert_eq!(betas(json!({"output_config": {"effort": "low"}})), "effort-2025-11-24");
    }

    #[test]
    fn paths_reach_into_fields() {
        let policy = ParameterPolicy {
            additional_drop_params: vec![
                "tools[*].strict".into(),
                "metadata.user_id".into(),
                "top_k".into(),
                "x.y".into(),
            ],
            ..ParameterPolicy::default()
        };
        let body = r#"{"model":"m","top_k":1,"tools":[{"name":"a","strict":true},{"name":"b"}],"metadata":{"user_id":"u"}}"#;
        assert_eq!(
            adapted(body, "m", &[], &policy).unwrap().body,
            r#"{"model":"m","tools":[{"name":"a"},{"name":"b"}],"metadata":{}}"#
        );
    }

    #[test]
    fn the_providers_row_is_obeyed() {
        let quirks = [
            Quirk::Renames { from: "max_tokens".into(), to: "max_output".into() },
            Quirk::Injects { name: "anthropic_version".into(), value: json!("vertex-2023-10-16") },
            Quirk::Clamps { name: "temperature".into(), min: None, max: Some(1.into()) },
            Quirk::Lacks("top_k".into()),
        ];
        let body = r#"{"model":"m","max_tokens":1,"temperature":1.5,"top_k":2}"#;
        let refused = adapted(body, "m", &quirks, &ParameterPolicy::default()).err().unwrap();
        assert_eq!(refused.param, "top_k");
        let lenient = ParameterPolicy { drop_params: true, ..ParameterPolicy::default() };
        assert_eq!(
            adapted(body, "m", &quirks, &lenient).unwrap().body,
            r#"{"model":"m","max_output":1,"temperature":1,"anthropic_version":"vertex-2023-10-16"}"#
        );
    }

    #[test]
    fn a_model_that_the_address_names_is_not_said_again() {
        let quirks = [
            Quirk::Named(NamedQuirk::NoModelInBody),
            Quirk::Injects { name: "anthropic_version".into(), value: json!("vertex-2023-10-16") },
        ];
        let body = r#"{"model":"m","max_tokens":1}"#;
        assert_eq!(
            adapted(body, "claude-opus-4-5", &quirks, &ParameterPolicy::default()).unwrap().body,
            r#"{"max_tokens":1,"anthropic_version":"vertex-2023-10-16"}"#
        );
    }

    #[test]
    fn sampling_is_dropped_for_models_without_it_if_that_is_allowed() {
        let body = r#"{"model":"claude-opus-4-7","temperature":0.5}"#;
        let strict = adapted(body, "claude-opus-4-7", &[], &ParameterPolicy::default()).unwrap();
        assert_eq!(strict.body, body);
        let lenient = ParameterPolicy { drop_params: true, ..ParameterPolicy::default() };
        let adapted = adapted(body, "claude-opus-4-7", &[], &lenient).unwrap();
        assert_eq!(adapted.body, r#"{"model":"claude-opus-4-7"}"#);
    }
}
