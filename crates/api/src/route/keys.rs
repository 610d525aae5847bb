use super::{Route, get, post};
use crate::caller::Who;
use crate::field::{Field, Kind, field, required};
use crate::{key, terms};

const MANAGE: &[Who] = &[Who::Owner, Who::TeamMember, Who::TeamAdmin, Who::OrganizationAdmin];
const OVERSEE: &[Who] = &[Who::TeamAdmin, Who::OrganizationAdmin];
const SEE: &[Who] =
    &[Who::Viewer, Who::Itself, Who::Owner, Who::TeamMember, Who::TeamAdmin, Who::OrganizationAdmin];
const TAG: &str = "keys";

const WHICH: &[Field] = &[required("key", Kind::Text)];
const RESET: &[Field] = &[required("reset_to", Kind::Amount)];
pub(super) const PAGE: [Field; 2] = [field("page", Kind::Count), field("size", Kind::Count)];

pub(super) const ROUTES: &[Route] = &[
    post("/key/generate", TAG, "Make a virtual key; the answer is the only place that shows it", MANAGE)
        .body(&[key::FIELDS, key::NEW, terms::TERMS, terms::MORE_TERMS]),
    post(
        "/key/service-account/generate",
        TAG,
        "Make a key of a team that is nobody's",
        &[Who::TeamMember, Who::TeamAdmin, Who::OrganizationAdmin],
    )
    .body(&[key::FIELDS, key::NEW, terms::TERMS, terms::MORE_TERMS]),
    post("/key/update", TAG, "Change a key; `null` takes a field away", MANAGE).body(&[
        WHICH,
        key::FIELDS,
        key::CHANGED,
        terms::TERMS,
        terms::MORE_TERMS,
        terms::RAISE,
    ]),
    post("/key/bulk_update", TAG, "Change several keys, each as /key/update does", MANAGE)
        .body(&[&[required("keys", Kind::List)]]),
    post("/team/key/bulk_update", TAG, "Change keys of a team in the same way", OVERSEE).body(&[&[
        required("team_id", Kind::Text),
        field("key_ids", Kind::Texts),
        field("all_keys_in_team", Kind::Bool),
        required("update_fields", Kind::Object),
    ]]),
    post("/key/delete", TAG, "Delete keys; what they spent stays in the reports", MANAGE)
        .body(&[&[field("keys", Kind::Texts), field("key_aliases", Kind::Texts)]]),
    get("/key/info", TAG, "Show a key, by default the one that asks", SEE).query(&[field("key", Kind::Text)]),
    post("/v2/key/info", TAG, "Show several keys", SEE)
        .body(&[&[field("keys", Kind::Texts), field("key_aliases", Kind::Texts)]])
        .reading(),
    get("/key/list", TAG, "List keys: an administrator all, others those that they may see", &[Who::Anyone])
        .query(&[
            PAGE[0],
            PAGE[1],
            field("user_id", Kind::Text),
            field("team_id", Kind::Text),
            field("organization_id", Kind::Text),
            field("key_hash", Kind::Text),
            field("key_alias", Kind::Text),
            field("search", Kind::Text),
            field("return_full_object", Kind::Bool),
            field("include_team_keys", Kind::Bool),
            field("include_created_by_keys", Kind::Bool),
            field("sort_by", Kind::OneOf(&["created_at", "updated_at", "expires", "key_alias", "spend"])),
            field("sort_order", Kind::OneOf(&["asc", "desc"])),
            field("expand", Kind::Any),
            field("status", Kind::OneOf(&["active", "blocked", "expired"])),
            field("substring_matching", Kind::Bool),
            field("access_group_id", Kind::Text),
            field("expires", Kind::Moment),
        ]),
    get("/key/aliases", TAG, "List the aliases of keys that the caller may see", &[Who::Anyone]).query(&[
        PAGE[0],
        PAGE[1],
        field("search", Kind::Text),
        field("team_id", Kind::Text),
    ]),
    post("/key/regenerate", TAG, "Give a key a new secret, and the old one a time of grace", MANAGE)
        .also(&["/key/{key}/regenerate"])
        .body(&[key::REGENERATED, key::FIELDS, key::NEW, terms::TERMS, terms::MORE_TERMS, terms::RAISE]),
    post("/key/{key}/reset_spend", TAG, "Set what a key has spent", OVERSEE).body(&[RESET]),
    post("/key/block", TAG, "Block a key", OVERSEE).body(&[WHICH]),
    post("/key/unblock", TAG, "Unblock a key", OVERSEE).body(&[WHICH]),
    post("/key/health", TAG, "Whether the key that asks can be used", &[Who::Anyone]).body(&[]).reading(),
];
