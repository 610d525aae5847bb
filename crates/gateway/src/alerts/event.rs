//! Things that somebody should be told about.

use std::time::Duration;

use catalog::NanoUsd;
use ledger::rules::account::{Account, Scope};
use ledger::rules::entity::{Key, RuntimeModel, Team, User};
use ledger::rules::id::{KeyId, TeamId, UserId};
use ledger::rules::ledger::{Crossing, Line};
use ledger::rules::period::Span;
use ledger::rules::refusal::OverBudget;
use ledger::rules::time::Timestamp;
use ledger::store::{Change, Record};

use super::kind::AlertKind;
use super::outage::Outage;
use super::settings::AlertSettings;

/// How long the same failure, or the same slowness, is not told again.
const FAILURE_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// How long an outage is not told again.
const OUTAGE_AGAIN_AFTER: Duration = Duration::from_secs(900);

/// Something that somebody should be told about.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Alert {
    pub(super) kind: AlertKind,
    /// LiteLLM's `event` of a webhook, or the kind's name where LiteLLM has none.
    pub(super) event: &'static str,
    pub(super) level: Level,
    pub(super) about: About,
    /// For people.
    pub(super) message: String,
    pub(super) money: Option<Money>,
    pub(super) once: Once,
}

/// How urgent it is; LiteLLM's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Low,
    Medium,
    High,
}

impl Level {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
        }
    }
}

/// Whom or what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum About {
    Gateway,
    Account(Account),
}

/// Figures of a budget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Money {
    pub(super) spend: NanoUsd,
    pub(super) max: Option<NanoUsd>,
    pub(super) soft: Option<NanoUsd>,
    /// What it will be at the end of the window, if it goes on so, and when it will be too much.
    pub(super) projected: Option<(NanoUsd, Timestamp)>,
}

/// By what it is known, and how long it is not told again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Once {
    pub(super) name: String,
    pub(super) again_after: Duration,
}

impl Alert {
    /// Spend crossed a line of a budget. Half of it is told only where the rest will not last.
    pub(super) fn crossing(crossing: &Crossing, settings: &AlertSettings) -> Option<Self> {
        let &Crossing { ref account, line, spend, max, soft, window, at, .. } = crossing;
        let mut money = Money { spend, max, soft, projected: None };
        let (event, level, what) = match line {
            Line::Max => return Some(Self::budget_crossed(account, money, window.end, settings)),
            Line::Soft => {
                let soft = crossing.amount;
                ("soft_budget_crossed", Level::Low, format!("Soft Budget Crossed Total Soft Budget:`{soft}`"))
            }
            Line::Percent(percent) => (
                "threshold_crossed",
                Level::Medium,
                format!("{}% Threshold Crossed", 100_u8.saturating_sub(percent)),
            ),
            Line::Half => {
                let end = soft.or(max)?;
                let (projected, exceeded) = project(spend, end, window, at)?;
                money.projected = Some((projected, exceeded));
                let told = format!(
                    "Projected Limit Exceeded: at this rate `{projected}` of `{end}` will be spent, and all of it on {}",
                    exceeded.day()
                );
                ("projected_limit_exceeded", Level::Low, told)
            }
        };
        let what = format!("{}: {what}", budget_name(account));
        // The lines of one event have names of their own.
        let name = format!("{event}:{}:{line:?}:{}", name_of(account), window.end.0);
        Some(Self {
            kind: AlertKind::BudgetAlerts,
            event,
            level,
            about: About::Account(account.clone()),
            message: what,
            money: Some(money),
            once: Once { name, again_after: settings.budget_again_after },
        })
    }

    /// A request was refused since a budget has not enough left.
    pub(super) fn over_budget(over: &OverBudget, settings: &AlertSettings) -> Self {
        let money = Money { spend: over.spend, max: Some(over.max), ..Money::default() };
        Self::budget_crossed(&over.account, money, over.resets_at.unwrap_or(Span::ALWAYS.end), settings)
    }

    fn budget_crossed(account: &Account, money: Money, end: Timestamp, settings: &AlertSettings) -> Self {
        let max = money.max.unwrap_or_default();
        Self {
            kind: AlertKind::BudgetAlerts,
            event: "budget_crossed",
            level: Level::High,
            about: About::Account(account.clone()),
            message: format!("{}: Budget Crossed Total Budget:`{max}`", budget_name(account)),
            money: Some(money),
            once: Once {
                name: format!("budget_crossed:{}:{}", name_of(account), end.0),
                again_after: settings.budget_again_after,
            },
        }
    }

    /// A deployment is left alone for a while.
    pub(super) fn cooled_down(deployment: &str, length: Duration, reason: &str) -> Self {
        Self::of_gateway(
            AlertKind::CooldownDeployment,
            Level::Medium,
            format!("Deployment `{deployment}` is left alone for {} s: {reason}", length.as_secs()),
            format!("cooldown_deployment:{deployment}"),
            length.max(FAILURE_AGAIN_AFTER),
        )
    }

    pub(super) fn outage(deployment: &str, outage: Outage, failures: usize, window: Duration) -> Self {
        let (word, level) = match outage {
            Outage::Minor => ("Minor", Level::Medium),
            Outage::Major => ("Major", Level::High),
        };
        Self::of_gateway(
            AlertKind::OutageAlerts,
            level,
            format!(
                "{word} Service Outage: `{deployment}` failed {failures} times within {} s",
                window.as_secs()
            ),
            format!("outage_alerts:{word}:{deployment}"),
            OUTAGE_AGAIN_AFTER,
        )
    }

    pub(super) fn call_failed(deployment: &str, group: &str, status: u16, error: &str) -> Self {
        Self::of_gateway(
            AlertKind::LlmExceptions,
            Level::High,
            format!("LLM API call failed: `{group}` on `{deployment}` answered {status}: {}", short(error)),
            format!("llm_exceptions:{deployment}:{status}"),
            FAILURE_AGAIN_AFTER,
        )
    }

    pub(super) fn too_slow(group: &str, took: Duration, bound: Duration) -> Self {
        Self::of_gateway(
            AlertKind::LlmTooSlow,
            Level::Low,
            format!(
                "Responses are slow: a request to `{group}` took {:.2} s > {} s",
                took.as_secs_f64(),
                bound.as_secs_f64()
            ),
            format!("llm_too_slow:{group}"),
            FAILURE_AGAIN_AFTER,
        )
    }

    pub(super) fn database_away(cause: &str) -> Self {
        Self::of_gateway(
            AlertKind::DbExceptions,
            Level::High,
            format!("The database takes no bookings; they wait in the journal: {}", short(cause)),
            "db_exceptions".to_owned(),
            OUTAGE_AGAIN_AFTER,
        )
    }

    pub(super) fn not_booked(cause: &str) -> Self {
        Self::of_gateway(
            AlertKind::FailedTrackingSpend,
            Level::High,
            format!("A request could not be written into the journal, its cost is lost: {}", short(cause)),
            "failed_tracking_spend".to_owned(),
            OUTAGE_AGAIN_AFTER,
        )
    }

    /// An entity was made, changed or deleted: an entry of the log of changes.
    pub(super) fn change(kind: AlertKind, change: &Change) -> Self {
        let Change { id, action, by, object, .. } = change;
        let event = match kind {
            AlertKind::NewVirtualKeyCreated => "key_created",
            AlertKind::VirtualKeyUpdated if action == "rotated" => "key_rotated",
            AlertKind::NewInternalUserCreated => "internal_user_created",
            other => other.name(),
        };
        let (what, scope) = match change.kind.as_str() {
            Key::KIND => ("Key", KeyId::new(object).ok().map(Scope::Key)),
            Team::KIND => ("Team", TeamId::new(object).ok().map(Scope::Team)),
            User::KIND => ("User", UserId::new(object).ok().map(Scope::User)),
            RuntimeModel::KIND => ("Model", None),
            other => (other, None),
        };
        let message = format!("{what} `{object}` {action} by `{by}`");
        Self {
            event,
            about: scope.map_or(About::Gateway, |scope| About::Account(Account::of(scope))),
            ..Self::of_gateway(kind, Level::Low, message, format!("change:{id}"), FAILURE_AGAIN_AFTER)
        }
    }

    /// A key ends soon.
    pub(super) fn expiring(key: Scope, name: &str, at: Timestamp, now: Timestamp) -> Self {
        let left = now.until(at);
        let days = left.as_secs() / 86_400;
        let left = if days > 0 { format!("{days} d") } else { format!("{} h", left.as_secs() / 3600) };
        let account = Account::of(key);
        Self {
            kind: AlertKind::ExpiringKeys,
            event: AlertKind::ExpiringKeys.name(),
            level: Level::Medium,
            message: format!("Key `{name}` expires in {left}, on {at}"),
            money: None,
            once: Once {
                name: format!("expiring_keys:{}:{}", name_of(&account), at.0),
                // Another end is another name; this one is told once.
                again_after: now.until(at) + Duration::from_secs(86_400),
            },
            about: About::Account(account),
        }
    }

    /// Asked for by the operator, to see whether it arrives. LiteLLM's example.
    pub(super) fn test(unique: &str) -> Self {
        let money = Money { spend: NanoUsd(1_000_000_000), max: Some(NanoUsd::ZERO), ..Money::default() };
        Self {
            event: "budget_crossed",
            money: Some(money),
            ..Self::of_gateway(
                AlertKind::BudgetAlerts,
                Level::Low,
                "This is a test alert, asked for with GET /health/services".to_owned(),
                format!("test:{unique}"),
                FAILURE_AGAIN_AFTER,
            )
        }
    }

    fn of_gateway(
        kind: AlertKind,
        level: Level,
        message: String,
        name: String,
        again_after: Duration,
    ) -> Self {
        let once = Once { name, again_after };
        Self { kind, event: kind.name(), level, about: About::Gateway, message, money: None, once }
    }
}

/// What will be spent at the end of a window, if it goes on as until now, and when it will be `end`. `None`: no more
/// than that, or there is no end of the window.
fn project(spend: NanoUsd, end: NanoUsd, window: Span, at: Timestamp) -> Option<(NanoUsd, Timestamp)> {
    if window.end == Timestamp::MAX || spend <= NanoUsd::ZERO {
        return None;
    }
    let elapsed = i128::from(at.0.saturating_sub(window.start.0)).max(1);
    let length = i128::from(window.end.0.saturating_sub(window.start.0));
    let projected = i64::try_from(i128::from(spend.0) * length / elapsed).unwrap_or(i64::MAX);
    let until = i64::try_from(elapsed * i128::from(end.0) / i128::from(spend.0)).ok()?;
    (projected > end.0).then(|| (NanoUsd(projected), Timestamp(window.start.0.saturating_add(until))))
}

/// LiteLLM's name for the budget.
fn budget_name(account: &Account) -> String {
    let whose = match &account.scope {
        Scope::Gateway => "Proxy",
        Scope::Organization(_) => "Organization",
        Scope::Team(_) => "Team",
        Scope::Member(..) => "Team Member",
        Scope::User(_) => "User",
        Scope::Key(_) => "Key",
        Scope::Customer(_) => "End User",
        Scope::Tag(_) => "Tag",
        Scope::AccessGroup(_) => "Access Group",
        Scope::Provider(_) => "Provider",
        Scope::Deployment(_) => "Deployment",
        Scope::Model(_) => "Model",
    };
    match &account.model {
        Some(model) => format!("{whose} Budget for `{model}`"),
        None => format!("{whose} Budget"),
    }
}

/// A name that no other account has.
fn name_of(account: &Account) -> String {
    let model = account.model.as_ref().map_or("", |model| model.as_str());
    format!("{}:{}:{model}", account.scope.kind(), account.scope.id())
}

/// The first line of an error; providers' may be pages long.
fn short(error: &str) -> String {
    error.lines().next().unwrap_or_default().chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use ledger::rules::id::ModelName;
    use proptest::prelude::*;

    use super::*;

    fn usd(dollars: i64) -> NanoUsd {
        NanoUsd(dollars * 1_000_000_000)
    }

    fn crossing(line: Line, amount: NanoUsd) -> Crossing {
        Crossing {
            account: Account::of(Scope::Key(KeyId::new("k").unwrap())),
            line,
            amount,
            spend: amount,
            max: Some(usd(100)),
            soft: Some(usd(50)),
            period: None,
            window: Span { start: Timestamp(0), end: Timestamp(10 * 86_400_000) },
            at: Timestamp(86_400_000),
        }
    }

    fn crossing_at(line: Line) -> Crossing {
        crossing(line, usd(90))
    }

    fn told(crossing: &Crossing) -> Alert {
        Alert::crossing(crossing, &AlertSettings::default()).unwrap()
    }

    #[test]
    fn lines_of_a_budget_are_litellms_events() {
        let of = |line, dollars| {
            let alert = told(&crossing(line, usd(dollars)));
            (alert.event, alert.message)
        };
        assert_eq!(
            of(Line::Max, 100),
            ("budget_crossed", "Key Budget: Budget Crossed Total Budget:`100.0`".into())
        );
        assert_eq!(
            of(Line::Soft, 50),
            ("soft_budget_crossed", "Key Budget: Soft Budget Crossed Total Soft Budget:`50.0`".into())
        );
        assert_eq!(
            of(Line::Percent(85), 85),
            ("threshold_crossed", "Key Budget: 15% Threshold Crossed".into())
        );
        assert_eq!(
            of(Line::Percent(95), 95),
            ("threshold_crossed", "Key Budget: 5% Threshold Crossed".into())
        );
        let mut of_model = crossing(Line::Max, usd(100));
        of_model.account.model = Some(ModelName::new("gpt-4o").unwrap());
        assert!(told(&of_model).message.starts_with("Key Budget for `gpt-4o`: "));
    }

    #[test]
    fn half_of_a_budget_is_told_where_the_rest_will_not_last() {
        let alert = told(&crossing(Line::Half, usd(25)));
        assert_eq!(alert.event, "projected_limit_exceeded");
        // 25 in the first of ten days: 50 in two.
        assert_eq!(alert.money.unwrap().projected, Some((usd(250), Timestamp(2 * 86_400_000))));
        let late = Crossing { at: Timestamp(6 * 86_400_000), ..crossing(Line::Half, usd(25)) };
        assert_eq!(Alert::crossing(&late, &AlertSettings::default()), None);
        let endless = Crossing { window: Span::ALWAYS, ..crossing(Line::Half, usd(25)) };
        assert_eq!(Alert::crossing(&endless, &AlertSettings::default()), None);
    }

    #[test]
    fn a_refusal_and_the_crossing_before_it_are_one_thing_and_the_next_window_is_another() {
        let crossing = crossing(Line::Max, usd(100));
        let over = OverBudget {
            account: crossing.account.clone(),
            spend: usd(100),
            held: NanoUsd::ZERO,
            asked: NanoUsd(1),
            max: usd(100),
            resets_at: Some(crossing.window.end),
            retry_after: None,
        };
        let settings = AlertSettings::default();
        assert_eq!(told(&crossing).once, Alert::over_budget(&over, &settings).once);
        let next = OverBudget { resets_at: Some(Timestamp(20 * 86_400_000)), ..over };
        assert_ne!(told(&crossing).once.name, Alert::over_budget(&next, &settings).once.name);
        let lines = [Line::Percent(85), Line::Percent(95), Line::Soft, Line::Max];
        let names = lines.map(|line| told(&crossing_at(line)).once.name);
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), lines.len());
    }

    proptest! {
        #[test]
        fn what_is_projected_is_beyond_the_end_and_within_the_window(
            spend in 1_i64.., end in 1_i64.., start in 0_i64..1 << 50, length in 1_i64..1 << 40, at in 0_i64..1 << 40,
        ) {
            let window = Span { start: Timestamp(start), end: Timestamp(start + length) };
            let at = Timestamp(start + at.min(length - 1));
            if let Some((projected, exceeded)) = project(NanoUsd(spend), NanoUsd(end), window, at) {
                prop_assert!(projected > NanoUsd(end));
                prop_assert!(window.start <= exceeded && exceeded <= window.end);
            }
        }
    }
}
