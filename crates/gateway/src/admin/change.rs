//! Changes: each is made together with its entry in the log, and holds from the next request on.

use ledger::rules::entity::{Key, Member};
use ledger::rules::time::Timestamp;
use ledger::store::{Batch, Change, Record, Stored};
use serde_json::Value;

use super::asker::Asker;
use super::secret;
use crate::events;
use crate::refusal::Refusal;

/// Changes that hold together or not at all.
#[derive(Debug)]
#[must_use = "dropped uncommitted, it changes nothing"]
pub(super) struct Changes<'a> {
    asker: &'a Asker,
    batch: Batch,
    /// Told when all is done.
    made: Vec<Change>,
}

impl<'a> Changes<'a> {
    pub(super) async fn begin(asker: &'a Asker) -> Result<Self, Refusal> {
        Ok(Self { asker, batch: asker.store().begin().await?, made: Vec::new() })
    }

    pub(super) async fn insert<R: Record>(&mut self, record: &R) -> Result<(), Refusal> {
        self.batch.insert(record).await?;
        self.log::<R>("created", &record.id(), None, Some(record)).await
    }

    pub(super) async fn update<R: Record>(
        &mut self,
        action: &str,
        before: &R,
        stored: &Stored<R>,
    ) -> Result<(), Refusal> {
        self.batch.update(stored).await?;
        self.log(action, &before.id(), Some(before), Some(&stored.record)).await
    }

    /// A new secret for a key.
    pub(super) async fn rotate(
        &mut self,
        before: &Key,
        key: &Stored<Key>,
        until: Timestamp,
    ) -> Result<(), Refusal> {
        self.batch.regenerate_key(key, until).await?;
        self.log("rotated", before.id.as_str(), Some(before), Some(&key.record)).await
    }

    pub(super) async fn delete<R: Record>(&mut self, record: &R) -> Result<(), Refusal> {
        let by = self.asker.name();
        if self.batch.delete::<R>(&record.id(), Some(&by), self.asker.now).await? {
            self.log("deleted", &record.id(), Some(record), None).await?;
        }
        Ok(())
    }

    /// Deletes somebody with their keys and memberships.
    pub(super) async fn delete_with<R: Record>(
        &mut self,
        owner: &R,
        keys: &[Key],
        members: &[Member],
    ) -> Result<(), Refusal> {
        for key in keys {
            self.delete(key).await?;
        }
        for member in members {
            self.delete(member).await?;
        }
        self.delete(owner).await
    }

    /// Blocks, or unblocks.
    pub(super) async fn block<R: Record + Clone>(
        &mut self,
        stored: &mut Stored<R>,
        blocks: bool,
    ) -> Result<(), Refusal> {
        let before = stored.record.clone();
        let details = stored.record.details_mut();
        details.blocked = blocks;
        api::terms::touch(details, &self.asker.name(), self.asker.now);
        self.update(if blocks { "blocked" } else { "unblocked" }, &before, stored).await
    }

    /// Notes what is no change of an entity: that spend was set.
    pub(super) async fn note<R: Record>(
        &mut self,
        action: &str,
        id: &str,
        before: &Value,
        after: &Value,
    ) -> Result<(), Refusal> {
        self.write::<R>(action, id, Some(before.to_string()), Some(after.to_string())).await
    }

    async fn log<R: Record>(
        &mut self,
        action: &str,
        id: &str,
        before: Option<&R>,
        after: Option<&R>,
    ) -> Result<(), Refusal> {
        let text = |record: &R| serde_json::to_value(record).ok().map(|value| masked(value).to_string());
        self.write::<R>(action, id, before.and_then(text), after.and_then(text)).await
    }

    async fn write<R: Record>(
        &mut self,
        action: &str,
        id: &str,
        before: Option<String>,
        after: Option<String>,
    ) -> Result<(), Refusal> {
        let change = Change {
            id: secret::unique_id()?,
            at: self.asker.now,
            by: self.asker.name(),
            by_key: self.asker.caller.key.as_ref().map(ToString::to_string),
            action: action.to_owned(),
            kind: R::KIND.to_owned(),
            object: id.to_owned(),
            before,
            after,
        };
        self.batch.log(&change).await?;
        self.made.push(change);
        Ok(())
    }

    /// Makes it last; it holds from the next request on.
    pub(super) async fn commit(self) -> Result<(), Refusal> {
        self.batch.commit().await?;
        self.asker.books.people().changed();
        for change in &self.made {
            events::changed(&self.asker.gateway, change);
        }
        Ok(())
    }

    /// The same for what decides which models are served.
    pub(super) async fn commit_served(self) -> Result<(), Refusal> {
        let asker = self.asker;
        self.commit().await?;
        Ok(asker.gateway.load_models().await?)
    }
}

/// What a secret's field is called, or ends with.
const SECRET_NAMES: [&str; 9] = [
    "secret",
    "password",
    "api_key",
    "token",
    "authorization",
    "credential",
    "private_key",
    "secret_key",
    "service_account",
];

/// Whether a field of this name holds a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let lower = name.to_lowercase();
    SECRET_NAMES.iter().any(|word| lower.ends_with(word))
}

/// Metadata may hold what nobody should read in a log: a logging callback's key, for one.
pub(crate) fn masked(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(name, value)| {
                    let is_secret = value.is_string() && is_secret(&name);
                    let shown = if is_secret || name == "hash" { Value::from("****") } else { masked(value) };
                    (name, shown)
                })
                .collect(),
        ),
        Value::Array(list) => Value::Array(list.into_iter().map(masked).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_not_told() {
        let shown = masked(json!({
            "hash": "88dc", "models": ["gpt-4o"], "max_tokens": 5,
            "metadata": {"logging": [{"callback_vars": {"langfuse_secret_key": "sk-lf-1", "host": "h"}}]}
        }));
        assert_eq!(
            shown["metadata"]["logging"][0]["callback_vars"],
            json!({"langfuse_secret_key": "****", "host": "h"})
        );
        assert_eq!((&shown["hash"], &shown["max_tokens"]), (&json!("****"), &json!(5)));
    }
}
