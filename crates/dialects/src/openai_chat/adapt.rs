//! Edits a request so that one provider's one model accepts it.
//!
//! The document is edited in place, and a field is only taken apart when a cheap look at its text says that something
//! in it has to change: an ordinary request goes through byte for byte.

mod messages;
pub(crate) mod parameters;
mod tools;

use crate::adapt;
use crate::document::Document;
use crate::error::CannotSay;
use crate::exchange::Target;
use crate::field_path;
use crate::loss::Losses;
use crate::quirk::{NamedQuirk, Quirk};

/// See [`Codec::adapt_request`](crate::codec::Codec::adapt_request).
pub(super) fn adapt_request(
    document: &mut Document<'_>,
    target: &Target<'_>,
    losses: &mut Losses,
) -> Result<(), CannotSay> {
    write_model(document, target);
    adapt::drop_listed(document, target, losses, field_path::remove_exact);
    parameters::adapt(document, target, losses)?;
    tools::adapt(document, target, losses)?;
    messages::adapt(document, target, losses)
}

pub(crate) fn write_model(document: &mut Document<'_>, target: &Target<'_>) {
    let prefix = target.quirks.iter().find_map(|quirk| match quirk {
        Quirk::PrefixesModel { prefix, unless }
            if !target.model.starts_with(prefix.as_str()) && !target.model.contains(unless.as_str()) =>
        {
            Some(prefix)
        }
        _ => None,
    });
    match prefix {
        Some(prefix) => adapt::write_model(document, &format!("{prefix}{}", target.model)),
        None => adapt::write_model(document, target.model),
    }
}

fn has(target: &Target<'_>, quirk: NamedQuirk) -> bool {
    target.has(&Quirk::Named(quirk))
}

/// Whether this is one of OpenAI's own models under its own name (not one that a third party serves as
/// `openai/…`): such names are known to take OpenAI's newer parameters.
pub(super) fn is_openai_model(model: &str) -> bool {
    let name = model.strip_prefix("ft:").unwrap_or(model);
    if name.contains('/') || name.starts_with("gpt-oss") {
        return false;
    }
    name.starts_with("gpt-") || name.starts_with("chatgpt-") || is_o_series(name)
}

fn is_o_series(name: &str) -> bool {
    let mut letters = name.bytes();
    letters.next() == Some(b'o')
        && letters.next().is_some_and(|digit| digit.is_ascii_digit())
        && matches!(letters.next(), None | Some(b'-'))
}

/// The kinds of OpenAI models that refuse some parameters
/// (<https://platform.openai.com/docs/guides/latest-model#gpt-5-parameter-compatibility>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// o1, o3, o4-mini, …: always reason.
    OSeries,
    /// GPT-5 and later; the version decides what goes without reasoning.
    Gpt {
        major: u32,
        minor: u32,
    },
    Other,
}

impl Family {
    fn of(model: &str) -> Self {
        let name = model.strip_prefix("ft:").unwrap_or(model);
        if is_o_series(name) {
            return Self::OSeries;
        }
        // The chat variants do not reason, and take what GPT-4 takes.
        let Some(version) = name.strip_prefix("gpt-").filter(|_| !name.contains("-chat")) else {
            return Self::Other;
        };
        let version = version.split('-').next().unwrap_or_default();
        let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
        match (major.parse(), minor.parse()) {
            (Ok(major), Ok(minor)) if major >= 5 => Self::Gpt { major, minor },
            _ => Self::Other,
        }
    }

    fn reasons(self) -> bool {
        self != Self::Other
    }

    /// GPT-5.1 brought the effort `none`, and with it the sampling parameters.
    fn reasoning_can_be_off(self) -> bool {
        matches!(self, Self::Gpt { major, minor } if (major, minor) >= (5, 1))
    }
}

#[cfg(test)]
mod tests;
