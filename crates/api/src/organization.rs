//! Organizations, and who is in them.

use ledger::rules::entity::Organization;
use ledger::rules::id::UserId;
use ledger::rules::time::Timestamp;
use ledger::rules::zone::Clock;
use serde_json::{Value, json};

use crate::Object;
use crate::body::{Body, Patch};
use crate::caller;
use crate::field::{Field, Kind, field};
use crate::moment;
use crate::problem::Problem;
use crate::terms::{self, Spend};

/// What an organization is made of, its terms apart.
pub const FIELDS: &[Field] = &[
    field("organization_id", Kind::Text),
    field("organization_alias", Kind::Text),
    field("models", Kind::Texts),
    field("blocked", Kind::Bool),
    field("spend", Kind::Amount),
    field("metadata", Kind::Object),
    field("object_permission", Kind::Object),
    field("tpd_limit", Kind::Count),
];

fn kept() -> &'static [Field] {
    let from = FIELDS.iter().position(|field| field.name == "metadata").unwrap_or(FIELDS.len());
    FIELDS.get(from..).unwrap_or_default()
}

/// Takes over what a request says.
///
/// # Errors
/// A field that makes no sense.
pub fn apply(body: &Body, organization: &mut Organization, now: Timestamp) -> Result<(), Problem> {
    let text = |body: &Body, name: &str| body.text(name).map(str::to_owned);
    body.patch("organization_alias", text).apply(&mut organization.details.alias);
    match body.patch("models", Body::texts) {
        Patch::Set(models) => organization.models.0 = models,
        Patch::Clear => organization.models.0.clear(),
        Patch::Keep => {}
    }
    if let Some(blocked) = body.bool("blocked") {
        organization.details.blocked = blocked;
    }
    terms::apply(body, &mut organization.details, now)?;
    terms::keep(body, kept(), &mut organization.details);
    Ok(())
}

/// The roles in an organization.
pub const MEMBER_ROLES: &[&str] = crate::user::ROLES;

/// Where the members are kept: in the organization, so that one read tells them all.
const MEMBERS: &str = "members";

/// Somebody in an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrganizationMember {
    pub user: UserId,
    pub email: Option<String>,
    /// `org_admin` administers it.
    pub role: String,
    pub since: Timestamp,
}

/// Who is in it.
#[must_use]
pub fn members(organization: &Organization) -> Vec<OrganizationMember> {
    let list = organization.details.extra.get(MEMBERS).and_then(Value::as_array);
    let member = |value: &Value| {
        Some(OrganizationMember {
            user: value.get("user_id")?.as_str()?.parse().ok()?,
            email: value.get("user_email").and_then(Value::as_str).map(str::to_owned),
            role: value.get("user_role").and_then(Value::as_str).unwrap_or("internal_user").to_owned(),
            since: value.get("created_at").and_then(Value::as_i64).map(Timestamp).unwrap_or_default(),
        })
    };
    list.into_iter().flatten().filter_map(member).collect()
}

/// Sets who is in it.
pub fn set_members(organization: &mut Organization, members: &[OrganizationMember]) {
    let member = |member: &OrganizationMember| {
        json!({
            "user_id": member.user,
            "user_email": member.email,
            "user_role": member.role,
            "created_at": member.since.0,
        })
    };
    organization.details.extra.insert(MEMBERS.to_owned(), members.iter().map(member).collect());
}

/// A membership as rows show it.
#[must_use]
pub fn member_row(organization: &Organization, member: &OrganizationMember) -> Value {
    json!({
        "user_id": member.user,
        "user_email": member.email,
        "organization_id": organization.id,
        "user_role": member.role,
        "spend": 0.0,
        "budget_id": Value::Null,
        "created_at": moment::iso(member.since),
        "litellm_budget_table": Value::Null,
    })
}

/// An organization with its members.
#[must_use]
pub fn row(organization: &Organization, spend: Spend, clock: &Clock) -> Object {
    let terms = terms::show(&organization.details, clock);
    let mut row = Object::new();
    row.insert("organization_id".to_owned(), json!(organization.id));
    row.insert("organization_alias".to_owned(), json!(organization.details.alias));
    row.insert("models".to_owned(), json!(organization.models.0));
    row.insert("blocked".to_owned(), json!(organization.details.blocked));
    row.insert("spend".to_owned(), json!(spend.current));
    row.insert("total_spend".to_owned(), json!(spend.total));
    row.insert("model_spend".to_owned(), json!({}));
    row.extend(terms.clone());
    terms::show_kept(&organization.details, kept(), &mut row);
    terms::show_history(&organization.details, &mut row);
    row.insert("litellm_budget_table".to_owned(), Value::Object(terms));
    let members = members(organization);
    row.insert("members".to_owned(), members.iter().map(|member| member_row(organization, member)).collect());
    row
}

/// What an organization is to those who ask about it.
#[must_use]
pub fn object(organization: &Organization) -> caller::Object {
    caller::Object { organization: Some(organization.id.clone()), ..caller::Object::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_read_back() {
        let mut organization: Organization = serde_json::from_value(json!({"id": "acme"})).unwrap();
        let ada = OrganizationMember {
            user: "ada".parse().unwrap(),
            email: None,
            role: "org_admin".to_owned(),
            since: Timestamp(7),
        };
        set_members(&mut organization, std::slice::from_ref(&ada));
        assert_eq!(members(&organization), [ada]);
    }
}
