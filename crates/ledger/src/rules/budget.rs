//! How much may be spent.

use std::fmt;

use catalog::NanoUsd;
use serde::{Deserialize, Serialize};

use super::limit::Limits;
use super::nano;
use super::period::{Period, Span};
use super::time::Timestamp;
use super::zone::Zone;

/// An amount per period, or for good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Budget {
    /// More than this is refused.
    #[serde(with = "nano::option", skip_serializing_if = "Option::is_none")]
    pub max: Option<NanoUsd>,
    /// Crossing this raises an alert and refuses nothing.
    #[serde(with = "nano::option", skip_serializing_if = "Option::is_none")]
    pub soft: Option<NanoUsd>,
    /// How often it begins anew; `None`: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
    /// When it was made: the windows of some periods are counted from that day.
    pub made: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raise: Option<Raise>,
}

/// A temporary increase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raise {
    #[serde(with = "nano")]
    pub by: NanoUsd,
    pub until: Timestamp,
}

impl Budget {
    /// A budget of this much, for good.
    #[must_use]
    pub fn of(max: NanoUsd) -> Self {
        Self { max: Some(max), ..Self::default() }
    }

    /// The most that may be spent now, with a temporary increase.
    #[must_use]
    pub fn max_at(&self, now: Timestamp) -> Option<NanoUsd> {
        let raise = self.raise.filter(|raise| now < raise.until).map_or(NanoUsd::ZERO, |raise| raise.by);
        self.max.map(|max| max.saturating_add(raise))
    }

    /// The window that a moment is in.
    #[must_use]
    pub fn window(&self, at: Timestamp, zone: &Zone) -> Span {
        self.period.map_or(Span::ALWAYS, |period| period.window(at, self.made, zone))
    }

    /// The same window, with nothing that could refuse.
    pub(super) fn unbounded(&self) -> Self {
        Self { max: None, raise: None, ..self.clone() }
    }

    fn or(&self, other: &Self) -> Self {
        if self.max.is_none() && self.soft.is_none() && self.period.is_none() {
            return Self { raise: self.raise.or(other.raise), ..other.clone() };
        }
        self.clone()
    }
}

/// What one account must respect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// All of them hold at once.
    pub budgets: Vec<Budget>,
    pub limits: Limits,
    /// Where the days begin that budgets are counted by.
    pub zone: Zone,
}

impl Terms {
    /// The same windows, with nothing that could refuse.
    #[must_use]
    pub fn unbounded(&self) -> Self {
        Self {
            budgets: self.budgets.iter().map(Budget::unbounded).collect(),
            limits: Limits::default(),
            zone: self.zone.clone(),
        }
    }
}

/// What an entity's administrator allowed it: for all its use, and per model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Allowance {
    /// `max_budget`, `soft_budget`, `budget_duration`.
    pub budget: Budget,
    /// `budget_limits`: further windows that hold at the same time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Budget>,
    pub limits: Limits,
    /// `model_max_budget`, `model_rpm_limit`, `model_tpm_limit`, by model name.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub models: std::collections::BTreeMap<String, ModelAllowance>,
}

/// An allowance that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadAllowance {
    /// As the management API calls it: `model_max_budget.gpt-4o`.
    pub field: String,
    why: &'static str,
}

impl fmt::Display for BadAllowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.field, self.why)
    }
}

impl std::error::Error for BadAllowance {}

/// What an entity may use of one model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelAllowance {
    pub budget: Budget,
    pub limits: Limits,
}

impl Allowance {
    /// Whether it makes sense.
    ///
    /// # Errors
    /// The first field that does not.
    pub fn check(&self) -> Result<(), BadAllowance> {
        let not_negative = |field: String, amount: Option<NanoUsd>| match amount {
            Some(amount) if amount < NanoUsd::ZERO => {
                Err(BadAllowance { field, why: "may not be negative; for no budget leave it out" })
            }
            Some(_) | None => Ok(()),
        };
        not_negative("max_budget".to_owned(), self.budget.max)?;
        not_negative("soft_budget".to_owned(), self.budget.soft)?;
        for (at, window) in self.windows.iter().enumerate() {
            not_negative(format!("budget_limits[{at}].max_budget"), window.max)?;
            if window.period.is_none() {
                let field = format!("budget_limits[{at}].budget_duration");
                return Err(BadAllowance { field, why: "is missing; write a duration such as `24h`" });
            }
        }
        for (model, own) in &self.models {
            not_negative(format!("model_max_budget.{model}"), own.budget.max)?;
        }
        Ok(())
    }

    /// The terms of all its use.
    #[must_use]
    pub fn terms(&self, zone: &Zone) -> Terms {
        Terms {
            budgets: std::iter::once(&self.budget).chain(&self.windows).cloned().collect(),
            limits: self.limits,
            zone: zone.clone(),
        }
    }

    /// The terms of its use of one model, if it has some. As in LiteLLM, a name with a provider's prefix falls under
    /// the terms for the name without.
    #[must_use]
    pub fn model_terms(&self, model: &str, zone: &Zone) -> Option<Terms> {
        let bare = model.split_once('/').map_or(model, |(_, bare)| bare);
        let own = self.models.get(model).or_else(|| self.models.get(bare))?;
        Some(Terms { budgets: vec![own.budget.clone()], limits: own.limits, zone: zone.clone() })
    }

    /// These, and where they say nothing those of a shared budget (`budget_id`).
    #[must_use]
    pub fn or(&self, shared: &Self) -> Self {
        Self {
            budget: self.budget.or(&shared.budget),
            windows: if self.windows.is_empty() { shared.windows.clone() } else { self.windows.clone() },
            limits: self.limits.or(shared.limits),
            models: if self.models.is_empty() { shared.models.clone() } else { self.models.clone() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_named() {
        let wrong = |allowance: Allowance| allowance.check().unwrap_err().to_string();
        let negative = Budget::of(NanoUsd(-1));
        let of_model = ModelAllowance { budget: negative.clone(), ..ModelAllowance::default() };
        assert_eq!(Allowance::default().check(), Ok(()));
        assert_eq!(
            wrong(Allowance { budget: negative, ..Allowance::default() }),
            "`max_budget` may not be negative; for no budget leave it out"
        );
        assert_eq!(
            wrong(Allowance { windows: vec![Budget::of(NanoUsd(1))], ..Allowance::default() }),
            "`budget_limits[0].budget_duration` is missing; write a duration such as `24h`"
        );
        let models = [("gpt-4o".to_owned(), of_model)].into();
        let told = wrong(Allowance { models, ..Allowance::default() });
        assert!(told.starts_with("`model_max_budget.gpt-4o` may not"), "{told}");
    }
}
