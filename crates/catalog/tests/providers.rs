//! The contract that every row keeps, and how the addresses of calls are made.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use catalog::provider::{self, Auth, Status, Unroutable};
use catalog::{EndpointKind, Provider, UrlParams, endpoint_url, find, split_model};
use dialects::Dialect;
use dialects::quirk::{NamedQuirk, Quirk};
use serde_json::json;

const MODEL: &str = "some-model";

/// Everything that a deployment can set.
fn all_params(provider: &Provider) -> UrlParams<'static> {
    UrlParams {
        model: MODEL,
        api_base: provider.base_url.is_none().then_some("https://server.example/base"),
        api_version: Some("2024-10-21"),
        project: Some("my-project"),
        location: Some("europe-west4"),
        region: Some("eu-central-1"),
        account_id: Some("acc1"),
        others: &[
            ("voice_id", "v1"),
            ("chat_id", "c1"),
            ("agent_id", "a1"),
            ("tenant", "t1"),
            ("bucket", "b1"),
            ("id", "i1"),
            ("op", "inpaint"),
        ],
    }
}

#[test]
fn every_row_can_be_used() {
    assert_eq!(provider::all().len(), 189);
    for row in provider::all() {
        let id = row.id;
        assert!(find(id).is_some_and(|found| found.id == id), "{id} is not found");
        // Those that are not reached over HTTP have no route yet.
        let other_wire = matches!(row.auth, Auth::MongodbUri | Auth::Redis | Auth::GrpcMetadata { .. });
        assert!(!row.title.is_empty() && row.endpoints.is_empty() == other_wire, "{id}");
        assert_eq!(row.status == Status::Alias, row.alias_of.is_some(), "{id}");

        let (found, model) =
            split_model(&format!("{id}/org/{MODEL}"), None, None).map(|(p, m)| (p.id, m.to_owned())).unwrap();
        assert_eq!((found, model.as_str()), (id, "org/some-model"));

        for endpoint in row.endpoints {
            for stream in [false, true] {
                let url = endpoint_url(row, endpoint.kind, &all_params(row), stream)
                    .unwrap_or_else(|error| panic!("{id} {:?}: {error}", endpoint.kind));
                let host =
                    url.split_once("://").map(|(scheme, rest)| (scheme, rest.split('/').next().unwrap()));
                let (scheme, host) = host.unwrap_or_else(|| panic!("{id}: `{url}` has no scheme"));
                assert!(["http", "https", "ws", "wss"].contains(&scheme), "{id}: {url}");
                assert!(!host.is_empty() && !url.contains(['{', '}', ' ', '\u{2026}']), "{id}: {url}");
                assert_eq!(url.matches("//").count(), 1, "{id}: {url}");
            }
        }
        let has_key = !(row.api_key_env.is_empty() && row.bearer_env.is_empty() && row.other_env.is_empty());
        let device = matches!(row.auth, Auth::OpenaiDeviceFlow { .. } | Auth::GithubDeviceFlow { .. });
        let needs_nothing = row.key_optional || device || row.auth == Auth::None;
        assert!(has_key || needs_nothing || other_wire, "{id}: nothing says where its key comes from");
        let parts: Vec<_> = row.url_env.iter().flat_map(|(_, names)| *names).collect();
        for name in row.api_key_env.iter().chain(row.base_url_env).chain(row.bearer_env).chain(parts) {
            let good = name.starts_with(|c: char| c.is_ascii_uppercase())
                && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
            assert!(good, "{id}: `{name}`");
        }
    }
}

#[test]
fn all_openai_compatible_chat_rows_are_routed_to_their_dialect() {
    let rows = provider::all().iter().filter_map(|row| row.endpoint(EndpointKind::Chat));
    let (mut openai, mut others) = (0, 0);
    for endpoint in rows {
        match endpoint.conversation() {
            Some(Dialect::OpenaiChat) => openai += 1,
            _ => others += 1,
        }
    }
    // 107 of the openai dialect, and Azure, whose bodies are the same.
    assert_eq!((openai, others), (108, 27));
}

fn url(id: &str, kind: EndpointKind, params: UrlParams<'_>, stream: bool) -> String {
    endpoint_url(find(id).unwrap(), kind, &params, stream).unwrap_or_else(|error| panic!("{id}: {error}"))
}

/// A provider's chat with a base, `None` for its own.
fn chat(id: &str, base: Option<&str>) -> String {
    url(id, EndpointKind::Chat, UrlParams { model: "m", api_base: base, ..UrlParams::default() }, false)
}

#[test]
fn bases_of_the_row_and_of_the_user() {
    for (id, base, expected) in [
        ("openai", None, "https://api.openai.com/v1/chat/completions"),
        ("openai", Some("http://x/v1"), "http://x/v1/chat/completions"),
        ("openai", Some("http://x/v1/"), "http://x/v1/chat/completions"),
        ("openai", Some("http://x/v1/chat/completions"), "http://x/v1/chat/completions"),
        ("groq", None, "https://api.groq.com/openai/v1/chat/completions"),
        ("perplexity", Some("http://x"), "http://x/chat/completions"),
        ("anthropic", None, "https://api.anthropic.com/v1/messages"),
        ("anthropic", Some("http://x"), "http://x/v1/messages"),
        ("anthropic", Some("http://x/v1"), "http://x/v1/messages"),
        ("anthropic", Some("http://x/v1/messages"), "http://x/v1/messages"),
        ("huggingface", Some("http://x"), "http://x/v1/chat/completions"),
        ("huggingface", Some("http://x/v1"), "http://x/v1/chat/completions"),
        ("mistral", Some("http://x/v1"), "http://x/v1/chat/completions"),
        ("mistral", Some("http://x"), "http://x/v1/chat/completions"),
        ("cohere_chat", Some("http://x/v2/chat"), "http://x/v2/chat"),
        ("datarobot", None, "https://app.datarobot.com/api/v2/genai/llmgw/chat/completions/"),
        ("datarobot", Some("http://x/v1"), "http://x/v1/"),
        ("ollama_chat", None, "http://localhost:11434/api/chat"),
        ("heroku", Some("http://x"), "http://x/v1/chat/completions"),
    ] {
        assert_eq!(chat(id, base), expected, "{id} at {base:?}");
    }
}

#[test]
fn azure_has_deployments_or_the_v1_surface() {
    let params = UrlParams {
        model: "my gpt",
        api_base: Some("https://r.openai.azure.com/"),
        api_version: Some("2024-10-21"),
        ..UrlParams::default()
    };
    assert_eq!(
        url("azure", EndpointKind::Chat, params, true),
        "https://r.openai.azure.com/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21"
    );
    assert_eq!(
        url("azure", EndpointKind::Responses, params, false),
        "https://r.openai.azure.com/openai/responses?api-version=2024-10-21"
    );
    for params in [
        UrlParams { api_base: Some("https://r.openai.azure.com/openai/v1/"), ..params },
        UrlParams { api_version: Some("preview"), ..params },
    ] {
        assert_eq!(
            url("azure", EndpointKind::Chat, params, false),
            "https://r.openai.azure.com/openai/v1/chat/completions"
        );
    }
    let whole = "https://r.openai.azure.com/openai/deployments/my%20gpt";
    assert_eq!(
        url("azure", EndpointKind::Chat, UrlParams { api_base: Some(whole), ..params }, false),
        format!("{whole}/chat/completions?api-version=2024-10-21")
    );
    assert_eq!(find("azure").unwrap().auth.key_header("k"), Some(("api-key", "k".to_owned())));
}

#[test]
fn azure_ai_has_surfaces_by_model_and_host() {
    let row = find("azure_ai").unwrap();
    let route = |model, base| {
        let params = UrlParams { model, api_base: Some(base), ..UrlParams::default() };
        let route = row.route(EndpointKind::Chat, &params).unwrap();
        (route.url(false).unwrap(), route.auth().key_header("k").unwrap().0, route.endpoint.dialect)
    };
    assert_eq!(
        route("claude-opus-5", "https://r.services.ai.azure.com/anthropic"),
        (
            "https://r.services.ai.azure.com/anthropic/v1/messages".to_owned(),
            "x-api-key",
            "anthropic_messages"
        )
    );
    assert_eq!(
        route("mistral-large", "https://r.services.ai.azure.com"),
        (
            "https://r.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview"
                .to_owned(),
            "api-key",
            "openai_chat"
        )
    );
    assert_eq!(
        route("mistral-large", "https://x.example"),
        ("https://x.example/chat/completions".to_owned(), "authorization", "openai_chat")
    );
}

#[test]
fn gemini_and_vertex() {
    let gemini = UrlParams { model: "gemini-2.5-flash", ..UrlParams::default() };
    assert_eq!(
        url("gemini", EndpointKind::Chat, gemini, false),
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"
    );
    assert_eq!(
        url("gemini", EndpointKind::Chat, UrlParams { api_base: Some("http://x/v1beta"), ..gemini }, true),
        "http://x/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    );
    let vertex = |model, location| {
        let params = UrlParams { model, project: Some("p"), location, ..UrlParams::default() };
        url("vertex_ai", EndpointKind::Chat, params, true)
    };
    assert_eq!(
        vertex("gemini-2.5-pro", None),
        "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/publishers/google/models/\
         gemini-2.5-pro:streamGenerateContent?alt=sse"
    );
    for (location, host) in [
        ("global", "aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
    ] {
        assert!(
            vertex("gemini-2.5-pro", Some(location)).starts_with(&format!("https://{host}/v1/projects/p/"))
        );
    }
    assert!(
        vertex("claude-opus-4@20250514", None)
            .ends_with("/publishers/anthropic/models/claude-opus-4@20250514:streamRawPredict")
    );
    assert!(
        vertex("meta/llama-3.3-70b-instruct-maas", None).ends_with("/endpoints/openapi/chat/completions")
    );
    assert!(vertex("gemini/4711", None).ends_with("/endpoints/4711:streamGenerateContent?alt=sse"));

    let missing = endpoint_url(find("vertex_ai").unwrap(), EndpointKind::Chat, &gemini, false).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "the address of provider `vertex_ai` needs `project`: set it or the environment variable `VERTEXAI_PROJECT`"
    );
}

#[test]
fn endpoints_outside_the_base_follow_a_users_base() {
    let rerank = |id, model, base| {
        url(id, EndpointKind::Rerank, UrlParams { model, api_base: base, ..UrlParams::default() }, false)
    };
    assert_eq!(
        rerank("nvidia_nim", "nvidia/rerank", None),
        "https://ai.api.nvidia.com/v1/retrieval/nvidia/rerank/reranking"
    );
    assert_eq!(
        rerank("nvidia_nim", "nvidia/rerank", Some("http://x")),
        "http://x/v1/retrieval/nvidia/rerank/reranking"
    );
    assert_eq!(
        rerank("dashscope", "m", Some("https://dashscope-intl.aliyuncs.com/compatible-mode/v1")),
        "https://dashscope-intl.aliyuncs.com/compatible-api/v1/reranks"
    );
    for (base, expected) in [
        (None, "https://api.deepinfra.com/v1/inference/org/m"),
        (Some("http://x/v1/openai"), "http://x/v1/inference/org/m"),
        (Some("http://x/v1"), "http://x/v1/inference/org/m"),
    ] {
        assert_eq!(rerank("deepinfra", "org/m", base), expected);
    }
    assert_eq!(rerank("jina_ai", "m", Some("http://x/v1/rerank")), "http://x/v1/rerank");
}

#[test]
fn routing_words_leave_the_models_name() {
    for (id, model, sent, path) in [
        ("ragflow", "chat/c1/llama", "llama", "/api/v1/chats_openai/c1/chat/completions"),
        ("openai", "responses/gpt-4o", "gpt-4o", "/responses"),
        ("cohere", "v2/command-a", "command-a", "/v2/chat"),
        ("baseten", "abcd1234", "abcd1234", "/environments/production/sync/v1/chat/completions"),
    ] {
        let row = find(id).unwrap();
        let base = row.base_url.is_none().then_some("http://x");
        let params = UrlParams { model, api_base: base, ..UrlParams::default() };
        let route = row.route(EndpointKind::Chat, &params).unwrap();
        assert_eq!(route.model, sent);
        assert!(route.url(false).unwrap().ends_with(path), "{}", route.url(false).unwrap());
    }
}

#[test]
fn a_missing_base_names_its_variable() {
    let error = endpoint_url(find("hosted_vllm").unwrap(), EndpointKind::Chat, &UrlParams::default(), false);
    assert_eq!(
        error.unwrap_err().to_string(),
        "provider `hosted_vllm` has no address of its own: set `api_base` or the environment variable \
         `HOSTED_VLLM_API_BASE`"
    );
    let error = endpoint_url(find("groq").unwrap(), EndpointKind::Rerank, &UrlParams::default(), false);
    assert_eq!(error, Err(Unroutable::NoEndpoint { provider: "groq", kind: EndpointKind::Rerank }));
}

#[test]
fn model_strings_name_their_provider() {
    for (model, custom, base, id, rest) in [
        ("groq/llama-3.1-8b", None, None, "groq", "llama-3.1-8b"),
        ("openrouter/openai/gpt-4o", None, None, "openrouter", "openai/gpt-4o"),
        ("openai/my-own/model", None, Some("http://localhost:1"), "openai", "my-own/model"),
        ("custom_openai/m", None, Some("http://localhost:1"), "custom_openai", "m"),
        ("llama3", Some("ollama_chat"), None, "ollama_chat", "llama3"),
        ("groq/llama3", Some("openai"), None, "openai", "groq/llama3"),
        ("openai/gpt-4o", Some("openai"), None, "openai", "gpt-4o"),
        ("gpt-4o", None, None, "openai", "gpt-4o"),
        ("gpt-99-turbo", None, None, "openai", "gpt-99-turbo"),
        ("o3", None, None, "openai", "o3"),
        ("ft:gpt-4o-2024-08-06:org::id", None, None, "openai", "ft:gpt-4o-2024-08-06:org::id"),
        ("claude-opus-9", None, None, "anthropic", "claude-opus-9"),
        ("us.anthropic.claude-opus-9-v1:0", None, None, "bedrock", "us.anthropic.claude-opus-9-v1:0"),
        ("gemini-2.5-pro", None, None, "vertex_ai", "gemini-2.5-pro"),
        ("llama-3.1-8b", None, Some("https://api.groq.com/openai/v1"), "groq", "llama-3.1-8b"),
        ("*", None, None, "openai", "*"),
    ] {
        let (provider, name) = split_model(model, custom, base).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((provider.id, name), (id, rest), "{model}");
    }
}

#[test]
fn an_unknown_provider_is_told_with_the_nearest_one() {
    let error = |model| split_model(model, None, None).unwrap_err().to_string();
    assert_eq!(error("gorq/llama"), "model `gorq/llama` names no known provider; nearest: `groq/llama`");
    assert_eq!(
        error("my-llama"),
        "model `my-llama` names no known provider; write `<provider>/my-llama`, or `openai/my-llama` with `api_base` \
         for a server that speaks OpenAI's API"
    );
}

#[test]
fn rows_say_how_they_depart_from_the_dialect() {
    let mistral = find("mistral").unwrap().quirks();
    assert!(mistral.contains(&Quirk::Renames { from: "seed".into(), to: "random_seed".into() }));
    assert!(mistral.contains(&Quirk::MapsValue {
        name: "tool_choice".into(),
        from: "required".into(),
        to: "any".into()
    }));
    assert!(mistral.contains(&Quirk::ContentIsText));
    let xai = find("xai").unwrap();
    assert!(xai.quirks().contains(&Quirk::Named(NamedQuirk::NoStrictTools)));
    let params = UrlParams { model: MODEL, ..UrlParams::default() };
    let quirks = |kind| xai.route(kind, &params).unwrap().quirks();
    assert_eq!(quirks(EndpointKind::Chat), xai.quirks());
    assert_eq!(quirks(EndpointKind::Responses), []);
    assert!(
        find("groq").unwrap().quirks().contains(&Quirk::SearchesByTool(json!({"type": "browser_search"})))
    );
    assert_eq!(find("reka").unwrap().quirks(), &[]);
}
