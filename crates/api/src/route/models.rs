//! Models that are added at run time.

use super::{Route, post};
use crate::caller::Who;
use crate::field::{Kind, required};
use crate::model;

const TAG: &str = "model management";
const ADMINISTRATORS: &[Who] = &[];

pub(super) const ROUTES: &[Route] = &[
    post("/model/new", TAG, "Add a model; its secrets are stored sealed", ADMINISTRATORS).body(&[model::NEW]),
    post("/model/update", TAG, "Change a model that was added here", ADMINISTRATORS).body(&[model::CHANGED]),
    post("/model/{model_id}/update", TAG, "Change a model that was added here", ADMINISTRATORS)
        .method("PATCH")
        .body(&[model::CHANGED]),
    post("/model/delete", TAG, "Take a model away that was added here", ADMINISTRATORS)
        .body(&[&[required("id", Kind::Text)]]),
];
