//! Entries of `model_list` into deployments.

mod routing;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::books;
use super::layers::{self, Layers};
use crate::config::ProviderCheck;
use crate::config::diagnose::{Diagnosis, Finding, ProblemKind, nearest};
use crate::config::keys::{self, ParamRole, Section, Status};
use crate::config::raw::{Mapping, Meaning, Node, Origin, Scalar, Span, Value};
use crate::config::resolved::{
    AwsCredentials, AzureCredentials, Connection, DeploymentConfig, DeploymentId, MissingVariable, ModelInfo,
    ParameterPolicy, VertexCredentials,
};
use tollway::Secret;

/// All deployments that can be served; the others are reported and left out, as in LiteLLM.
pub(super) fn all(
    top: &Layers<'_>,
    defaults: Option<&Mapping>,
    provider: ProviderCheck<'_>,
    diagnosis: &mut Diagnosis,
) -> Vec<DeploymentConfig> {
    let entries = Entries { credentials: credentials(top, diagnosis), defaults, provider };
    let mut deployments = Vec::new();
    let mut places: BTreeMap<DeploymentId, Span> = BTreeMap::new();
    for entry in top.get("model_list").and_then(Node::sequence).unwrap_or_default() {
        let Some(mapping) = entry.mapping() else { continue };
        let Some(mut deployment) = entries.deployment(entry, mapping, diagnosis) else { continue };
        if let Some(first) = places.get(&deployment.id) {
            let first = diagnosis.whereabouts(first);
            let hash = hash_id(mapping);
            if places.contains_key(&hash) {
                diagnosis.report(
                    &entry.span,
                    Finding::warning(
                        ProblemKind::SkippedDeployment,
                        format!("this deployment is the same as that at {first}; it is left out"),
                    )
                    .help("to give it a larger share, set `weight`"),
                );
                continue;
            }
            diagnosis.report(
                &entry.span,
                Finding::warning(
                    ProblemKind::DuplicateKey,
                    format!(
                        "the id `{}` belongs to the deployment at {first}; this one gets another",
                        deployment.id
                    ),
                )
                .help("give every deployment its own `model_info.id`, or none"),
            );
            deployment.id = hash;
        }
        deployment.routing.id = deployment.id.as_str().into();
        places.insert(deployment.id.clone(), entry.span.clone());
        deployments.push(deployment);
    }
    deployments
}

/// `credential_list` by name.
fn credentials<'m>(top: &Layers<'m>, diagnosis: &mut Diagnosis) -> BTreeMap<String, &'m Mapping> {
    const WHAT: &str = "a `credential_list` entry";
    let mut credentials = BTreeMap::new();
    for entry in top.get("credential_list").and_then(Node::sequence).unwrap_or_default() {
        let Some(mapping) = entry.mapping() else { continue };
        let layers = Layers::of(Section::Credential, mapping);
        match (layers.text("credential_name"), layers.mapping("credential_values")) {
            (Some(name), Some(values)) => {
                credentials.insert(name, values);
            }
            (None, _) => missing(entry, WHAT, "credential_name", diagnosis),
            (_, None) => missing(entry, WHAT, "credential_values", diagnosis),
        }
    }
    credentials
}

fn missing(entry: &Node, what: &str, key: &str, diagnosis: &mut Diagnosis) {
    diagnosis.report(
        &entry.span,
        Finding::error(ProblemKind::MissingKey, format!("{what} has no `{key}`"))
            .help(format!("add `{key}:`")),
    );
}

/// What entries of `model_list` refer to.
struct Entries<'a> {
    credentials: BTreeMap<String, &'a Mapping>,
    defaults: Option<&'a Mapping>,
    provider: ProviderCheck<'a>,
}

impl<'a> Entries<'a> {
    fn deployment(
        &self,
        entry: &'a Node,
        mapping: &'a Mapping,
        diagnosis: &mut Diagnosis,
    ) -> Option<DeploymentConfig> {
        let layers = Layers::of(Section::Model, mapping);
        let Some(model_name) = layers.text("model_name") else {
            missing(entry, "a `model_list` entry", "model_name", diagnosis);
            return None;
        };
        let Some(own) = layers.mapping("litellm_params") else {
            // A `litellm_params` of another type was reported as such.
            if layers.get("litellm_params").is_none() {
                missing(entry, &format!("the deployment of `{model_name}`"), "litellm_params", diagnosis);
            }
            return None;
        };
        let own = Layers::of(Section::LitellmParams, own);
        let credential = self.credential(&own, &model_name, diagnosis);
        let params = own.under(credential).under(self.defaults);
        let Some(model_node) = params.get("model") else {
            // An unset variable was reported as such.
            if params.written("model").is_none_or(|node| !is_unset(node)) {
                missing(
                    entry,
                    &format!("the deployment of `{model_name}`"),
                    "litellm_params.model",
                    diagnosis,
                );
            }
            return None;
        };
        let model = layers::text(model_node)?;
        let custom_llm_provider = params.text("custom_llm_provider");
        // A bare `*` takes its provider from the name that a caller asks for.
        let is_known = if model == "*" && custom_llm_provider.is_none() {
            Ok(())
        } else {
            (self.provider)(&model, custom_llm_provider.as_deref())
        };
        if let Err(reason) = is_known {
            diagnosis.report(
                &model_node.span,
                Finding::warning(
                    ProblemKind::SkippedDeployment,
                    format!("the deployment of `{model_name}` is left out: {reason}"),
                )
                .expected("`provider/model` with a provider that Tollway knows"),
            );
            return None;
        }
        let info = Layers::maybe(Section::ModelInfo, layers.mapping("model_info"));
        Some(DeploymentConfig {
            id: info.text("id").map_or_else(|| hash_id(mapping), DeploymentId::new),
            model,
            custom_llm_provider,
            connection: connection(&params),
            azure: azure(&params),
            aws: aws(&params),
            vertex: VertexCredentials {
                project: params.text("vertex_project"),
                location: params.text("vertex_location"),
                credentials: params.secret_or_json("vertex_credentials"),
            },
            missing: missing_variables(&params),
            timeout: params.seconds("timeout").or_else(|| params.seconds("request_timeout")),
            stream_timeout: params.seconds("stream_timeout"),
            first_token_timeout: params.seconds("first_token_timeout"),
            inter_token_timeout: params.seconds("inter_token_timeout"),
            routing: routing::settings(&model_name, &params, &info, diagnosis),
            parameters: ParameterPolicy {
                drop_params: params.bool("drop_params"),
                additional_drop_params: params.texts("additional_drop_params"),
                allowed_openai_params: params.texts("allowed_openai_params"),
            },
            budget: books::deployment_budget(&params, &entry.span, diagnosis),
            mock_response: params.get("mock_response").map(Node::to_json),
            defaults: request_defaults(&params),
            info: model_info(&info, &params),
            place: diagnosis.whereabouts(&entry.span),
            model_name,
        })
    }

    /// The values of the credential that an entry names.
    fn credential(
        &self,
        params: &Layers<'_>,
        model_name: &str,
        diagnosis: &mut Diagnosis,
    ) -> Option<&'a Mapping> {
        let node = params.get("litellm_credential_name")?;
        let name = layers::text(node)?;
        let found = self.credentials.get(&name).copied();
        if found.is_none() {
            let mut finding = Finding::warning(
                ProblemKind::UnknownName,
                format!("no entry of `credential_list` is named `{name}`; `{model_name}` has no credential"),
            );
            if let Some(near) = nearest(&name, self.credentials.keys().map(String::as_str)) {
                finding = finding.help(format!("did you mean `{near}`?"));
            }
            diagnosis.report(&node.span, finding);
        }
        found
    }
}

fn is_unset(node: &Node) -> bool {
    node.scalar().is_some_and(|scalar| matches!(scalar.origin, Origin::Unset(_)))
}

fn connection(params: &Layers<'_>) -> Connection {
    let mut headers = BTreeMap::new();
    for name in ["headers", "extra_headers"] {
        if let Some(mapping) = params.mapping(name) {
            headers.extend(layers::texts_by_name(mapping).map(|(name, value)| (name, Secret::new(value))));
        }
    }
    let extra_body = match params.get("extra_body").map(Node::to_json) {
        Some(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    Connection {
        api_key: params.secret("api_key"),
        api_base: params.text("api_base").or_else(|| params.text("base_url")),
        api_version: params.text("api_version"),
        organization: params.text("organization"),
        headers,
        extra_body,
        tls: params.tls("ssl_verify"),
        region_name: params.text("region_name"),
        watsonx_region_name: params.text("watsonx_region_name"),
    }
}

fn azure(params: &Layers<'_>) -> AzureCredentials {
    AzureCredentials {
        azure_ad_token: params.secret("azure_ad_token"),
        tenant_id: params.text("tenant_id"),
        client_id: params.text("client_id"),
        client_secret: params.secret("client_secret"),
        azure_username: params.text("azure_username"),
        azure_password: params.secret("azure_password"),
        azure_scope: params.text("azure_scope"),
    }
}

fn aws(params: &Layers<'_>) -> AwsCredentials {
    AwsCredentials {
        aws_access_key_id: params.secret("aws_access_key_id"),
        aws_secret_access_key: params.secret("aws_secret_access_key"),
        aws_session_token: params.secret("aws_session_token"),
        aws_region_name: params.text("aws_region_name"),
        aws_session_name: params.text("aws_session_name"),
        aws_profile_name: params.text("aws_profile_name"),
        aws_role_name: params.text("aws_role_name"),
        aws_web_identity_token: params.secret("aws_web_identity_token"),
        aws_sts_endpoint: params.text("aws_sts_endpoint"),
        aws_external_id: params.secret("aws_external_id"),
        aws_bedrock_runtime_endpoint: params.text("aws_bedrock_runtime_endpoint"),
    }
}

/// Variables of effective keys that are not set, those inside of mappings included.
fn missing_variables(params: &Layers<'_>) -> Vec<MissingVariable> {
    fn collect(key: &str, node: &Node, missing: &mut Vec<MissingVariable>) {
        match &node.value {
            Value::Scalar(Scalar { origin: Origin::Unset(variable), .. }) => {
                missing.push(MissingVariable { key: key.to_owned(), variable: variable.clone() });
            }
            Value::Scalar(_) => {}
            Value::Sequence(items) => items.iter().for_each(|item| collect(key, item, missing)),
            Value::Mapping(mapping) => {
                mapping.pairs.iter().for_each(|pair| collect(key, &pair.value, missing));
            }
        }
    }
    let mut missing = Vec::new();
    for pair in params.pairs_with_nulls() {
        let name = pair.key.name.as_str();
        let effective =
            keys::find(Section::LitellmParams, name).is_none_or(|key| key.status == Status::Effective);
        if effective && keys::param_role(name) != ParamRole::Mistaken {
            collect(name, &pair.value, &mut missing);
        }
    }
    missing
}

fn request_defaults(params: &Layers<'_>) -> serde_json::Map<String, serde_json::Value> {
    params
        .pairs()
        .filter(|pair| {
            matches!(keys::param_role(&pair.key.name), ParamRole::RequestDefault | ParamRole::Unknown)
        })
        .map(|pair| (pair.key.name.clone(), pair.value.to_json()))
        .collect()
}

fn model_info(info: &Layers<'_>, params: &Layers<'_>) -> ModelInfo {
    let prices = info
        .pairs()
        .chain(params.pairs())
        .filter(|pair| keys::is_price(&pair.key.name) && !is_negative(&pair.value))
        .filter_map(|pair| Some((pair.key.name.clone(), exact_json(&pair.value)?)))
        .collect();
    ModelInfo {
        mode: info.text("mode"),
        base_model: info.text("base_model").or_else(|| params.text("base_model")),
        prices,
        max_tokens: info.integer("max_tokens"),
        max_input_tokens: info.integer("max_input_tokens"),
        max_output_tokens: info.integer("max_output_tokens"),
        shown: info.pairs().map(|pair| (pair.key.name.clone(), pair.value.to_json())).collect(),
    }
}

/// A price below 0 means "unknown" where people write it; taken for a price, it would fill budgets.
fn is_negative(node: &Node) -> bool {
    node.scalar().and_then(Scalar::number).is_some_and(|number| number < 0.0)
}

/// A value as JSON text in which every number has the digits that were written: prices are not floats.
fn exact_json(node: &Node) -> Option<Box<RawValue>> {
    fn write(node: &Node, out: &mut String) {
        match &node.value {
            Value::Scalar(scalar) => {
                let text = scalar.text.trim();
                let is_json = || serde_json::from_str::<serde_json::Number>(text).is_ok();
                match (scalar.meaning(), scalar.number()) {
                    // `"0.000001"` is a price that someone put quotes around.
                    (Meaning::Integer(_) | Meaning::Float(_) | Meaning::Text, Some(_)) if is_json() => {
                        out.push_str(text);
                    }
                    _ => out.push_str(&scalar.to_json().to_string()),
                }
            }
            Value::Sequence(items) => {
                out.push('[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    write(item, out);
                }
                out.push(']');
            }
            Value::Mapping(mapping) => {
                out.push('{');
                for (place, pair) in mapping.pairs.iter().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    out.push_str(&serde_json::Value::from(pair.key.name.as_str()).to_string());
                    out.push(':');
                    write(&pair.value, out);
                }
                out.push('}');
            }
        }
    }
    let mut text = String::new();
    write(node, &mut text);
    RawValue::from_string(text).ok()
}

/// An id that is the same for the same entry: SHA-256 over the name and the parameters as they are written.
///
/// References stand for themselves, so that the id survives a new key in the variable, and no secret of the
/// environment is in it.
fn hash_id(entry: &Mapping) -> DeploymentId {
    fn feed(node: &Node, hash: &mut Sha256) {
        match &node.value {
            Value::Scalar(scalar) => {
                let (kind, text) = match &scalar.origin {
                    Origin::Written => (b's', scalar.text.as_str()),
                    Origin::Variable(name) | Origin::Unset(name) => (b'v', name.as_str()),
                };
                hash.update([kind]);
                feed_text(text, hash);
            }
            Value::Sequence(items) => {
                hash.update(b"l");
                items.iter().for_each(|item| feed(item, hash));
                hash.update(b".");
            }
            Value::Mapping(mapping) => {
                let mut pairs: Vec<_> = mapping.pairs.iter().collect();
                pairs.sort_by(|a, b| a.key.name.cmp(&b.key.name));
                hash.update(b"m");
                for pair in pairs {
                    feed_text(&pair.key.name, hash);
                    feed(&pair.value, hash);
                }
                hash.update(b".");
            }
        }
    }
    // The length in front keeps two texts from running into one.
    fn feed_text(text: &str, hash: &mut Sha256) {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    let mut hash = Sha256::new();
    for name in ["model_name", "litellm_params"] {
        if let Some(node) = entry.get(name) {
            feed(node, &mut hash);
        }
    }
    let mut id = String::with_capacity(64);
    for byte in hash.finalize() {
        let _infallible = write!(id, "{byte:02x}");
    }
    DeploymentId::new(id)
}
