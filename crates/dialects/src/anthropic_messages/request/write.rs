//! A conversation of any dialect as a request of this one.

mod media;
mod output;
mod parts;
mod sampling;
mod thinking;
mod tools;
mod turns;

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use crate::Dialect;
use crate::anthropic_messages::model::Model;
use crate::anthropic_messages::wire;
use crate::conversation::{Modality, Request};
use crate::error::CannotSay;
use crate::exchange::Target;
use crate::loss::{Change, Losses};

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// OpenAI parameters that reach us in `extra` and have no counterpart here.
const UNSUPPORTED: [&str; 6] =
    ["audio", "function_call", "functions", "prediction", "verbosity", "moderation"];

/// OpenAI parameters in `extra` that say nothing about the answer.
const HINTS: [&str; 4] = ["store", "prompt_cache_retention", "safety_identifier", "stream_options"];

pub(in crate::anthropic_messages) fn write(
    request: &Request,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<Vec<u8>, CannotSay> {
    let mut writer = Writer {
        request,
        target,
        losses,
        model: Model::of(target.model, target.facts),
        native: request.dialect == DIALECT,
        body: wire::Request::default(),
    };
    writer.body.model = target.model.to_owned();
    writer.messages()?;
    writer.tools()?;
    writer.output_format()?;
    writer.thinking()?;
    writer.sampling()?;
    writer.account();
    writer.rest()?;
    writer.body.stream = request.stream.is_some().then_some(true);
    serde_json::to_vec(&writer.body).map_err(|error| CannotSay {
        param: "messages".to_owned(),
        message: format!("the request cannot be written as JSON: {error}"),
    })
}

struct Writer<'a> {
    request: &'a Request,
    target: &'a Target<'a>,
    losses: &'a mut Losses,
    model: Model<'a>,
    /// The request speaks Anthropic Messages itself: opaque values and `extra` fields are ours.
    native: bool,
    body: wire::Request,
}

impl Writer<'_> {
    /// The operator always leaves this out, so it needs no counterpart.
    fn is_dropped(&mut self, param: &str) -> bool {
        let dropped = self.target.policy.additional_drop_params.iter().any(|dropped| dropped == param);
        if dropped {
            self.losses.note(param, Change::Dropped, "`additional_drop_params` names it");
        }
        dropped
    }

    /// A parameter that the API does not have. `allowed_params` sends it nevertheless.
    fn refuse(&mut self, param: &str, value: impl FnOnce() -> Value) -> Result<(), CannotSay> {
        if self.is_dropped(param) {
            return Ok(());
        }
        if self.target.policy.allowed_params.iter().any(|allowed| allowed == param) {
            self.pass(param, value());
            return Ok(());
        }
        self.losses.cannot_carry(
            param,
            "Anthropic Messages has no such parameter; `drop_params: true` leaves it out",
        )
    }

    /// Sends a field as it came, unless the body already says the same in its own words.
    fn pass(&mut self, name: &str, value: Value) {
        let body = &self.body;
        let said = match name {
            "model" | "messages" | "max_tokens" | "stream" => true,
            "system" => !body.system.is_empty(),
            "stop_sequences" => !body.stop_sequences.is_empty(),
            "temperature" => body.temperature.is_some(),
            "top_p" => body.top_p.is_some(),
            "top_k" => body.top_k.is_some(),
            "thinking" => body.thinking.is_some(),
            "output_config" => !body.output_config.is_empty(),
            "output_format" => body.output_format.is_some(),
            "tools" => !body.tools.is_empty(),
            "tool_choice" => body.tool_choice.is_some(),
            "metadata" => !body.metadata.is_empty(),
            "service_tier" => body.service_tier.is_some(),
            _ => false,
        };
        if said {
            self.losses.note(name, Change::Dropped, "the request says it twice");
        } else {
            self.body.extra.insert(name.to_owned(), value);
        }
    }

    /// Who asks, and in which tier.
    fn account(&mut self) {
        let request = self.request;
        let labels = request.metadata.as_ref();
        let labelled = labels.and_then(|labels| labels.get("user_id")).and_then(Value::as_str);
        let user = request.user.as_deref().filter(|_| !self.is_dropped("user")).or(labelled);
        self.body.metadata.user_id = user.map(str::to_owned);
        if labels.is_some_and(|labels| labels.keys().any(|name| name != "user_id")) {
            self.losses.note("metadata", Change::Dropped, "Anthropic keeps no labels beside `user_id`");
        }
        if request.prompt_cache_key.is_some() {
            self.losses.note("prompt_cache_key", Change::Dropped, "Anthropic caches by `cache_control`");
        }
        self.body.service_tier = match request.service_tier.as_deref() {
            Some("auto" | "priority") => Some("auto".to_owned()),
            Some("default" | "standard" | "standard_only") => Some("standard_only".to_owned()),
            Some(other) => {
                self.losses.note("service_tier", Change::Dropped, format!("Anthropic has no tier `{other}`"));
                None
            }
            None => None,
        };
    }

    /// What other dialects have and Anthropic has not, and what nobody knows.
    fn rest(&mut self) -> Result<(), CannotSay> {
        let request = self.request;
        if request.modalities.iter().any(|modality| *modality != Modality::Text) {
            self.refuse("modalities", || json!(["text"]))?;
        }
        if request.audio.is_some() {
            self.refuse("audio", || Value::Null)?;
        }
        match request.dialect {
            Dialect::AnthropicMessages => self.own_rest(),
            // Unknown fields of a chat request are for the provider.
            Dialect::OpenaiChat => {
                for (name, value) in &request.extra {
                    if UNSUPPORTED.contains(&name.as_str()) {
                        self.refuse(name, || value.clone())?;
                    } else if HINTS.contains(&name.as_str()) {
                        self.losses.note(name, Change::Dropped, "Anthropic has no such parameter");
                    } else {
                        self.pass(name, value.clone());
                    }
                }
            }
            Dialect::OpenaiResponses | Dialect::Gemini | Dialect::OpenaiCompletions => {
                if let Some(verbosity) = request.extra.get("text").and_then(|text| text.get("verbosity")) {
                    self.refuse("verbosity", || verbosity.clone())?;
                }
                for name in request.extra.keys() {
                    if self.losses.has_dropped(name) {
                        continue;
                    }
                    self.losses.note(name, Change::Dropped, format!("only {} knows it", request.dialect));
                }
            }
        }
        Ok(())
    }

    fn own_rest(&mut self) {
        for (name, value) in &self.request.extra {
            match (name.as_str(), value) {
                ("output_config", Value::Object(rest)) => self.body.output_config.extra = rest.clone(),
                ("metadata", Value::Object(rest)) => self.body.metadata.extra = rest.clone(),
                _ => {
                    self.body.extra.insert(name.clone(), value.clone());
                }
            }
        }
    }
}
