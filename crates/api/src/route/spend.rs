//! Spend, activity, and the log of changes.

use super::{Route, get, post};
use crate::caller::Who;
use crate::field::{Field, Kind, field, required};

const TAG: &str = "spend";
const AUDIT: &str = "audit log";
const VIEW: &[Who] = &[Who::Viewer];
/// The handler shows to each their own.
const OWN: &[Who] = &[Who::Viewer, Who::Owner, Who::TeamAdmin, Who::OrganizationAdmin];

const DATES: [Field; 2] = [field("start_date", Kind::Moment), field("end_date", Kind::Moment)];
const LIMIT: Field = field("limit", Kind::Count);

const LOGS: &[Field] = &[
    DATES[0],
    DATES[1],
    field("api_key", Kind::Text),
    field("user_id", Kind::Text),
    field("request_id", Kind::Text),
    field("team_id", Kind::Text),
    field("end_user", Kind::Text),
    field("session_id", Kind::Text),
    field("tag", Kind::Text),
    field("cache_hit_filter", Kind::OneOf(&["hit", "miss", "True", "False", "true", "false"])),
    field("search", Kind::Text),
    field(
        "sort_by",
        Kind::OneOf(&["startTime", "endTime", "spend", "total_tokens", "request_duration_ms", "model"]),
    ),
    field("sort_order", Kind::OneOf(&["asc", "desc"])),
    field("model_id", Kind::Text),
    field("model_group", Kind::Text),
    field("key_alias", Kind::Text),
    field("min_spend", Kind::Amount),
    field("max_spend", Kind::Amount),
    field("status_filter", Kind::OneOf(&["success", "failure"])),
    field("page", Kind::Count),
    field("page_size", Kind::Count),
    field("cursor", Kind::Text),
    field("format", Kind::OneOf(&["json", "csv"])),
];

const NAMES: &[Field] = &[
    required("filter[startTime][gte]", Kind::Moment),
    required("filter[startTime][lte]", Kind::Moment),
    field("q", Kind::Text),
    field("page", Kind::Count),
    field("page_size", Kind::Count),
];

const THROTTLED: &[Field] = &[required("model_group", Kind::Text), DATES[0], DATES[1]];

const ACTIVITY: &[Field] = &[
    DATES[0],
    DATES[1],
    field("model", Kind::Text),
    field("api_key", Kind::Text),
    field("user_id", Kind::Text),
    field("team_ids", Kind::Text),
    field("exclude_team_ids", Kind::Text),
    field("api_key_limit", Kind::Count),
    field("organization_ids", Kind::Text),
    field("end_user_ids", Kind::Text),
    field("tags", Kind::Text),
    field("page", Kind::Count),
    field("page_size", Kind::Count),
    field("timezone", Kind::Any),
    field("offset", Kind::Count),
    field("limit", Kind::Count),
    field("search", Kind::Text),
    field("model_group", Kind::Text),
    field("by_model_group", Kind::Bool),
    field("format", Kind::OneOf(&["json", "csv"])),
];

const REPORT: &[Field] = &[
    DATES[0],
    DATES[1],
    field(
        "group_by",
        Kind::OneOf(&["team", "customer", "api_key", "user", "organization", "tag", "model", "provider"]),
    ),
    field("api_key", Kind::Text),
    field("internal_user_id", Kind::Text),
    field("team_id", Kind::Text),
    field("customer_id", Kind::Text),
    field("organization_id", Kind::Text),
];

pub(super) const ROUTES: &[Route] = &[
    get("/spend/logs", TAG, "Requests with their cost, newest first, or sums per day (`summarize`)", OWN)
        .query(&[
            DATES[0],
            DATES[1],
            field("api_key", Kind::Text),
            field("user_id", Kind::Text),
            field("request_id", Kind::Text),
            field("summarize", Kind::Bool),
            LIMIT,
        ]),
    get(
        "/spend/logs/v2",
        TAG,
        "Requests with their cost, page by page or from a cursor on; `format=csv`",
        OWN,
    )
    .also(&["/spend/logs/ui"])
    .query(LOGS),
    get("/spend/logs/ui/{request_id}", TAG, "What is kept of one request", OWN).query(&DATES),
    get("/spend/keys", TAG, "Keys by what they spent", OWN).query(&[LIMIT]),
    get("/spend/users", TAG, "Users by what they spent", OWN).query(&[field("user_id", Kind::Text), LIMIT]),
    get("/spend/tags", TAG, "Tags by what was spent under them", VIEW).query(&DATES),
    post("/spend/calculate", TAG, "What a request or an answer costs", &[Who::Anyone])
        .body(&[&[
            field("model", Kind::Text),
            field("messages", Kind::List),
            field("completion_response", Kind::Object),
        ]])
        .reading(),
    post("/cost/estimate", TAG, "What so many requests of a size cost a day and a month", &[Who::Anyone])
        .body(&[&[
            required("model", Kind::Text),
            required("input_tokens", Kind::Count),
            required("output_tokens", Kind::Count),
            field("num_requests_per_day", Kind::Count),
            field("num_requests_per_month", Kind::Count),
        ]])
        .reading(),
    get("/spend/logs/session/ui", TAG, "The requests of one session", OWN).query(&[
        required("session_id", Kind::Text),
        DATES[0],
        DATES[1],
        field("page", Kind::Count),
        field("page_size", Kind::Count),
        field("cursor", Kind::Text),
        field("format", Kind::OneOf(&["json", "csv"])),
    ]),
    get("/management/v1/spend_logs/users", TAG, "Users that requests were made for", VIEW).query(NAMES),
    get("/management/v1/spend_logs/end_users", TAG, "Customers that requests have named", VIEW).query(NAMES),
    get("/global/spend", TAG, "What the gateway has spent, and may", VIEW),
    get("/provider/budgets", TAG, "What providers and deployments with a budget have spent, and may", VIEW),
    get("/global/spend/logs", TAG, "Spend per day", VIEW).query(&[
        field("api_key", Kind::Text),
        DATES[0],
        DATES[1],
    ]),
    get("/global/spend/keys", TAG, "The keys that spent most in 30 days", VIEW).query(&[LIMIT]),
    get("/global/spend/models", TAG, "The models that most was spent on in 30 days", VIEW).query(&[LIMIT]),
    get("/global/spend/teams", TAG, "Spend per day and team in 30 days", VIEW),
    get("/global/spend/provider", TAG, "Spend per provider", VIEW).query(&DATES),
    get("/global/spend/tags", TAG, "Spend per tag", VIEW).query(&[
        DATES[0],
        DATES[1],
        field("tags", Kind::Text),
    ]),
    get("/global/spend/all_tag_names", TAG, "The tags that requests have named", VIEW),
    get("/global/all_end_users", TAG, "The customers that requests have named", VIEW),
    post("/global/spend/end_users", TAG, "Spend per customer", VIEW)
        .body(&[&[
            field("api_key", Kind::Text),
            field("startTime", Kind::Moment),
            field("endTime", Kind::Moment),
        ]])
        .reading(),
    get("/global/spend/report", TAG, "Spend per day and whom, with its models", VIEW).query(REPORT),
    get("/key/spend/report", TAG, "Spend of a key", OWN).query(REPORT),
    get("/user/spend/report", TAG, "Spend of a user", OWN).query(REPORT),
    get("/team/spend/report", TAG, "Spend of a team", OWN).query(REPORT),
    get("/organization/spend/report", TAG, "Spend of an organization", OWN).query(REPORT),
    post("/global/spend/reset", TAG, "Set what all keys and teams have spent to zero", &[Who::Master]),
    post("/global/spend/refresh", TAG, "Bring all sums up to date; they always are", &[]),
    get("/global/activity", TAG, "Requests and tokens per day", VIEW).query(&DATES),
    get("/global/activity/model", TAG, "Requests and tokens per day and model", VIEW).query(&DATES),
    get("/global/activity/cache_hits", TAG, "What the cache answered, by key and model", VIEW).query(&[
        DATES[0],
        DATES[1],
        field("key_aliases", Kind::Text),
        field("models", Kind::Text),
    ]),
    get("/global/activity/exceptions", TAG, "How often a group's providers throttled, per day", VIEW)
        .query(THROTTLED),
    get(
        "/global/activity/exceptions/deployment",
        TAG,
        "How often a group's deployments throttled, per day",
        VIEW,
    )
    .query(THROTTLED),
    get("/user/daily/activity", TAG, "What users did per day", OWN)
        .also(&[
            "/user/daily/activity/aggregated",
            "/user/daily/activity/export",
            "/user/daily/activity/aggregated/keys",
            "/user/daily/activity/aggregated/search",
            "/user/daily/activity/aggregated/model_top_keys",
        ])
        .query(ACTIVITY),
    get(
        "/team/daily/activity",
        TAG,
        "What teams did per day",
        &[Who::Viewer, Who::Member, Who::TeamAdmin, Who::OrganizationAdmin],
    )
    .also(&[
        "/team/daily/activity/aggregated",
        "/team/daily/activity/export",
        "/team/daily/activity/aggregated/keys",
        "/team/daily/activity/aggregated/search",
        "/team/daily/activity/aggregated/model_top_keys",
    ])
    .query(ACTIVITY),
    get(
        "/team/spend/by_user",
        TAG,
        "What users spent in teams",
        &[Who::Viewer, Who::Member, Who::TeamAdmin, Who::OrganizationAdmin],
    )
    .query(&[DATES[0], DATES[1], field("team_ids", Kind::Text)]),
    get("/tag/daily/activity", TAG, "What was done under tags per day", VIEW)
        .also(&[
            "/tag/daily/activity/aggregated",
            "/tag/daily/activity/export",
            "/tag/daily/activity/aggregated/keys",
            "/tag/daily/activity/aggregated/search",
            "/tag/daily/activity/aggregated/model_top_keys",
        ])
        .query(ACTIVITY),
    get(
        "/organization/daily/activity",
        TAG,
        "What organizations did per day",
        &[Who::Viewer, Who::OrganizationAdmin],
    )
    .also(&[
        "/organization/daily/activity/aggregated",
        "/organization/daily/activity/export",
        "/organization/daily/activity/aggregated/keys",
        "/organization/daily/activity/aggregated/search",
        "/organization/daily/activity/aggregated/model_top_keys",
    ])
    .query(ACTIVITY),
    get("/customer/daily/activity", TAG, "What customers did per day", VIEW)
        .also(&[
            "/end_user/daily/activity",
            "/customer/daily/activity/aggregated",
            "/end_user/daily/activity/aggregated",
            "/customer/daily/activity/export",
            "/customer/daily/activity/aggregated/keys",
            "/customer/daily/activity/aggregated/search",
            "/customer/daily/activity/aggregated/model_top_keys",
            "/end_user/daily/activity/export",
            "/end_user/daily/activity/aggregated/keys",
            "/end_user/daily/activity/aggregated/search",
            "/end_user/daily/activity/aggregated/model_top_keys",
        ])
        .query(ACTIVITY),
    get("/gateway/daily/activity", TAG, "What all did per day", VIEW)
        .also(&["/gateway/daily/activity/export"])
        .query(ACTIVITY),
    get("/audit", AUDIT, "Changes through this API, newest first", VIEW).query(&[
        field("page", Kind::Count),
        field("page_size", Kind::Count),
        field("changed_by", Kind::Text),
        field("changed_by_api_key", Kind::Text),
        field("action", Kind::OneOf(&["created", "updated", "deleted", "blocked", "unblocked", "rotated"])),
        field("table_name", Kind::Text),
        field("object_id", Kind::Text),
        DATES[0],
        DATES[1],
        field("sort_order", Kind::OneOf(&["asc", "desc"])),
    ]),
    get("/audit/{id}", AUDIT, "One change", VIEW),
];
