//! Why a management request is not done.

use std::fmt;

/// What the caller is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// `error.type`
    pub kind: &'static str,
    /// The field that is wrong.
    pub param: Option<String>,
    pub message: String,
}

impl Problem {
    /// A field that is missing, unknown or wrong.
    #[must_use]
    pub fn field(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(name.into()), ..Self::bad_request(message) }
    }

    #[must_use]
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self { status: 400, kind: "bad_request_error", param: None, message: message.into() }
    }

    /// There is no such thing: LiteLLM's words for it are `Team not found, passed team_id=x`.
    #[must_use]
    pub fn not_found(what: &str, field: &str, id: &str) -> Self {
        let message = format!("{what} not found, passed {field}={id}");
        Self { status: 404, kind: "not_found_error", param: Some(field.to_owned()), message }
    }

    /// The caller does not have what it wants to give, or not the standing for what it wants.
    #[must_use]
    pub fn forbidden(param: Option<&str>, message: impl Into<String>) -> Self {
        let param = param.map(str::to_owned);
        Self { status: 403, kind: "permission_error", param, message: message.into() }
    }

    /// The role does not reach this route; LiteLLM's words and status.
    #[must_use]
    pub fn wrong_role(route: &str, role: &str, user: Option<&str>) -> Self {
        let message = format!(
            "Authentication Error, Only proxy admin can be used to generate, delete, update info for new \
             keys/users/teams. Route={route}. Your role={role}. Your user_id={}",
            user.map_or_else(|| "None".to_owned(), masked)
        );
        // LiteLLM writes the word, not `null`.
        Self { status: 401, kind: "auth_error", param: Some("None".to_owned()), message }
    }
}

/// The beginning and the end.
fn masked(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    match letters.as_slice() {
        [a, b, .., y, z] if letters.len() > 6 => format!("{a}{b}****{y}{z}"),
        _ => "****".to_owned(),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_role_is_told_in_litellms_words() {
        let problem = Problem::wrong_role("/key/generate", "internal_user_viewer", Some("ada@example.com"));
        assert_eq!(problem.status, 401);
        assert!(problem.message.contains("Route=/key/generate. Your role=internal_user_viewer"));
        assert!(problem.message.ends_with("Your user_id=ad****om"), "{problem}");
    }
}
