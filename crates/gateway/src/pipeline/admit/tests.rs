//! Keys before a model that answers everything with 20 tokens (10 for the prompt): $0.000225 at gpt-4o's prices.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use dialects::Dialect;
use http_body_util::BodyExt;
use ledger::rules::id::{KeyHash, ProviderName};
use ledger::rules::zone::Zone;
use ledger::store::LogFilter;
use serde_json::{Value, json};

use super::*;
use crate::Gateway;
use crate::books::BooksSettings;
use crate::config::{Config, Sources};
use crate::events::log::Format;
use crate::events::{Level, Log};
use crate::exchange::Identity;
use crate::pipeline::ask_as;

const CALL: i64 = 225_000;

struct World {
    folder: PathBuf,
    gateway: Arc<Gateway>,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl World {
    async fn new(name: &str, settings: &str) -> Self {
        let models = "- {model_name: m, litellm_params: {model: openai/gpt-4o, api_key: k, mock_response: hi}}\n\
             - {model_name: other, litellm_params: {model: openai/gpt-4o, api_key: k, mock_response: hi}}\n\
             - {model_name: new, litellm_params: {model: openai/gpt-99, api_key: k, mock_response: hi}}\n";
        Self::of(name, models, settings).await
    }

    async fn of(name: &str, models: &str, settings: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tollway-admit-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let log = Log::to_stdout(Level::Error, Format::Text);
        let books = Books::open(&BooksSettings::new(folder.clone()), log.clone()).await.unwrap();
        let text = format!("model_list:\n{models}{settings}");
        let none = |_: &str| None;
        let no_file = |path: &Path| Err(std::io::Error::other(path.display().to_string()));
        let any = |_: &str, _: Option<&str>| Ok(());
        let sources = Sources { environment: &none, file: &no_file, provider: &any };
        let loaded = Config::from_text(Path::new("config.yaml"), text, &sources);
        let snapshot = Snapshot::build(&loaded.config.unwrap(), Vec::new());
        Self { folder, gateway: Gateway::new(snapshot, log, Some(books)) }
    }

    fn books(&self) -> &Arc<Books> {
        self.gateway.books().unwrap()
    }

    /// A key with these fields.
    async fn key(&self, fields: Value) -> Arc<Holder> {
        let hash = KeyHash::of(&fields.to_string());
        let mut key = json!({"id": hash, "hash": hash, "name": "sk-...test"});
        key.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let key: ledger::rules::entity::Key = serde_json::from_value(key).unwrap();
        self.books().store().insert(&key).await.unwrap();
        self.books().people().holder(self.books().store(), &hash).await.unwrap().unwrap()
    }

    async fn ask(&self, holder: &Arc<Holder>, fields: Value) -> Result<String, Refusal> {
        let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let body = Bytes::from(body.to_string());
        let operation = Operation::Converse(Dialect::OpenaiChat);
        let answer = ask_as(&self.gateway, Identity::Key(Arc::clone(holder)), operation, &body).await?;
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    /// What a key has spent and holds.
    async fn standing(&self, holder: &Holder) -> (i64, i64) {
        let account = Account::of(Scope::Key(holder.key.id.clone()));
        let terms = Arc::new(holder.key.details.allowance.terms(&Zone::UTC));
        let claim = self.books().counters().claim(&account, &terms).unwrap();
        let standing = claim.standing(books::now());
        (standing.total.0, standing.budgets.iter().map(|budget| budget.held.0).sum())
    }

    /// Everything that was booked, after a look whether it agrees with itself.
    async fn booked(&self) -> Vec<ledger::Booking> {
        self.books().drain_now().await.unwrap();
        let store = self.books().store();
        assert_eq!(store.audit().await.unwrap(), []);
        store.spend_log(&LogFilter::default(), 1000).await.unwrap()
    }
}

fn budget(nano: i64) -> Value {
    json!({"details": {"allowance": {"budget": {"max": nano}}}})
}

#[tokio::test]
async fn a_budget_that_is_used_up_refuses() {
    let world = World::new("used_up", "").await;
    let holder = world.key(budget(2 * CALL)).await;
    world.ask(&holder, json!({})).await.unwrap();
    world.ask(&holder, json!({})).await.unwrap();
    let refusal = world.ask(&holder, json!({})).await.unwrap_err();
    assert_eq!((refusal.status, refusal.kind), (422, "budget_exceeded"));
    assert_eq!(world.standing(&holder).await, (2 * CALL, 0));
    let booked = world.booked().await;
    assert_eq!(booked.iter().map(|booking| booking.cost.0).collect::<Vec<_>>(), [CALL, CALL]);
    assert!(booked.iter().all(|booking| booking.key == holder.key.id && !booking.failed));
}

#[tokio::test]
async fn the_status_of_an_exceeded_budget_can_be_chosen() {
    let world = World::new("status", "litellm_settings: {budget_exceeded_status_code: 429}").await;
    let holder = world.key(budget(0)).await;
    assert_eq!(world.ask(&holder, json!({})).await.unwrap_err().status, 429);
}

#[tokio::test]
async fn with_a_declared_maximum_a_crowd_never_overshoots() {
    let world = Arc::new(World::new("crowd", "").await);
    let holder = world.key(budget(10 * CALL)).await;
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (world, holder) = (Arc::clone(&world), Arc::clone(&holder));
        crowd.spawn(
            async move { world.ask(&holder, json!({"max_tokens": 20, "stream": true})).await.is_ok() },
        );
    }
    let served = crowd.join_all().await.into_iter().filter(|served| *served).count();
    let (spent, held) = world.standing(&holder).await;
    assert!(spent <= 10 * CALL && held == 0, "spent {spent}, holds {held}");
    assert_eq!(spent, CALL * i64::try_from(served).unwrap());
    assert_eq!(world.booked().await.len(), served);
}

#[tokio::test]
async fn near_the_edge_the_input_is_counted_exactly() {
    let world = World::new("edge", "").await;
    // 20 tokens of output, and 10 of input: the text's bytes would be more.
    let holder = world.key(budget(CALL)).await;
    world.ask(&holder, json!({"max_tokens": 20})).await.unwrap();
    assert!(world.ask(&holder, json!({"max_tokens": 20})).await.is_err());
}

#[tokio::test]
async fn a_key_reaches_its_models_alone() {
    let world = World::new("models", "").await;
    let fields = json!({"models": ["other"], "aliases": {"mine": "other"}});
    let holder = world.key(fields).await;
    let refusal = world.ask(&holder, json!({})).await.unwrap_err();
    assert_eq!((refusal.status, refusal.kind), (403, "key_model_access_denied"));
    assert_eq!(refusal.param.as_deref(), Some("model"));
    world.ask(&holder, json!({"model": "other"})).await.unwrap();
    world.ask(&holder, json!({"model": "mine"})).await.unwrap();
    // Also when a group of its own cannot answer.
    let fallback = json!({"model": "other", "mock_testing_fallbacks": true, "fallbacks": ["m"]});
    let world = World::new(
        "fallbacks",
        "general_settings: {dangerously_allow_mock_testing_request_params: true}\n\
         router_settings: {num_retries: 0}",
    )
    .await;
    let narrow = world.key(json!({"models": ["other"]})).await;
    let wide = world.key(json!({"models": ["other", "m"]})).await;
    assert!(world.ask(&narrow, fallback.clone()).await.is_err());
    world.ask(&wide, fallback).await.unwrap();
}

#[tokio::test]
async fn a_limit_says_which_it_is_and_when_there_is_room() {
    let world = World::new("limit", "").await;
    let holder = world.key(json!({"details": {"allowance": {"limits": {"rpm": 2}}}})).await;
    for _ in 0..2 {
        world.ask(&holder, json!({})).await.unwrap();
    }
    let refusal = world.ask(&holder, json!({})).await.unwrap_err();
    assert_eq!((refusal.status, refusal.kind), (429, "throttling_error"));
    assert_eq!(refusal.limit.unwrap().kind, "requests");
    assert!(refusal.retry_after.is_some_and(|after| after <= Duration::from_secs(61)));
}

#[tokio::test]
async fn what_fails_holds_nothing_and_costs_nothing() {
    let world = World::new("failed", "").await;
    let holder = world.key(budget(CALL)).await;
    let failing = json!({"fallbacks": "wrong"});
    assert_eq!(world.ask(&holder, failing).await.unwrap_err().status, 400);
    world.ask(&holder, json!({})).await.unwrap();
    assert_eq!(world.standing(&holder).await, (CALL, 0));
}

#[tokio::test]
async fn an_answer_from_the_cache_is_booked_with_what_it_saved() {
    let world = World::new("cache", "litellm_settings: {cache: true, cache_params: {type: local}}").await;
    let holder = world.key(budget(CALL)).await;
    world.ask(&holder, json!({})).await.unwrap();
    let booked = world.booked().await;
    let costs: Vec<_> =
        booked.iter().map(|booking| (booking.cost.0, booking.saved.0, booking.cache_hit)).collect();
    assert_eq!(costs, [(CALL, 0, false)]);
    // Its budget is used up, and this costs nothing: still refused, for nobody knows before that it is in the cache.
    assert_eq!(world.ask(&holder, json!({})).await.unwrap_err().status, 422);
    let other = world.key(json!({"user": "somebody"})).await;
    world.ask(&other, json!({})).await.unwrap();
    world.ask(&other, json!({})).await.unwrap();
    let hits = world.booked().await.into_iter().filter(|booking| booking.cache_hit);
    let hits: Vec<_> = hits.map(|booking| (booking.cost.0, booking.saved.0, booking.key)).collect();
    assert_eq!(hits, [(0, CALL, other.key.id.clone())], "nobody gets another key's answers");
}

#[tokio::test]
async fn a_model_without_a_price() {
    for (policy, served) in [("allow", true), ("refuse", false), ("0.01", true), ("100", false)] {
        let world =
            World::new(&format!("price-{policy}"), &format!("tollway: {{unknown_price: {policy}}}")).await;
        let holder = world.key(budget(1_000_000_000)).await;
        assert_eq!(world.ask(&holder, json!({"model": "new"})).await.is_ok(), served, "{policy}");
        let unbounded = world.key(json!({})).await;
        assert!(world.ask(&unbounded, json!({"model": "new"})).await.is_ok(), "no budget: {policy}");
    }
}

#[tokio::test]
async fn a_keys_word_on_models_without_a_price_comes_before_the_configurations() {
    let world = World::new("price-key", "tollway: {unknown_price: allow}").await;
    let new = json!({"model": "new"});
    for (policy, served) in [(json!("refuse"), false), (json!(100), false), (json!(0.01), true)] {
        let mut fields = budget(1_000_000_000);
        fields["details"]["extra"] = json!({"unknown_price": policy});
        let holder = world.key(fields).await;
        assert_eq!(world.ask(&holder, new.clone()).await.is_ok(), served, "{policy}");
    }
}

#[tokio::test]
async fn only_models_with_a_price_are_served_where_that_is_said() {
    let settings = "litellm_settings: {block_requests_for_models_without_pricing: true}";
    let world = World::new("priced", settings).await;
    let holder = world.key(json!({})).await;
    let refusal = world.ask(&holder, json!({"model": "new"})).await.unwrap_err();
    assert_eq!((refusal.status, refusal.param.as_deref()), (400, Some("model")));
    world.ask(&holder, json!({})).await.unwrap();
}

fn model_budget(nano: i64, extra: &Value) -> Value {
    json!({"details": {"allowance": {"models": {"m": {"budget": {"max": nano}}}}, "extra": extra}})
}

#[tokio::test]
async fn another_model_is_asked_when_the_budget_for_one_is_used_up() {
    let world = World::new("budget-fallback", "").await;
    let instead = json!({"budget_fallbacks": {"m": ["nowhere", "other"]}});
    let holder = world.key(model_budget(CALL, &instead)).await;
    for _ in 0..3 {
        let answer: Value = serde_json::from_str(&world.ask(&holder, json!({})).await.unwrap()).unwrap();
        assert!(answer["model"] == "m" || answer["model"] == "other", "{answer}");
    }
    let groups: Vec<_> =
        world.booked().await.into_iter().rev().map(|booking| booking.model_group.unwrap()).collect();
    assert_eq!(groups.iter().map(|group| &**group).collect::<Vec<_>>(), ["m", "other", "other"]);
    // Who may not use the other one is told of the first.
    let mut narrow = model_budget(0, &instead);
    narrow["models"] = json!(["m"]);
    let holder = world.key(narrow).await;
    let refusal = world.ask(&holder, json!({})).await.unwrap_err();
    assert_eq!((refusal.status, refusal.kind), (422, "budget_exceeded"));
    assert!(refusal.tell.contains("over budget for model=m"), "{}", refusal.tell);
    // A budget for all models is one for the others, too.
    let mut fields = model_budget(CALL, &instead);
    fields["details"]["allowance"]["budget"] = json!({"max": 0});
    let holder = world.key(fields).await;
    assert_eq!(world.ask(&holder, json!({})).await.unwrap_err().status, 422);
}

#[tokio::test]
async fn router_settings_of_a_key_are_followed() {
    let world = World::new(
        "orders",
        "general_settings: {dangerously_allow_mock_testing_request_params: true}\n\
         router_settings: {num_retries: 0}",
    )
    .await;
    let settings = json!({"fallbacks": [{"m": ["other"]}], "model_group_alias": {"best": "other"}});
    let fields = json!({"details": {"extra": {"router_settings": settings}}});
    let (holder, plain) = (world.key(fields).await, world.key(json!({})).await);
    let failing = json!({"mock_testing_fallbacks": true});
    assert!(world.ask(&plain, failing.clone()).await.is_err());
    world.ask(&holder, failing.clone()).await.unwrap();
    world.ask(&holder, json!({"model": "best"})).await.unwrap();
    // A request's own word comes first.
    let own = json!({"mock_testing_fallbacks": true, "fallbacks": []});
    assert!(world.ask(&holder, own).await.is_err());
    let groups = world.booked().await.into_iter().filter_map(|booking| booking.model_group);
    assert_eq!(groups.filter(|group| **group == *"other").count(), 2);
}

#[tokio::test]
async fn the_gateway_has_a_budget_too() {
    let world = World::new("gateway", "litellm_settings: {max_budget: 0.000225}").await;
    let (first, second) = (world.key(json!({})).await, world.key(json!({"user": "u"})).await);
    world.ask(&first, json!({})).await.unwrap();
    assert_eq!(world.ask(&second, json!({})).await.unwrap_err().status, 422);
}

#[tokio::test]
async fn who_a_request_is_for_is_booked() {
    let world = World::new("names", "").await;
    let holder = world.key(json!({"user": "u", "tags": ["a"]})).await;
    world.ask(&holder, json!({"user": "customer-1", "tags": ["b", "a"]})).await.unwrap();
    let booking = world.booked().await.pop().unwrap();
    assert_eq!(booking.customer.unwrap().as_str(), "customer-1");
    assert_eq!(booking.user.unwrap().as_str(), "u");
    let tags: Vec<_> = booking.tags.iter().map(Tag::as_str).collect();
    assert_eq!(tags, ["a", "b"]);
    assert_eq!((booking.model.as_str(), booking.provider.as_str()), ("gpt-4o", "openai"));
    assert_eq!((booking.tokens.input, booking.tokens.output), (10, 20));
}

/// Futures are moved from hand to hand: what one of them carries for a case that hardly comes is copied at every request.
#[tokio::test]
async fn what_a_request_carries_along_is_small() {
    let world = World::new("small", "").await;
    let headers = HeaderMap::new();
    let asked =
        crate::pipeline::Asked { headers: &headers, query: "", path: "/", dialect: Dialect::OpenaiChat };
    let snapshot = world.gateway.snapshot();
    let here = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    let authenticating = crate::pipeline::authenticate(&world.gateway, &snapshot, &asked, here);
    let body = Bytes::from_static(b"{}");
    let asking = ask_as(&world.gateway, Identity::Master, Operation::Converse(Dialect::OpenaiChat), &body);
    for (what, bytes) in [("authenticate", size_of_val(&authenticating)), ("the rest", size_of_val(&asking))]
    {
        assert!(bytes < 16 * 1024, "{what}: {bytes} bytes");
    }
}

/// A crowd of callers; how many were served.
async fn crowd(world: &Arc<World>, holder: &Arc<Holder>, callers: usize, fields: Value) -> usize {
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let (world, holder, fields) = (Arc::clone(world), Arc::clone(holder), fields.clone());
        crowd.spawn(async move { world.ask(&holder, fields).await.is_ok() });
    }
    crowd.join_all().await.into_iter().filter(|served| *served).count()
}

#[tokio::test]
async fn a_providers_budget_holds_under_a_crowd_and_refuses_in_litellms_words() {
    let settings =
        "router_settings: {provider_budget_config: {openai: {budget_limit: 0.00225, time_period: 1d}}}";
    let world = Arc::new(World::new("provider", settings).await);
    let holder = world.key(json!({})).await;
    let served = crowd(&world, &holder, 50, json!({"max_tokens": 20})).await;
    assert!((1..=10).contains(&served), "{served}");
    while world.ask(&holder, json!({"max_tokens": 20})).await.is_ok() {}
    let refusal = world.ask(&holder, json!({"max_tokens": 2000})).await.unwrap_err();
    assert_eq!(refusal.status, 429);
    let begins = "No deployments available - crossed budget: Exceeded budget for provider openai: ";
    assert!(refusal.tell.starts_with(begins), "{}", refusal.tell);
    assert!(refusal.retry_after.is_some_and(|wait| wait <= Duration::from_secs(86_400)));
    let spent: i64 = world.booked().await.iter().map(|booking| booking.cost.0).sum();
    assert!(spent <= 10 * CALL && spent > 8 * CALL, "{spent}");
    let claim = ProviderName::new("openai").map(|name| Account::of(Scope::Provider(name))).unwrap();
    let openings = world.books().store().openings(&claim).await.unwrap();
    assert_eq!(openings.len(), 2, "for good, and of the day");
    assert!(openings.iter().all(|opening| opening.spend.0 == spent), "{openings:?}");
}

#[tokio::test]
async fn a_deployment_whose_budget_is_spent_is_passed_over() {
    let models = "\
        - {model_name: m, model_info: {id: a}, litellm_params: {model: openai/gpt-4o, api_key: k, mock_response: hi, \
           order: 1, max_budget: 0.000225, budget_duration: 1d}}\n\
        - {model_name: m, model_info: {id: b}, litellm_params: {model: openai/gpt-4o, api_key: k, mock_response: hi, \
           order: 2}}\n";
    let world = World::of("deployment", models, "").await;
    let holder = world.key(json!({})).await;
    for _ in 0..3 {
        world.ask(&holder, json!({})).await.unwrap();
    }
    let booked = world.booked().await;
    let mut deployments: Vec<_> = booked.iter().filter_map(|booking| booking.deployment.as_deref()).collect();
    deployments.sort_unstable();
    assert_eq!(deployments, ["a", "b", "b"]);
    let trace = world.gateway.traces().latest(1).remove(0).to_json();
    let route = trace["route"].to_string();
    assert!(route.contains("`a` is passed over: Exceeded budget for deployment model_name: m"), "{route}");
    assert!(route.contains(r#""verdict":"over budget""#), "{route}");
}

/// A cheap group that fails, and a dear one behind it.
async fn with_dear_fallback(name: &str) -> World {
    let models = "\
        - {model_name: m, litellm_params: {model: openai/gpt-4o-mini, api_key: k, \
           mock_response: litellm.InternalServerError}}\n\
        - {model_name: dear, litellm_params: {model: openai/gpt-4o, api_key: k, mock_response: hi}}\n";
    let settings = "router_settings: {num_retries: 0, fallbacks: [{m: [dear]}]}";
    World::of(name, models, settings).await
}

#[tokio::test]
async fn a_fallback_that_costs_more_than_is_left_is_not_made() {
    let world = with_dear_fallback("dear-refused").await;
    // More than a call of the cheap model can cost, and less than one of the dear one.
    let holder = world.key(budget(CALL - 1)).await;
    let refusal = world.ask(&holder, json!({"max_tokens": 20})).await.unwrap_err();
    assert_eq!(refusal.status, 500, "the first failure is told: {}", refusal.tell);
    assert_eq!(world.standing(&holder).await, (0, 0));
    let route = world.gateway.traces().latest(1).remove(0).to_json()["route"].to_string();
    assert!(route.contains("is passed over: Budget has been exceeded!"), "{route}");
}

#[tokio::test]
async fn a_fallback_that_costs_more_is_held_before_it_is_made() {
    let world = Arc::new(with_dear_fallback("dear").await);
    let holder = world.key(budget(10 * CALL)).await;
    crowd(&world, &holder, 50, json!({"max_tokens": 20})).await;
    while world.ask(&holder, json!({"max_tokens": 20})).await.is_ok() {}
    let (spent, held) = world.standing(&holder).await;
    assert!((5 * CALL..=10 * CALL).contains(&spent) && held == 0, "spent {spent}, holds {held}");
    assert_eq!(world.booked().await.iter().map(|booking| booking.cost.0).sum::<i64>(), spent);
}

#[tokio::test]
async fn an_answer_is_as_long_as_the_budget_pays_for() {
    let world = World::new("fit", "tollway: {budget_fit: true}").await;
    // Ten tokens of input and 20 of output at most.
    let holder = world.key(budget(CALL)).await;
    world.ask(&holder, json!({})).await.unwrap();
    let trace = world.gateway.traces().latest(1).remove(0).to_json();
    let fit = trace["admission"]["fit"]["max_output_tokens"].as_u64().unwrap();
    assert!((20..=22).contains(&fit), "{trace}");
    let refusal = world.ask(&holder, json!({})).await.unwrap_err();
    assert_eq!((refusal.status, refusal.kind), (422, "budget_exceeded"));
    let own = json!({"details": {"allowance": {"budget": {"max": CALL}}, "extra": {"metadata": {"budget_fit": false}}}});
    let holder = world.key(own).await;
    world.ask(&holder, json!({})).await.unwrap();
    let trace = world.gateway.traces().latest(1).remove(0).to_json();
    assert!(trace["admission"]["fit"].is_null(), "the key's word counts: {trace}");
}

#[tokio::test]
async fn tokens_of_the_answer_are_held_and_given_back() {
    let world = World::new("tokens", "").await;
    let holder = world.key(json!({"details": {"allowance": {"limits": {"tpm": 1000}}}})).await;
    // Who declares more than there is gets what there is, and gives it back.
    for declared in [600, 5000, 600] {
        world.ask(&holder, json!({"max_tokens": declared})).await.unwrap();
    }
    let remaining = {
        let account = Account::of(Scope::Key(holder.key.id.clone()));
        let terms = Arc::new(holder.key.details.allowance.terms(&Zone::UTC));
        let claim = world.books().counters().claim(&account, &terms).unwrap();
        claim.standing(books::now()).remaining_tokens
    };
    assert_eq!(remaining, Some(1000 - 3 * 30));
}
