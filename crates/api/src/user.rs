//! Users.

use ledger::rules::entity::{User, UserRole};
use ledger::rules::time::Timestamp;
use ledger::rules::zone::Clock;
use serde_json::{Value, json};

use crate::Object;
use crate::body::{Body, Patch};
use crate::caller;
use crate::field::{Field, Kind, field};
use crate::problem::Problem;
use crate::terms::{self, Spend};

/// What users may be.
pub const ROLES: &[&str] = &[
    "proxy_admin",
    "proxy_admin_viewer",
    "org_admin",
    "internal_user",
    "internal_user_viewer",
    "team",
    "customer",
];

/// What a user is made of, the terms apart.
pub const FIELDS: &[Field] = &[
    field("user_id", Kind::Text),
    field("user_email", Kind::Text),
    field("user_alias", Kind::Text),
    field("user_role", Kind::OneOf(ROLES)),
    field("models", Kind::Texts),
    field("blocked", Kind::Bool),
    field("spend", Kind::Amount),
    field("metadata", Kind::Object),
    field("sso_user_id", Kind::Text),
    field("object_permission", Kind::Object),
];

/// Of a new user: memberships, and what the first key is to be.
pub const NEW: &[Field] = &[
    field("teams", Kind::List),
    field("organizations", Kind::Texts),
    field("organization_id", Kind::Text),
    field("team_id", Kind::Text),
    field("auto_create_key", Kind::Bool),
    field("send_invite_email", Kind::Bool),
    field("key_alias", Kind::Text),
    field("duration", Kind::Duration),
    field("aliases", Kind::TextMap),
    field("config", Kind::Object),
    field("permissions", Kind::Object),
    field("allowed_cache_controls", Kind::Texts),
    field("guardrails", Kind::Texts),
    field("key_type", Kind::Text),
    field("allowed_routes", Kind::Texts),
];

/// Of a change only.
pub const CHANGED: &[Field] = &[];

/// What users may change about themselves.
pub const OWN: [&str; 4] = ["user_id", "user_email", "user_alias", "metadata"];

fn kept() -> &'static [Field] {
    let from = FIELDS.iter().position(|field| field.name == "metadata").unwrap_or(FIELDS.len());
    FIELDS.get(from..).unwrap_or_default()
}

/// The role that a text names.
#[must_use]
pub fn role(text: &str) -> Option<UserRole> {
    Some(match text {
        "proxy_admin" => UserRole::ProxyAdmin,
        "proxy_admin_viewer" => UserRole::ProxyAdminViewer,
        "org_admin" => UserRole::OrgAdmin,
        "internal_user" => UserRole::InternalUser,
        "internal_user_viewer" => UserRole::InternalUserViewer,
        "team" => UserRole::Team,
        "customer" => UserRole::Customer,
        _ => return None,
    })
}

/// A role's name.
#[must_use]
pub fn role_name(role: UserRole) -> &'static str {
    match role {
        UserRole::ProxyAdmin => "proxy_admin",
        UserRole::ProxyAdminViewer => "proxy_admin_viewer",
        UserRole::OrgAdmin => "org_admin",
        UserRole::InternalUser => "internal_user",
        UserRole::InternalUserViewer => "internal_user_viewer",
        UserRole::Team => "team",
        UserRole::Customer => "customer",
    }
}

/// Takes over what a request says about the user.
///
/// # Errors
/// A field that makes no sense.
pub fn apply(body: &Body, user: &mut User, now: Timestamp) -> Result<(), Problem> {
    let text = |body: &Body, name: &str| body.text(name).map(str::to_owned);
    let email = |body: &Body, name: &str| body.text(name).map(|email| email.trim().to_lowercase());
    body.patch("user_email", email).apply(&mut user.email);
    if let Some(email) = &user.email
        && !email.contains('@')
    {
        return Err(Problem::field(
            "user_email",
            format!("`user_email` is `{email}`, which is no e-mail address"),
        ));
    }
    body.patch("user_alias", text).apply(&mut user.details.alias);
    if let Some(role) = body.text("user_role").and_then(role) {
        user.role = role;
    }
    match body.patch("models", Body::texts) {
        Patch::Set(models) => user.models.0 = models,
        Patch::Clear => user.models.0.clear(),
        Patch::Keep => {}
    }
    if let Some(blocked) = body.bool("blocked") {
        user.details.blocked = blocked;
    }
    terms::apply(body, &mut user.details, now)?;
    terms::keep(body, kept(), &mut user.details);
    Ok(())
}

/// A user, with the ids of their teams.
#[must_use]
pub fn row(user: &User, teams: &[String], spend: Spend, clock: &Clock) -> Object {
    let mut row = Object::new();
    row.insert("user_id".to_owned(), json!(user.id));
    row.insert("user_email".to_owned(), json!(user.email));
    row.insert("user_alias".to_owned(), json!(user.details.alias));
    row.insert("user_role".to_owned(), json!(role_name(user.role)));
    row.insert("teams".to_owned(), json!(teams));
    row.insert("organization_id".to_owned(), json!(user.organization));
    row.insert("models".to_owned(), json!(user.models.0));
    row.insert("blocked".to_owned(), json!(user.details.blocked));
    row.insert("spend".to_owned(), json!(spend.current));
    row.insert("total_spend".to_owned(), json!(spend.total));
    row.extend(terms::show(&user.details, clock));
    terms::show_kept(&user.details, kept(), &mut row);
    terms::show_history(&user.details, &mut row);
    row.insert("model_spend".to_owned(), Value::Object(Object::new()));
    row
}

/// What a user is to those who ask about them.
#[must_use]
pub fn object(user: &User) -> caller::Object {
    caller::Object {
        user: Some(user.id.clone()),
        organization: user.organization.clone(),
        ..caller::Object::default()
    }
}
