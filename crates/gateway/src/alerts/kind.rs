//! What alerts there are: the names of `general_settings.alert_types`.

use ledger::rules::entity::{Key, RuntimeModel, Team, User};
use ledger::store::Record;

/// A kind of alert that can be wanted or not. All but [`ExpiringKeys`](Self::ExpiringKeys) are LiteLLM's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum AlertKind {
    LlmExceptions,
    LlmTooSlow,
    BudgetAlerts,
    FailedTrackingSpend,
    DbExceptions,
    CooldownDeployment,
    OutageAlerts,
    NewModelAdded,
    ExpiringKeys,
    NewVirtualKeyCreated,
    VirtualKeyUpdated,
    VirtualKeyDeleted,
    NewTeamCreated,
    TeamUpdated,
    TeamDeleted,
    NewInternalUserCreated,
    InternalUserUpdated,
    InternalUserDeleted,
}

/// LiteLLM's kinds that this version does not raise.
pub(crate) const NOT_RAISED: &[&str] = &[
    "llm_requests_hanging",
    "spend_reports",
    "user_spend_thresholds",
    "user_spend_anomalies",
    "daily_reports",
    "model_deprecation_warnings",
    "region_outage_alerts",
    "fallback_reports",
    "mcp_tool_description_blocked",
    "mcp_pinned_tools_changed",
];

impl AlertKind {
    /// All that are raised.
    pub const ALL: [Self; 18] = [
        Self::LlmExceptions,
        Self::LlmTooSlow,
        Self::BudgetAlerts,
        Self::FailedTrackingSpend,
        Self::DbExceptions,
        Self::CooldownDeployment,
        Self::OutageAlerts,
        Self::NewModelAdded,
        Self::ExpiringKeys,
        Self::NewVirtualKeyCreated,
        Self::VirtualKeyUpdated,
        Self::VirtualKeyDeleted,
        Self::NewTeamCreated,
        Self::TeamUpdated,
        Self::TeamDeleted,
        Self::NewInternalUserCreated,
        Self::InternalUserUpdated,
        Self::InternalUserDeleted,
    ];

    /// As a configuration names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LlmExceptions => "llm_exceptions",
            Self::LlmTooSlow => "llm_too_slow",
            Self::BudgetAlerts => "budget_alerts",
            Self::FailedTrackingSpend => "failed_tracking_spend",
            Self::DbExceptions => "db_exceptions",
            Self::CooldownDeployment => "cooldown_deployment",
            Self::OutageAlerts => "outage_alerts",
            Self::NewModelAdded => "new_model_added",
            Self::ExpiringKeys => "expiring_keys",
            Self::NewVirtualKeyCreated => "new_virtual_key_created",
            Self::VirtualKeyUpdated => "virtual_key_updated",
            Self::VirtualKeyDeleted => "virtual_key_deleted",
            Self::NewTeamCreated => "new_team_created",
            Self::TeamUpdated => "team_updated",
            Self::TeamDeleted => "team_deleted",
            Self::NewInternalUserCreated => "new_internal_user_created",
            Self::InternalUserUpdated => "internal_user_updated",
            Self::InternalUserDeleted => "internal_user_deleted",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it is wanted where `alert_types` says nothing: changes of keys, teams and users are not, as in LiteLLM.
    #[must_use]
    pub fn is_usual(self) -> bool {
        self < Self::NewVirtualKeyCreated
    }

    /// Whether it is about somebody's own budget or key, so that they get it too.
    #[must_use]
    pub fn concerns_owner(self) -> bool {
        matches!(self, Self::BudgetAlerts | Self::ExpiringKeys)
    }

    /// What a change of an entity is, as the log of changes names both.
    #[must_use]
    pub(crate) fn of_change(entity: &str, action: &str) -> Option<Self> {
        let [made, changed, deleted] = match entity {
            Key::KIND => [Self::NewVirtualKeyCreated, Self::VirtualKeyUpdated, Self::VirtualKeyDeleted],
            Team::KIND => [Self::NewTeamCreated, Self::TeamUpdated, Self::TeamDeleted],
            User::KIND => {
                [Self::NewInternalUserCreated, Self::InternalUserUpdated, Self::InternalUserDeleted]
            }
            RuntimeModel::KIND if action == "created" => return Some(Self::NewModelAdded),
            _ => return None,
        };
        Some(match action {
            "created" => made,
            "deleted" => deleted,
            _ => changed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for kind in AlertKind::ALL {
            assert_eq!(AlertKind::of_name(kind.name()), Some(kind));
            assert!(!NOT_RAISED.contains(&kind.name()), "{}", kind.name());
        }
        let usual = AlertKind::ALL.into_iter().filter(|kind| kind.is_usual()).count();
        assert_eq!(usual, 9);
    }

    #[test]
    fn changes_are_told_by_what_they_changed() {
        assert_eq!(AlertKind::of_change("key", "rotated"), Some(AlertKind::VirtualKeyUpdated));
        assert_eq!(AlertKind::of_change("team", "deleted"), Some(AlertKind::TeamDeleted));
        assert_eq!(AlertKind::of_change(RuntimeModel::KIND, "created"), Some(AlertKind::NewModelAdded));
        assert_eq!(AlertKind::of_change(RuntimeModel::KIND, "updated"), None);
        assert_eq!(AlertKind::of_change("budget", "created"), None);
    }
}
