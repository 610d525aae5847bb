//! Embeddings are cached item by item: of a list of a hundred texts of which ninety-nine are known, the provider is
//! asked for one.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dialects::document::Document;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cache::{Cache, Entry, Facts, Form, Key, KeyWriter, Stop, Write, now_ms};
use crate::exchange::{CacheState, Exchange, Saved};

/// The items of one request, each with what is known of it.
#[derive(Debug)]
pub(super) struct Items {
    items: Vec<Item>,
    /// The model as the client wrote it; it stands in the answer.
    model: String,
}

#[derive(Debug)]
struct Item {
    /// JSON: a text, or a list of tokens.
    input: String,
    key: Key,
    known: Option<Arc<Entry>>,
    /// The vector with what surrounds it, if the provider was asked for it.
    new: Option<Facts>,
    body: Bytes,
}

impl Items {
    /// The items of `input`, each with the key that `base` and the item make; `None` for an empty or strange input.
    pub(super) fn read(document: &Document<'_>, base: &KeyWriter, namespace: Option<&str>) -> Option<Self> {
        let inputs = inputs(document.get("input")?)?;
        let items = inputs.into_iter().map(|input| {
            let mut writer = base.clone();
            writer.json("item", input);
            let key = writer.finish(namespace);
            Item { input: input.to_owned(), key, known: None, new: None, body: Bytes::new() }
        });
        let model = document.text("model").ok().flatten().unwrap_or_default().into_owned();
        Some(Self { items: items.collect(), model })
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    fn known(&self) -> usize {
        self.items.iter().filter(|item| item.known.is_some()).count()
    }

    /// Looks all items up; the whole answer, if all are known.
    pub(super) async fn find(&mut self, cache: &Cache, fresh: impl Fn(&Entry) -> bool) -> Option<Arc<Entry>> {
        let keys: Vec<Key> = self.items.iter().map(|item| item.key.clone()).collect();
        let found = cache.get(&keys).await;
        for (item, entry) in self.items.iter_mut().zip(found) {
            item.known = entry.filter(|entry| entry.facts.form == Form::Item && fresh(entry));
        }
        if self.known() < self.len() {
            return None;
        }
        let entries = || self.items.iter().filter_map(|item| item.known.as_ref());
        let tokens = entries().map(|entry| entry.facts.input_tokens).sum();
        let facts = Facts {
            form: Form::Whole,
            input_tokens: tokens,
            cost_nano: entries().map(|entry| entry.facts.cost_nano).sum(),
            took_ms: entries().map(|entry| entry.facts.took_ms).max().unwrap_or(0),
            model: entries().find_map(|entry| entry.facts.model.clone()),
            ..Facts::default()
        };
        let body = self.write(tokens, entries().map(|entry| &entry.body));
        let oldest = entries().map(|entry| entry.stored_ms).min().unwrap_or_else(now_ms);
        Some(Arc::new(Entry { facts, stored_ms: oldest, expires_ms: u64::MAX, body: body.into() }))
    }

    /// The input that is left to ask for; `None` if nothing is known, so that the client's own input stays.
    pub(super) fn unknown(&self) -> Option<String> {
        if self.known() == 0 {
            return None;
        }
        let unknown: Vec<&str> =
            self.items.iter().filter(|item| item.known.is_none()).map(|item| item.input.as_str()).collect();
        Some(format!("[{}]", unknown.join(",")))
    }

    /// Takes the provider's answer for the unknown items apart, and gives the client the one for all. An answer that
    /// does not have as many vectors as were asked for is passed on as it is, and nothing of it is kept.
    pub(super) fn complete(&mut self, exchange: &mut Exchange, body: Vec<u8>) -> Vec<u8> {
        let known = self.known();
        let asked: Vec<usize> = (0..self.len())
            .filter(|place| self.items.get(*place).is_some_and(|item| item.known.is_none()))
            .collect();
        let Some(vectors) = vectors(&body, asked.len()) else { return body };
        let usage = exchange.answer.usage.as_ref();
        let tokens = usage.map_or(0, |usage| usage.input);
        let cost = exchange.answer.cost.as_ref().map_or(0, |cost| cost.total().0);
        let weights: Vec<u64> = asked
            .iter()
            .map(|place| self.items.get(*place).map_or(0, |item| item.input.len() as u64))
            .collect();
        let token_shares = shares(tokens, &weights);
        let cost_shares = shares(u64::try_from(cost).unwrap_or(0), &weights);
        let took_ms = u64::try_from(exchange.upstream_time.as_millis()).unwrap_or(u64::MAX);
        for (((place, vector), tokens), cost) in asked.iter().zip(vectors).zip(token_shares).zip(cost_shares)
        {
            let Some(item) = self.items.get_mut(*place) else { continue };
            item.body = vector.into();
            item.new = Some(Facts {
                form: Form::Item,
                stop: Stop::None,
                model: exchange.answer.model.clone(),
                input_tokens: tokens,
                cost_nano: i64::try_from(cost).unwrap_or(i64::MAX),
                took_ms,
                ..Facts::default()
            });
        }
        let entries = || self.items.iter().filter_map(|item| item.known.as_ref());
        let saved_tokens: u64 = entries().map(|entry| entry.facts.input_tokens).sum();
        if let Some(used) = &mut exchange.cache {
            used.items = Some((known, self.items.len()));
            if known > 0 {
                used.state = CacheState::Partial;
                let cost = catalog::NanoUsd(entries().map(|entry| entry.facts.cost_nano).sum());
                used.saved = Saved { tokens: saved_tokens, cost, time: Duration::ZERO };
            }
        }
        if known == 0 {
            return body;
        }
        let bodies =
            self.items.iter().map(|item| item.known.as_ref().map_or(&item.body, |entry| &entry.body));
        self.write(tokens.saturating_add(saved_tokens), bodies)
    }

    /// What is new of this answer.
    pub(super) fn into_writes(self, ttl: Duration) -> Vec<Write> {
        let new = self.items.into_iter().filter_map(|item| {
            let entry = Entry::new(item.new?, item.body, ttl);
            Some(Write { key: item.key, entry })
        });
        new.collect()
    }

    /// An answer in OpenAI's shape, its vectors in the order of the request.
    fn write<'b>(&self, tokens: u64, bodies: impl Iterator<Item = &'b Bytes>) -> Vec<u8> {
        let mut out = Vec::from(&br#"{"object":"list","data":["#[..]);
        for (place, body) in bodies.enumerate() {
            if place > 0 {
                out.push(b',');
            }
            match Document::parse(body) {
                Ok(mut item) => {
                    item.set("index", place.to_string());
                    item.write(&mut out);
                }
                Err(_) => out.extend_from_slice(body),
            }
        }
        let model = serde_json::Value::from(self.model.as_str());
        let end =
            format!(r#"],"model":{model},"usage":{{"prompt_tokens":{tokens},"total_tokens":{tokens}}}}}"#);
        out.extend_from_slice(end.as_bytes());
        out
    }
}

/// A text, a list of texts, a list of tokens, or a list of lists of tokens.
fn inputs(input: &str) -> Option<Vec<&str>> {
    if input.starts_with('"') {
        return Some(vec![input]);
    }
    let items: Vec<&RawValue> = serde_json::from_str(input).ok()?;
    let items: Vec<&str> = items.into_iter().map(RawValue::get).collect();
    match items.first()?.as_bytes().first()? {
        b'"' | b'[' => Some(items),
        b'0'..=b'9' => Some(vec![input]),
        _ => None,
    }
}

/// The vectors of an answer, in the order of their `index`; `None` if there are not as many as were asked for.
fn vectors(body: &[u8], count: usize) -> Option<Vec<Vec<u8>>> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        data: Vec<&'a RawValue>,
    }
    let answer: Answer<'_> = serde_json::from_slice(body).ok()?;
    if answer.data.len() != count {
        return None;
    }
    let mut placed: Vec<Option<Vec<u8>>> = vec![None; count];
    for (position, item) in answer.data.iter().enumerate() {
        let item = Document::of(item.get()).ok()?;
        item.get("embedding")?;
        let index = item.get("index").and_then(|index| index.parse().ok()).unwrap_or(position);
        *placed.get_mut(index)? = Some(item.to_bytes());
    }
    placed.into_iter().collect()
}

/// Splits a total in proportion to the weights; the shares add up to it.
fn shares(total: u64, weights: &[u64]) -> Vec<u64> {
    let mut weight_left: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    let mut left = u128::from(total);
    let mut share = |weight: u64| {
        let part = (left * u128::from(weight)).checked_div(weight_left).unwrap_or(0);
        weight_left -= u128::from(weight);
        left -= part;
        u64::try_from(part).unwrap_or(u64::MAX)
    };
    weights.iter().map(|weight| share(*weight)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_of_input_is_understood() {
        for (input, expected) in [
            (r#""one""#, Some(vec![r#""one""#])),
            (r#"["one", "two"]"#, Some(vec![r#""one""#, r#""two""#])),
            ("[1, 2, 3]", Some(vec!["[1, 2, 3]"])),
            ("[[1, 2], [3]]", Some(vec!["[1, 2]", "[3]"])),
            ("[]", None),
            ("null", None),
            ("[{}]", None),
        ] {
            assert_eq!(inputs(input), expected, "{input}");
        }
    }

    #[test]
    fn vectors_come_in_the_order_of_their_index() {
        let body = br#"{"data":[{"index":1,"embedding":[1]},{"index":0,"embedding":[0]}]}"#;
        let found = vectors(body, 2).unwrap();
        assert_eq!(found[0], br#"{"index":0,"embedding":[0]}"#);
        for wrong in [
            &br#"{"data":[{"index":0,"embedding":[0]}]}"#[..],
            br#"{"data":[{"index":0,"embedding":[0]},{"index":0,"embedding":[0]}]}"#,
            br#"{"data":[{"index":0,"embedding":[0]},{"index":7,"embedding":[0]}]}"#,
            br#"{"data":[{"index":0},{"index":1}]}"#,
            b"[]",
        ] {
            assert_eq!(vectors(wrong, 2), None);
        }
    }

    proptest! {
        #[test]
        fn shares_add_up(total in any::<u64>(), weights in prop::collection::vec(1..10_000_u64, 1..20)) {
            let shares = shares(total, &weights);
            prop_assert_eq!(shares.iter().map(|share| u128::from(*share)).sum::<u128>(), u128::from(total));
        }
    }
}
