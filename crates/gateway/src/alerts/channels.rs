//! Ways to tell somebody. Each makes a message of its own of a [`Notice`] and sends it once; trying again is for the
//! courier.

mod email;
mod post;
mod slack;
mod teams;
mod webhook;

use std::fmt;
use std::time::Duration;

use ledger::rules::time::Timestamp;
use tollway::Secret;
use tollway::transport::Transport;

use super::event::Alert;
use super::kind::AlertKind;
use super::settings::{AlertSettings, ChannelKind, MailSettings};
use super::subject::Subject;

pub(crate) use email::Letter;

/// The longest that one attempt may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is to be told: an alert with all that is known about it.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    pub(super) alert: Alert,
    pub(super) subject: Subject,
    pub(super) at: Timestamp,
    /// Where this gateway is, for people.
    pub(super) gateway_url: Option<String>,
}

impl Notice {
    /// For people, beside the message: figures and names.
    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        if let Some(money) = &self.alert.money {
            facts.push(("Spend", format!("${}", money.spend)));
            facts.extend(money.max.map(|max| ("Max Budget", format!("${max}"))));
            facts.extend(money.soft.map(|soft| ("Soft Budget", format!("${soft}"))));
        }
        facts.extend(self.subject.names().map(|(what, name)| (what, name.to_owned())));
        facts.extend(self.gateway_url.iter().map(|url| ("Proxy URL", url.clone())));
        facts
    }
}

/// One place to send an alert to.
#[derive(Clone)]
pub(super) enum Channel {
    Webhook(Secret),
    Slack(Secret),
    Teams(Secret),
    /// To one reader: each gets a letter of their own.
    Email(MailSettings, String),
}

/// Why an attempt failed, in words without the address: it may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotSent {
    why: String,
    /// Trying again may help.
    pub(super) is_passing: bool,
}

impl NotSent {
    fn passing(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_passing: true }
    }

    fn for_good(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_passing: false }
    }
}

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Channel {
    /// Where an alert goes. Mail goes to those who get all alerts, and to whom it concerns.
    pub(super) fn of(settings: &AlertSettings, kind: AlertKind, owner: Option<&str>) -> Vec<Self> {
        let mut places = Vec::new();
        for channel in &settings.channels {
            match channel {
                ChannelKind::Webhook => places.extend(settings.webhook.clone().map(Self::Webhook)),
                ChannelKind::Slack => match settings.slack_for.get(&kind) {
                    Some(own) => places.extend(own.iter().cloned().map(Self::Slack)),
                    None => places.extend(settings.slack.clone().map(Self::Slack)),
                },
                ChannelKind::MsTeams => places.extend(settings.teams.clone().map(Self::Teams)),
                ChannelKind::Email => {
                    let Some(mail) = &settings.mail else { continue };
                    let all = &settings.mail_to;
                    let owner = owner
                        .filter(|owner| kind.concerns_owner() && !all.iter().any(|known| known == owner));
                    let readers = all.iter().map(String::as_str).chain(owner);
                    places.extend(readers.map(|to| Self::Email(mail.clone(), to.to_owned())));
                }
            }
        }
        places
    }

    /// As a configuration names it.
    pub(super) fn kind(&self) -> ChannelKind {
        match self {
            Self::Webhook(_) => ChannelKind::Webhook,
            Self::Slack(_) => ChannelKind::Slack,
            Self::Teams(_) => ChannelKind::MsTeams,
            Self::Email(..) => ChannelKind::Email,
        }
    }

    /// Sends it, once.
    pub(super) async fn send(&self, notice: &Notice, transport: &Transport) -> Result<(), NotSent> {
        match self {
            Self::Webhook(url) => post::json(transport, url, None, &webhook::event(notice)).await,
            Self::Slack(url) => post::json(transport, url, None, &slack::message(notice)).await,
            Self::Teams(url) => post::json(transport, url, None, &teams::message(notice)).await,
            Self::Email(mail, to) => Letter::of(notice, to).send(mail, transport).await,
        }
    }
}

#[cfg(test)]
mod tests;
