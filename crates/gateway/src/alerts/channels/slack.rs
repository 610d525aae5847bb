//! A message for Slack, or for what takes Slack's: Discord (`…/slack`), Mattermost, Rocket.Chat.
//! <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks> (read 2026-11-21)

use serde_json::{Value, json};

use super::Notice;

pub(super) fn message(notice: &Notice) -> Value {
    let alert = &notice.alert;
    let mut text = format!(
        "*{}*\nLevel: `{}`\nTimestamp: `{}`\n\nMessage: {}",
        alert.kind.name(),
        alert.level.name(),
        notice.at,
        escaped(&alert.message)
    );
    for (what, value) in notice.facts() {
        text.push_str(&format!("\n*{what}:* `{}`", escaped(&value)));
    }
    json!({"text": text})
}

/// What stands in names must not become a link or a mention (`<!channel>`).
/// <https://docs.slack.dev/messaging/formatting-message-text#escaping> (read 2026-11-21)
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
