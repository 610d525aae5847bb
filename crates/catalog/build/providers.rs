//! `data/providers.json` → one constant per row. The schema of the file is the structs below; every name that
//! stands for something in the code (endpoint, kind, status, behaviour) becomes an identifier, so that an
//! unknown one does not compile.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Map, Number, Value};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Every wire protocol that a row names, with what it is.
    dialects: BTreeMap<String, String>,
    providers: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: String,
    title: String,
    kind: String,
    status: String,
    alias_of: Option<String>,
    /// Why the row is `legacy`.
    #[serde(rename = "status_note")]
    _status_note: Option<String>,
    base_url: Option<String>,
    #[serde(default)]
    base_url_by_location: BTreeMap<String, String>,
    #[serde(default)]
    base_url_env: Vec<String>,
    #[serde(default)]
    merges_base: bool,
    #[serde(default)]
    url_env: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    url_defaults: BTreeMap<String, String>,
    auth: Auth,
    #[serde(default)]
    api_key_env: Vec<String>,
    #[serde(default)]
    bearer_env: Vec<String>,
    #[serde(default)]
    key_optional: bool,
    #[serde(default)]
    other_env: Vec<String>,
    #[serde(default)]
    headers: Vec<Header>,
    endpoints: Map<String, Value>,
    #[serde(default)]
    variants: Vec<Variant>,
    #[serde(default)]
    context_step_inclusive: bool,
    /// The endpoint that serves clients of Anthropic Messages where there is none of that dialect.
    messages_via: Option<String>,
    /// These three say how the row's chat endpoint departs from its dialect.
    #[serde(default)]
    params: Params,
    #[serde(default)]
    messages: Messages,
    #[serde(default)]
    behaviours: Vec<Behaviour>,
    /// For readers of the file.
    #[serde(default, rename = "notes")]
    _notes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Auth {
    None,
    Bearer,
    Basic,
    Header {
        name: String,
        prefix: Option<String>,
    },
    Query {
        name: String,
    },
    Azure {
        name: String,
        scope: String,
    },
    Sigv4 {
        service: String,
    },
    GoogleOauth {
        scope: String,
    },
    GdchServiceAccount,
    IbmIam {
        token_url: String,
    },
    OciSignature,
    OauthClientCredentials,
    OauthExchange {
        token_url: String,
    },
    OpenaiDeviceFlow {
        token_url: String,
    },
    GithubDeviceFlow {
        token_url: String,
    },
    GrpcMetadata {
        name: String,
        prefix: String,
    },
    MongodbUri,
    #[serde(rename = "redis_auth")]
    Redis,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    name: String,
    value: String,
    env: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Endpoint {
    dialect: String,
    path: String,
    stream: Option<String>,
    method: Option<String>,
    #[serde(default)]
    websocket: bool,
    framing: Option<String>,
    /// How an endpoint other than the row's chat endpoint departs from its dialect.
    #[serde(default)]
    params: Params,
    #[serde(default)]
    behaviours: Vec<Behaviour>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    when: Vec<When>,
    #[serde(default)]
    endpoints: Map<String, Value>,
    auth: Option<Auth>,
    #[serde(default)]
    headers: Vec<Header>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    #[serde(default)]
    model: Vec<String>,
    #[serde(default)]
    base: Vec<String>,
    #[serde(default)]
    api_version: Vec<String>,
    base_given: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Params {
    drop: Vec<String>,
    rename: BTreeMap<String, String>,
    accept: Vec<String>,
    inject: BTreeMap<String, Value>,
    clamp: BTreeMap<String, Clamp>,
    value_map: BTreeMap<String, BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Clamp {
    min: Option<Number>,
    max: Option<Number>,
}

/// The name of a `NamedQuirk`, or a quirk with data of its own.
#[derive(Deserialize)]
#[serde(untagged)]
enum Behaviour {
    Named(String),
    WithData(WithData),
}

/// As in `Quirk`.
#[derive(Deserialize)]
enum WithData {
    PrefixesModel { prefix: String, unless: String },
    SearchesByTool(Value),
    ReasonsByPromptMode { models: String },
    SeveralAnswersNeedTemperature(Number),
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Messages {
    content: Option<String>,
    images: Option<String>,
    developer_role: Option<String>,
    cache_control: Option<String>,
    tool_result_images: Option<String>,
    reasoning_history: Option<String>,
    name: Option<String>,
}

pub(crate) fn generate(text: &str) -> Result<String> {
    let mut file: File =
        serde_json::from_str(text).map_err(|error| format!("data/providers.json: {error}"))?;
    file.providers.sort_by(|a, b| a.id.cmp(&b.id));
    let mut out = String::new();
    writeln!(out, "static PROVIDERS: [Provider; {}] = [", file.providers.len())?;
    let mut used = BTreeSet::new();
    let ids: BTreeSet<String> = file.providers.iter().map(|row| row.id.clone()).collect();
    if ids.len() != file.providers.len() {
        return Err("data/providers.json: two rows have the same id".into());
    }
    for row in &file.providers {
        if let Some(target) = &row.alias_of
            && !ids.contains(target)
        {
            return Err(format!("data/providers.json: `{}` is an alias of unknown `{target}`", row.id).into());
        }
        write_row(&mut out, row, &file.dialects, &mut used)
            .map_err(|error| format!("data/providers.json: provider `{}`: {error}", row.id))?;
    }
    writeln!(out, "];")?;
    if let Some(unused) = file.dialects.keys().find(|name| !used.contains(*name)) {
        return Err(format!("data/providers.json: no row uses the dialect `{unused}`").into());
    }
    Ok(out)
}

fn write_row(
    out: &mut String,
    row: &Row,
    dialects: &BTreeMap<String, String>,
    used: &mut BTreeSet<String>,
) -> Result<()> {
    for name in row.url_env.keys().chain(row.url_defaults.keys()) {
        known_part(name)?;
    }
    for name in row
        .api_key_env
        .iter()
        .chain(&row.bearer_env)
        .chain(&row.base_url_env)
        .chain(&row.other_env)
        .chain(row.url_env.values().flatten())
        .chain(row.headers.iter().filter_map(|header| header.env.as_ref()))
    {
        if !name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_') {
            return Err(format!("`{name}` is no name of an environment variable").into());
        }
    }
    for url in row.base_url.iter().chain(row.base_url_by_location.values()) {
        known_parts(url)?;
        if !url.starts_with("http") || url.ends_with('/') {
            return Err(format!("`{url}` must begin with http and not end with a slash").into());
        }
    }
    writeln!(out, "Provider {{")?;
    writeln!(out, "id: {:?}, title: {:?},", row.id, row.title)?;
    writeln!(out, "kind: Kind::{}, status: Status::{},", camel(&row.kind), camel(&row.status))?;
    writeln!(out, "alias_of: {:?}, base_url: {:?},", row.alias_of, row.base_url)?;
    writeln!(out, "base_url_by_location: &{:?},", pairs(&row.base_url_by_location))?;
    writeln!(out, "base_url_env: &{:?}, merges_base: {},", row.base_url_env, row.merges_base)?;
    write!(out, "url_env: &[")?;
    for (part, names) in &row.url_env {
        write!(out, "({part:?}, &{names:?}),")?;
    }
    writeln!(out, "], url_defaults: &{:?},", pairs(&row.url_defaults))?;
    writeln!(out, "auth: {},", auth(&row.auth))?;
    writeln!(out, "api_key_env: &{:?}, bearer_env: &{:?},", row.api_key_env, row.bearer_env)?;
    writeln!(out, "key_optional: {}, other_env: &{:?},", row.key_optional, row.other_env)?;
    writeln!(out, "headers: &{},", headers(&row.headers)?)?;
    writeln!(out, "endpoints: &{},", endpoints(&row.endpoints, dialects, used)?)?;
    write!(out, "variants: &[")?;
    for variant in &row.variants {
        write!(out, "Variant {{ when: &[")?;
        for when in &variant.when {
            write!(
                out,
                "When {{ model: &{:?}, base: &{:?}, api_version: &{:?}, base_given: {:?} }},",
                when.model, when.base, when.api_version, when.base_given
            )?;
        }
        write!(out, "], endpoints: &{},", endpoints(&variant.endpoints, dialects, used)?)?;
        let auth = variant.auth.as_ref().map_or("None".to_owned(), |a| format!("Some({})", auth(a)));
        writeln!(out, "auth: {auth}, headers: &{} }},", headers(&variant.headers)?)?;
    }
    writeln!(out, "], context_step_inclusive: {},", row.context_step_inclusive)?;
    let messages_via = match &row.messages_via {
        Some(name) if row.endpoints.contains_key(name) => format!("Some(EndpointKind::{})", camel(name)),
        Some(name) => return Err(format!("`messages_via`: there is no endpoint `{name}`").into()),
        None => "None".to_owned(),
    };
    writeln!(out, "messages_via: {messages_via},")?;
    writeln!(out, "rules: &[{}],", rules(&row.params, &row.messages, &row.behaviours)?)?;
    writeln!(out, "quirks: OnceLock::new(),\n}},")?;
    Ok(())
}

fn auth(auth: &Auth) -> String {
    match auth {
        Auth::None => "Auth::None".to_owned(),
        Auth::Bearer => "Auth::Bearer".to_owned(),
        Auth::Basic => "Auth::Basic".to_owned(),
        Auth::Header { name, prefix } => {
            let prefix = prefix.as_deref().unwrap_or_default();
            format!("Auth::Header {{ name: {name:?}, prefix: {prefix:?} }}")
        }
        Auth::Query { name } => format!("Auth::Query {{ name: {name:?} }}"),
        Auth::Azure { name, scope } => format!("Auth::Azure {{ name: {name:?}, scope: {scope:?} }}"),
        Auth::Sigv4 { service } => format!("Auth::AwsSignature {{ service: {service:?} }}"),
        Auth::GoogleOauth { scope } => format!("Auth::GoogleOauth {{ scope: {scope:?} }}"),
        Auth::GdchServiceAccount => "Auth::GdchServiceAccount".to_owned(),
        Auth::IbmIam { token_url } => format!("Auth::IbmIam {{ token_url: {token_url:?} }}"),
        Auth::OciSignature => "Auth::OciSignature".to_owned(),
        Auth::OauthClientCredentials => "Auth::OauthClientCredentials".to_owned(),
        Auth::OauthExchange { token_url } => format!("Auth::OauthExchange {{ token_url: {token_url:?} }}"),
        Auth::OpenaiDeviceFlow { token_url } => {
            format!("Auth::OpenaiDeviceFlow {{ token_url: {token_url:?} }}")
        }
        Auth::GithubDeviceFlow { token_url } => {
            format!("Auth::GithubDeviceFlow {{ token_url: {token_url:?} }}")
        }
        Auth::GrpcMetadata { name, prefix } => {
            format!("Auth::GrpcMetadata {{ name: {name:?}, prefix: {prefix:?} }}")
        }
        Auth::MongodbUri => "Auth::MongodbUri".to_owned(),
        Auth::Redis => "Auth::Redis".to_owned(),
    }
}

fn headers(headers: &[Header]) -> Result<String> {
    let mut out = String::from("[");
    for Header { name, value, env } in headers {
        if *name != name.to_ascii_lowercase() {
            return Err(format!("header `{name}` must be in lower case").into());
        }
        write!(out, "Header {{ name: {name:?}, value: {value:?}, env: {env:?} }},")?;
    }
    out.push(']');
    Ok(out)
}

fn endpoints(
    endpoints: &Map<String, Value>,
    dialects: &BTreeMap<String, String>,
    used: &mut BTreeSet<String>,
) -> Result<String> {
    let mut out = String::from("[");
    for (name, value) in endpoints {
        let endpoint: Endpoint =
            serde_json::from_value(value.clone()).map_err(|error| format!("endpoint `{name}`: {error}"))?;
        let Endpoint { dialect, path, stream, method, websocket, framing, params, behaviours } = &endpoint;
        if !dialects.contains_key(dialect) {
            return Err(format!("endpoint `{name}`: unknown dialect `{dialect}`").into());
        }
        used.insert(dialect.clone());
        for template in [Some(path), stream.as_ref()].into_iter().flatten() {
            known_parts(template)?;
            let absolute = template.starts_with("https://") || template.starts_with("wss://");
            if !(absolute || template.is_empty() || template.starts_with('/')) {
                return Err(format!("endpoint `{name}`: `{template}` must begin with a slash").into());
            }
        }
        let method = method.as_deref().unwrap_or("POST");
        let framing = framing
            .as_deref()
            .map_or("Framing::OfDialect".to_owned(), |name| format!("Framing::{}", camel(name)));
        write!(
            out,
            "Endpoint {{ kind: EndpointKind::{}, dialect: {dialect:?}, path: {path:?}, stream: {stream:?}, \
             method: {method:?}, websocket: {websocket}, framing: {framing}, rules: &[",
            camel(name)
        )?;
        params_rules(params, &mut out)?;
        behaviour_rules(behaviours, &mut out)?;
        out.push_str("] },");
    }
    out.push(']');
    Ok(out)
}

/// `params`, `messages` and `behaviours` as `Rule`s.
fn rules(params: &Params, messages: &Messages, behaviours: &[Behaviour]) -> Result<String> {
    let mut out = String::new();
    params_rules(params, &mut out)?;
    messages_rules(messages, &mut out)?;
    behaviour_rules(behaviours, &mut out)?;
    Ok(out)
}

fn params_rules(params: &Params, out: &mut String) -> Result<()> {
    let Params { drop, rename, accept, inject, clamp, value_map } = params;
    for name in drop {
        write!(out, "Rule::Lacks({name:?}),")?;
    }
    for (from, to) in rename {
        write!(out, "Rule::Renames({from:?}, {to:?}),")?;
    }
    for name in accept {
        write!(out, "Rule::Accepts({name:?}),")?;
    }
    for (name, value) in inject {
        write!(out, "Rule::Injects({name:?}, {:?}),", value.to_string())?;
    }
    for (name, Clamp { min, max }) in clamp {
        let min = min.as_ref().map(ToString::to_string);
        let max = max.as_ref().map(ToString::to_string);
        write!(out, "Rule::Clamps({name:?}, {min:?}, {max:?}),")?;
    }
    for (name, map) in value_map {
        for (from, to) in map {
            write!(out, "Rule::MapsValue({name:?}, {from:?}, {:?}),", to.to_string())?;
        }
    }
    Ok(())
}

fn messages_rules(messages: &Messages, out: &mut String) -> Result<()> {
    let Messages {
        content,
        images,
        developer_role,
        cache_control,
        tool_result_images,
        reasoning_history,
        name,
    } = messages;
    for (field, value, meanings) in [
        ("content", content, &[("string", "ContentIsText")][..]),
        ("images", images, &[("unsupported", "NoImages")]),
        ("developer_role", developer_role, &[("pass", "KeepsDeveloperRole")]),
        ("cache_control", cache_control, &[("pass", "KeepsCacheControl")]),
        (
            "tool_result_images",
            tool_result_images,
            &[("pass", "KeepsToolResultImages"), ("drop", "DropsToolResultImages")],
        ),
        (
            "reasoning_history",
            reasoning_history,
            &[("reasoning_content", "WantsReasoningHistory"), ("strip", "StripsReasoningHistory")],
        ),
        ("name", name, &[("strip", "StripsMessageName")]),
    ] {
        let Some(value) = value else { continue };
        let Some((_, quirk)) = meanings.iter().find(|(word, _)| word == value) else {
            return Err(format!("`messages.{field}` cannot be `{value}`").into());
        };
        write!(out, "Rule::Plain(Quirk::{quirk}),")?;
    }
    Ok(())
}

fn behaviour_rules(behaviours: &[Behaviour], out: &mut String) -> Result<()> {
    for behaviour in behaviours {
        match behaviour {
            Behaviour::Named(name) => write!(out, "Rule::Plain(Quirk::Named(NamedQuirk::{name})),")?,
            Behaviour::WithData(WithData::PrefixesModel { prefix, unless }) => {
                write!(out, "Rule::PrefixesModel({prefix:?}, {unless:?}),")?;
            }
            Behaviour::WithData(WithData::SearchesByTool(tool)) => {
                write!(out, "Rule::SearchesByTool({:?}),", tool.to_string())?;
            }
            Behaviour::WithData(WithData::ReasonsByPromptMode { models }) => {
                write!(out, "Rule::ReasonsByPromptMode({models:?}),")?;
            }
            Behaviour::WithData(WithData::SeveralAnswersNeedTemperature(number)) => {
                write!(out, "Rule::SeveralAnswersNeedTemperature({:?}),", number.to_string())?;
            }
        }
    }
    Ok(())
}

/// Parts of a URL that `UrlParams` can fill.
const URL_PARTS: [&str; 13] = [
    "model",
    "api_version",
    "project",
    "location",
    "region",
    "account_id",
    "voice_id",
    "chat_id",
    "agent_id",
    "tenant",
    "bucket",
    "id",
    "op",
];

fn known_part(name: &str) -> Result<()> {
    if URL_PARTS.contains(&name) { Ok(()) } else { Err(format!("unknown part of a URL: `{name}`").into()) }
}

fn known_parts(template: &str) -> Result<()> {
    for piece in template.split('{').skip(1) {
        let (name, _) = piece.split_once('}').ok_or_else(|| format!("`{template}` lacks a `}}`"))?;
        known_part(name.trim_start_matches(['+', ':']))?;
    }
    Ok(())
}

fn pairs(map: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
    map.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn camel(name: &str) -> String {
    name.split(['_', '-'])
        .map(|word| {
            let mut letters = word.chars();
            letters
                .next()
                .map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + letters.as_str())
        })
        .collect()
}
