//! LiteLLM's webhook event: one JSON object of fixed fields. What is no matter of a budget has a spend of 0.
//! <https://docs.litellm.ai/docs/proxy/alerting> (read 2026-11-21)

use serde_json::{Value, json};

use super::Notice;
use crate::alerts::event::Money;

pub(super) fn event(notice: &Notice) -> Value {
    let Notice { alert, subject, .. } = notice;
    let Money { spend, max, soft, projected } = alert.money.clone().unwrap_or_default();
    let (projected_spend, exceeded) = projected.unzip();
    json!({
        "spend": spend,
        "max_budget": max,
        "soft_budget": soft,
        "token": subject.token,
        "customer_id": subject.customer_id,
        "user_id": subject.user_id,
        "internal_user_id": subject.user_id,
        "team_id": subject.team_id,
        "team_alias": subject.team_alias,
        "organization_id": subject.organization_id,
        "organization_alias": subject.organization_alias,
        "user_email": subject.user_email,
        "key_alias": subject.key_alias,
        "projected_exceeded_date": exceeded.map(|at| at.day().to_string()),
        "projected_spend": projected_spend,
        "event": alert.event,
        "event_group": subject.group,
        "event_message": alert.message,
        "alert_type": alert.kind.name(),
    })
}
