//! What happened per day, as LiteLLM's `*/daily/activity` shows it: from daily sums alone.

use std::collections::BTreeMap;

use catalog::NanoUsd;
use ledger::rules::time::Day;
use ledger::store::DailySum;
use serde_json::{Value, json};

use crate::query::Paging;

/// Counts and amounts that are summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub spend: NanoUsd,
    pub input: i64,
    pub output: i64,
    pub cache_read: i64,
    pub cache_write: i64,
    pub requests: i64,
    pub failed: i64,
    pub duration_ms: i64,
}

impl Sums {
    #[must_use]
    pub fn of(sum: &DailySum) -> Self {
        let mut sums = Self::default();
        sums.add(sum);
        sums
    }

    pub fn add(&mut self, sum: &DailySum) {
        self.spend = self.spend.saturating_add(sum.cost);
        self.input = self.input.saturating_add(sum.input_tokens);
        self.output = self.output.saturating_add(sum.output_tokens);
        self.cache_read = self.cache_read.saturating_add(sum.cache_read_tokens);
        self.cache_write = self.cache_write.saturating_add(sum.cache_write_tokens);
        self.requests = self.requests.saturating_add(sum.requests);
        self.failed = self.failed.saturating_add(sum.failed);
        self.duration_ms = self.duration_ms.saturating_add(sum.duration_ms);
    }

    #[must_use]
    pub fn tokens(&self) -> i64 {
        self.input.saturating_add(self.output)
    }

    /// As LiteLLM's `metrics`.
    #[must_use]
    pub fn metrics(&self) -> Value {
        json!({
            "spend": self.spend,
            "flat_cost": 0.0,
            "prompt_tokens": self.input,
            "completion_tokens": self.output,
            "cache_read_input_tokens": self.cache_read,
            "cache_creation_input_tokens": self.cache_write,
            "total_tokens": self.tokens(),
            "successful_requests": self.requests - self.failed,
            "failed_requests": self.failed,
            "api_requests": self.requests,
            "total_response_time_ms": self.duration_ms,
            "timed_requests": self.requests,
        })
    }
}

/// What is known of a key or an entity beside its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    pub alias: Option<String>,
    pub team: Option<String>,
}

/// Names by id; what is not in them is shown by its id alone.
pub type Names = BTreeMap<String, Name>;

/// Sums of one name, and of its keys.
#[derive(Debug, Default)]
struct Part {
    sums: Sums,
    keys: BTreeMap<String, Sums>,
}

impl Part {
    fn add_key(&mut self, sum: &DailySum) {
        self.keys.entry(sum.key.clone()).or_default().add(sum);
    }

    fn show(&self, keys: &Names, metadata: &Value) -> Value {
        let of_keys = self.keys.iter().map(|(key, sums)| (key.clone(), of_key(key, sums, keys)));
        json!({
            "metrics": self.sums.metrics(),
            "metadata": metadata,
            "api_key_breakdown": of_keys.collect::<serde_json::Map<_, _>>(),
        })
    }
}

fn of_key(key: &str, sums: &Sums, keys: &Names) -> Value {
    let name = keys.get(key).cloned().unwrap_or_default();
    json!({"metrics": sums.metrics(), "metadata": {"key_alias": name.alias, "team_id": name.team}})
}

/// Keys, in the order of their sums.
#[must_use]
pub fn by_key(sums: &[(String, DailySum)], names: &Names) -> Vec<Value> {
    let row = |(_, sum): &(String, DailySum)| {
        let mut row = of_key(&sum.key, &Sums::of(sum), names);
        row["api_key"] = json!(sum.key);
        row
    };
    sums.iter().map(row).collect()
}

/// The breakdown of a day.
#[derive(Debug, Default)]
struct Breakdown {
    all: Sums,
    models: BTreeMap<String, Part>,
    providers: BTreeMap<String, Part>,
    keys: BTreeMap<String, Sums>,
    entities: BTreeMap<String, Part>,
}

/// What a page of days is shown from; sums are with whose they are.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    /// A sum per day, of all days and not only those of the page.
    pub days: Vec<(String, DailySum)>,
    /// Sums by day, whom, model and provider, of the page's days.
    pub parts: Vec<(String, DailySum)>,
    /// The same by key too, of the keys that are listed.
    pub keys: Vec<(String, DailySum)>,
}

/// As `{results, metadata}`; a page is so many days, the newest first.
#[must_use]
pub fn daily(activity: &Activity, paging: Paging, keys: &Names, entities: &Names) -> Value {
    let mut all = Sums::default();
    activity.days.iter().for_each(|(_, sum)| all.add(sum));
    let mut days: BTreeMap<Day, Breakdown> = BTreeMap::new();
    for (entity, sum) in &activity.parts {
        let day = days.entry(sum.day).or_default();
        day.all.add(sum);
        day.models.entry(sum.model.clone()).or_default().sums.add(sum);
        day.providers.entry(sum.provider.clone()).or_default().sums.add(sum);
        day.entities.entry(entity.clone()).or_default().sums.add(sum);
    }
    for (entity, sum) in &activity.keys {
        let day = days.entry(sum.day).or_default();
        day.models.entry(sum.model.clone()).or_default().add_key(sum);
        day.providers.entry(sum.provider.clone()).or_default().add_key(sum);
        day.keys.entry(sum.key.clone()).or_default().add(sum);
        day.entities.entry(entity.clone()).or_default().add_key(sum);
    }
    let total = i64::try_from(activity.days.len()).unwrap_or(i64::MAX);
    let results: Vec<Value> =
        days.iter().rev().map(|(day, parts)| result(*day, parts, keys, entities)).collect();
    json!({
        "results": results,
        "metadata": {
            "total_spend": all.spend,
            "total_prompt_tokens": all.input,
            "total_completion_tokens": all.output,
            "total_tokens": all.tokens(),
            "total_api_requests": all.requests,
            "total_successful_requests": all.requests - all.failed,
            "total_failed_requests": all.failed,
            "total_cache_read_input_tokens": all.cache_read,
            "total_cache_creation_input_tokens": all.cache_write,
            "page": paging.page,
            "total_pages": paging.pages(total).max(1),
            "has_more": paging.page < paging.pages(total),
        },
    })
}

/// The columns of [`rows`].
pub const COLUMNS: [&str; 14] = [
    "date",
    "entity",
    "entity_alias",
    "api_key",
    "key_alias",
    "model",
    "provider",
    "spend",
    "api_requests",
    "failed_requests",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cache_read_input_tokens",
];

/// Every sum as a row: for exports, and for reports that sum by something else.
#[must_use]
pub fn rows(sums: &[(String, DailySum)], keys: &Names, entities: &Names) -> Vec<Value> {
    let row = |(entity, sum): &(String, DailySum)| {
        json!({
            "date": sum.day.to_string(),
            "entity": entity,
            "entity_alias": entities.get(entity).and_then(|name| name.alias.as_ref()),
            "api_key": sum.key,
            "key_alias": keys.get(&sum.key).and_then(|name| name.alias.as_ref()),
            "model": sum.model,
            "provider": sum.provider,
            "spend": sum.cost,
            "api_requests": sum.requests,
            "failed_requests": sum.failed,
            "prompt_tokens": sum.input_tokens,
            "completion_tokens": sum.output_tokens,
            "total_tokens": sum.input_tokens.saturating_add(sum.output_tokens),
            "cache_read_input_tokens": sum.cache_read_tokens,
        })
    };
    sums.iter().map(row).collect()
}

fn result(day: Day, parts: &Breakdown, keys: &Names, entities: &Names) -> Value {
    let named = |parts: &BTreeMap<String, Part>| -> Value {
        parts.iter().map(|(name, part)| (name.clone(), part.show(keys, &json!({})))).collect()
    };
    let of_entities = parts.entities.iter().map(|(id, part)| {
        let alias = entities.get(id).and_then(|name| name.alias.clone());
        (id.clone(), part.show(keys, &json!({"alias": alias, "team_alias": alias})))
    });
    json!({
        "date": day.to_string(),
        "metrics": parts.all.metrics(),
        "breakdown": {
            "models": named(&parts.models),
            "model_groups": {},
            "providers": named(&parts.providers),
            "api_keys": parts.keys.iter().map(|(key, sums)| (key.clone(), of_key(key, sums, keys))).collect::<serde_json::Map<_, _>>(),
            "entities": of_entities.collect::<serde_json::Map<_, _>>(),
            "mcp_servers": {},
            "endpoints": {},
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(day: i64, key: &str, model: &str, cost: i64) -> DailySum {
        DailySum {
            day: Day(day),
            key: key.to_owned(),
            model: model.to_owned(),
            provider: "openai".to_owned(),
            requests: 2,
            failed: 1,
            input_tokens: 10,
            output_tokens: 5,
            cache_read_tokens: 0,
            cache_write_tokens: 0,
            cost: NanoUsd(cost),
            duration_ms: 7,
        }
    }

    #[test]
    fn parts_sum_up_to_the_whole() {
        let sums = [
            ("red".to_owned(), sum(20_000, "k1", "gpt-4o", 1_000_000_000)),
            ("red".to_owned(), sum(20_000, "k2", "o3", 2_000_000_000)),
            ("blue".to_owned(), sum(20_001, "k1", "o3", 4_000_000_000)),
        ];
        let activity = Activity { days: sums.to_vec(), parts: sums.to_vec(), keys: sums.to_vec() };
        let shown = daily(&activity, Paging { page: 1, size: 10 }, &Names::new(), &Names::new());
        assert_eq!(shown["metadata"]["total_spend"], 7.0);
        assert_eq!(shown["metadata"]["total_api_requests"], 6);
        let [new, old] = shown["results"].as_array().unwrap().as_slice() else { panic!("{shown}") };
        assert_eq!(new["date"], "2024-10-05");
        assert_eq!(old["metrics"]["spend"], 3.0);
        assert_eq!(old["breakdown"]["models"]["o3"]["metrics"]["spend"], 2.0);
        assert_eq!(old["breakdown"]["entities"]["red"]["api_key_breakdown"]["k1"]["metrics"]["spend"], 1.0);
    }

    #[test]
    fn a_page_is_so_many_days_and_totals_are_of_all() {
        let sums: Vec<_> =
            (0..5).map(|day| ("red".to_owned(), sum(20_000 + day, "k", "m", 1_000_000_000))).collect();
        let activity = Activity { parts: sums[1..3].to_vec(), days: sums, keys: Vec::new() };
        let shown = daily(&activity, Paging { page: 2, size: 2 }, &Names::new(), &Names::new());
        assert_eq!(shown["results"].as_array().map(Vec::len), Some(2));
        assert_eq!(shown["metadata"]["total_spend"], 5.0);
        assert_eq!(shown["metadata"]["has_more"], true);
    }
}
