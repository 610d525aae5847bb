//! Who asks? Each dialect's clients carry their key in their own way; all ways work everywhere, except a key in
//! the address, which ends up in logs and is taken only where Google's clients put it.

use std::net::IpAddr;

use dialects::Dialect;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use ledger::rules::circle::Ask;
use ledger::rules::id::KeyHash;
use percent_encoding::percent_decode_str;

use super::key_hash::hash_of;
use super::receive::{header, names};
use crate::exchange::Identity;
use crate::refusal::Refusal;
use crate::snapshot::{Auth, Snapshot};
use crate::{Gateway, books, routes};

/// Where a key is looked for, and what it is to open.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'r> {
    pub headers: &'r HeaderMap,
    pub query: &'r str,
    pub path: &'r str,
    pub dialect: Dialect,
}

/// Checks the key of a request.
///
/// # Errors
/// A 401 that says what is missing, a 403 where the key does not reach, a 503 where the database of keys is away.
pub async fn authenticate(
    gateway: &Gateway,
    snapshot: &Snapshot,
    asked: &Asked<'_>,
    peer: IpAddr,
) -> Result<Identity, Refusal> {
    let master = match &snapshot.auth {
        Auth::Open => return Ok(Identity::Local),
        Auth::MasterKey(hash) => hash,
    };
    let key = presented(snapshot, asked)?;
    // Hashes are compared, so that the time it takes tells nothing about the key.
    let hash = hash_of(&key);
    if hash == *master {
        return Ok(Identity::Master);
    }
    if !key.starts_with("sk-") {
        return Err(Refusal::unauthenticated(format_args!(
            "LiteLLM Virtual Key expected. Received={}, expected to start with 'sk-'.",
            masked(&key)
        )));
    }
    let unknown = |hint: &str| {
        Refusal::unauthenticated(format_args!(
            "Invalid proxy server token passed. Received key={}{hint}",
            masked(&key)
        ))
    };
    let Some(books) = gateway.books() else {
        return Err(unknown("; this gateway knows its master key only"));
    };
    let holder = books
        .holder(&KeyHash::from_digest(hash), peer, snapshot.guess_limits)
        .await
        .map_err(|error| Refusal::not_known(&error))?;
    let holder = holder.ok_or_else(|| unknown(". Unable to find token in the gateway's database"))?;
    let groups = routes::groups_of(asked.path);
    let ask = Ask { route: asked.path, route_groups: groups, address: Some(peer) };
    let allowed = holder.circle().may_ask(&ask, books::now());
    allowed.map_err(|denied| Refusal::denied(&denied, snapshot.over_budget_status))?;
    Ok(Identity::Key(holder))
}

fn presented(snapshot: &Snapshot, asked: &Asked<'_>) -> Result<String, Refusal> {
    let &Asked { headers, query, dialect, .. } = asked;
    if let Some(name) = &snapshot.key_header
        && let Some(value) = headers.get(name).and_then(|value| value.to_str().ok())
    {
        return Ok(without_scheme(value).unwrap_or(value).to_owned());
    }
    if let Some(value) = header(headers, &names::LITELLM_KEY) {
        return Ok(without_scheme(value).unwrap_or(value).to_owned());
    }
    if let Some(value) = header(headers, AUTHORIZATION) {
        return without_scheme(value).map(str::to_owned).ok_or_else(|| {
            Refusal::unauthenticated("Malformed API Key passed in. Ensure Key has `Bearer ` prefix.")
        });
    }
    for name in &names::KEYS {
        if let Some(value) = header(headers, name) {
            return Ok(value.to_owned());
        }
    }
    if dialect == Dialect::Gemini
        && let Some(value) = query_value(query, "key")
    {
        return Ok(value);
    }
    Err(Refusal::unauthenticated("No api key passed in."))
}

/// `Bearer sk-…` → `sk-…`; any scheme word is taken, as LiteLLM does.
fn without_scheme(value: &str) -> Option<&str> {
    let (_, key) = value.trim().split_once(' ')?;
    Some(key.trim())
}

/// A value of the query string.
pub(super) fn query_value(query: &str, name: &str) -> Option<String> {
    let (_, value) =
        query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?;
    percent_decode_str(value).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn masked(key: &str) -> String {
    let last: Vec<char> = key.chars().rev().take(4).collect();
    if key.chars().count() < 12 {
        return "****".to_owned();
    }
    format!("****{}", last.into_iter().rev().collect::<String>())
}
