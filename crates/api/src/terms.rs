//! What an entity is allowed: budgets, limits, and what the API keeps for later without a rule that looks at it.

use catalog::NanoUsd;
use ledger::rules::budget::{Allowance, Budget, ModelAllowance, Raise};
use ledger::rules::entity::Details;
use ledger::rules::period::Period;
use ledger::rules::time::Timestamp;
use ledger::rules::zone::Clock;
use serde_json::{Value, json};

use crate::Object;
use crate::body::{Body, Patch};
use crate::field::{self, Field, Kind, field};
use crate::moment;
use crate::problem::Problem;

/// A budget, and how fast it may be used.
pub const TERMS: &[Field] = &[
    field("max_budget", Kind::Amount),
    field("soft_budget", Kind::Amount),
    field("budget_duration", Kind::Duration),
    field("budget_id", Kind::Text),
    field("tpm_limit", Kind::Count),
    field("rpm_limit", Kind::Count),
    field("max_parallel_requests", Kind::Count),
];

/// Further windows, and terms per model.
pub const MORE_TERMS: &[Field] = &[
    field("budget_limits", Kind::List),
    field("model_max_budget", Kind::Object),
    field("model_rpm_limit", Kind::CountMap),
    field("model_tpm_limit", Kind::CountMap),
];

/// More for a while.
pub const RAISE: &[Field] =
    &[field("temp_budget_increase", Kind::Amount), field("temp_budget_expiry", Kind::Moment)];

/// Takes over what a request says about budgets and limits.
///
/// # Errors
/// A field that makes no sense.
pub fn apply(body: &Body, details: &mut Details, now: Timestamp) -> Result<(), Problem> {
    let allowance = &mut details.allowance;
    body.patch("max_budget", Body::amount).apply(&mut allowance.budget.max);
    body.patch("soft_budget", Body::amount).apply(&mut allowance.budget.soft);
    let before = allowance.budget.period;
    body.period("budget_duration").apply(&mut allowance.budget.period);
    if allowance.budget.period != before || allowance.budget.made == Timestamp::default() {
        allowance.budget.made = now;
    }
    body.patch("tpm_limit", Body::count).apply(&mut allowance.limits.tpm);
    body.patch("rpm_limit", Body::count).apply(&mut allowance.limits.rpm);
    let parallel =
        |body: &Body, name: &str| body.count(name).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    body.patch("max_parallel_requests", parallel).apply(&mut allowance.limits.max_parallel_requests);
    body.id("budget_id")?.apply(&mut details.budget_id);
    windows(body, &mut details.allowance, now)?;
    per_model(body, &mut details.allowance, now)?;
    raise(body, &mut details.allowance.budget)?;
    details.allowance.check().map_err(|error| Problem::field(error.field.clone(), error.to_string()))
}

/// `budget_limits: [{budget_duration, max_budget}]`
fn windows(body: &Body, allowance: &mut Allowance, now: Timestamp) -> Result<(), Problem> {
    let list = match body.patch("budget_limits", |body, name| body.list(name)) {
        Patch::Keep => return Ok(()),
        Patch::Clear => {
            allowance.windows.clear();
            return Ok(());
        }
        Patch::Set(list) => list,
    };
    const FIELDS: &[Field] = &[
        field::required("max_budget", Kind::Amount),
        field::required("budget_duration", Kind::Duration),
        field("reset_at", Kind::Any),
    ];
    let windows = list.iter().enumerate().map(|(at, window)| {
        let fields = window.as_object().cloned().ok_or_else(|| {
            Problem::field(format!("budget_limits[{at}]"), format!("`budget_limits[{at}]` must be an object"))
        })?;
        let window = Body::of(fields, &[FIELDS]).map_err(|problem| within("budget_limits", at, problem))?;
        Ok(Budget {
            max: window.amount("max_budget"),
            period: window.period("budget_duration").set(),
            made: now,
            ..Budget::default()
        })
    });
    allowance.windows = windows.collect::<Result<_, Problem>>()?;
    Ok(())
}

fn within(list: &str, at: impl std::fmt::Display, problem: Problem) -> Problem {
    let param =
        problem.param.map_or_else(|| format!("{list}[{at}]"), |param| format!("{list}[{at}].{param}"));
    Problem { message: format!("in `{list}[{at}]`: {}", problem.message), param: Some(param), ..problem }
}

/// `model_max_budget: {model: amount | {budget_limit, time_period} | {max_budget, budget_duration, …}}`,
/// `model_rpm_limit`, `model_tpm_limit`.
fn per_model(body: &Body, allowance: &mut Allowance, now: Timestamp) -> Result<(), Problem> {
    const FIELDS: &[Field] = &[
        field("budget_limit", Kind::Amount),
        field("time_period", Kind::Duration),
        field("max_budget", Kind::Amount),
        field("budget_duration", Kind::Duration),
        field("rpm_limit", Kind::Count),
        field("tpm_limit", Kind::Count),
    ];
    if body.has("model_max_budget") {
        for own in allowance.models.values_mut() {
            own.budget = Budget::default();
        }
    }
    for (model, value) in body.object("model_max_budget").into_iter().flatten() {
        let own = allowance.models.entry(model.clone()).or_default();
        own.budget.made = now;
        let Value::Object(fields) = value else {
            let amount = field::amount(value).map_err(|told| {
                let name = format!("model_max_budget.{model}");
                Problem::field(name.clone(), format!("`{name}` {told}"))
            })?;
            own.budget.max = Some(amount);
            continue;
        };
        let given = Body::of(fields.clone(), &[FIELDS])
            .map_err(|problem| within("model_max_budget", model, problem))?;
        own.budget.max = given.amount("budget_limit").or_else(|| given.amount("max_budget"));
        own.budget.period =
            given.period("time_period").set().or_else(|| given.period("budget_duration").set());
        given.patch("rpm_limit", Body::count).apply(&mut own.limits.rpm);
        given.patch("tpm_limit", Body::count).apply(&mut own.limits.tpm);
    }
    limits_per_model(body, "model_rpm_limit", allowance, |own| &mut own.limits.rpm);
    limits_per_model(body, "model_tpm_limit", allowance, |own| &mut own.limits.tpm);
    allowance.models.retain(|_, own| *own != ModelAllowance::default());
    Ok(())
}

fn limits_per_model(
    body: &Body,
    name: &str,
    allowance: &mut Allowance,
    place: impl Fn(&mut ModelAllowance) -> &mut Option<u64>,
) {
    if !body.has(name) {
        return;
    }
    for own in allowance.models.values_mut() {
        *place(own) = None;
    }
    for (model, value) in body.object(name).into_iter().flatten() {
        *place(allowance.models.entry(model.clone()).or_default()) = field::count(value).ok();
    }
}

fn raise(body: &Body, budget: &mut Budget) -> Result<(), Problem> {
    match (body.amount("temp_budget_increase"), body.moment("temp_budget_expiry")) {
        (Some(by), Some(until)) => budget.raise = Some(Raise { by, until }),
        (Some(_), None) => {
            return Err(Problem::field(
                "temp_budget_expiry",
                "`temp_budget_increase` needs `temp_budget_expiry`: the date or time until which it holds",
            ));
        }
        (None, _) if body.has("temp_budget_increase") => budget.raise = None,
        (None, _) => {}
    }
    Ok(())
}

/// Budgets and limits as rows show them.
#[must_use]
pub fn show(details: &Details, clock: &Clock) -> Object {
    let Allowance { budget, windows, limits, models } = &details.allowance;
    let windows: Vec<Value> = windows
        .iter()
        .map(|window| {
            json!({
                "max_budget": window.max,
                "budget_duration": window.period.map(|period| period.to_string()),
                "reset_at": window.period.map(|_| moment::iso(window.window(clock.now, &clock.zone).end)),
            })
        })
        .collect();
    let mut row = Object::new();
    row.insert("max_budget".to_owned(), json!(budget.max));
    row.insert("soft_budget".to_owned(), json!(budget.soft));
    row.insert("budget_duration".to_owned(), json!(budget.period.map(|period| period.to_string())));
    row.insert(
        "budget_reset_at".to_owned(),
        json!(budget.period.map(|_| moment::iso(budget.window(clock.now, &clock.zone).end))),
    );
    row.insert("budget_limits".to_owned(), if windows.is_empty() { Value::Null } else { json!(windows) });
    row.insert("budget_id".to_owned(), json!(details.budget_id));
    row.insert("tpm_limit".to_owned(), json!(limits.tpm));
    row.insert("rpm_limit".to_owned(), json!(limits.rpm));
    row.insert("max_parallel_requests".to_owned(), json!(limits.max_parallel_requests));
    let budgets = models.iter().filter(|(_, own)| own.budget.max.is_some());
    row.insert(
        "model_max_budget".to_owned(),
        budgets.map(|(model, own)| (model.clone(), of_model(own))).collect(),
    );
    let limit = |place: fn(&ModelAllowance) -> Option<u64>| -> Value {
        let limits = models.iter().filter_map(|(model, own)| Some((model.clone(), json!(place(own)?))));
        let limits: Object = limits.collect();
        if limits.is_empty() { Value::Null } else { Value::Object(limits) }
    };
    row.insert("model_rpm_limit".to_owned(), limit(|own| own.limits.rpm));
    row.insert("model_tpm_limit".to_owned(), limit(|own| own.limits.tpm));
    if let Some(Raise { by, until }) = budget.raise {
        row.insert("temp_budget_increase".to_owned(), json!(by));
        row.insert("temp_budget_expiry".to_owned(), json!(moment::iso(until)));
    }
    row
}

fn of_model(own: &ModelAllowance) -> Value {
    json!({
        "budget_limit": own.budget.max,
        "time_period": own.budget.period.map(|period| period.to_string()),
    })
}

/// What somebody spent, as the store knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spend {
    /// Since the budget began anew; that is what LiteLLM calls `spend`.
    pub current: NanoUsd,
    /// For good.
    pub total: NanoUsd,
}

/// The window in which [`Spend::current`] is: its budget's period, if it has one, and the window's beginning.
#[must_use]
pub fn current_window(details: &Details, clock: &Clock) -> (Option<Period>, Timestamp) {
    let budget = &details.allowance.budget;
    (budget.period, budget.window(clock.now, &clock.zone).start)
}

/// Fields that are kept as they were given.
pub fn keep(body: &Body, fields: &[Field], details: &mut Details) {
    for field in fields {
        match body.fields().get(field.name) {
            None => {}
            Some(Value::Null) => _ = details.extra.remove(field.name),
            Some(value) => _ = details.extra.insert(field.name.to_owned(), value.clone()),
        }
    }
}

/// Shows what was kept; what was not is `null`, or an empty object or list where LiteLLM's rows have one.
pub fn show_kept(details: &Details, fields: &[Field], row: &mut Object) {
    for field in fields {
        let empty = match (field.name, field.kind) {
            ("metadata" | "config" | "permissions" | "model_info", _) => json!({}),
            (_, Kind::Texts) => json!([]),
            _ => Value::Null,
        };
        row.insert(field.name.to_owned(), details.extra.get(field.name).cloned().unwrap_or(empty));
    }
}

/// Who made it and when.
pub fn show_history(details: &Details, row: &mut Object) {
    row.insert("created_at".to_owned(), json!(moment::iso(details.created_at)));
    row.insert("created_by".to_owned(), json!(details.created_by));
    row.insert("updated_at".to_owned(), json!(moment::iso(details.updated_at)));
    row.insert("updated_by".to_owned(), json!(details.updated_by));
}

/// Notes who changes it now.
pub fn touch(details: &mut Details, by: &str, now: Timestamp) {
    if details.created_at == Timestamp::default() {
        details.created_at = now;
        details.created_by = Some(by.to_owned());
    }
    details.updated_at = now;
    details.updated_by = Some(by.to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_254_233_000);

    fn body(text: &str) -> Body {
        Body::read(text.as_bytes(), &[TERMS, MORE_TERMS, RAISE]).unwrap()
    }

    fn applied(text: &str) -> Details {
        let mut details = Details::default();
        apply(&body(text), &mut details, NOW).unwrap();
        details
    }

    fn problem(text: &str) -> (String, String) {
        let problem = apply(&body(text), &mut Details::default(), NOW).unwrap_err();
        (problem.param.unwrap_or_default(), problem.message)
    }

    #[test]
    fn what_is_given_is_shown() {
        let details = applied(
            r#"{"max_budget":10,"budget_duration":"30d","rpm_limit":60,"budget_limits":
                [{"max_budget":1,"budget_duration":"24h"}],"model_rpm_limit":{"gpt-4o":5},
                "model_max_budget":{"gpt-4o":{"budget_limit":"0.5","time_period":"1d"},"o3":2}}"#,
        );
        let row = show(&details, &Clock { now: NOW, ..Clock::default() });
        assert_eq!(row["max_budget"].to_string(), "10.0");
        assert_eq!(row["budget_reset_at"], "2026-12-01T00:00:00.000000Z");
        assert_eq!(row["budget_limits"][0]["reset_at"], "2026-11-22T00:00:00.000000Z");
        assert_eq!(row["model_rpm_limit"], json!({"gpt-4o": 5}));
        assert_eq!(row["model_max_budget"]["gpt-4o"], json!({"budget_limit": 0.5, "time_period": "1d"}));
        assert_eq!(details.allowance.models["o3"].budget.max, Some(NanoUsd(2_000_000_000)));
    }

    #[test]
    fn null_takes_away_and_absence_keeps() {
        let mut details = applied(r#"{"max_budget":10,"budget_duration":"30d","tpm_limit":7}"#);
        apply(&body(r#"{"max_budget":null,"budget_duration":"-1"}"#), &mut details, NOW).unwrap();
        assert_eq!(details.allowance.budget.max, None);
        assert_eq!(details.allowance.budget.period, None);
        assert_eq!(details.allowance.limits.tpm, Some(7));
    }

    #[test]
    fn a_mistake_inside_a_list_is_named_with_its_place() {
        let (param, message) = problem(r#"{"budget_limits":[{"max_budget":1,"budget_duratoin":"1d"}]}"#);
        assert_eq!(param, "budget_limits[0].budget_duratoin");
        assert!(message.contains("nearest: `budget_duration`"), "{message}");
        assert_eq!(problem(r#"{"model_max_budget":{"o3":-1}}"#).0, "model_max_budget.o3");
        assert_eq!(problem(r#"{"temp_budget_increase":5}"#).0, "temp_budget_expiry");
    }
}
