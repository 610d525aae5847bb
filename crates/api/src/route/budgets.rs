//! Budgets that are shared, and tags.

use super::{Route, get, post};
use crate::caller::Who;
use crate::field::{Field, Kind, field, required};
use crate::{budget, tag, terms};

const BUDGETS: &str = "budgets";
const TAGS: &str = "tags";
const ADMINISTRATORS: &[Who] = &[];
const VIEW: &[Who] = &[Who::Viewer];

const WHICH_TAGS: [Field; 2] = [field("tag_filter", Kind::Text), field("tag_filters", Kind::Text)];

pub(super) const ROUTES: &[Route] = &[
    post("/budget/new", BUDGETS, "Make a budget that several can refer to", ADMINISTRATORS).body(&[
        budget::FIELDS,
        terms::TERMS,
        terms::MORE_TERMS,
    ]),
    post("/budget/update", BUDGETS, "Change a budget", ADMINISTRATORS).body(&[
        budget::FIELDS,
        terms::TERMS,
        terms::MORE_TERMS,
    ]),
    post("/budget/delete", BUDGETS, "Delete a budget", ADMINISTRATORS).body(&[&[required("id", Kind::Text)]]),
    post("/budget/info", BUDGETS, "Show budgets", VIEW)
        .body(&[&[required("budgets", Kind::Texts)]])
        .reading(),
    get("/budget/list", BUDGETS, "List budgets", VIEW).also(&["/management/v1/budgets"]),
    get("/budget/settings", BUDGETS, "The fields of a budget with what they hold", VIEW)
        .query(&[required("budget_id", Kind::Text)]),
    post("/tag/new", TAGS, "Make a tag with terms of its own", ADMINISTRATORS).body(&[
        tag::FIELDS,
        terms::TERMS,
        terms::MORE_TERMS,
    ]),
    post("/tag/update", TAGS, "Change a tag", ADMINISTRATORS).body(&[
        tag::FIELDS,
        terms::TERMS,
        terms::MORE_TERMS,
    ]),
    post("/tag/delete", TAGS, "Delete a tag", ADMINISTRATORS).body(&[&[required("name", Kind::Text)]]),
    post("/tag/info", TAGS, "Show tags", VIEW).body(&[&[required("names", Kind::Texts)]]).reading(),
    get("/tag/list", TAGS, "List tags, also those that only requests have named", VIEW)
        .query(&[field("start_date", Kind::Moment), field("end_date", Kind::Moment)]),
    get("/tag/dau", TAGS, "Users per tag on each of the last 7 days", VIEW).query(&WHICH_TAGS),
    get("/tag/wau", TAGS, "Users per tag in each of the last 7 weeks", VIEW).query(&WHICH_TAGS),
    get("/tag/mau", TAGS, "Users per tag in each of the last 7 times 30 days", VIEW).query(&WHICH_TAGS),
    get("/tag/summary", TAGS, "Users, requests and spend per tag", VIEW).query(&[
        required("start_date", Kind::Moment),
        required("end_date", Kind::Moment),
        WHICH_TAGS[0],
        WHICH_TAGS[1],
    ]),
    get("/tag/user-agent/per-user-analytics", TAGS, "Requests and spend per user and tag in 30 days", VIEW)
        .query(&[WHICH_TAGS[0], WHICH_TAGS[1], field("page", Kind::Count), field("page_size", Kind::Count)]),
    get("/tag/distinct", TAGS, "The tags that requests have named", VIEW),
];
