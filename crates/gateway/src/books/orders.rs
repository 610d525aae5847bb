//! Standing orders: what a key and its team say about how all their requests are served. What a request says itself
//! comes before them, and a key before its team.

mod routing;

use std::collections::BTreeMap;

use api::field;
use dialects::Invalid;
use ledger::rules::entity::Details;
use ledger::rules::id::BudgetId;
use serde_json::Value;

use crate::config::UnknownPrice;
use crate::routing_json::wrong;

pub use routing::RoutingOrders;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Orders {
    /// `metadata.budget_fit`: answers are kept as short as budgets pay for.
    pub budget_fit: Option<bool>,
    /// What becomes of requests under a budget to models whose price nobody knows.
    pub unknown_price: Option<UnknownPrice>,
    /// By model: what is asked instead when its own budget is used up.
    budget_fallbacks: BTreeMap<String, Vec<String>>,
    /// `default_estimated_output_tokens`
    estimated_output: Option<u64>,
    /// `default_estimated_output_tokens_per_model`
    estimated_output_of: BTreeMap<String, u64>,
    /// `end_user_budget_id`: the budget of customers that have none of their own.
    pub customer_budget: Option<BudgetId>,
    /// `router_settings`
    pub routing: RoutingOrders,
}

impl Orders {
    /// Those that a key or a team is to be given.
    ///
    /// # Errors
    /// The first field that makes no sense.
    pub fn read(details: &Details) -> Result<Self, Invalid> {
        let mut first = None;
        let orders = Self::gather(details, &mut |wrong| _ = first.get_or_insert(wrong));
        first.map_or(Ok(orders), Err)
    }

    /// Those that are stored. A field that makes no sense, since it was stored before it was looked at, says nothing.
    #[must_use]
    pub fn stored(details: &Details) -> Self {
        Self::gather(details, &mut |_| {})
    }

    fn gather(details: &Details, wrong: &mut dyn FnMut(Invalid)) -> Self {
        let of = |field: &str| details.extra.get(field).filter(|value| !value.is_null());
        let mut read = Reading { wrong };
        Self {
            budget_fit: of("metadata").and_then(|metadata| metadata.get("budget_fit")?.as_bool()),
            unknown_price: of("unknown_price").and_then(|value| read.sense_of(unknown_price(value))),
            budget_fallbacks: of("budget_fallbacks")
                .and_then(|value| read.sense_of(budget_fallbacks(value)))
                .unwrap_or_default(),
            estimated_output: of("default_estimated_output_tokens")
                .and_then(|value| field::count(value).ok()),
            estimated_output_of: of("default_estimated_output_tokens_per_model")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .filter_map(|(model, value)| Some((model.clone(), field::count(value).ok()?)))
                .collect(),
            customer_budget: of("end_user_budget_id")
                .and_then(Value::as_str)
                .and_then(|id| BudgetId::new(id).ok()),
            routing: of("router_settings")
                .and_then(Value::as_object)
                .and_then(|settings| read.sense_of(RoutingOrders::read(settings)))
                .unwrap_or_default(),
        }
    }

    /// These, and where they say nothing those of the team.
    #[must_use]
    pub fn or(mut self, team: Self) -> Self {
        for (model, others) in team.budget_fallbacks {
            self.budget_fallbacks.entry(model).or_insert(others);
        }
        for (model, tokens) in team.estimated_output_of {
            self.estimated_output_of.entry(model).or_insert(tokens);
        }
        Self {
            budget_fit: self.budget_fit.or(team.budget_fit),
            unknown_price: self.unknown_price.or(team.unknown_price),
            estimated_output: self.estimated_output.or(team.estimated_output),
            customer_budget: self.customer_budget.or(team.customer_budget),
            routing: self.routing.or(team.routing),
            ..self
        }
    }

    /// What is asked instead of a model whose own budget is used up, in this order.
    #[must_use]
    pub fn budget_fallbacks(&self, model: &str) -> &[String] {
        self.budget_fallbacks.get(model).map(Vec::as_slice).unwrap_or_default()
    }

    /// How many tokens an answer of a model is taken to have before there is experience with it.
    #[must_use]
    pub fn estimated_output(&self, model: &str) -> u64 {
        self.estimated_output_of.get(model).copied().or(self.estimated_output).unwrap_or(0)
    }
}

/// Fields of which each is read, whatever is wrong with the others.
struct Reading<'w> {
    wrong: &'w mut dyn FnMut(Invalid),
}

impl Reading<'_> {
    fn sense_of<T>(&mut self, read: Result<T, Invalid>) -> Option<T> {
        read.map_err(|wrong| (self.wrong)(wrong)).ok()
    }
}

/// `allow`, `refuse`, or the USD to hold.
fn unknown_price(value: &Value) -> Result<UnknownPrice, Invalid> {
    match value.as_str() {
        Some("allow") => Ok(UnknownPrice::Allow),
        Some("refuse") => Ok(UnknownPrice::Refuse),
        Some(_) | None => field::amount(value)
            .map(UnknownPrice::Hold)
            .map_err(|_| wrong("unknown_price", "`allow`, `refuse` or the US dollars to hold", value)),
    }
}

/// `{model: [other, …]}`
fn budget_fallbacks(value: &Value) -> Result<BTreeMap<String, Vec<String>>, Invalid> {
    const FIELD: &str = "budget_fallbacks";
    let Value::Object(entries) = value else {
        return Err(wrong(FIELD, "an object of lists of models", value));
    };
    let names = |model: &String, list: &Value| {
        let names = list.as_array().map(|list| list.iter().map(|name| Some(name.as_str()?.to_owned())));
        let names: Option<Vec<String>> = names.and_then(Iterator::collect);
        names.ok_or_else(|| wrong(&format!("{FIELD}.{model}"), "a list of models", list))
    };
    entries.iter().map(|(model, list)| Ok((model.clone(), names(model, list)?))).collect()
}

#[cfg(test)]
mod tests {
    use catalog::NanoUsd;
    use serde_json::json;

    use super::*;

    fn read(extra: &Value) -> Result<Orders, Invalid> {
        Orders::read(&Details { extra: extra.as_object().cloned().unwrap(), ..Details::default() })
    }

    #[test]
    fn a_keys_word_comes_before_its_teams() {
        let key = json!({
            "unknown_price": "refuse", "budget_fallbacks": {"a": ["b"]}, "metadata": {"budget_fit": false},
            "default_estimated_output_tokens_per_model": {"a": 7},
            "router_settings": {"num_retries": 1},
        });
        let team = json!({
            "unknown_price": 0.5, "budget_fallbacks": {"a": ["c"], "x": ["y"]}, "metadata": {"budget_fit": true},
            "default_estimated_output_tokens": 9,
            "router_settings": {"num_retries": 2, "timeout": 3},
        });
        let orders = read(&key).unwrap().or(read(&team).unwrap());
        assert_eq!((orders.budget_fit, orders.unknown_price), (Some(false), Some(UnknownPrice::Refuse)));
        assert_eq!(
            (orders.budget_fallbacks("a"), orders.budget_fallbacks("x")),
            (&["b".into()][..], &["y".into()][..])
        );
        assert_eq!((orders.estimated_output("a"), orders.estimated_output("b")), (7, 9));
        assert_eq!(orders.routing.timeout, Some(std::time::Duration::from_secs(3)));
        assert_eq!(read(&team).unwrap().unknown_price, Some(UnknownPrice::Hold(NanoUsd(500_000_000))));
    }

    #[test]
    fn what_makes_no_sense_takes_nothing_else_along() {
        let extra = json!({"router_settings": {"num_retry": 1}, "metadata": {"budget_fit": true}});
        let details = Details { extra: extra.as_object().cloned().unwrap(), ..Details::default() };
        assert_eq!(Orders::stored(&details).budget_fit, Some(true));
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_place() {
        for (extra, place) in [
            (json!({"unknown_price": "maybe"}), "unknown_price"),
            (json!({"unknown_price": -1}), "unknown_price"),
            (json!({"budget_fallbacks": ["a"]}), "budget_fallbacks"),
            (json!({"budget_fallbacks": {"a": "b"}}), "budget_fallbacks.a"),
            (json!({"budget_fallbacks": {"a": [1]}}), "budget_fallbacks.a"),
            (json!({"router_settings": {"num_retry": 1}}), "router_settings.num_retry"),
        ] {
            assert_eq!(read(&extra).unwrap_err().param.as_deref(), Some(place), "{extra}");
        }
    }
}
