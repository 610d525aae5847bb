use std::fmt;

/// Why there is no token. One sentence for the operator: who, where, what was wrong, what to do. Holds no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInError {
    message: String,
    passing: bool,
}

impl SignInError {
    /// Somebody has to change something first.
    pub(super) fn lasting(message: impl Into<String>) -> Self {
        Self { message: message.into(), passing: false }
    }

    /// It may work in a moment.
    pub(super) fn passing(message: impl Into<String>) -> Self {
        Self { message: message.into(), passing: true }
    }

    /// Whether it may work in a moment.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.passing
    }

    /// The same with what to do.
    pub(super) fn with_hint(self, hint: &str) -> Self {
        Self { message: format!("{}; {hint}", self.message), ..self }
    }

    /// The same with who wanted to sign in before it.
    pub(super) fn of(self, who: &str) -> Self {
        Self { message: format!("{who} got no access token: {}", self.message), ..self }
    }
}

impl fmt::Display for SignInError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SignInError {}
