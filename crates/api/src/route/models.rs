//! Models that are added at run time, and credentials that they refer to.

use super::{Route, get, post};
use crate::caller::Who;
use crate::field::{Field, Kind, field, required};
use crate::{credential, model};

const TAG: &str = "model management";
const CREDENTIALS: &str = "credentials";
const ADMINISTRATORS: &[Who] = &[];
const VIEW: &[Who] = &[Who::Viewer];

const METRICS: &[Field] = &[
    field("_selected_model_group", Kind::Text),
    field("startTime", Kind::Moment),
    field("endTime", Kind::Moment),
    field("api_key", Kind::Text),
    field("customer", Kind::Text),
];

pub(super) const ROUTES: &[Route] = &[
    post("/model/new", TAG, "Add a model; its secrets are stored sealed", ADMINISTRATORS).body(&[model::NEW]),
    post("/model/update", TAG, "Change a model that was added here", ADMINISTRATORS).body(&[model::CHANGED]),
    post("/model/{model_id}/update", TAG, "Change a model that was added here", ADMINISTRATORS)
        .method("PATCH")
        .body(&[model::CHANGED]),
    post("/model/delete", TAG, "Take a model away that was added here", ADMINISTRATORS)
        .body(&[&[required("id", Kind::Text)]]),
    post("/model/block", TAG, "Pause a model that was added here: it gets no requests", ADMINISTRATORS)
        .body(&[&[required("model_id", Kind::Text)]]),
    post("/model/unblock", TAG, "Let a paused model be asked again", ADMINISTRATORS)
        .body(&[&[required("model_id", Kind::Text)]]),
    get("/model/metrics", TAG, "Seconds per token that deployments took, per day", VIEW).query(METRICS),
    get("/model/streaming_metrics", TAG, "Seconds to the first token of streams, per day", VIEW)
        .query(METRICS),
    get("/model/metrics/slow_responses", TAG, "Answers that took longer than `alerting_threshold`", VIEW)
        .query(METRICS),
    get("/model/metrics/exceptions", TAG, "How often deployments failed, and how", VIEW).query(METRICS),
    post("/credentials", CREDENTIALS, "Add a credential; its values are stored sealed", ADMINISTRATORS)
        .body(&[credential::NEW]),
    get("/credentials", CREDENTIALS, "List credentials, without their values", ADMINISTRATORS),
    get(
        "/credentials/by_name/{credential_name}",
        CREDENTIALS,
        "Show a credential, without its values",
        ADMINISTRATORS,
    ),
    get(
        "/credentials/by_model/{model_id}",
        CREDENTIALS,
        "Show the credential that a model of run time has, without its values",
        ADMINISTRATORS,
    ),
    get(
        "/credentials/migrate-encryption/check",
        CREDENTIALS,
        "How many secrets are not sealed under the current salt key",
        ADMINISTRATORS,
    ),
    post(
        "/credentials/migrate-encryption",
        CREDENTIALS,
        "Seal all secrets under the current salt key; `?dry_run=true` counts them only",
        ADMINISTRATORS,
    )
    .query(&[field("dry_run", Kind::Bool)]),
    post("/credentials/{credential_name}", CREDENTIALS, "Change a credential", ADMINISTRATORS)
        .method("PATCH")
        .body(&[credential::CHANGED]),
    get("/credentials/{credential_name}", CREDENTIALS, "Delete a credential", ADMINISTRATORS)
        .method("DELETE")
        .writing(),
];
