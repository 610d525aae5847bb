use std::time::Duration;

use catalog::NanoUsd;
use ledger::rules::account::{Account, Scope};
use ledger::rules::id::KeyId;
use serde_json::json;

use super::*;
use crate::alerts::event::{About, Level, Money};

fn notice() -> Notice {
    let account = Account::of(Scope::Key(KeyId::new("88dc").unwrap()));
    let alert = Alert {
        event: "soft_budget_crossed",
        about: About::Account(account),
        level: Level::Low,
        message: "Key Budget: Soft Budget Crossed Total Soft Budget:`5`".to_owned(),
        money: Some(Money {
            spend: NanoUsd(5_250_000_000),
            max: Some(NanoUsd(10_000_000_000)),
            soft: Some(NanoUsd(5_000_000_000)),
            projected: None,
        }),
        ..Alert::test("1")
    };
    let subject = Subject {
        group: "key",
        token: Some("88dc".to_owned()),
        key_alias: Some("<!channel>".to_owned()),
        user_email: Some("a@example.com".to_owned()),
        ..Subject::default()
    };
    Notice { alert, subject, at: Timestamp(1_795_254_233_000), gateway_url: None }
}

#[test]
fn a_webhook_gets_litellms_event() {
    assert_eq!(
        webhook::event(&notice()),
        json!({
            "spend": 5.25, "max_budget": 10.0, "soft_budget": 5.0, "token": "88dc", "customer_id": null, "user_id": null,
            "internal_user_id": null, "team_id": null, "team_alias": null, "organization_id": null,
            "organization_alias": null, "user_email": "a@example.com", "key_alias": "<!channel>",
            "projected_exceeded_date": null, "projected_spend": null, "event": "soft_budget_crossed",
            "event_group": "key", "event_message": "Key Budget: Soft Budget Crossed Total Soft Budget:`5`",
            "alert_type": "budget_alerts",
        })
    );
}

#[test]
fn slack_gets_a_text_in_which_names_call_nobody() {
    let text = slack::message(&notice())["text"].as_str().unwrap().to_owned();
    assert_eq!(
        text,
        "*budget_alerts*\nLevel: `Low`\nTimestamp: `2026-11-21 09:43:53 UTC`\n\n\
         Message: Key Budget: Soft Budget Crossed Total Soft Budget:`5`\n*Spend:* `$5.25`\n*Max Budget:* `$10.0`\n\
         *Soft Budget:* `$5.0`\n*Key:* `88dc`\n*Key Alias:* `&lt;!channel&gt;`\n*User Email:* `a@example.com`"
    );
}

#[test]
fn teams_gets_a_card() {
    let message = teams::message(&notice());
    let card = &message["attachments"][0]["content"];
    assert_eq!((&message["type"], &card["type"]), (&json!("message"), &json!("AdaptiveCard")));
    assert_eq!(card["body"][2]["facts"][0], json!({"title": "Spend", "value": "$5.25"}));
}

#[test]
fn alerts_go_where_they_were_ordered_to() {
    let smtp = crate::alerts::settings::SmtpSettings {
        host: "localhost".to_owned(),
        port: 25,
        credentials: None,
        tls: false,
    };
    let settings = AlertSettings {
        channels: ChannelKind::ALL.into(),
        slack: Some(Secret::new("https://one")),
        slack_for: [(
            AlertKind::OutageAlerts,
            vec![Secret::new("https://two"), Secret::new("https://three")],
        )]
        .into(),
        mail: Some(MailSettings {
            sender: "gate@example.com".to_owned(),
            way: crate::alerts::settings::MailWay::Smtp(smtp),
        }),
        budget_again_after: Duration::ZERO,
        ..AlertSettings::default()
    };
    let places = |settings: &AlertSettings, kind, owner| -> Vec<String> {
        let places = Channel::of(settings, kind, owner).into_iter();
        let name = |place| match place {
            Channel::Webhook(url) | Channel::Slack(url) | Channel::Teams(url) => url.expose().to_owned(),
            Channel::Email(_, to) => to,
        };
        places.map(name).collect()
    };
    let owner = Some("a@example.com");
    assert_eq!(places(&settings, AlertKind::BudgetAlerts, owner), ["https://one", "a@example.com"]);
    assert_eq!(places(&settings, AlertKind::BudgetAlerts, None), ["https://one"], "nobody to write to");
    assert_eq!(
        places(&settings, AlertKind::OutageAlerts, owner),
        ["https://two", "https://three"],
        "an outage is no matter of a key's owner"
    );
    let all = AlertSettings { mail_to: vec!["ops@example.com".to_owned()], ..settings };
    assert_eq!(
        places(&all, AlertKind::BudgetAlerts, owner),
        ["https://one", "ops@example.com", "a@example.com"]
    );
    assert_eq!(places(&all, AlertKind::OutageAlerts, owner)[2], "ops@example.com");
}
