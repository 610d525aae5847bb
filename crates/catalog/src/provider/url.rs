//! From a row and a deployment's settings to the address of a call.

use std::borrow::Cow;
use std::fmt;

use dialects::quirk::Quirk;

use super::{Auth, Endpoint, EndpointKind, Header, Provider, Rule, Variant, When};
use crate::pattern;

/// What the URL of a call may depend on. Environment variables (`base_url_env`, `url_env`) are the caller's to
/// read.
#[derive(Clone, Copy, Debug, Default)]
pub struct UrlParams<'a> {
    /// The model's name without the provider's prefix.
    pub model: &'a str,
    pub api_base: Option<&'a str>,
    pub api_version: Option<&'a str>,
    pub project: Option<&'a str>,
    pub location: Option<&'a str>,
    pub region: Option<&'a str>,
    pub account_id: Option<&'a str>,
    /// Other parts by name: `voice_id`, `tenant`, `bucket`, `id`, `op`.
    pub others: &'a [(&'a str, &'a str)],
}

/// Why a call has no address. The message says what to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unroutable {
    /// The provider has no such endpoint.
    NoEndpoint { provider: &'static str, kind: EndpointKind },
    /// The row has no base and none was given.
    MissingBase { provider: &'static str, env: &'static [&'static str] },
    /// A part of the URL was not given.
    MissingPart { provider: &'static str, part: String, env: &'static [&'static str] },
}

impl fmt::Display for Unroutable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_env = |f: &mut fmt::Formatter<'_>, env: &[&str]| match env.first() {
            Some(name) => write!(f, " or the environment variable `{name}`"),
            None => Ok(()),
        };
        match self {
            Self::NoEndpoint { provider, kind } => {
                write!(f, "provider `{provider}` does not offer `{}`", kind.name())
            }
            Self::MissingBase { provider, env } => {
                write!(f, "provider `{provider}` has no address of its own: set `api_base`")?;
                or_env(f, env)
            }
            Self::MissingPart { provider, part, env } => {
                write!(f, "the address of provider `{provider}` needs `{part}`: set it")?;
                or_env(f, env)
            }
        }
    }
}

impl std::error::Error for Unroutable {}

/// The endpoint that serves a model on a server, and what its URL is made of.
#[derive(Clone, Debug)]
pub struct Route<'a> {
    pub provider: &'static Provider,
    pub endpoint: &'static Endpoint,
    /// The model's name as the provider knows it: without words that only choose the route.
    pub model: &'a str,
    variant: Option<&'static Variant>,
    captures: Vec<(&'static str, &'a str)>,
    params: UrlParams<'a>,
}

impl Provider {
    /// Chooses the endpoint for a model.
    ///
    /// # Errors
    /// When neither the row nor a fitting variant has an endpoint of this kind.
    pub fn route<'a>(
        &'static self,
        kind: EndpointKind,
        params: &UrlParams<'a>,
    ) -> Result<Route<'a>, Unroutable> {
        let fits = |variant: &'static Variant| {
            variant.when.iter().find_map(|when| when.holds(params)).map(|captures| (variant, captures))
        };
        // A variant with this endpoint; else one that at least tells the model's own name.
        let serving = self.variants.iter().filter(|variant| variant.endpoint(kind).is_some()).find_map(fits);
        let (variant, captures) = match serving.or_else(|| self.variants.iter().find_map(fits)) {
            Some((variant, captures)) => (Some(variant), captures),
            None => (None, Vec::new()),
        };
        let of_variant = variant.and_then(|variant| variant.endpoint(kind));
        let endpoint = of_variant
            .or_else(|| self.endpoint(kind))
            .ok_or(Unroutable::NoEndpoint { provider: self.id, kind })?;
        let model =
            captures.iter().find(|(name, _)| *name == "model").map_or(params.model, |(_, model)| model);
        let variant = variant.filter(|_| of_variant.is_some());
        Ok(Route { provider: self, endpoint, model, variant, captures, params: *params })
    }
}

impl Variant {
    fn endpoint(&self, kind: EndpointKind) -> Option<&'static Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.kind == kind)
    }
}

impl When {
    fn holds<'a>(&self, params: &UrlParams<'a>) -> Option<Vec<(&'static str, &'a str)>> {
        let base = params.api_base.map(|base| base.trim_end_matches('/'));
        let base_fits =
            self.base.is_empty() || base.is_some_and(|base| pattern::any(self.base, base).is_some());
        let version_fits = self.api_version.is_empty()
            || params.api_version.is_some_and(|version| self.api_version.contains(&version));
        let given_fits = self.base_given.is_none_or(|given| given == base.is_some());
        if !(base_fits && version_fits && given_fits) {
            return None;
        }
        if self.model.is_empty() { Some(Vec::new()) } else { pattern::any(self.model, params.model) }
    }
}

impl<'a> Route<'a> {
    #[must_use]
    pub fn auth(&self) -> Auth {
        self.variant.and_then(|variant| variant.auth).unwrap_or(self.provider.auth)
    }

    /// How the endpoint departs from its dialect: what the endpoint itself says, and for chat endpoints of the same
    /// dialect as the row's what the row says.
    #[must_use]
    pub fn quirks(&self) -> Vec<Quirk> {
        let own = self.endpoint.rules.iter().filter_map(Rule::quirk);
        let is_chat = self.endpoint.kind == EndpointKind::Chat
            && self
                .provider
                .endpoint(EndpointKind::Chat)
                .is_none_or(|chat| chat.dialect == self.endpoint.dialect);
        let of_row = if is_chat { self.provider.quirks() } else { &[] };
        of_row.iter().cloned().chain(own).collect()
    }

    /// The headers that every request carries.
    pub fn headers(&self) -> impl Iterator<Item = &'static Header> {
        self.provider.headers.iter().chain(self.variant.map_or(&[][..], |variant| variant.headers))
    }

    /// The address of a call.
    ///
    /// A base given by the user replaces the row's: the path is appended to it, unless it already ends in the
    /// path. Where an endpoint lives outside the row's base (its path is a whole URL) the user's base replaces what
    /// both have in common: for `https://host/v1/inference/m` of a row with `https://host/v1/openai`, a user's
    /// `https://proxy/v1/openai` gives `https://proxy/v1/inference/m`.
    ///
    /// # Errors
    /// Names the setting that is missing.
    pub fn url(&self, stream: bool) -> Result<String, Unroutable> {
        let template =
            if stream { self.endpoint.stream.unwrap_or(self.endpoint.path) } else { self.endpoint.path };
        let given = self.params.api_base.map(|base| base.trim_end_matches('/'));
        let (origin, path) = split_origin(template);
        let (base, path): (Cow<'_, str>, &str) = match (given, origin) {
            (Some(base), "") => (self.fill(base)?.into(), path),
            (Some(base), _) => {
                let (own, path) =
                    self.provider.base_url.map_or(("", path), |own| without_shared(own, template));
                (self.fill(base.strip_suffix(own).unwrap_or(base))?.into(), path)
            }
            (None, "") => (self.fill(self.own_base()?)?.into(), path),
            (None, origin) => (self.fill(origin)?.into(), path),
        };
        let path = self.fill(path)?;
        let (path, query) = path.split_once('?').map_or((path.as_str(), None), |(p, q)| (p, Some(q)));
        // A query in the user's base stays a query: Azure users write `…?api-version=…`.
        let (base, own_query) = base.split_once('?').map_or((&*base, None), |(b, q)| (b, Some(q)));
        let base = base.trim_end_matches('/');
        let keep = if given.is_none() {
            path
        } else if self.provider.merges_base {
            without_common(base, path)
        } else if !path.trim_matches('/').is_empty() && base.ends_with(path) {
            ""
        } else {
            path
        };
        let mut url = String::with_capacity(base.len() + path.len() + 32);
        match base.strip_prefix("http").filter(|_| self.endpoint.websocket) {
            Some(rest) => url.extend(["ws", rest]),
            None => url.push_str(base),
        }
        url.push_str(keep);
        if let Some(query) = own_query.or(query) {
            url.push('?');
            url.push_str(query);
        }
        Ok(url)
    }

    fn own_base(&self) -> Result<&'static str, Unroutable> {
        let missing = Unroutable::MissingBase { provider: self.provider.id, env: self.provider.base_url_env };
        let by_location = self.part("location").and_then(|location| {
            let bases = self.provider.base_url_by_location;
            bases.iter().find(|(name, _)| *name == location).map(|(_, base)| *base)
        });
        by_location.or(self.provider.base_url).ok_or(missing)
    }

    fn part(&self, name: &str) -> Option<&'a str> {
        let params = &self.params;
        let named =
            |list: &[(&str, &'a str)]| list.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let given = match name {
            "model" => Some(self.model),
            "api_version" => params.api_version,
            "project" => params.project,
            "location" => params.location,
            "region" => params.region,
            "account_id" => params.account_id,
            _ => named(params.others),
        };
        given
            .or_else(|| named(&self.captures))
            .filter(|value| !value.is_empty())
            .or_else(|| named(self.provider.url_defaults))
    }

    /// Replaces the parts in braces.
    fn fill(&self, template: &str) -> Result<String, Unroutable> {
        let mut out = String::with_capacity(template.len() + 32);
        let mut rest = template;
        while let Some((literal, (name, after))) =
            rest.split_once('{').and_then(|(literal, tail)| Some((literal, tail.split_once('}')?)))
        {
            out.push_str(literal);
            let (name, keeps) = match name.as_bytes().first() {
                Some(b'+') => (name.get(1..).unwrap_or_default(), "/:@,;=!$&'()*+"),
                Some(b':') => (name.get(1..).unwrap_or_default(), ":"),
                _ => (name, ""),
            };
            let value = self.part(name).ok_or_else(|| self.missing(name))?;
            encode(value, keeps, &mut out);
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn missing(&self, name: &str) -> Unroutable {
        let env = self.provider.url_env.iter().find(|(part, _)| *part == name);
        let env: &[&str] = env.map_or(&[], |(_, env)| env);
        Unroutable::MissingPart { provider: self.provider.id, part: name.to_owned(), env }
    }
}

/// The address of a call: [`Provider::route`] and [`Route::url`] in one.
///
/// # Errors
/// When the provider has no such endpoint, or a setting is missing.
pub fn endpoint_url(
    provider: &'static Provider,
    kind: EndpointKind,
    params: &UrlParams<'_>,
    stream: bool,
) -> Result<String, Unroutable> {
    provider.route(kind, params)?.url(stream)
}

/// `https://host/path` → (`https://host`, `/path`); a path alone has an empty origin.
fn split_origin(url: &str) -> (&str, &str) {
    let Some(start) = url.find("://").map(|at| at + 3) else { return ("", url) };
    let end = url.get(start..).and_then(|rest| rest.find('/')).map_or(url.len(), |at| start + at);
    url.split_at_checked(end).unwrap_or((url, ""))
}

/// What two URLs have behind the segments that they share, or behind their hosts if those differ.
fn without_shared<'u>(own: &'u str, other: &'u str) -> (&'u str, &'u str) {
    let ((own_origin, own_path), (other_origin, other_path)) = (split_origin(own), split_origin(other));
    if own_origin != other_origin {
        return (own_path, other_path);
    }
    let ends = other_path.match_indices('/').map(|(at, _)| at);
    let is_shared = |end: &usize| {
        let head = other_path.get(..*end).unwrap_or_default();
        own_path.strip_prefix(head).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let shared = ends.filter(is_shared).max().unwrap_or(0);
    (own_path.get(shared..).unwrap_or_default(), other_path.get(shared..).unwrap_or_default())
}

/// `path` without the segments at its beginning that `base` already ends with.
fn without_common<'p>(base: &str, path: &'p str) -> &'p str {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    let common =
        ends.filter(|end| *end > 0 && path.get(..*end).is_some_and(|head| base.ends_with(head))).max();
    path.get(common.unwrap_or(0)..).unwrap_or(path)
}

fn encode(value: &str, keeps: &str, out: &mut String) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for byte in value.bytes() {
        let c = char::from(byte);
        if c.is_ascii_alphanumeric() || "-._~".contains(c) || (c.is_ascii() && keeps.contains(c)) {
            out.push(c);
        } else {
            out.push('%');
            out.extend([byte >> 4, byte & 15].iter().filter_map(|digit| HEX.get(usize::from(*digit))));
        }
    }
}
