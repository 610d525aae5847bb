//! All routes of the management API: what they take, and who may call them. What is not here cannot be called.

mod access;
mod budgets;
mod keys;
mod models;
mod people;
mod spend;
mod teams;

use crate::caller::Who;
use crate::field::Field;

/// The groups of routes that a key's `allowed_routes` may hold; LiteLLM's words, also for routes that are not served yet.
pub const GROUPS: &[&str] = &[
    "llm_api_routes",
    "openai_routes",
    "anthropic_routes",
    "google_routes",
    "passthrough_routes_wildcard",
    "mapped_pass_through_routes",
    "mcp_routes",
    "agent_routes",
    "apply_guardrail_routes",
    "litellm_native_routes",
    "info_routes",
    "management_routes",
    "key_management_routes",
    "spend_tracking_routes",
    "global_spend_tracking_routes",
];

/// Whether a route changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Reads,
    Writes,
}

/// One route.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub method: &'static str,
    /// With `{names}` for what varies.
    pub path: &'static str,
    /// Other paths that do the same.
    pub aliases: &'static [&'static str],
    pub effect: Effect,
    pub who: &'static [Who],
    /// Part of the documentation.
    pub tag: &'static str,
    pub summary: &'static str,
    /// The body's fields.
    pub body: &'static [&'static [Field]],
    /// The query's fields.
    pub query: &'static [Field],
}

impl Route {
    /// The names under which a key's `allowed_routes` may hold it; LiteLLM's words.
    #[must_use]
    pub fn groups(&self) -> &'static [&'static str] {
        match (self.effect, self.tag) {
            (Effect::Reads, "spend") if self.path.starts_with("/global/") => {
                &["management_routes", "spend_tracking_routes", "global_spend_tracking_routes", "info_routes"]
            }
            (Effect::Reads, "spend") => &["management_routes", "spend_tracking_routes", "info_routes"],
            (Effect::Reads, "keys") => &["management_routes", "key_management_routes", "info_routes"],
            (Effect::Writes, "keys") => &["management_routes", "key_management_routes"],
            (Effect::Reads, _) => &["management_routes", "info_routes"],
            (Effect::Writes, _) => &["management_routes"],
        }
    }

    /// Whether it tells what was spent, and changes nothing.
    #[must_use]
    pub fn tells_spend(&self) -> bool {
        self.effect == Effect::Reads && self.tag == "spend"
    }

    /// Whether a path is this route's, or one of its other paths. A `{name}` stands for one part.
    #[must_use]
    pub fn is_at(&self, path: &str) -> bool {
        let fits = |pattern: &str| {
            let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
            loop {
                match (wanted.next(), given.next()) {
                    (None, None) => return true,
                    (Some(name), Some(_)) if name.starts_with('{') => {}
                    (Some(name), Some(own)) if name == own => {}
                    _ => return false,
                }
            }
        };
        fits(self.path) || self.aliases.iter().any(|alias| fits(alias))
    }
}

/// All routes.
pub fn all() -> impl Iterator<Item = &'static Route> {
    [
        keys::ROUTES,
        teams::ROUTES,
        people::ROUTES,
        budgets::ROUTES,
        access::ROUTES,
        spend::ROUTES,
        models::ROUTES,
    ]
    .into_iter()
    .flatten()
}

/// The route of a request.
#[must_use]
pub fn find(method: &str, path: &str) -> Option<&'static Route> {
    let exact =
        all().find(|route| route.method == method && (route.path == path || route.aliases.contains(&path)));
    exact.or_else(|| all().find(|route| route.method == method && route.is_at(path)))
}

const fn get(path: &'static str, tag: &'static str, summary: &'static str, who: &'static [Who]) -> Route {
    Route {
        method: "GET",
        path,
        aliases: &[],
        effect: Effect::Reads,
        who,
        tag,
        summary,
        body: &[],
        query: &[],
    }
}

const fn post(path: &'static str, tag: &'static str, summary: &'static str, who: &'static [Who]) -> Route {
    Route { method: "POST", effect: Effect::Writes, ..get(path, tag, summary, who) }
}

impl Route {
    const fn body(self, body: &'static [&'static [Field]]) -> Self {
        Self { body, ..self }
    }

    const fn query(self, query: &'static [Field]) -> Self {
        Self { query, ..self }
    }

    const fn also(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    const fn method(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    /// What is no POST and changes something.
    const fn writing(self) -> Self {
        Self { effect: Effect::Writes, ..self }
    }

    /// A POST that changes nothing.
    const fn reading(self) -> Self {
        Self { effect: Effect::Reads, ..self }
    }
}

#[cfg(test)]
mod tests;
