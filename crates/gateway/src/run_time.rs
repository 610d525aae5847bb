//! Models and access groups that were added while the gateway ran. They lie in the database, secrets sealed, and are
//! served beside those of the configuration, by the same rules.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Weak;

use ledger::rules::entity::{AccessGroup, Credential, RuntimeModel, SharedBudget};
use ledger::store::{Filter, Record, Sorting, StoreError};
use ledger::vault::{Place, Sealed, Vault, VaultError};
use serde_json::{Map, Value, json};

use crate::config::keys::{self, Kind, Section};
use crate::config::{Config, DeploymentConfig, Sources};
use crate::{Gateway, events};

/// The most models, and the most access groups, that are added at run time.
const MOST: i64 = 10_000;

/// What the database has beside the configuration.
#[derive(Debug, Default)]
pub struct RunTime {
    pub deployments: Vec<DeploymentConfig>,
    /// With the terms of shared budgets filled in.
    pub access_groups: Vec<AccessGroup>,
}

impl RunTime {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deployments.is_empty() && self.access_groups.is_empty()
    }
}

/// Why a model cannot be served.
#[derive(Debug)]
pub enum Unservable {
    /// What is wrong with its settings.
    Settings(String),
    /// A secret does not open.
    Secret(VaultError),
}

impl fmt::Display for Unservable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(told) => f.write_str(told),
            Self::Secret(error) => write!(f, "its secrets do not open: {error}"),
        }
    }
}

impl std::error::Error for Unservable {}

/// Whether nobody may read what a parameter of a model says.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let known = keys::in_section(Section::LitellmParams).find(|key| key.name == name);
    // Headers may carry credentials.
    known.is_some_and(|key| matches!(key.kind, Kind::Secret | Kind::SecretOrMap))
        || ["headers", "extra_headers"].contains(&name)
}

/// Seals the secrets among a model's parameters and leaves the others.
///
/// # Errors
/// When the system has no random numbers.
pub fn seal(
    vault: &Vault,
    id: &str,
    params: &mut Map<String, Value>,
) -> Result<BTreeMap<String, Sealed>, VaultError> {
    let names: Vec<String> = params.keys().filter(|name| is_secret(name)).cloned().collect();
    let mut sealed = BTreeMap::new();
    for name in names {
        let Some(value) = params.remove(&name).filter(|value| !value.is_null()) else { continue };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        sealed.insert(name.clone(), vault.seal(&text, Place { kind: RuntimeModel::KIND, id, field: &name })?);
    }
    Ok(sealed)
}

/// The deployment that a model is, worked out as an entry of `model_list` is; `credentials` are as in
/// `credential_list`.
///
/// # Errors
/// When its settings are wrong, or its secrets do not open.
pub fn deployment(
    vault: &Vault,
    model: &RuntimeModel,
    credentials: &[Value],
) -> Result<DeploymentConfig, Unservable> {
    let part = |name: &str| model.data.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
    let (mut params, mut info) = (part("litellm_params"), part("model_info"));
    let id = model.id.as_str();
    for (field, sealed) in &model.secrets {
        let place = Place { kind: RuntimeModel::KIND, id, field };
        let secret = vault.open(sealed, place).map_err(Unservable::Secret)?;
        let map = serde_json::from_str(&secret).ok().filter(Value::is_object);
        params.insert(field.clone(), map.unwrap_or_else(|| json!(secret)));
    }
    info.insert("id".to_owned(), json!(id));
    // What only describes the entry is no fact about the model.
    for name in ["db_model", "created_at", "created_by", "updated_at", "updated_by"] {
        info.remove(name);
    }
    let entry = json!({"model_name": model.name, "litellm_params": params, "model_info": info});
    // JSON is YAML.
    let text = json!({
        "model_list": [entry],
        "credential_list": credentials,
        // Whether there is a master key is not asked here.
        "general_settings": {"dangerously_permit_weak_or_unset_master_key": true},
    })
    .to_string();
    let known = |model: &str, provider: Option<&str>| {
        catalog::split_model(model, provider, None).map(drop).map_err(|unknown| unknown.to_string())
    };
    let loaded = Config::from_text(Path::new(id), text, &Sources::system(&known));
    // One that cannot be served is left out of a configuration with a warning; here it is all there is.
    let told: Vec<&str> = loaded.report.problems.iter().map(|problem| problem.message.as_str()).collect();
    let told = told.join("; ");
    let deployment = loaded.config.and_then(|config| config.deployments.into_iter().next());
    let deployment = deployment.ok_or(Unservable::Settings(told))?;
    if reads_this_machine(&deployment) {
        let told = "`vertex_credentials` that read a file or an address of this machine (`external_account`) belong into \
                    the configuration file";
        return Err(Unservable::Settings(told.to_owned()));
    }
    Ok(deployment)
}

/// Whether credentials name files or addresses that only the operator of this machine should have read and sent out.
fn reads_this_machine(deployment: &DeploymentConfig) -> bool {
    let given = deployment.vertex.credentials.as_ref();
    let json = given.and_then(|given| serde_json::from_str::<Value>(given.expose()).ok());
    // Written anew: letters may stand there by their numbers.
    json.is_some_and(|json| json.to_string().contains("external_account"))
}

impl Gateway {
    /// Serves the models and access groups of the database beside those of the configuration. A model that cannot be
    /// served is named in the log and left out.
    ///
    /// # Errors
    /// The database's.
    pub async fn load_models(&self) -> Result<(), StoreError> {
        let (Some(books), Some(vault)) = (self.books(), self.vault()) else { return Ok(()) };
        let oldest_first = Sorting { descending: false, ..Sorting::default() };
        let stored = books.store().list::<RuntimeModel>(&Filter::default(), oldest_first, 0, MOST).await?;
        let credentials = self.stored_credentials().await?;
        let mut deployments = Vec::new();
        for stored in stored.items {
            match deployment(vault, &stored.record, &credentials) {
                Ok(deployment) => deployments.push(deployment),
                Err(error) => {
                    let what =
                        format!("the model `{}` ({}) is not served", stored.record.name, stored.record.id);
                    events::trouble(&self.log, &what, &error);
                }
            }
        }
        let mut access_groups = Vec::new();
        for stored in
            books.store().list::<AccessGroup>(&Filter::default(), oldest_first, 0, MOST).await?.items
        {
            let mut group = stored.record;
            if let Some(id) = &group.details.budget_id
                && let Some(shared) = books.store().get::<SharedBudget>(id.as_str()).await?
            {
                group.details.allowance = group.details.allowance.or(&shared.record.details.allowance);
            }
            access_groups.push(group);
        }
        self.serve_run_time(RunTime { deployments, access_groups });
        Ok(())
    }

    /// Serves what is added, changed and taken away at other instances, for as long as the gateway is there.
    pub async fn follow_models(gateway: Weak<Self>) {
        let Some(books) = gateway.upgrade().and_then(|gateway| gateway.books().cloned()) else { return };
        loop {
            books.models_changed().await;
            let Some(gateway) = gateway.upgrade() else { return };
            if let Err(error) = gateway.load_models().await {
                events::trouble(&gateway.log, "models of the database could not be read", &error);
            }
        }
    }

    /// The credentials of the database, as `credential_list` has them. Values that do not open are left out and named
    /// in the log: a model that needs them says what it lacks.
    ///
    /// # Errors
    /// The database's.
    pub async fn stored_credentials(&self) -> Result<Vec<Value>, StoreError> {
        let (Some(books), Some(vault)) = (self.books(), self.vault()) else { return Ok(Vec::new()) };
        let stored =
            books.store().list::<Credential>(&Filter::default(), Sorting::default(), 0, MOST).await?;
        let mut credentials = Vec::new();
        for Credential { id, values, data, .. } in stored.items.into_iter().map(|stored| stored.record) {
            let mut opened = Map::new();
            for (field, sealed) in values {
                let place = Place { kind: Credential::KIND, id: id.as_str(), field: &field };
                match vault.open(&sealed, place) {
                    Ok(secret) => _ = opened.insert(field, json!(secret)),
                    Err(error) => {
                        let what = format!("`{field}` of the credential `{id}` cannot be used");
                        events::trouble(&self.log, &what, &error);
                    }
                }
            }
            let credential =
                json!({"credential_name": id, "credential_values": opened, "credential_info": data});
            credentials.push(credential);
        }
        Ok(credentials)
    }
}

#[cfg(test)]
mod tests {
    use ledger::vault::SaltKey;

    use super::*;

    fn vault() -> Vault {
        Vault::new(SaltKey::new("a salt key for tests").unwrap(), Vec::new())
    }

    fn model(vault: &Vault, params: &Value) -> RuntimeModel {
        let mut params = params.as_object().cloned().unwrap();
        let secrets = seal(vault, "m1", &mut params).unwrap();
        let mut model: RuntimeModel = serde_json::from_value(json!({
            "id": "m1", "name": "mine", "data": {"litellm_params": params, "model_info": {"mode": "chat"}},
        }))
        .unwrap();
        model.secrets = secrets;
        model
    }

    #[test]
    fn secrets_are_sealed_where_they_lie_and_open_where_they_are_used() {
        let vault = vault();
        let model = model(
            &vault,
            &json!({"model": "openai/gpt-4o", "api_key": "sk-secret-1", "extra_headers": {"x-key": "secret-2"}, "rpm": 5}),
        );
        assert!(!serde_json::to_string(&model).unwrap().contains("secret-"), "{model:?}");
        let deployment = deployment(&vault, &model, &[]).unwrap();
        assert_eq!(deployment.id.as_str(), "m1");
        assert_eq!(
            deployment.connection.api_key.as_ref().map(|key| key.expose().to_owned()),
            Some("sk-secret-1".to_owned())
        );
        assert_eq!(deployment.connection.headers["x-key"].expose(), "secret-2");
        let other = Vault::new(SaltKey::new("another").unwrap(), Vec::new());
        assert!(matches!(super::deployment(&other, &model, &[]), Err(Unservable::Secret(_))));
    }

    #[test]
    fn who_adds_a_model_does_not_read_this_machine_s_files() {
        let vault = vault();
        let of = |credentials: Value| {
            let params = json!({"model": "vertex_ai/gemini-2.5-pro", "vertex_credentials": credentials});
            deployment(&vault, &model(&vault, &params), &[]).map(|deployment| deployment.vertex.credentials)
        };
        assert!(of(json!({"type": "service_account"})).unwrap().is_some());
        let reading = json!({"type": "external_account", "credential_source": {"file": "/etc/passwd"}});
        for credentials in [
            reading.clone(),
            json!(reading.to_string().replace("external_", "external\\u005f")),
            json!({"type": "impersonated_service_account", "source_credentials": reading}),
        ] {
            let told = of(credentials).unwrap_err().to_string();
            assert!(told.contains("belong into the configuration file"), "{told}");
        }
    }

    #[test]
    fn wrong_settings_are_told_as_in_a_configuration() {
        let vault = vault();
        let wrong = deployment(&vault, &model(&vault, &json!({"model": "opnai/gpt-4o"})), &[])
            .unwrap_err()
            .to_string();
        assert!(wrong.contains("opnai"), "{wrong}");
    }
}
