//! Teams and their members.

use ledger::rules::entity::{Member, MemberRole, Team};
use ledger::rules::time::Timestamp;
use ledger::rules::zone::Clock;
use serde_json::{Value, json};

use crate::Object;
use crate::access_group;
use crate::body::{Body, Patch};
use crate::caller;
use crate::field::{Field, Kind, field, required};
use crate::key::text_map;
use crate::moment;
use crate::problem::Problem;
use crate::terms::{self, Spend};

/// What a team is made of, its terms apart.
pub const FIELDS: &[Field] = &[
    field("team_id", Kind::Text),
    field("team_alias", Kind::Text),
    field("organization_id", Kind::Text),
    field("members_with_roles", Kind::List),
    field("admins", Kind::Texts),
    field("members", Kind::Texts),
    field("team_member_permissions", Kind::Texts),
    field("models", Kind::Texts),
    field("access_group_ids", Kind::Texts),
    field("model_aliases", Kind::TextMap),
    field("blocked", Kind::Bool),
    field("spend", Kind::Amount),
    field("metadata", Kind::Object),
    field("team_member_budget", Kind::Amount),
    field("team_member_budget_duration", Kind::Duration),
    field("team_member_rpm_limit", Kind::Count),
    field("team_member_tpm_limit", Kind::Count),
    field("team_member_key_duration", Kind::Duration),
    field("default_team_member_models", Kind::Texts),
    field("tags", Kind::Texts),
    field("guardrails", Kind::Texts),
    field("policies", Kind::Texts),
    field("prompts", Kind::Texts),
    field("disable_global_guardrails", Kind::Bool),
    field("object_permission", Kind::Object),
    field("router_settings", Kind::Object),
    field("allowed_passthrough_routes", Kind::Texts),
    field("denied_passthrough_routes", Kind::Texts),
    field("secret_manager_settings", Kind::Object),
    field("allowed_vector_store_indexes", Kind::List),
    field("tpd_limit", Kind::Count),
    field("tpm_limit_type", Kind::Text),
    field("rpm_limit_type", Kind::Text),
    field("mcp_rpm_limit", Kind::CountMap),
    field("default_estimated_output_tokens", Kind::Count),
    field("default_estimated_output_tokens_per_model", Kind::CountMap),
    field("budget_fallbacks", Kind::Object),
    field("unknown_price", Kind::Any),
];

/// Of a logging callback.
pub const CALLBACK: &[Field] = &[
    required("callback_name", Kind::Text),
    field("callback_type", Kind::OneOf(&["success", "failure", "success_and_failure"])),
    required("callback_vars", Kind::TextMap),
];

fn kept() -> &'static [Field] {
    let from = FIELDS.iter().position(|field| field.name == "metadata").unwrap_or(FIELDS.len());
    FIELDS.get(from..).unwrap_or_default()
}

/// Takes over what a request says about the team itself.
///
/// # Errors
/// A field that makes no sense.
pub fn apply(body: &Body, team: &mut Team, now: Timestamp) -> Result<(), Problem> {
    let text = |body: &Body, name: &str| body.text(name).map(str::to_owned);
    body.patch("team_alias", text).apply(&mut team.details.alias);
    body.id("organization_id")?.apply(&mut team.organization);
    match body.patch("models", Body::texts) {
        Patch::Set(models) => team.models.0 = models,
        Patch::Clear => team.models.0.clear(),
        Patch::Keep => {}
    }
    if let Patch::Set(groups) = access_group::ids(body, "access_group_ids")? {
        team.access_groups = groups;
    }
    match body.patch("model_aliases", |body, name| body.object(name).map(text_map)) {
        Patch::Set(aliases) => team.aliases = aliases,
        Patch::Clear => team.aliases.clear(),
        Patch::Keep => {}
    }
    if let Some(permissions) = body.texts("team_member_permissions") {
        check_permissions(&permissions)?;
        team.member_permissions = permissions;
    }
    if let Some(blocked) = body.bool("blocked") {
        team.details.blocked = blocked;
    }
    terms::apply(body, &mut team.details, now)?;
    terms::keep(body, kept(), &mut team.details);
    Ok(())
}

/// The routes that a team may permit its members.
#[must_use]
pub fn permissions() -> Vec<&'static str> {
    let of_members = |route: &&crate::route::Route| route.who.contains(&caller::Who::TeamMember);
    let paths = crate::route::all().filter(of_members).map(|route| route.path);
    paths.chain(["/key/health"]).collect()
}

/// Whether these are routes that members can be permitted.
///
/// # Errors
/// The first that is not.
pub fn check_permissions(wanted: &[String]) -> Result<(), Problem> {
    let known = permissions();
    match wanted.iter().find(|path| !known.contains(&path.as_str())) {
        Some(path) => Err(Problem::field(
            "team_member_permissions",
            format!("`{path}` cannot be permitted to members; what can: {}", known.join(", ")),
        )),
        None => Ok(()),
    }
}

/// Somebody to be added: by id, or by e-mail address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMember {
    pub user: Option<String>,
    pub email: Option<String>,
    /// As it was written.
    pub role: Option<String>,
}

/// Reads `{user_id | user_email, role}`, or a list of such.
///
/// # Errors
/// The first that is none.
pub fn new_members(
    name: &str,
    value: &Value,
    roles: &'static [&'static str],
) -> Result<Vec<NewMember>, Problem> {
    let one = |at: usize, value: &Value| {
        let place = format!("{name}[{at}]");
        let fields = value.as_object().cloned().ok_or_else(|| {
            Problem::field(
                place.clone(),
                format!("`{place}` must be an object with `user_id` or `user_email`, and `role`"),
            )
        })?;
        let known = [
            field("user_id", Kind::Text),
            field("user_email", Kind::Text),
            field("role", Kind::OneOf(roles)),
        ];
        let body = Body::of(fields, &[&known]).map_err(|problem| Problem {
            message: format!("in `{place}`: {}", problem.message),
            ..problem
        })?;
        let member = NewMember {
            user: body.text("user_id").map(str::to_owned),
            email: body.text("user_email").map(str::to_owned),
            role: body.text("role").map(str::to_owned),
        };
        if member.user.is_none() && member.email.is_none() {
            return Err(Problem::field(place.clone(), format!("`{place}` needs `user_id` or `user_email`")));
        }
        Ok(member)
    };
    match value {
        Value::Array(list) => list.iter().enumerate().map(|(at, value)| one(at, value)).collect(),
        single => Ok(vec![one(0, single)?]),
    }
}

/// The roles of members.
pub const MEMBER_ROLES: &[&str] = &["admin", "user"];

/// The role that a text names.
#[must_use]
pub fn role(text: Option<&str>) -> MemberRole {
    if text == Some("admin") { MemberRole::Admin } else { MemberRole::User }
}

fn role_name(role: MemberRole) -> &'static str {
    match role {
        MemberRole::Admin => "admin",
        MemberRole::User => "user",
    }
}

/// A team with its members.
#[must_use]
pub fn row(team: &Team, members: &[Member], spend: Spend, clock: &Clock) -> Object {
    let of_role = |role: MemberRole| -> Vec<&str> {
        members.iter().filter(|member| member.role == role).map(|member| member.user.as_str()).collect()
    };
    let mut row = Object::new();
    row.insert("team_id".to_owned(), json!(team.id));
    row.insert("team_alias".to_owned(), json!(team.details.alias));
    row.insert("organization_id".to_owned(), json!(team.organization));
    row.insert("admins".to_owned(), json!(of_role(MemberRole::Admin)));
    row.insert("members".to_owned(), json!(of_role(MemberRole::User)));
    row.insert("members_with_roles".to_owned(), members.iter().map(with_role).collect());
    row.insert("team_member_permissions".to_owned(), json!(team.member_permissions));
    row.insert("models".to_owned(), json!(team.models.0));
    row.insert("access_group_ids".to_owned(), json!(team.access_groups));
    row.insert("model_aliases".to_owned(), json!(team.aliases));
    row.insert("blocked".to_owned(), json!(team.details.blocked));
    row.insert("spend".to_owned(), json!(spend.current));
    row.insert("total_spend".to_owned(), json!(spend.total));
    row.extend(terms::show(&team.details, clock));
    terms::show_kept(&team.details, kept(), &mut row);
    terms::show_history(&team.details, &mut row);
    row.insert("litellm_model_table".to_owned(), json!({"model_aliases": team.aliases}));
    row
}

fn with_role(member: &Member) -> Value {
    json!({
        "user_id": member.user,
        "user_email": member.details.extra.get("user_email"),
        "role": role_name(member.role),
    })
}

/// A membership, as LiteLLM shows those.
#[must_use]
pub fn membership_row(member: &Member, spend: Spend, clock: &Clock) -> Value {
    let mut budget = terms::show(&member.details, clock);
    budget.insert("allowed_models".to_owned(), json!(member.models.0));
    json!({
        "user_id": member.user,
        "team_id": member.team,
        "role": role_name(member.role),
        "user_email": member.details.extra.get("user_email"),
        "spend": spend.current,
        "total_spend": spend.total,
        "budget_id": member.details.budget_id,
        "litellm_budget_table": budget,
        "created_at": moment::iso(member.details.created_at),
    })
}

/// Takes over what a request says about a membership: `max_budget_in_team`, limits, models.
///
/// # Errors
/// A field that makes no sense.
pub fn apply_to_member(body: &Body, member: &mut Member, now: Timestamp) -> Result<(), Problem> {
    if let Some(text) = body.text("role") {
        member.role = role(Some(text));
    }
    match body.patch("allowed_models", Body::texts) {
        Patch::Set(models) => member.models.0 = models,
        Patch::Clear => member.models.0.clear(),
        Patch::Keep => {}
    }
    let mut terms = body.clone();
    if let Some(max) = terms.take("max_budget_in_team") {
        terms.set("max_budget", max);
    }
    terms::apply(&terms, &mut member.details, now)
}

/// What a team is to those who ask about it.
#[must_use]
pub fn object(team: &Team) -> caller::Object {
    caller::Object {
        team: Some(team.id.clone()),
        organization: team.organization.clone(),
        ..caller::Object::default()
    }
}
