//! A conversation of any dialect as a request of this one.

mod output;
mod reasoning;
mod tools;
mod turns;

use super::super::adapt::is_openai_model;
use super::super::wire;
use crate::Dialect;
use crate::conversation::{Extra, Request};
use crate::error::CannotSay;
use crate::exchange::Target;
use crate::loss::{Change, Losses};

/// Fields beyond the conversation model that OpenAI has in both of its APIs.
const SHARED_WITH_RESPONSES: [&str; 3] = ["prompt_cache_retention", "safety_identifier", "store"];

/// See [`Codec::write_request`](crate::codec::Codec::write_request).
pub(in crate::openai_chat) fn write(
    request: &Request,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Vec<u8>, CannotSay> {
    let own = request.dialect == Dialect::OpenaiChat;
    let mut body = wire::Request {
        model: request.model.clone(),
        messages: turns::write(request, target, losses)?,
        tool_choice: tools::write_choice(request, losses)?,
        parallel_tool_calls: request.parallel_tool_calls,
        response_format: output::write_format(request, own, losses)?,
        max_tokens: request.max_output_tokens,
        temperature: request.sampling.temperature.clone(),
        top_p: request.sampling.top_p.clone(),
        top_k: request.sampling.top_k.clone(),
        frequency_penalty: request.sampling.frequency_penalty.clone(),
        presence_penalty: request.sampling.presence_penalty.clone(),
        seed: request.sampling.seed.clone(),
        logit_bias: request.sampling.logit_bias.clone(),
        stop: request.sampling.stop.clone(),
        n: request.sampling.n,
        logprobs: request.sampling.logprobs,
        top_logprobs: request.sampling.top_logprobs,
        modalities: output::write_modalities(request),
        audio: output::write_audio(request, target, losses)?,
        user: request.user.clone(),
        metadata: request.metadata.clone(),
        service_tier: request.service_tier.as_deref().map(write_service_tier),
        prompt_cache_key: request.prompt_cache_key.clone(),
        stream: request.stream.is_some(),
        stream_options: request.stream.as_ref().map(|options| wire::StreamOptions {
            include_usage: options.include_usage.then_some(true),
            extra: if own { options.extra.clone() } else { Extra::new() },
        }),
        extra: if own { request.extra.clone() } else { Extra::new() },
        ..wire::Request::default()
    };
    if body.top_k.is_some() && is_openai_model(target.model) {
        losses.cannot_carry("top_k", "OpenAI's models take no `top_k`")?;
        body.top_k = None;
    }
    if !own {
        body.extra = carry_extra(request, target, losses);
    }
    tools::write(request, own, &mut body, losses)?;
    reasoning::write(request, own, target, &mut body, losses);
    // Maps with text keys and JSON values only: this cannot fail.
    Ok(serde_json::to_vec(&body).unwrap_or_default())
}

/// What OpenAI's models are asked by OpenAI Responses in other places, or under the same name. Other providers of
/// this dialect may refuse fields that they do not know.
fn carry_extra(request: &Request, target: &Target<'_>, losses: &mut Losses) -> Extra {
    let shared = request.dialect == Dialect::OpenaiResponses && is_openai_model(target.model);
    let mut carried = Extra::new();
    for (name, value) in &request.extra {
        match value.get("verbosity") {
            Some(verbosity) if shared && name == "text" => {
                carried.insert("verbosity".to_owned(), verbosity.clone());
            }
            _ if shared && SHARED_WITH_RESPONSES.contains(&name.as_str()) => {
                carried.insert(name.clone(), value.clone());
            }
            _ if losses.has_dropped(name) => {}
            _ => losses.note(name, Change::Dropped, "OpenAI Chat Completions has no such field"),
        }
    }
    carried
}

fn write_service_tier(tier: &str) -> String {
    // Anthropic's opposite of `auto`, and its name for the ordinary tier.
    if matches!(tier, "standard_only" | "standard") { "default".to_owned() } else { tier.to_owned() }
}
