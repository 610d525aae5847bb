//! Keys, budgets and spend: `general_settings`, `litellm_settings` and `tollway`, as far as they are about money.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use api::body::Body;
use api::field::Field;
use catalog::{NanoUsd, Usd};
use ledger::journal::WhenFull;
use ledger::rules::budget::{Allowance, Budget};
use ledger::rules::circle::Policy;
use ledger::rules::id::BudgetId;
use ledger::rules::period::Period;
use ledger::rules::zone::Zone;
use ledger::store::Retention;
use tollway::Secret;

use super::layers::{Layers, items, text};
use crate::admin::IssuePolicy;
use crate::books::guesses::GuessLimits;
use crate::config::diagnose::{Diagnosis, Finding, ProblemKind};
use crate::config::keys::Section;
use crate::config::raw::{Node, Scalar, Span, Value};
use crate::config::references::Environment;
use crate::config::resolved::{BooksConfig, CustomerDefaults, RequiredParams, UnknownPrice};
use crate::rotation::RotationSettings;

/// LiteLLM's status for an exceeded budget.
const OVER_BUDGET: u16 = 422;

pub(super) fn config(
    [general, litellm, router, tollway]: [&Layers<'_>; 4],
    start: &Span,
    environment: &Environment<'_>,
    diagnosis: &mut Diagnosis,
) -> BooksConfig {
    let budget = Budget {
        max: amount(litellm, "max_budget", start, diagnosis),
        period: period(litellm, "budget_duration", start, diagnosis),
        ..Budget::default()
    };
    let unsaid = GuessLimits::default();
    let status = litellm.integer("budget_exceeded_status_code").and_then(|status| u16::try_from(status).ok());
    BooksConfig {
        folder: tollway.text("data_folder").or_else(|| environment.get("TOLLWAY_DATA")).map(PathBuf::from),
        database_url: general
            .secret("database_url")
            .or_else(|| environment.get("DATABASE_URL").map(Secret::new))
            .filter(|url| !url.is_empty()),
        retention: retention(general, tollway, start, diagnosis),
        when_full: match tollway.text("journal_when_full").as_deref() {
            Some("serve") => WhenFull::ServeUnbooked,
            _ => WhenFull::Refuse,
        },
        policy: Policy {
            gateway: Allowance { budget, ..Allowance::default() },
            user_terms_on_team_keys: general.bool("apply_user_budget_to_team_keys").unwrap_or(false),
            zone: zone(litellm, start, diagnosis),
        },
        over_budget_status: status.filter(|status| (400..600).contains(status)).unwrap_or(OVER_BUDGET),
        unknown_price: unknown_price(tollway, start, diagnosis),
        customers: CustomerDefaults {
            max_budget: amount(litellm, "max_end_user_budget", start, diagnosis),
            budget_id: litellm.text("max_end_user_budget_id").and_then(|id| BudgetId::new(&id).ok()),
        },
        priced_only: litellm.bool("block_requests_for_models_without_pricing").unwrap_or(false),
        guess_limits: GuessLimits {
            burst: tollway.count("wrong_keys_burst").unwrap_or(unsaid.burst),
            per_second: tollway.number("wrong_keys_per_s").unwrap_or(unsaid.per_second),
        },
        rotation: rotation(environment),
        budget_fit: tollway.bool("budget_fit").unwrap_or(false),
        provider_budgets: budgets(router, "provider_budget_config", diagnosis),
        tag_budgets: budgets(litellm, "tag_budget_config", diagnosis),
        issue_policy: issue_policy(general, litellm, diagnosis),
        required_params: required_params(general),
    }
}

fn required_params(general: &Layers<'_>) -> RequiredParams {
    let settings = general.mapping("service_account_settings");
    let of_service_accounts = settings.and_then(|settings| settings.get("enforced_params"));
    RequiredParams {
        of_all: general.texts("enforced_params"),
        of_service_accounts: items(of_service_accounts).iter().filter_map(text).collect(),
    }
}

/// LiteLLM's variables; there are no keys for it.
fn rotation(environment: &Environment<'_>) -> RotationSettings {
    let unsaid = RotationSettings::default();
    let check = environment.get("LITELLM_KEY_ROTATION_CHECK_INTERVAL_SECONDS");
    let hidden = environment.get("EMAIL_INCLUDE_API_KEY").and_then(|text| Scalar::plain(text).boolean());
    RotationSettings {
        enabled: environment.flag("LITELLM_KEY_ROTATION_ENABLED"),
        check_every: check
            .and_then(|seconds| super::layers::duration(seconds.trim().parse().ok()?))
            .unwrap_or(unsaid.check_every),
        grace: environment.get("LITELLM_KEY_ROTATION_GRACE_PERIOD").filter(|grace| !grace.is_empty()),
        mail_secrets: hidden.unwrap_or(true),
    }
}

/// A deployment's own; the mistakes of an entry without a place of their own are told at `start`.
pub(super) fn deployment_budget(
    params: &Layers<'_>,
    start: &Span,
    diagnosis: &mut Diagnosis,
) -> Option<Budget> {
    let max = amount(params, "max_budget", start, diagnosis);
    let period = period(params, "budget_duration", start, diagnosis);
    max.map(|max| Budget { period, ..Budget::of(max) })
}

/// Budgets by name, under either of LiteLLM's names for their fields.
fn budgets<I: std::str::FromStr + Ord>(
    layers: &Layers<'_>,
    key: &str,
    diagnosis: &mut Diagnosis,
) -> BTreeMap<I, Budget> {
    let mut budgets = BTreeMap::new();
    for pair in layers.mapping(key).map(|mapping| mapping.pairs.as_slice()).unwrap_or_default() {
        let (Some(fields), Ok(name)) = (pair.value.mapping(), pair.key.name.parse()) else { continue };
        let fields = Layers::of(Section::Budget, fields);
        let [max, other] =
            ["budget_limit", "max_budget"].map(|name| amount(&fields, name, &pair.key.span, diagnosis));
        let [period, other_period] =
            ["time_period", "budget_duration"].map(|name| period(&fields, name, &pair.key.span, diagnosis));
        let Some(max) = max.or(other) else {
            // An amount that is none was told as such.
            if ["budget_limit", "max_budget"].iter().any(|name| fields.written(name).is_some()) {
                continue;
            }
            let wrong = format!("the budget of `{}` has no `budget_limit`", pair.key.name);
            let finding = Finding::error(ProblemKind::MissingKey, wrong).help("add `budget_limit:` in USD");
            diagnosis.report(&pair.key.span, finding);
            continue;
        };
        budgets.insert(name, Budget { period: period.or(other_period), ..Budget::of(max) });
    }
    budgets
}

fn zone(litellm: &Layers<'_>, start: &Span, diagnosis: &mut Diagnosis) -> Zone {
    let Some(name) = litellm.text("timezone") else { return Zone::UTC };
    Zone::named(name.trim()).unwrap_or_else(|error| {
        let expected = "a name of IANA's database such as `Europe/Berlin`";
        report(litellm, "timezone", start, diagnosis, format!("`timezone`: {error}"), expected);
        Zone::UTC
    })
}

/// What keys, users and teams get; the fields are those of the management API, which checks them.
fn issue_policy(general: &Layers<'_>, litellm: &Layers<'_>, diagnosis: &mut Diagnosis) -> IssuePolicy {
    const KEY: &[&[Field]] = &[api::key::FIELDS, api::terms::TERMS, api::terms::MORE_TERMS];
    const USER: &[&[Field]] = &[api::user::FIELDS, api::user::NEW, api::terms::TERMS, api::terms::MORE_TERMS];
    const TEAM: &[&[Field]] = &[api::team::FIELDS, api::terms::TERMS, api::terms::MORE_TERMS];
    let mut params = |layers: &Layers<'_>, key: &str, known: &[&[Field]]| {
        layers.get(key).map(|node| object(node, key, known, diagnosis)).unwrap_or_default()
    };
    let mut policy = IssuePolicy {
        keys: params(litellm, "default_key_generate_params", KEY),
        keys_at_most: params(litellm, "upperbound_key_generate_params", KEY),
        users: params(litellm, "default_internal_user_params", USER),
        teams: params(litellm, "default_team_params", TEAM),
        team: Vec::new(),
    };
    const SETTINGS: &str = "default_team_settings";
    for layers in [litellm, general] {
        let Some(node) = layers.get(SETTINGS) else { continue };
        match &node.value {
            Value::Sequence(teams) => {
                // Entries may hold logging callbacks, too, which are not ours to check.
                let own = teams.iter().filter_map(|team| team.to_json().as_object().map(known_of_team));
                policy.team.extend(own);
            }
            Value::Mapping(_) | Value::Scalar(_) => {
                let more = object(node, SETTINGS, TEAM, diagnosis);
                policy.teams.extend(more);
            }
        }
    }
    policy
}

/// The fields of an entry that a team has.
fn known_of_team(entry: &api::Object) -> api::Object {
    let known = [api::team::FIELDS, api::terms::TERMS, api::terms::MORE_TERMS].concat();
    let is_known = |(name, value): &(&String, &serde_json::Value)| {
        known.iter().any(|field| field.name == **name && field.kind.check(value).is_ok())
    };
    entry.iter().filter(is_known).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn object(node: &Node, key: &str, known: &[&[Field]], diagnosis: &mut Diagnosis) -> api::Object {
    let fields = node.to_json().as_object().cloned().unwrap_or_default();
    match Body::of(fields, known) {
        Ok(body) => body.fields().clone(),
        Err(problem) => {
            let wrong = format!("`{key}`: {problem}");
            let finding = Finding::error(ProblemKind::WrongValue, wrong)
                .expected("the fields of the management API; see docs/keys.md");
            diagnosis.report(&node.span, finding);
            api::Object::new()
        }
    }
}

/// `allow`, `refuse`, or the USD to hold.
fn unknown_price(tollway: &Layers<'_>, start: &Span, diagnosis: &mut Diagnosis) -> UnknownPrice {
    match tollway.text("unknown_price").as_deref() {
        None | Some("allow") => UnknownPrice::Allow,
        Some("refuse") => UnknownPrice::Refuse,
        Some(_) => {
            amount(tollway, "unknown_price", start, diagnosis).map_or(UnknownPrice::Allow, UnknownPrice::Hold)
        }
    }
}

/// USD, digit for digit.
fn amount(layers: &Layers<'_>, key: &str, start: &Span, diagnosis: &mut Diagnosis) -> Option<NanoUsd> {
    let text = layers.text(key)?;
    match Usd::parse(text.trim()).map(Usd::to_nano) {
        Ok(amount) if amount >= NanoUsd::ZERO => Some(amount),
        Ok(_) => None,
        Err(error) => {
            let wrong = format!("`{key}` is no amount of USD: {error}");
            report(layers, key, start, diagnosis, wrong, "a number such as `100` or `0.05`");
            None
        }
    }
}

fn period(layers: &Layers<'_>, key: &str, start: &Span, diagnosis: &mut Diagnosis) -> Option<Period> {
    match Period::parse(layers.text(key)?.trim()) {
        Ok(period) => Some(period),
        Err(error) => {
            report(
                layers,
                key,
                start,
                diagnosis,
                format!("`{key}`: {error}"),
                "a duration such as `30d`, `24h` or `1mo`",
            );
            None
        }
    }
}

/// What is not said is the ledger's default.
fn retention(
    general: &Layers<'_>,
    tollway: &Layers<'_>,
    start: &Span,
    diagnosis: &mut Diagnosis,
) -> Retention {
    const PERIOD: &str = "maximum_spend_logs_retention_period";
    let mut retention = Retention::default();
    if let Some(text) = general.text(PERIOD) {
        match length(text.trim()) {
            Some(period) => retention.rows_for = period,
            None => {
                let wrong = format!("`{PERIOD}`: `{text}` is no length of time");
                report(
                    general,
                    PERIOD,
                    start,
                    diagnosis,
                    wrong,
                    "a number and a unit, such as `30d` or `12h`",
                );
            }
        }
    }
    if let Some(bytes) = tollway.integer("spend_log_max_bytes") {
        retention.rows_bytes = bytes;
    }
    retention
}

/// `45s`, `30m`, `12h`, `7d`, `4w`.
fn length(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|digit: char| !digit.is_ascii_digit())?);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds).filter(|length| *length > 0).map(Duration::from_secs)
}

fn report(
    layers: &Layers<'_>,
    key: &str,
    start: &Span,
    diagnosis: &mut Diagnosis,
    wrong: String,
    expected: &str,
) {
    let span = layers.written(key).map_or(start, |node: &Node| &node.span);
    diagnosis.report(span, Finding::error(ProblemKind::WrongValue, wrong).expected(expected));
}
