//! Who is told of what goes wrong.

use std::time::Duration;

use tollway::Secret;

use super::{config, load};
use crate::alerts::kind::AlertKind;
use crate::alerts::settings::{AlertSettings, ChannelKind, MailWay};

fn settings(text: &str) -> AlertSettings {
    config(text).alerts
}

#[test]
fn nobody_is_told_where_nobody_asked() {
    let unsaid = settings("general_settings: {}");
    assert_eq!(unsaid, AlertSettings::default());
    assert!(!unsaid.wants(AlertKind::BudgetAlerts));
}

#[test]
fn channels_and_their_addresses() {
    let text = "
environment_variables:
  SLACK_WEBHOOK_URL: https://hooks.example.com/one
  WEBHOOK_URL: https://hooks.example.com/two
  SMTP_HOST: mail.example.com
  SMTP_USERNAME: us
  SMTP_PASSWORD: hunter2
  SMTP_SENDER_EMAIL: gate@example.com
general_settings:
  alerting: [slack, webhook, email]
  alert_types: [budget_alerts, virtual_key_deleted]
  alerting_threshold: 2.5
  alert_to_webhook_url: {budget_alerts: [https://a, https://b], db_exceptions: https://c}
  alerting_args: {budget_alert_ttl: 60, outage_alert_ttl: 30, minor_outage_alert_threshold: 2}
tollway:
  alert_emails: ops@example.com
  key_expiry_alert_days: 0.5
";
    let settings = settings(text);
    assert_eq!(settings.channels, [ChannelKind::Slack, ChannelKind::Webhook, ChannelKind::Email].into());
    assert!(settings.wants(AlertKind::VirtualKeyDeleted) && !settings.wants(AlertKind::OutageAlerts));
    assert_eq!(settings.slack.as_ref().map(Secret::expose), Some("https://hooks.example.com/one"));
    assert_eq!(settings.slack_for[&AlertKind::BudgetAlerts].len(), 2);
    assert_eq!(settings.slack_for[&AlertKind::DbExceptions].len(), 1);
    assert_eq!(settings.mail_to, ["ops@example.com"]);
    assert_eq!(settings.slow_after, Some(Duration::from_secs_f64(2.5)));
    assert_eq!(settings.budget_again_after, Duration::from_secs(60));
    assert_eq!((settings.outage_window, settings.minor_outage), (Duration::from_secs(30), 2));
    assert_eq!(settings.major_outage, 10);
    assert_eq!(settings.expiry_notice, Duration::from_secs(43_200));
    let Some(MailWay::Smtp(smtp)) = settings.mail.as_ref().map(|mail| &mail.way) else {
        panic!("{settings:?}")
    };
    assert_eq!((smtp.host.as_str(), smtp.port, smtp.tls), ("mail.example.com", 587, true));
    assert_eq!(smtp.credentials.as_ref().map(|(name, _)| name.as_str()), Some("us"));
    let printed = format!("{settings:?}");
    assert!(!printed.contains("hunter2") && !printed.contains("hooks.example.com"), "{printed}");
}

#[test]
fn a_threshold_of_nothing_is_none() {
    assert_eq!(settings("general_settings: {alerting_threshold: 0}").slow_after, None);
}

#[test]
fn what_is_missing_or_without_effect_is_named() {
    let messages = |text: &str| -> Vec<String> {
        load(text).report.problems.into_iter().map(|problem| problem.message).collect()
    };
    let told =
        messages("general_settings: {master_key: sk-a-good-one, alerting: [slack, email, pagerduty, slck]}");
    assert_eq!(
        told,
        [
            "no alerts go to `slack`: it has no address",
            "no alerts go to `email`: it has no address",
            "`pagerduty` of `alerting` is known but not yet effective in this version",
            "there is no `slck` for `alerting`",
        ]
    );
    let told = messages(
        "general_settings: {master_key: sk-a-good-one, alert_types: [spend_reports, budget_alert], \
         alert_to_webhook_url: {daily_reports: https://a}, alerting_args: {daily_report_frequency: 1, tll: 2}}",
    );
    for words in [
        "`spend_reports` of `alert_types` is known but not yet effective",
        "there is no `budget_alert` for `alert_types`",
        "`daily_reports` of `alert_to_webhook_url` is known but not yet effective",
        "`daily_report_frequency` is known but not yet effective",
        "unknown key `tll` in `alerting_args`",
    ] {
        assert!(told.iter().any(|message| message.starts_with(words)), "{words} in {told:?}");
    }
}
