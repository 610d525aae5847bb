//! Models that are added at run time, and credentials that they refer to.

use super::{Route, get, post};
use crate::caller::Who;
use crate::field::{Kind, required};
use crate::{credential, model};

const TAG: &str = "model management";
const CREDENTIALS: &str = "credentials";
const ADMINISTRATORS: &[Who] = &[];

pub(super) const ROUTES: &[Route] = &[
    post("/model/new", TAG, "Add a model; its secrets are stored sealed", ADMINISTRATORS).body(&[model::NEW]),
    post("/model/update", TAG, "Change a model that was added here", ADMINISTRATORS).body(&[model::CHANGED]),
    post("/model/{model_id}/update", TAG, "Change a model that was added here", ADMINISTRATORS)
        .method("PATCH")
        .body(&[model::CHANGED]),
    post("/model/delete", TAG, "Take a model away that was added here", ADMINISTRATORS)
        .body(&[&[required("id", Kind::Text)]]),
    post("/credentials", CREDENTIALS, "Add a credential; its values are stored sealed", ADMINISTRATORS)
        .body(&[credential::NEW]),
    get("/credentials", CREDENTIALS, "List credentials, without their values", ADMINISTRATORS),
    get(
        "/credentials/by_name/{credential_name}",
        CREDENTIALS,
        "Show a credential, without its values",
        ADMINISTRATORS,
    ),
    post("/credentials/{credential_name}", CREDENTIALS, "Change a credential", ADMINISTRATORS)
        .method("PATCH")
        .body(&[credential::CHANGED]),
    get("/credentials/{credential_name}", CREDENTIALS, "Delete a credential", ADMINISTRATORS)
        .method("DELETE")
        .writing(),
];
