//! What cannot be carried from one dialect to another, and what is done about it.

use serde::Deserialize;

use crate::error::CannotSay;

/// What the operator or the caller decided about parameters that the target does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ParameterPolicy {
    /// Leave out what cannot be carried instead of refusing the request (`drop_params`).
    pub drop_params: bool,
    /// Always leave these out (`additional_drop_params`); dotted paths and `tools[*].strict` reach into fields.
    pub additional_drop_params: Vec<String>,
    /// Send these whatever the provider's row says (`allowed_openai_params`).
    pub allowed_params: Vec<String>,
    /// Repair conversations that the provider would refuse (`modify_params`).
    pub modify_params: bool,
}

/// One thing that happened to a request on its way into the target's dialect; ends up in the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The field, as the client's dialect names it where that is known.
    pub param: String,
    pub change: Change,
    /// Why or into what, in a few words.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Dropped,
    Renamed,
    Changed,
    Added,
}

impl Change {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Renamed => "renamed",
            Self::Changed => "changed",
            Self::Added => "added",
        }
    }
}

/// Collects what is lost or changed while a request is written, and refuses the request where it may not be.
#[derive(Debug, Default)]
pub struct Losses {
    drop_params: bool,
    notes: Vec<Note>,
}

impl Losses {
    #[must_use]
    pub fn new(drop_params: bool) -> Self {
        Self { drop_params, notes: Vec::new() }
    }

    /// `param` cannot be said in the target's dialect.
    ///
    /// # Errors
    /// Refuses the request unless `drop_params` allows to leave it out.
    pub fn cannot_carry(
        &mut self,
        param: impl Into<String>,
        why: impl Into<String>,
    ) -> Result<(), CannotSay> {
        let (param, why) = (param.into(), why.into());
        if !self.drop_params {
            return Err(CannotSay { param, message: why });
        }
        self.note(param, Change::Dropped, why);
        Ok(())
    }

    /// Something harmless was left out, renamed or changed; for the trace.
    pub fn note(&mut self, param: impl Into<String>, change: Change, detail: impl Into<String>) {
        self.notes.push(Note { param: param.into(), change, detail: detail.into() });
    }

    /// Whether `param` was left out already, so that it need not be told again.
    #[must_use]
    pub fn has_dropped(&self, param: &str) -> bool {
        self.notes.iter().any(|note| note.change == Change::Dropped && note.param == param)
    }

    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    #[must_use]
    pub fn into_notes(self) -> Vec<Note> {
        self.notes
    }
}
