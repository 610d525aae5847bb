//! Users, organizations, customers.

use super::{Route, get, post};
use crate::caller::Who;
use crate::field::{Field, Kind, field, required};
use crate::{customer, organization, terms, user};

const USERS: &str = "users";
const ORGANIZATIONS: &str = "organizations";
const CUSTOMERS: &str = "customers";

const OF_ORGANIZATION: &[Who] = &[Who::OrganizationAdmin];
const SEE_USER: &[Who] = &[Who::Viewer, Who::Owner, Who::OrganizationAdmin];
const SEE_ORGANIZATION: &[Who] = &[Who::Viewer, Who::Member, Who::OrganizationAdmin];
const ADMINISTRATORS: &[Who] = &[];
const VIEW: &[Who] = &[Who::Viewer];

const USER_ID: &[Field] = &[field("user_id", Kind::Text)];
const ORGANIZATION_MEMBER: &[Field] = &[
    required("organization_id", Kind::Text),
    field("user_id", Kind::Text),
    field("user_email", Kind::Text),
    field("role", Kind::OneOf(user::ROLES)),
    field("max_budget_in_organization", Kind::Amount),
];
const IDS: &[Field] = &[required("user_ids", Kind::Texts)];

pub(super) const ROUTES: &[Route] = &[
    post("/user/new", USERS, "Make a user, and a key for them", OF_ORGANIZATION).body(&[
        user::FIELDS,
        user::NEW,
        terms::TERMS,
        terms::MORE_TERMS,
    ]),
    post(
        "/user/update",
        USERS,
        "Change a user; oneself, as far as names go",
        &[Who::Owner, Who::OrganizationAdmin],
    )
    .body(&[user::FIELDS, user::CHANGED, terms::TERMS, terms::MORE_TERMS]),
    post("/user/bulk_update", USERS, "Change several users", ADMINISTRATORS).body(&[&[
        field("users", Kind::List),
        field("all_users", Kind::Bool),
        field("user_updates", Kind::Object),
    ]]),
    post("/user/delete", USERS, "Delete users, their memberships and their keys", OF_ORGANIZATION)
        .also(&["/management/v1/users/bulk_delete"])
        .body(&[IDS]),
    post("/management/v1/users/bulk", USERS, "Make several users, each as /user/new does", OF_ORGANIZATION)
        .body(&[&[required("users", Kind::List)]]),
    get("/user/info", USERS, "Show a user with their keys and teams, by default who asks", SEE_USER)
        .query(USER_ID),
    get("/v2/user/info", USERS, "Show a user", SEE_USER).query(USER_ID),
    get("/user/list", USERS, "List users", &[Who::Viewer, Who::OrganizationAdmin]).query(&[
        field("role", Kind::OneOf(user::ROLES)),
        field("user_ids", Kind::Text),
        field("user_email", Kind::Text),
        field("search", Kind::Text),
        field("team", Kind::Text),
        field("page", Kind::Count),
        field("page_size", Kind::Count),
        field("sort_by", Kind::OneOf(&["created_at", "updated_at", "user_email", "user_id", "spend"])),
        field("sort_order", Kind::OneOf(&["asc", "desc"])),
        field("organization_ids", Kind::Text),
    ]),
    get(
        "/user/filter/ui",
        USERS,
        "Find users by a part of their id or e-mail address",
        &[Who::Viewer, Who::OrganizationAdmin],
    )
    .query(&[
        field("user_id", Kind::Text),
        field("user_email", Kind::Text),
        field("search", Kind::Text),
        field("page", Kind::Count),
        field("page_size", Kind::Count),
    ]),
    get("/user/available_roles", USERS, "The roles that users may have", &[Who::Anyone]),
    get("/user/available_users", USERS, "How many users there may be: any number", VIEW),
    post("/organization/new", ORGANIZATIONS, "Make an organization", ADMINISTRATORS).body(&[
        organization::FIELDS,
        terms::TERMS,
        terms::MORE_TERMS,
    ]),
    post("/organization/update", ORGANIZATIONS, "Change an organization", ADMINISTRATORS)
        .method("PATCH")
        .body(&[organization::FIELDS, terms::TERMS, terms::MORE_TERMS]),
    post("/v2/organization/{organization_id}", ORGANIZATIONS, "Change an organization", ADMINISTRATORS)
        .method("PATCH")
        .body(&[organization::FIELDS, terms::TERMS, terms::MORE_TERMS]),
    post(
        "/organization/delete",
        ORGANIZATIONS,
        "Delete organizations that have no teams and no keys",
        ADMINISTRATORS,
    )
    .method("DELETE")
    .body(&[&[required("organization_ids", Kind::Texts)]]),
    get(
        "/organization/list",
        ORGANIZATIONS,
        "List organizations: an administrator all, others their own",
        &[Who::Anyone],
    )
    .query(&[field("org_id", Kind::Text), field("org_alias", Kind::Text)]),
    get("/organization/info", ORGANIZATIONS, "Show an organization", SEE_ORGANIZATION)
        .query(&[required("organization_id", Kind::Text)]),
    post("/organization/info", ORGANIZATIONS, "Show several organizations", SEE_ORGANIZATION)
        .body(&[&[required("organizations", Kind::Texts)]])
        .reading(),
    post("/organization/member_add", ORGANIZATIONS, "Add one or several members", OF_ORGANIZATION).body(&[
        &[
            required("organization_id", Kind::Text),
            required("member", Kind::ListOrObject),
            field("max_budget_in_organization", Kind::Amount),
        ],
    ]),
    post("/organization/member_update", ORGANIZATIONS, "Change a membership", OF_ORGANIZATION)
        .method("PATCH")
        .body(&[ORGANIZATION_MEMBER]),
    post("/organization/member_delete", ORGANIZATIONS, "Take a member out", OF_ORGANIZATION)
        .method("DELETE")
        .body(&[ORGANIZATION_MEMBER]),
    post("/customer/new", CUSTOMERS, "Make a customer (end user)", ADMINISTRATORS)
        .also(&["/end_user/new"])
        .body(&[customer::FIELDS, terms::TERMS, terms::MORE_TERMS]),
    post("/customer/update", CUSTOMERS, "Change a customer", ADMINISTRATORS)
        .also(&["/end_user/update"])
        .body(&[customer::FIELDS, terms::TERMS, terms::MORE_TERMS]),
    post("/customer/delete", CUSTOMERS, "Delete customers", ADMINISTRATORS)
        .also(&["/end_user/delete"])
        .body(&[IDS]),
    get("/customer/info", CUSTOMERS, "Show a customer", VIEW)
        .also(&["/end_user/info"])
        .query(&[required("end_user_id", Kind::Text)]),
    get("/customer/list", CUSTOMERS, "List customers", VIEW).also(&["/end_user/list"]),
    post("/customer/block", CUSTOMERS, "Block customers", ADMINISTRATORS)
        .also(&["/end_user/block"])
        .body(&[IDS]),
    post("/customer/unblock", CUSTOMERS, "Unblock customers", ADMINISTRATORS)
        .also(&["/end_user/unblock"])
        .body(&[IDS]),
];
