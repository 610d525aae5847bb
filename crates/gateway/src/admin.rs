//! The management API: keys, teams, users, organizations, customers, budgets, tags, spend, the log of changes.
//!
//! Every handler is given an [`Asker`]: somebody whose key was checked, on a route of `tollway-api`'s table. It says
//! which object it is about with [`Asker::permit`], and changes things through [`Changes`] alone, so that nothing is
//! changed that is not in the log of changes.

#![allow(clippy::indexing_slicing, reason = "a field of a JSON object is set, which cannot panic")]

mod access_groups;
mod activity;
mod asker;
mod audit;
mod budgets;
mod bulk;
pub(crate) mod change;
mod credentials;
mod customers;
mod issue;
mod keys;
mod members;
mod models;
mod organizations;
mod performance;
mod policy;
mod reports;
pub(crate) mod secret;
mod spend;
mod tag_activity;
mod tags;
mod team_callbacks;
mod teams;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::response::Json;
use axum::routing::{get, post};
use serde_json::Value;

use crate::Gateway;
use crate::refusal::Refusal;

pub(crate) use asker::groups_of;
pub use policy::IssuePolicy;

/// What a handler says.
type Answer = Result<Json<Value>, Refusal>;

/// All routes of the management API.
pub(crate) fn router() -> Router<Arc<Gateway>> {
    Router::new()
        .merge(keys::router())
        .merge(teams::router())
        .merge(team_callbacks::router())
        .merge(members::router())
        .merge(users::router())
        .merge(organizations::router())
        .merge(customers::router())
        .route("/budget/new", post(budgets::new))
        .route("/budget/update", post(budgets::update))
        .route("/budget/delete", post(budgets::delete))
        .route("/budget/info", post(budgets::info))
        .route("/budget/list", get(budgets::list))
        .route("/management/v1/budgets", get(budgets::list))
        .route("/budget/settings", get(budgets::settings))
        .route("/provider/budgets", get(budgets::of_providers))
        .route("/tag/new", post(tags::new))
        .route("/tag/update", post(tags::update))
        .route("/tag/delete", post(tags::delete))
        .route("/tag/info", post(tags::info))
        .route("/tag/list", get(tags::list))
        .route("/tag/distinct", get(tags::distinct))
        .route("/tag/dau", get(tag_activity::active))
        .route("/tag/wau", get(tag_activity::active))
        .route("/tag/mau", get(tag_activity::active))
        .route("/tag/summary", get(tag_activity::summary))
        .route("/tag/user-agent/per-user-analytics", get(tag_activity::per_user))
        .merge(access_groups::router())
        .merge(spend::router())
        .merge(reports::router())
        .merge(performance::router())
        .merge(activity::router())
        .merge(models::router())
        .merge(credentials::router())
        .route("/audit", get(audit::list))
        .route("/audit/{id}", get(audit::one))
}

#[cfg(test)]
mod tests {
    /// What an axum path looks like in the table.
    #[test]
    fn every_route_of_the_table_is_served() {
        // A missing one would answer 404 to everybody; that is asked from outside as well, with a real gateway.
        let source = [
            include_str!("admin.rs"),
            include_str!("admin/access_groups.rs"),
            include_str!("admin/keys.rs"),
            include_str!("admin/teams.rs"),
            include_str!("admin/team_callbacks.rs"),
            include_str!("admin/members.rs"),
            include_str!("admin/users.rs"),
            include_str!("admin/organizations.rs"),
            include_str!("admin/customers.rs"),
            include_str!("admin/spend.rs"),
            include_str!("admin/reports.rs"),
            include_str!("admin/performance.rs"),
            include_str!("admin/activity.rs"),
            include_str!("admin/models.rs"),
            include_str!("admin/credentials.rs"),
        ]
        .concat();
        for route in api::route::all() {
            for path in std::iter::once(&route.path).chain(route.aliases) {
                assert!(source.contains(&format!("\"{path}\"")), "{} {path}", route.method);
            }
        }
    }
}
