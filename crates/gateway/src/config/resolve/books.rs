//! Keys, budgets and spend: `general_settings`, `litellm_settings` and `tollway`, as far as they are about money.

use std::path::PathBuf;

use catalog::{NanoUsd, Usd};
use ledger::journal::WhenFull;
use ledger::rules::budget::{Allowance, Budget};
use ledger::rules::circle::Policy;
use ledger::rules::period::Period;

use super::layers::Layers;
use crate::config::diagnose::{Diagnosis, Finding, ProblemKind};
use crate::config::raw::{Node, Span};
use crate::config::references::Environment;
use crate::config::resolved::{BooksConfig, UnknownPrice};

/// LiteLLM's status for an exceeded budget.
const OVER_BUDGET: u16 = 422;

pub(super) fn config(
    [general, litellm, tollway]: [&Layers<'_>; 3],
    start: &Span,
    environment: &Environment<'_>,
    diagnosis: &mut Diagnosis,
) -> BooksConfig {
    let budget = Budget {
        max: amount(litellm, "max_budget", start, diagnosis),
        period: period(litellm, "budget_duration", start, diagnosis),
        ..Budget::default()
    };
    let status = litellm.integer("budget_exceeded_status_code").and_then(|status| u16::try_from(status).ok());
    BooksConfig {
        folder: tollway.text("data_folder").or_else(|| environment.get("TOLLWAY_DATA")).map(PathBuf::from),
        when_full: match tollway.text("journal_when_full").as_deref() {
            Some("serve") => WhenFull::ServeUnbooked,
            _ => WhenFull::Refuse,
        },
        policy: Policy {
            gateway: Allowance { budget, ..Allowance::default() },
            user_terms_on_team_keys: general.bool("apply_user_budget_to_team_keys").unwrap_or(false),
        },
        over_budget_status: status.filter(|status| (400..600).contains(status)).unwrap_or(OVER_BUDGET),
        unknown_price: unknown_price(tollway, start, diagnosis),
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
