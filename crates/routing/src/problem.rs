//! What is wrong with settings.

use std::fmt;

/// One mistake in the settings. The plan is made without what is wrong; whoever makes it decides whether it may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind of mistake.
    pub kind: ProblemKind,
    /// The setting, by its name: `fallbacks`, `weight`.
    pub setting: &'static str,
    /// Whose setting: the group or alias that the entry is for, or the deployment's id; empty for a global one.
    pub of: String,
    /// The value, or the item of the list, that is wrong.
    pub value: String,
    /// What is wrong with it and what to do.
    pub message: String,
}

/// What kind of mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// A name that no deployment, alias or pattern answers to.
    UnknownGroup,
    /// Fallbacks that lead back to where they began. Harmless: a request asks each group once.
    Cycle,
    /// A number that makes no sense.
    BadNumber,
    /// An id that two deployments have.
    DuplicateId,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.of.is_empty() {
            write!(f, "`{}`: {}", self.setting, self.message)
        } else {
            write!(f, "`{}` of `{}`: {}", self.setting, self.of, self.message)
        }
    }
}

impl std::error::Error for Problem {}
