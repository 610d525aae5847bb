//! Access groups: models under one name. Lists of models may hold the name, and keys and teams may be given the group
//! beside their lists.

use std::collections::BTreeSet;
use std::sync::Arc;

use api::access_group;
use api::body::{Body, Patch, parse_id};
use api::problem::Problem;
use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::response::Json;
use axum::routing::{delete, get, post, put};
use ledger::rules::account::Scope;
use ledger::rules::budget::Allowance;
use ledger::rules::entity::{AccessGroup, Details, Key, Team};
use ledger::rules::id::AccessGroupId;
use ledger::store::{Filter, Record, Stored};
use serde_json::{Map, Value, json};

use super::asker::{self, Asker};
use super::change::Changes;
use super::{Answer, issue, secret};
use crate::Gateway;
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;

pub(super) fn router() -> Router<Arc<Gateway>> {
    let one = || get(one).put(update).delete(delete_unified);
    Router::new()
        .route("/access_group/new", post(new_named))
        .route("/access_group/list", get(list_named))
        .route("/access_group/{access_group}/info", get(info_named))
        .route("/access_group/{access_group}/update", put(update_named))
        .route("/access_group/{access_group}/delete", delete(delete_named))
        .route("/access_group/{access_group}/budget", get(budget).put(set_budget).delete(clear_budget))
        .route("/v1/access_group", post(new).get(list))
        .route("/v1/unified_access_group", post(new).get(list))
        .route("/v1/access_group/{access_group_id}", one())
        .route("/v1/unified_access_group/{access_group_id}", one())
}

/// Whether the groups that a key or a team is to be given are there.
pub(super) async fn check(asker: &Asker, groups: &[AccessGroupId]) -> Result<(), Refusal> {
    for group in groups {
        asker.find::<AccessGroup>("Access group", "access_group_ids", group.as_str()).await?;
    }
    Ok(())
}

/// A group of the database, by name or by id.
async fn named(asker: &Asker, name: &str) -> Result<Stored<AccessGroup>, Refusal> {
    let filter = Filter { alias: Some(name.to_owned()), ..Filter::default() };
    if let Some(stored) = asker::all::<AccessGroup>(asker.store(), &filter).await?.into_iter().next() {
        return Ok(stored);
    }
    if let Some(stored) = asker.store().get::<AccessGroup>(name).await? {
        return Ok(stored);
    }
    if asker.snapshot.access_groups.contains_key(name) {
        return Err(of_configuration(name));
    }
    Err(Problem::not_found("Access group", "access_group", name).into())
}

fn of_configuration(name: &str) -> Refusal {
    let told = format!(
        "the access group `{name}` is said by `model_info.access_groups` of its models; change it there"
    );
    Problem::field("access_group", told).into()
}

/// The models that `model_names` and `model_ids` name. Each has to be one that is served, or a pattern that is.
fn models(snapshot: &Snapshot, body: &Body) -> Result<Option<Vec<String>>, Refusal> {
    if !body.has("model_names") && !body.has("model_ids") {
        return Ok(None);
    }
    let mut models = body.texts("model_names").unwrap_or_default();
    for name in &models {
        let is_pattern = snapshot.patterns().any(|pattern| pattern.text() == name);
        if !is_pattern && snapshot.group(name).is_none() {
            let near = snapshot.nearest(name).map(|near| format!("; nearest: `{near}`")).unwrap_or_default();
            return Err(Problem::field("model_names", format!("no model is called `{name}`{near}")).into());
        }
    }
    for id in body.texts("model_ids").unwrap_or_default() {
        let Some(served) = snapshot.members().find(|served| *served.deployment.id == *id) else {
            return Err(Problem::field("model_ids", format!("no model has the id `{id}`")).into());
        };
        models.push(served.deployment.group.to_string());
    }
    let mut seen = BTreeSet::new();
    models.retain(|model| seen.insert(model.clone()));
    Ok(Some(models))
}

/// What is not in the database yet, and called like nothing else that lists of models may hold.
fn empty(asker: &Asker, field: &str, id: &str, name: &str) -> Result<AccessGroup, Refusal> {
    access_group::check_name(field, name)?;
    check_free(asker, field, name)?;
    Ok(AccessGroup {
        id: parse_id(field, id)?,
        models: Vec::new(),
        data: Map::new(),
        details: Details { alias: Some(name.to_owned()), ..Details::default() },
    })
}

fn check_free(asker: &Asker, field: &str, name: &str) -> Result<(), Refusal> {
    let what = if asker.snapshot.access_groups.contains_key(name) {
        "an access group"
    } else if asker.snapshot.group(name).is_some() {
        "a model"
    } else {
        return Ok(());
    };
    Err(Problem::field(field, format!("{what} called `{name}` already exists")).into())
}

async fn new_named(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let name = body.text("access_group").unwrap_or_default();
    let Some(models) = models(&asker.snapshot, &body)?.filter(|models| !models.is_empty()) else {
        return Err(Problem::field("model_names", "give `model_names` or `model_ids`").into());
    };
    let mut made = empty(&asker, "access_group", name, name)?;
    made.models = models;
    api::terms::touch(&mut made.details, &asker.name(), asker.now);
    let mut changes = asker.changes().await?;
    changes.insert(&made).await?;
    changes.commit_served().await?;
    Ok(Json(updated(&asker.snapshot, &made)))
}

/// A group by its name, with how many deployments its models have.
fn named_row(snapshot: &Snapshot, name: &str, models: &[String]) -> Value {
    let groups = models.iter().filter_map(|model| snapshot.group(model));
    let deployments: usize = groups.map(|group| group.members.len()).sum();
    json!({"access_group": name, "model_names": models, "deployment_count": deployments})
}

fn updated(snapshot: &Snapshot, group: &AccessGroup) -> Value {
    let mut row = named_row(snapshot, access_group::name(group), &group.models);
    row["models_updated"] = row["deployment_count"].clone();
    row["model_ids"] = Value::Null;
    row
}

async fn list_named(asker: Asker) -> Answer {
    let own = asker::all::<AccessGroup>(asker.store(), &Filter::default()).await?;
    // Groups of the database are served under their ids, too.
    let ids = own
        .iter()
        .map(|stored| &stored.record)
        .filter(|group| access_group::name(group) != group.id.as_str());
    let ids: BTreeSet<&str> = ids.map(|group| group.id.as_str()).collect();
    let named = asker.snapshot.access_groups.iter().filter(|(name, _)| !ids.contains(name.as_str()));
    let rows = named.map(|(name, models)| named_row(&asker.snapshot, name, models));
    Ok(Json(json!({"access_groups": rows.collect::<Vec<_>>()})))
}

async fn info_named(asker: Asker, Path(name): Path<String>) -> Answer {
    let Some(models) = asker.snapshot.access_groups.get(&name) else {
        return Err(Problem::not_found("Access group", "access_group", &name).into());
    };
    Ok(Json(named_row(&asker.snapshot, &name, models)))
}

async fn update_named(asker: Asker, Path(name): Path<String>, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let mut stored = named(&asker, &name).await?;
    let Some(models) = models(&asker.snapshot, &body)? else {
        return Err(Problem::field("model_names", "give `model_names` or `model_ids`").into());
    };
    let before = stored.record.clone();
    stored.record.models = models;
    save(&asker, &before, &mut stored).await?;
    Ok(Json(updated(&asker.snapshot, &stored.record)))
}

async fn save(asker: &Asker, before: &AccessGroup, stored: &mut Stored<AccessGroup>) -> Result<(), Refusal> {
    api::terms::touch(&mut stored.record.details, &asker.name(), asker.now);
    let mut changes = asker.changes().await?;
    changes.update("updated", before, stored).await?;
    changes.commit_served().await
}

async fn delete_named(asker: Asker, Path(name): Path<String>) -> Answer {
    asker.permit(&api::caller::Object::default())?;
    let group = named(&asker, &name).await?.record;
    let row = updated(&asker.snapshot, &group);
    remove(&asker, &group).await?;
    Ok(Json(json!({
        "access_group": name,
        "models_updated": row["models_updated"],
        "message": format!("Access group '{name}' deleted successfully"),
    })))
}

/// Deletes a group and takes it from everybody.
async fn remove(asker: &Asker, group: &AccessGroup) -> Result<(), Refusal> {
    let teams = Given::<Team>::read(asker, &group.id).await?;
    let keys = Given::<Key>::read(asker, &group.id).await?;
    let mut changes = asker.changes().await?;
    teams.become_those(asker, &mut changes, &group.id, Vec::new()).await?;
    keys.become_those(asker, &mut changes, &group.id, Vec::new()).await?;
    changes.delete(group).await?;
    changes.commit_served().await
}

/// Who can be given groups.
trait Holder: Record + Clone {
    /// How requests call a list of such.
    const FIELD: &'static str;

    fn groups(&mut self) -> &mut Vec<AccessGroupId>;
}

impl Holder for Team {
    const FIELD: &'static str = "assigned_team_ids";

    fn groups(&mut self) -> &mut Vec<AccessGroupId> {
        &mut self.access_groups
    }
}

impl Holder for Key {
    const FIELD: &'static str = "assigned_key_ids";

    fn groups(&mut self) -> &mut Vec<AccessGroupId> {
        &mut self.access_groups
    }
}

/// Those who are given a group.
struct Given<H>(Vec<Stored<H>>);

impl<H: Holder> Given<H> {
    async fn read(asker: &Asker, group: &AccessGroupId) -> Result<Self, Refusal> {
        let filter = Filter { access_group: Some(group.clone()), ..Filter::default() };
        let mut found = asker::all::<H>(asker.store(), &filter).await?;
        found.retain_mut(|stored| stored.record.groups().contains(group));
        Ok(Self(found))
    }

    fn ids(&self) -> Vec<String> {
        self.0.iter().map(|stored| stored.record.id()).collect()
    }

    /// Those whom a request names, if it names any; each has to be there.
    async fn wanted(asker: &Asker, body: &Body) -> Result<Option<Vec<Stored<H>>>, Refusal> {
        let names = match body.patch(H::FIELD, Body::texts) {
            Patch::Keep => return Ok(None),
            Patch::Clear => Vec::new(),
            Patch::Set(names) => names,
        };
        let mut wanted: Vec<Stored<H>> = Vec::new();
        for name in names {
            let id = issue::hash_of(&name).map_or_else(|| name.clone(), |hash| hash.to_string());
            let Some(stored) = asker.store().get::<H>(&id).await? else {
                return Err(Problem::not_found(
                    if H::KIND == Key::KIND { "Key" } else { "Team" },
                    H::FIELD,
                    &name,
                )
                .into());
            };
            if wanted.iter().all(|known| known.record.id() != stored.record.id()) {
                wanted.push(stored);
            }
        }
        Ok(Some(wanted))
    }

    /// Gives the group to those alone.
    async fn become_those(
        self,
        asker: &Asker,
        changes: &mut Changes<'_>,
        group: &AccessGroupId,
        wanted: Vec<Stored<H>>,
    ) -> Result<(), Refusal> {
        let wanted_ids: Vec<String> = wanted.iter().map(|stored| stored.record.id()).collect();
        let leave = self.0.into_iter().filter(|stored| !wanted_ids.contains(&stored.record.id()));
        for mut stored in wanted.into_iter().chain(leave) {
            let before = stored.record.clone();
            let is_wanted = wanted_ids.contains(&before.id());
            let own = stored.record.groups();
            if own.contains(group) == is_wanted {
                continue;
            }
            if is_wanted {
                own.push(group.clone());
            } else {
                own.retain(|known| known != group);
            }
            api::terms::touch(stored.record.details_mut(), &asker.name(), asker.now);
            changes.update("updated", &before, &stored).await?;
        }
        Ok(())
    }
}

async fn unified_row(asker: &Asker, group: &AccessGroup) -> Result<Value, Refusal> {
    let teams = Given::<Team>::read(asker, &group.id).await?.ids();
    let keys = Given::<Key>::read(asker, &group.id).await?.ids();
    Ok(Value::Object(access_group::row(group, &teams, &keys)))
}

async fn new(asker: Asker, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let Some(name) = body.text("access_group_name") else {
        return Err(Problem::field("access_group_name", "`access_group_name` is missing").into());
    };
    let made = empty(&asker, "access_group_name", &secret::unique_id()?, name)?;
    change(&asker, None, Stored { record: made, version: 0, spend: catalog::NanoUsd::ZERO }, &body).await
}

/// Takes over what a request says about a group that is there, or about to be.
async fn change(
    asker: &Asker,
    before: Option<&AccessGroup>,
    mut stored: Stored<AccessGroup>,
    body: &Body,
) -> Answer {
    access_group::apply(body, &mut stored.record)?;
    let group = &mut stored.record;
    api::terms::touch(&mut group.details, &asker.name(), asker.now);
    let (teams, keys) = (Given::<Team>::wanted(asker, body).await?, Given::<Key>::wanted(asker, body).await?);
    let given = (Given::<Team>::read(asker, &group.id).await?, Given::<Key>::read(asker, &group.id).await?);
    let id = group.id.clone();
    let mut changes = asker.changes().await?;
    match before {
        Some(before) => changes.update("updated", before, &stored).await?,
        None => changes.insert(&stored.record).await?,
    }
    if let Some(teams) = teams {
        given.0.become_those(asker, &mut changes, &id, teams).await?;
    }
    if let Some(keys) = keys {
        given.1.become_those(asker, &mut changes, &id, keys).await?;
    }
    changes.commit_served().await?;
    Ok(Json(unified_row(asker, &stored.record).await?))
}

async fn list(asker: Asker) -> Answer {
    let mut rows = Vec::new();
    for stored in asker::all::<AccessGroup>(asker.store(), &Filter::default()).await? {
        rows.push(unified_row(&asker, &stored.record).await?);
    }
    Ok(Json(json!(rows)))
}

async fn by_id(asker: &Asker, id: &str) -> Result<Stored<AccessGroup>, Refusal> {
    asker.find::<AccessGroup>("Access group", "access_group_id", id).await
}

async fn one(asker: Asker, Path(id): Path<String>) -> Answer {
    let stored = by_id(&asker, &id).await?;
    Ok(Json(unified_row(&asker, &stored.record).await?))
}

async fn update(asker: Asker, Path(id): Path<String>, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let stored = by_id(&asker, &id).await?;
    let before = stored.record.clone();
    if let Some(name) = body.text("access_group_name").filter(|name| *name != access_group::name(&before)) {
        check_free(&asker, "access_group_name", name)?;
    }
    change(&asker, Some(&before), stored, &body).await
}

async fn delete_unified(asker: Asker, Path(id): Path<String>) -> Answer {
    asker.permit(&api::caller::Object::default())?;
    let group = by_id(&asker, &id).await?.record;
    remove(&asker, &group).await?;
    Ok(Json(json!({"access_group_id": id, "message": "Access group deleted successfully"})))
}

async fn budget_row(asker: &Asker, stored: &Stored<AccessGroup>) -> Answer {
    let group = &stored.record;
    let spend = asker.spend(Scope::AccessGroup(group.id.clone()), &group.details, stored.spend).await?;
    let mut row = access_group::budget_row(group, spend, &asker.clock());
    row.insert("litellm_budget_table".to_owned(), asker.budget_row(&group.details).await?);
    Ok(Json(Value::Object(row)))
}

async fn budget(asker: Asker, Path(name): Path<String>) -> Answer {
    asker.bring_up_to_date().await;
    let stored = named(&asker, &name).await?;
    budget_row(&asker, &stored).await
}

async fn set_budget(asker: Asker, Path(name): Path<String>, bytes: Bytes) -> Answer {
    let body = asker.own_body(&bytes)?;
    let mut stored = named(&asker, &name).await?;
    let before = stored.record.clone();
    asker.check_budget(&body).await?;
    api::terms::apply(&body, &mut stored.record.details, asker.now)?;
    save(&asker, &before, &mut stored).await?;
    budget_row(&asker, &stored).await
}

async fn clear_budget(asker: Asker, Path(name): Path<String>) -> Answer {
    asker.permit(&api::caller::Object::default())?;
    let mut stored = named(&asker, &name).await?;
    let before = stored.record.clone();
    stored.record.details.allowance = Allowance::default();
    stored.record.details.budget_id = None;
    save(&asker, &before, &mut stored).await?;
    budget_row(&asker, &stored).await
}
