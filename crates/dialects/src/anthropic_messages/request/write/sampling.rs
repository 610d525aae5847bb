//! How tokens are drawn, and when the answer stops.

use serde_json::{Number, Value, json};

use super::Writer;
use crate::anthropic_messages::wire;
use crate::error::CannotSay;
use crate::loss::Change;

impl Writer<'_> {
    pub(super) fn sampling(&mut self) -> Result<(), CannotSay> {
        let sampling = &self.request.sampling;
        self.body.temperature = self.drawn("temperature", sampling.temperature.as_ref())?;
        self.body.top_p = self.drawn("top_p", sampling.top_p.as_ref())?;
        self.body.top_k = self.drawn("top_k", sampling.top_k.as_ref())?;
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

    /// A number that shapes sampling. Newer models take none, and thinking ones only the default.
    fn drawn(&mut self, param: &str, number: Option<&Number>) -> Result<Option<Number>, CannotSay> {
        let Some(number) = number else { return Ok(None) };
        if self.is_dropped(param) {
            return Ok(None);
        }
        let is_one = number.as_f64().is_some_and(|number| (number - 1.0).abs() < f64::EPSILON);
        let thinking = matches!(
            self.body.thinking,
            Some(wire::Thinking::Enabled { .. } | wire::Thinking::Adaptive { .. })
        );
        let why = if self.model.refuses_sampling() {
            format!("`{}` has no sampling parameters", self.target.model)
        } else if thinking && param != "top_p" && !is_one {
            "Anthropic does not take it together with thinking".to_owned()
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
