//! How alerts are set, and whether they arrive: `/alerting/settings`, `/health/services`.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Json;
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::Operator;
use crate::Gateway;
use crate::alerts::settings::{AlertSettings, ChannelKind};
use crate::alerts::{Alerts, NotTried};
use crate::refusal::Refusal;

#[derive(Debug, Deserialize)]
pub(super) struct ServiceQuery {
    service: Option<String>,
}

/// Sends a test alert.
pub(super) async fn try_out(
    _: Operator,
    State(gateway): State<Arc<Gateway>>,
    Query(query): Query<ServiceQuery>,
) -> Result<Json<Value>, Refusal> {
    let service = query.service.unwrap_or_default();
    let Some(channel) = ChannelKind::of_name(&service) else {
        let known = ChannelKind::ALL.map(ChannelKind::name).join(", ");
        return Err(Refusal::bad_request(format!(
            "Service must be in list. Service={service}. List=[{known}]"
        ))
        .about("service"));
    };
    match Alerts::test(&gateway, channel).await {
        Ok(()) => Ok(Json(json!({
            "status": "success",
            "message": format!("A test alert was sent to {service}; see whether it is there"),
        }))),
        Err(NotTried::NotConfigured) => Err(Refusal::of_status(
            422,
            format!(
                "\"{service}\" not in proxy config: general_settings.alerting, or it has no address; \
                 `tollway check` tells what it lacks"
            ),
        )),
        Err(NotTried::Failed(why)) => {
            Err(Refusal::of_status(502, format!("the test alert did not arrive: {why}")))
        }
    }
}

/// In LiteLLM's form: a list of fields with their values and defaults. Addresses are not among them.
pub(super) async fn settings(_: Operator, State(gateway): State<Arc<Gateway>>) -> Json<Value> {
    let settings = gateway.alerts().settings();
    let unsaid = AlertSettings::default();
    let field = |name: &str, kind: &str, about: &str, value: &dyn Fn(&AlertSettings) -> Value| {
        json!({
            "field_name": name,
            "field_type": kind,
            "field_description": about,
            "field_value": value(&settings),
            "field_default_value": value(&unsaid),
            "stored_in_db": null,
            "premium_field": false,
        })
    };
    Json(json!([
        field("alerting", "List", "Where alerts go.", &|of| {
            of.channels.iter().map(|channel| channel.name()).collect()
        }),
        field("alert_types", "List", "What is told.", &|of| of
            .kinds
            .iter()
            .map(|kind| kind.name())
            .collect()),
        field("alerting_threshold", "Float", "Seconds after which a request was too slow.", &|of| {
            json!(of.slow_after.map(|length| length.as_secs_f64()))
        }),
        field(
            "budget_alert_ttl",
            "Integer",
            "Seconds until the same line of a budget is told again.",
            &|of| { json!(of.budget_again_after.as_secs()) }
        ),
        field(
            "outage_alert_ttl",
            "Integer",
            "Seconds within which failures of a deployment are counted.",
            &|of| { json!(of.outage_window.as_secs()) }
        ),
        field("minor_outage_alert_threshold", "Integer", "Failures that are a minor outage.", &|of| {
            json!(of.minor_outage)
        }),
        field("major_outage_alert_threshold", "Integer", "Failures that are a major outage.", &|of| {
            json!(of.major_outage)
        }),
        field("key_expiry_alert_days", "Float", "Days before its end that a key's owner is told.", &|of| {
            json!(of.expiry_notice.as_secs_f64() / 86_400.0)
        }),
    ]))
}
