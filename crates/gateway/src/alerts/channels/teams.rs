//! An Adaptive Card, as webhooks of Microsoft Teams (Workflows, and the connectors before them) take it.
//! <https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using#send-adaptive-cards-using-an-incoming-webhook>
//! (read 2026-11-21)

use serde_json::{Value, json};

use super::Notice;
use crate::alerts::event::Level;

pub(super) fn message(notice: &Notice) -> Value {
    let alert = &notice.alert;
    let color = match alert.level {
        Level::Low => "Default",
        Level::Medium => "Warning",
        Level::High => "Attention",
    };
    let facts = notice
        .facts()
        .into_iter()
        .chain([("Level", alert.level.name().to_owned()), ("Timestamp", notice.at.to_string())]);
    let facts: Vec<Value> = facts.map(|(title, value)| json!({"title": title, "value": value})).collect();
    let title = json!({
        "type": "TextBlock", "text": alert.kind.name(), "weight": "Bolder", "size": "Medium", "color": color,
    });
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": [
                    title,
                    {"type": "TextBlock", "text": alert.message, "wrap": true},
                    {"type": "FactSet", "facts": facts},
                ],
            },
        }],
    })
}
