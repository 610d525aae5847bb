//! Letters: through a mail server (SMTP), or through Resend or `SendGrid`.

use std::error::Error;

use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use serde_json::{Value, json};
use tollway::Secret;
use tollway::transport::Transport;

use super::{NotSent, Notice, PATIENCE, post};
use crate::alerts::settings::{MailSettings, MailWay, SmtpSettings};
use crate::pipeline::random_uuid;

/// Where TLS begins with the first byte (RFC 8314).
const IMPLICIT_TLS_PORT: u16 = 465;

const RESEND: &str = "https://api.resend.com/emails";
const SENDGRID: &str = "https://api.sendgrid.com/v3/mail/send";

/// A letter in plain text.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) text: String,
}

impl Letter {
    pub(super) fn of(notice: &Notice, to: &str) -> Self {
        let alert = &notice.alert;
        let mut text = format!("{}\n", alert.message);
        for (what, value) in notice.facts() {
            text.push_str(&format!("\n{what}: {value}"));
        }
        text.push_str(&format!("\nLevel: {}\nTime: {}\n", alert.level.name(), notice.at));
        let subject = alert.message.lines().next().unwrap_or_default().chars().take(120).collect();
        Self { to: to.to_owned(), subject, text }
    }

    /// Sends it, once.
    pub(in crate::alerts) async fn send(
        &self,
        mail: &MailSettings,
        transport: &Transport,
    ) -> Result<(), NotSent> {
        let sender = mail.sender.as_str();
        match &mail.way {
            MailWay::Smtp(smtp) => self.by_smtp(sender, smtp).await,
            MailWay::Resend(key) => {
                post::json(transport, &Secret::new(RESEND), Some(key), &self.for_resend(sender)).await
            }
            MailWay::SendGrid(key) => {
                let letter = self.for_sendgrid(sender)?;
                post::json(transport, &Secret::new(SENDGRID), Some(key), &letter).await
            }
        }
    }

    async fn by_smtp(&self, sender: &str, smtp: &SmtpSettings) -> Result<(), NotSent> {
        let message = self.message(sender)?;
        let server = server(smtp)?;
        match tokio::time::timeout(PATIENCE, server.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
                let why = format!("the mail server did not take it: {error}{cause}");
                Err(if error.is_permanent() { NotSent::for_good(why) } else { NotSent::passing(why) })
            }
            Err(_) => Err(NotSent::passing("the mail server did not answer in time")),
        }
    }

    fn message(&self, sender: &str) -> Result<Message, NotSent> {
        let sender = mailbox(sender)?;
        let id = format!("<{}@{}>", random_uuid(), sender.email.domain());
        Message::builder()
            .from(sender)
            .to(mailbox(&self.to)?)
            .subject(self.subject.as_str())
            .message_id(Some(id))
            .header(ContentType::TEXT_PLAIN)
            .body(self.text.clone())
            .map_err(|error| NotSent::for_good(format!("it makes no letter: {error}")))
    }

    /// <https://resend.com/docs/api-reference/emails/send-email> (read 2026-11-21)
    fn for_resend(&self, sender: &str) -> Value {
        json!({"from": sender, "to": [self.to], "subject": self.subject, "text": self.text})
    }

    /// <https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send> (read 2026-11-21)
    fn for_sendgrid(&self, sender: &str) -> Result<Value, NotSent> {
        let sender = mailbox(sender)?;
        Ok(json!({
            "personalizations": [{"to": [{"email": self.to}]}],
            "from": {"email": sender.email.to_string(), "name": sender.name},
            "subject": self.subject,
            "content": [{"type": "text/plain", "value": self.text}],
        }))
    }
}

fn mailbox(text: &str) -> Result<Mailbox, NotSent> {
    text.parse().map_err(|error| NotSent::for_good(format!("`{text}` is no e-mail address: {error}")))
}

fn server(smtp: &SmtpSettings) -> Result<AsyncSmtpTransport<Tokio1Executor>, NotSent> {
    let tls = if smtp.tls {
        let parameters = TlsParameters::new(smtp.host.clone())
            .map_err(|error| NotSent::for_good(format!("TLS cannot be set up: {error}")))?;
        if smtp.port == IMPLICIT_TLS_PORT { Tls::Wrapper(parameters) } else { Tls::Required(parameters) }
    } else {
        Tls::None
    };
    let mut server = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host)
        .port(smtp.port)
        .timeout(Some(PATIENCE))
        .tls(tls);
    if let Some((name, password)) = &smtp.credentials {
        server = server.credentials(Credentials::new(name.clone(), password.expose().to_owned()));
    }
    Ok(server.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> Letter {
        Letter {
            to: "a@example.com".to_owned(),
            subject: "Key Budget: …".to_owned(),
            text: "Spend: $1\n".to_owned(),
        }
    }

    #[test]
    fn a_letter_has_what_a_letter_needs() {
        let message = letter().message("Tollway <gate@example.com>").unwrap();
        let text = String::from_utf8(message.formatted()).unwrap();
        for line in [
            "From: Tollway <gate@example.com>",
            "To: a@example.com",
            "Subject: Key Budget: =?utf-8?",
            "Date: ",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(text.contains("@example.com>\r\n") && text.ends_with("Spend: $1\r\n"), "{text}");
    }

    #[tokio::test]
    async fn a_server_is_reached_with_tls_or_without() {
        for (port, tls) in [(587, true), (IMPLICIT_TLS_PORT, true), (25, false)] {
            let credentials = Some(("us".to_owned(), Secret::new("hunter2")));
            let smtp = SmtpSettings { host: "mail.example.com".to_owned(), port, credentials, tls };
            assert!(server(&smtp).is_ok(), "{port}");
        }
    }

    #[test]
    fn an_address_cannot_smuggle_headers_in() {
        for to in ["", "nobody", "a@example.com\r\nBcc: b@example.com", "a@example.com, b@example.com"] {
            let letter = Letter { to: to.to_owned(), ..letter() };
            assert!(letter.message("gate@example.com").is_err(), "{to:?}");
        }
        let tricky = Letter { subject: "x\r\nBcc: b@example.com".to_owned(), ..letter() };
        let text = tricky.message("gate@example.com").unwrap().formatted();
        assert!(!String::from_utf8(text).unwrap().contains("\nBcc"));
    }

    #[test]
    fn services_get_the_same_letter() {
        let resend = letter().for_resend("gate@example.com");
        assert_eq!(
            (&resend["from"], &resend["to"][0]),
            (&json!("gate@example.com"), &json!("a@example.com"))
        );
        let sendgrid = letter().for_sendgrid("Tollway <gate@example.com>").unwrap();
        assert_eq!(sendgrid["from"], json!({"email": "gate@example.com", "name": "Tollway"}));
        assert_eq!(sendgrid["content"][0]["value"], "Spend: $1\n");
    }
}
