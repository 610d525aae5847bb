//! How tokens are drawn, and when the answer stops.

use serde_json::{Number, Value, json};

use super::Writer;
use crate::anthropic_messages::wire;
use crate::error::CannotSay;
use crate::loss::Change;

/// The least `top_p` that goes together with thinking
/// (<https://platform.claude.com/docs/en/build-with-claude/extended-thinking#feature-compatibility>).
const LEAST_TOP_P_OF_THINKING: f64 = 0.95;

impl Writer<'_> {
    pub(super) fn sampling(&mut self) -> Result<(), CannotSay> {
        let sampling = &self.request.sampling;
        self.body.temperature = self.drawn("temperature", sampling.temperature.as_ref())?;
        self.body.top_p = self.drawn("top_p", sampling.top_p.as_ref())?;
        self.body.top_k = self.drawn("top_k", sampling.top_k.as_ref())?;
        self.choose_one_of_temperature_and_top_p();
        if !sampling.stop.is_empty() && !self.is_dropped("stop") {
            let visible = |stop: &&String| !stop.trim().is_empty();
            self.body.stop_sequences = sampling.stop.iter().filter(visible).cloned().collect();
            if self.body.stop_sequences.len() < sampling.stop.len() {
                self.losses.note("stop", Change::Dropped, "Anthropic refuses stop sequences of white space");
            }
        }
        if let Some(n) = sampling.n.filter(|n| *n != 1) {
            self.refuse("n", || json!(n))?;
        }
        for (param, number) in [
            ("frequency_penalty", &sampling.frequency_penalty),
            ("presence_penalty", &sampling.presence_penalty),
            ("seed", &sampling.seed),
        ] {
            if let Some(number) = number {
                self.refuse(param, || Value::Number(number.clone()))?;
            }
        }
        if let Some(bias) = &sampling.logit_bias {
            self.refuse("logit_bias", || Value::Object(bias.clone()))?;
        }
        if sampling.logprobs == Some(true) {
            self.refuse("logprobs", || json!(true))?;
        }
        if let Some(top) = sampling.top_logprobs.filter(|top| *top > 0) {
            self.refuse("top_logprobs", || json!(top))?;
        }
        Ok(())
    }

    /// Models since 4.1 refuse both in one request. One that is at its default says nothing; where both shape the answer,
    /// which of them counts is for the caller to say, or for the operator to leave.
    fn choose_one_of_temperature_and_top_p(&mut self) {
        let (Some(temperature), Some(top_p)) = (&self.body.temperature, &self.body.top_p) else { return };
        if !self.model.draws_by_one_parameter() {
            return;
        }
        let why = format!("`{}` takes `temperature` or `top_p`, not both", self.target.model);
        if is_one(temperature) && !is_one(top_p) {
            self.body.temperature = None;
            self.losses.note("temperature", Change::Dropped, why);
        } else if is_one(top_p) || self.target.policy.drop_params {
            self.body.top_p = None;
            self.losses.note("top_p", Change::Dropped, why);
        }
    }

    /// A number that shapes sampling. Newer models take none, and thinking ones only the default.
    fn drawn(&mut self, param: &str, number: Option<&Number>) -> Result<Option<Number>, CannotSay> {
        let Some(number) = number else { return Ok(None) };
        if self.is_dropped(param) {
            return Ok(None);
        }
        let is_one = is_one(number);
        let thinking = matches!(
            self.body.thinking,
            Some(wire::Thinking::Enabled { .. } | wire::Thinking::Adaptive { .. })
        );
        let taken_while_thinking = match param {
            "top_p" => {
                number.as_f64().is_some_and(|number| (LEAST_TOP_P_OF_THINKING..=1.0).contains(&number))
            }
            "temperature" => is_one,
            _ => false,
        };
        let why = if self.model.refuses_sampling() {
            format!("`{}` has no sampling parameters", self.target.model)
        } else if thinking && !taken_while_thinking {
            format!("Anthropic does not take {number} together with thinking")
        } else {
            return Ok(Some(number.clone()));
        };
        if is_one && param != "top_k" {
            self.losses.note(param, Change::Dropped, why);
        } else {
            self.losses.cannot_carry(param, why)?;
        }
        Ok(None)
    }
}

/// The default of `temperature` and `top_p`.
fn is_one(number: &Number) -> bool {
    number.as_f64().is_some_and(|number| (number - 1.0).abs() < f64::EPSILON)
}
