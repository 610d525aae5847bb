//! Access groups: models under one name.

use super::{Route, get, post};
use crate::access_group;
use crate::caller::Who;
use crate::field::{Field, Kind, field};

const TAG: &str = "access groups";
const ADMINISTRATORS: &[Who] = &[];
const VIEW: &[Who] = &[Who::Viewer];

const BUDGET: &[Field] = &[
    field("max_budget", Kind::Amount),
    field("soft_budget", Kind::Amount),
    field("budget_duration", Kind::Duration),
    field("budget_id", Kind::Text),
];

pub(super) const ROUTES: &[Route] = &[
    post("/access_group/new", TAG, "Put models under a name that lists of models can hold", ADMINISTRATORS)
        .body(&[access_group::NAMED, access_group::MODELS]),
    get("/access_group/list", TAG, "List access groups, also those of the configuration", VIEW),
    get("/access_group/{access_group}/info", TAG, "Show an access group", VIEW),
    post("/access_group/{access_group}/update", TAG, "Say which models an access group has", ADMINISTRATORS)
        .method("PUT")
        .body(&[access_group::MODELS]),
    get("/access_group/{access_group}/delete", TAG, "Delete an access group", ADMINISTRATORS)
        .method("DELETE")
        .writing(),
    get(
        "/access_group/{access_group}/budget",
        TAG,
        "What all callers spent on a group's models, and may",
        VIEW,
    ),
    post(
        "/access_group/{access_group}/budget",
        TAG,
        "Bound what all callers spend on a group's models",
        ADMINISTRATORS,
    )
    .method("PUT")
    .body(&[BUDGET]),
    get("/access_group/{access_group}/budget", TAG, "Take a group's budget away", ADMINISTRATORS)
        .method("DELETE")
        .writing(),
    post("/v1/access_group", TAG, "Make an access group, and give it to teams and keys", ADMINISTRATORS)
        .also(&["/v1/unified_access_group"])
        .body(&[access_group::FIELDS]),
    get("/v1/access_group", TAG, "List access groups with who is given them", VIEW)
        .also(&["/v1/unified_access_group"]),
    get("/v1/access_group/{access_group_id}", TAG, "Show an access group with who is given it", VIEW)
        .also(&["/v1/unified_access_group/{access_group_id}"]),
    post(
        "/v1/access_group/{access_group_id}",
        TAG,
        "Change an access group, and who is given it",
        ADMINISTRATORS,
    )
    .also(&["/v1/unified_access_group/{access_group_id}"])
    .method("PUT")
    .body(&[access_group::FIELDS]),
    get(
        "/v1/access_group/{access_group_id}",
        TAG,
        "Delete an access group; nobody is given it any more",
        ADMINISTRATORS,
    )
    .also(&["/v1/unified_access_group/{access_group_id}"])
    .method("DELETE")
    .writing(),
];
