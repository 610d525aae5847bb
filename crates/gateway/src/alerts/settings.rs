//! Who is alerted of what, and how.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tollway::Secret;

use super::kind::AlertKind;

/// `general_settings.alerting` and what belongs to it.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertSettings {
    /// `alerting`: where alerts go; nowhere: there are none.
    pub channels: BTreeSet<ChannelKind>,
    /// `alert_types`: of what.
    pub kinds: BTreeSet<AlertKind>,
    /// `WEBHOOK_URL`
    pub webhook: Option<Secret>,
    /// `SLACK_WEBHOOK_URL`, else `ALERTING_WEBHOOK_URL`
    pub slack: Option<Secret>,
    /// `alert_to_webhook_url`: addresses for one kind of alert, instead of `slack`.
    pub slack_for: BTreeMap<AlertKind, Vec<Secret>>,
    /// `MS_TEAMS_WEBHOOK_URL`
    pub teams: Option<Secret>,
    /// How mail is sent, also where alerts are not: new secrets of keys that rotate go that way too.
    pub mail: Option<MailSettings>,
    /// `tollway.alert_emails`: who gets all alerts by mail.
    pub mail_to: Vec<String>,
    /// `TEST_EMAIL_ADDRESS`: who gets test mails beside them.
    pub test_mail_to: Option<String>,
    /// `alerting_threshold`: a request that took longer was too slow; `None`: none is.
    pub slow_after: Option<Duration>,
    /// `alerting_args.budget_alert_ttl`: how long the same line of the same budget is not told again.
    pub budget_again_after: Duration,
    /// `alerting_args.outage_alert_ttl`: within which failures of one deployment are counted.
    pub outage_window: Duration,
    /// `alerting_args.minor_outage_alert_threshold`
    pub minor_outage: usize,
    /// `alerting_args.major_outage_alert_threshold`
    pub major_outage: usize,
    /// `tollway.key_expiry_alert_days`: how long before its end a key's owner is told; zero: never.
    pub expiry_notice: Duration,
    /// `tollway.key_expiry_check_s`
    pub expiry_check: Duration,
    /// `PROXY_BASE_URL`: where this gateway is, for people.
    pub gateway_url: Option<String>,
}

impl Default for AlertSettings {
    fn default() -> Self {
        Self {
            channels: BTreeSet::new(),
            kinds: AlertKind::ALL.into_iter().filter(|kind| kind.is_usual()).collect(),
            webhook: None,
            slack: None,
            slack_for: BTreeMap::new(),
            teams: None,
            mail: None,
            mail_to: Vec::new(),
            test_mail_to: None,
            slow_after: Some(Duration::from_secs(600)),
            budget_again_after: Duration::from_secs(86_400),
            outage_window: Duration::from_secs(60),
            minor_outage: 5,
            major_outage: 10,
            expiry_notice: Duration::from_secs(7 * 86_400),
            expiry_check: Duration::from_secs(3600),
            gateway_url: None,
        }
    }
}

impl AlertSettings {
    /// Whether an alert of this kind goes anywhere.
    #[must_use]
    pub fn wants(&self, kind: AlertKind) -> bool {
        !self.channels.is_empty() && self.kinds.contains(&kind)
    }
}

/// An entry of `alerting`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum ChannelKind {
    Slack,
    Webhook,
    Email,
    MsTeams,
}

impl ChannelKind {
    /// All that there are.
    pub const ALL: [Self; 4] = [Self::Slack, Self::Webhook, Self::Email, Self::MsTeams];

    /// As a configuration names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Webhook => "webhook",
            Self::Email => "email",
            Self::MsTeams => "ms_teams",
        }
    }

    /// The channel of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.name() == name)
    }
}

/// How mail is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct MailSettings {
    /// `SMTP_SENDER_EMAIL`: `name@host`, or `Somebody <name@host>`
    pub sender: String,
    pub way: MailWay,
}

/// Who takes our mail.
#[derive(Clone, Debug, PartialEq)]
pub enum MailWay {
    Smtp(SmtpSettings),
    /// `RESEND_API_KEY`
    Resend(Secret),
    /// `SENDGRID_API_KEY`
    SendGrid(Secret),
}

/// `SMTP_HOST`, `SMTP_PORT`, `SMTP_USERNAME`, `SMTP_PASSWORD`, `SMTP_TLS`.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub struct SmtpSettings {
    pub host: String,
    pub port: u16,
    pub credentials: Option<(String, Secret)>,
    /// `SMTP_TLS` (true): nothing is sent in the clear. On port 465 from the first byte on, else by STARTTLS.
    pub tls: bool,
}
