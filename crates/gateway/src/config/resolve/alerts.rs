//! Who is told of what goes wrong: `general_settings.alerting`, and the variables with the addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tollway::Secret;

use super::layers::{Layers, items, text};
use crate::alerts::kind::{AlertKind, NOT_RAISED};
use crate::alerts::settings::{AlertSettings, ChannelKind, MailSettings, MailWay, SmtpSettings};
use crate::config::diagnose::{Diagnosis, Finding, ProblemKind, nearest};
use crate::config::keys::Section;
use crate::config::raw::{Node, Scalar, Span};
use crate::config::references::Environment;

/// LiteLLM's default.
const SMTP_PORT: u16 = 587;

/// Channels that LiteLLM has, or had, and this version has not.
const OTHER_CHANNELS: &[&str] = &["pagerduty", "discord", "opsgenie"];

pub(super) fn settings(
    general: &Layers<'_>,
    tollway: &Layers<'_>,
    environment: &Environment<'_>,
    diagnosis: &mut Diagnosis,
) -> AlertSettings {
    let unsaid = AlertSettings::default();
    let url = |name: &str| environment.get(name).filter(|url| !url.trim().is_empty()).map(Secret::new);
    let args = Layers::maybe(Section::AlertingArgs, general.mapping("alerting_args"));
    let count = |name: &str, default: usize| {
        args.count(name).map_or(default, |count| usize::try_from(count).unwrap_or(usize::MAX))
    };
    let days = tollway.number("key_expiry_alert_days");
    let settings = AlertSettings {
        channels: channels(general.get("alerting"), diagnosis),
        kinds: kinds(general.get("alert_types"), diagnosis).unwrap_or(unsaid.kinds),
        webhook: url("WEBHOOK_URL"),
        slack: url("SLACK_WEBHOOK_URL").or_else(|| url("ALERTING_WEBHOOK_URL")),
        slack_for: slack_for(general.get("alert_to_webhook_url"), diagnosis),
        teams: url("MS_TEAMS_WEBHOOK_URL"),
        mail: mail(environment),
        mail_to: tollway.texts("alert_emails"),
        test_mail_to: environment.get("TEST_EMAIL_ADDRESS").filter(|address| !address.is_empty()),
        slow_after: match general.number("alerting_threshold") {
            None => unsaid.slow_after,
            Some(seconds) => super::layers::duration(seconds),
        },
        budget_again_after: args.seconds("budget_alert_ttl").unwrap_or(unsaid.budget_again_after),
        outage_window: args.seconds("outage_alert_ttl").unwrap_or(unsaid.outage_window),
        minor_outage: count("minor_outage_alert_threshold", unsaid.minor_outage),
        major_outage: count("major_outage_alert_threshold", unsaid.major_outage),
        expiry_notice: days.map_or(unsaid.expiry_notice, |days| {
            Duration::try_from_secs_f64(days * 86_400.0).unwrap_or(unsaid.expiry_notice)
        }),
        expiry_check: tollway.seconds("key_expiry_check_s").unwrap_or(unsaid.expiry_check),
        gateway_url: environment.get("PROXY_BASE_URL").filter(|url| !url.is_empty()),
    };
    for item in items(general.get("alerting")) {
        lacking(&settings, item, environment, diagnosis);
    }
    settings
}

fn channels(written: Option<&Node>, diagnosis: &mut Diagnosis) -> BTreeSet<ChannelKind> {
    let known = ChannelKind::ALL.map(ChannelKind::name);
    let mut channels = BTreeSet::new();
    for item in items(written) {
        let Some(name) = text(item) else { continue };
        match ChannelKind::of_name(&name) {
            Some(channel) => _ = channels.insert(channel),
            None => unknown("alerting", &name, &item.span, &known, OTHER_CHANNELS, diagnosis),
        }
    }
    channels
}

/// `None`: nothing is said. An empty list wants nothing.
fn kinds(written: Option<&Node>, diagnosis: &mut Diagnosis) -> Option<BTreeSet<AlertKind>> {
    let written = written?;
    let kinds = items(Some(written))
        .iter()
        .filter_map(|item| kind(&text(item)?, "alert_types", &item.span, diagnosis));
    Some(kinds.collect())
}

fn kind(name: &str, key: &str, span: &Span, diagnosis: &mut Diagnosis) -> Option<AlertKind> {
    let found = AlertKind::of_name(name);
    if found.is_none() {
        unknown(key, name, span, &AlertKind::ALL.map(AlertKind::name), NOT_RAISED, diagnosis);
    }
    found
}

/// A name that is LiteLLM's and does nothing here, or nobody's.
fn unknown(key: &str, name: &str, span: &Span, known: &[&str], not_yet: &[&str], diagnosis: &mut Diagnosis) {
    let finding = if not_yet.contains(&name) {
        Finding::warning(
            ProblemKind::NotYetEffective,
            format!("`{name}` of `{key}` is known but not yet effective in this version"),
        )
    } else {
        let wrong = Finding::warning(ProblemKind::WrongValue, format!("there is no `{name}` for `{key}`"))
            .expected(format!("some of {}", known.join(", ")));
        match nearest(name, known.iter().chain(not_yet).copied()) {
            Some(near) => wrong.help(format!("did you mean `{near}`?")),
            None => wrong,
        }
    };
    diagnosis.report(span, finding);
}

fn slack_for(written: Option<&Node>, diagnosis: &mut Diagnosis) -> BTreeMap<AlertKind, Vec<Secret>> {
    let pairs = written.and_then(Node::mapping).map(|mapping| mapping.pairs.as_slice()).unwrap_or_default();
    let mut addresses = BTreeMap::new();
    for pair in pairs {
        let Some(kind) = kind(&pair.key.name, "alert_to_webhook_url", &pair.key.span, diagnosis) else {
            continue;
        };
        let own: Vec<Secret> = items(Some(&pair.value)).iter().filter_map(text).map(Secret::new).collect();
        if !own.is_empty() {
            addresses.insert(kind, own);
        }
    }
    addresses
}

fn mail(environment: &Environment<'_>) -> Option<MailSettings> {
    let get = |name: &str| environment.get(name).filter(|text| !text.is_empty());
    let way = if let Some(host) = get("SMTP_HOST") {
        MailWay::Smtp(SmtpSettings {
            host,
            port: get("SMTP_PORT").and_then(|port| port.trim().parse().ok()).unwrap_or(SMTP_PORT),
            credentials: get("SMTP_USERNAME").zip(get("SMTP_PASSWORD").map(Secret::new)),
            tls: get("SMTP_TLS").and_then(|text| Scalar::plain(text).boolean()).unwrap_or(true),
        })
    } else if let Some(key) = get("RESEND_API_KEY") {
        MailWay::Resend(Secret::new(key))
    } else {
        MailWay::SendGrid(Secret::new(get("SENDGRID_API_KEY")?))
    };
    let sender = match way {
        MailWay::SendGrid(_) => get("SENDGRID_SENDER_EMAIL").or_else(|| get("SMTP_SENDER_EMAIL")),
        MailWay::Smtp(_) | MailWay::Resend(_) => get("SMTP_SENDER_EMAIL"),
    };
    Some(MailSettings { sender: sender?, way })
}

/// A channel without an address: nothing would arrive, and nobody would know.
fn lacking(settings: &AlertSettings, item: &Node, environment: &Environment<'_>, diagnosis: &mut Diagnosis) {
    let Some(channel) = text(item).and_then(|name| ChannelKind::of_name(&name)) else { return };
    let (lacks, expected) = match channel {
        ChannelKind::Slack => (
            settings.slack.is_none() && settings.slack_for.is_empty(),
            "the variable `SLACK_WEBHOOK_URL`, or addresses under `alert_to_webhook_url`",
        ),
        ChannelKind::Webhook => (settings.webhook.is_none(), "the variable `WEBHOOK_URL`"),
        ChannelKind::MsTeams => (settings.teams.is_none(), "the variable `MS_TEAMS_WEBHOOK_URL`"),
        ChannelKind::Email if environment.get("SMTP_SENDER_EMAIL").is_none() => (
            settings.mail.is_none(),
            "the variable `SMTP_SENDER_EMAIL`, and one of `SMTP_HOST`, `RESEND_API_KEY`, `SENDGRID_API_KEY`",
        ),
        ChannelKind::Email => (
            settings.mail.is_none(),
            "one of the variables `SMTP_HOST`, `RESEND_API_KEY`, `SENDGRID_API_KEY`",
        ),
    };
    if lacks {
        let finding = Finding::warning(
            ProblemKind::MissingKey,
            format!("no alerts go to `{}`: it has no address", channel.name()),
        );
        diagnosis.report(&item.span, finding.expected(expected));
    }
}
