use super::{Route, get, post};
use crate::caller::Who;
use crate::field::{Field, Kind, field, required};
use crate::{team, terms};

const MANAGE: &[Who] = &[Who::TeamAdmin, Who::OrganizationAdmin];
const OVERSEE: &[Who] = &[Who::OrganizationAdmin];
const SEE: &[Who] = &[Who::Viewer, Who::Member, Who::TeamAdmin, Who::OrganizationAdmin];
/// Who manages it, and who sees all.
const LOGGING: &[Who] = &[Who::Viewer, Who::TeamAdmin, Who::OrganizationAdmin];
const TAG: &str = "teams";

const WHICH: &[Field] = &[required("team_id", Kind::Text)];
const MEMBER: &[Field] = &[field("user_id", Kind::Text), field("user_email", Kind::Text)];
const MEMBER_TERMS: &[Field] = &[
    field("role", Kind::OneOf(&["admin", "user"])),
    field("max_budget_in_team", Kind::Amount),
    field("budget_duration", Kind::Duration),
    field("tpm_limit", Kind::Count),
    field("rpm_limit", Kind::Count),
    field("allowed_models", Kind::Texts),
];
const RESET: &[Field] = &[required("reset_to", Kind::Amount)];

pub(super) const ROUTES: &[Route] = &[
    post("/team/new", TAG, "Make a team", OVERSEE).body(&[team::FIELDS, terms::TERMS, terms::MORE_TERMS]),
    post("/team/update", TAG, "Change a team", MANAGE).body(&[team::FIELDS, terms::TERMS, terms::MORE_TERMS]),
    post("/team/{team_id}", TAG, "Change a team", MANAGE).method("PATCH").body(&[
        team::FIELDS,
        terms::TERMS,
        terms::MORE_TERMS,
    ]),
    post("/team/delete", TAG, "Delete teams and their keys", OVERSEE)
        .body(&[&[required("team_ids", Kind::Texts)]]),
    get("/team/info", TAG, "Show a team with its keys and members", SEE)
        .query(&[field("team_id", Kind::Text), field("key_limit", Kind::Count)]),
    get("/team/list", TAG, "List teams: an administrator all, others their own", &[Who::Anyone])
        .query(&[field("user_id", Kind::Text), field("organization_id", Kind::Text)]),
    get("/v2/team/list", TAG, "List teams, page by page", &[Who::Anyone]).query(&[
        field("user_id", Kind::Text),
        field("organization_id", Kind::Text),
        field("team_id", Kind::Text),
        field("team_alias", Kind::Text),
        field("search", Kind::Text),
        field("page", Kind::Count),
        field("page_size", Kind::Count),
        field("sort_by", Kind::OneOf(&["created_at", "updated_at", "team_alias", "spend"])),
        field("sort_order", Kind::OneOf(&["asc", "desc"])),
    ]),
    get("/team/filter/ui", TAG, "Find teams by a part of their name", &[Who::Viewer]).query(&[
        field("team_id", Kind::Text),
        field("team_alias", Kind::Text),
        field("page", Kind::Count),
        field("page_size", Kind::Count),
    ]),
    get("/team/available", TAG, "Teams that anybody may join; none", &[Who::Anyone]),
    get("/team/metadata_schema", TAG, "What a team's metadata must hold; nothing", &[Who::Anyone]),
    get("/team/{team_id}/members/me", TAG, "Show the caller's own membership", &[Who::Member]),
    post("/team/member_add", TAG, "Add one or several members", MANAGE).body(&[
        WHICH,
        &[required("member", Kind::ListOrObject)],
        MEMBER_TERMS,
    ]),
    post("/team/bulk_member_add", TAG, "Add many members", MANAGE).body(&[
        WHICH,
        &[
            field("members", Kind::List),
            field("all_users", Kind::Bool),
            field("max_budget_in_team", Kind::Amount),
        ],
    ]),
    post("/team/member_update", TAG, "Change a membership", MANAGE).body(&[
        WHICH,
        MEMBER,
        MEMBER_TERMS,
        terms::RAISE,
    ]),
    post(
        "/management/v1/teams/{team_id}/members/bulk_update",
        TAG,
        "Change several memberships, each as /team/member_update does",
        MANAGE,
    )
    .body(&[&[required("members", Kind::List)]]),
    post(
        "/management/v1/teams/{team_id}/members/bulk_delete",
        TAG,
        "Take several members out, each as /team/member_delete does",
        MANAGE,
    )
    .body(&[&[required("members", Kind::List)]]),
    post("/team/member_delete", TAG, "Take a member out; their keys of this team go with them", MANAGE)
        .body(&[WHICH, MEMBER]),
    post(
        "/team/{team_id}/member/{user_id}/reset_spend",
        TAG,
        "Set what a member has spent in the team",
        MANAGE,
    )
    .body(&[RESET]),
    post("/team/{team_id}/member/{user_id}/reset_budget", TAG, "Take a member's own budget away", MANAGE),
    post("/team/{team_id}/reset_spend", TAG, "Set what a team has spent", OVERSEE).body(&[RESET]),
    get("/team/{team_id}/callback", TAG, "Where a team's requests are logged", LOGGING),
    post("/team/{team_id}/callback", TAG, "Say where a team's requests are logged", MANAGE)
        .body(&[team::CALLBACK]),
    get("/team/{team_id}/callback/{callback_name}", TAG, "Take a logging callback away", MANAGE)
        .method("DELETE")
        .writing(),
    post("/team/{team_id}/disable_logging", TAG, "Take all of a team's logging callbacks away", OVERSEE),
    post("/team/block", TAG, "Block a team: none of its keys can be used", OVERSEE).body(&[WHICH]),
    post("/team/unblock", TAG, "Unblock a team", OVERSEE).body(&[WHICH]),
    post("/team/model/add", TAG, "Give a team more models", OVERSEE)
        .body(&[WHICH, &[required("models", Kind::Texts)]]),
    post("/team/model/delete", TAG, "Take models from a team", MANAGE)
        .body(&[WHICH, &[required("models", Kind::Texts)]]),
    get("/team/permissions_list", TAG, "What the members of a team may do", SEE)
        .query(&[field("team_id", Kind::Text)]),
    post("/team/permissions_update", TAG, "Say what the members of a team may do", MANAGE)
        .body(&[WHICH, &[required("team_member_permissions", Kind::Texts)]]),
    post("/team/permissions_bulk_update", TAG, "Add to what members may do, in several teams", &[]).body(&[
        &[
            required("permissions", Kind::Texts),
            field("team_ids", Kind::Texts),
            field("apply_to_all_teams", Kind::Bool),
        ],
    ]),
];
