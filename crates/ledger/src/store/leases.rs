//! What is lent to instances, kept in the database: for those that have no Redis.

use super::sql::Sql;
use super::{Store, StoreError, in_time};
use crate::rules::time::Timestamp;
use crate::shared::room::Room;
use crate::shared::{Heard, LIVES_MILLIS, LeaseError, LeaseStore, Order, Reply, Work};

impl Store {
    async fn exchange_lease(
        &self,
        instance: &str,
        resource: &str,
        order: &Order,
        now: Timestamp,
    ) -> Result<Reply, StoreError> {
        let mut transaction = self.transaction().await?;
        Sql::new(
            "INSERT INTO rooms (resource, exchanged_at, state) VALUES ($1, $2, '') ON CONFLICT (resource) DO NOTHING",
        )
        .bind(resource)
        .bind(now.0)
        .execute(&mut transaction)
        .await?;
        // From here on the others wait.
        let state: String =
            Sql::new("UPDATE rooms SET exchanged_at = $2 WHERE resource = $1 RETURNING state")
                .bind(resource)
                .bind(now.0)
                .one(&mut transaction)
                .await?;
        // A room that cannot be read begins anew: instances say what they have.
        let mut room: Room = serde_json::from_str(&state).unwrap_or_default();
        let instances: i64 = Sql::new("SELECT COUNT(*) FROM instances WHERE until_at > $1")
            .bind(now.0)
            .one(&mut transaction)
            .await?;
        let (reply, called) = room.exchange(instance, instances, order, now.0);
        let state = serde_json::to_string(&room).map_err(|source| StoreError::Unreadable {
            table: "rooms",
            id: resource.to_owned(),
            source,
        })?;
        Sql::new("UPDATE rooms SET state = $2 WHERE resource = $1")
            .bind(resource)
            .bind(state)
            .execute(&mut transaction)
            .await?;
        let calls = match reply.outcome {
            crate::shared::Outcome::Asked(number) => Some(number),
            crate::shared::Outcome::Lent
            | crate::shared::Outcome::Nothing
            | crate::shared::Outcome::Unread => None,
        };
        for (instance, number) in called.iter().zip(calls.into_iter().cycle()) {
            Sql::new(
                "INSERT INTO calls (instance_id, resource, number) VALUES ($1, $2, $3)
                 ON CONFLICT (instance_id, resource) DO UPDATE SET number = excluded.number",
            )
            .bind(instance)
            .bind(resource)
            .bind(number)
            .execute(&mut transaction)
            .await?;
        }
        let remember = if reply.lent > 0 {
            "INSERT INTO lent (instance_id, resource) VALUES ($1, $2) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM lent WHERE instance_id = $1 AND resource = $2"
        };
        Sql::new(remember).bind(instance).bind(resource).execute(&mut transaction).await?;
        transaction.commit().await?;
        Ok(reply)
    }

    async fn hear_calls(&self, instance: &str, now: Timestamp) -> Result<Heard, StoreError> {
        let mut transaction = self.transaction().await?;
        Sql::new(
            "INSERT INTO instances (id, until_at) VALUES ($1, $2)
             ON CONFLICT (id) DO UPDATE SET until_at = excluded.until_at",
        )
        .bind(instance)
        .bind(now.0.saturating_add(LIVES_MILLIS))
        .execute(&mut transaction)
        .await?;
        let calls: Vec<(String, i64)> =
            Sql::new("DELETE FROM calls WHERE instance_id = $1 RETURNING resource, number")
                .bind(instance)
                .all(&mut transaction)
                .await?;
        let instances: i64 = Sql::new("SELECT COUNT(*) FROM instances WHERE until_at > $1")
            .bind(now.0)
            .one(&mut transaction)
            .await?;
        transaction.commit().await?;
        Ok(Heard { calls, instances: u32::try_from(instances).unwrap_or(u32::MAX) })
    }

    async fn forget_instance(&self, instance: &str) -> Result<(), StoreError> {
        let mut transaction = self.transaction().await?;
        for sql in [
            "DELETE FROM instances WHERE id = $1",
            "DELETE FROM lent WHERE instance_id = $1",
            "DELETE FROM calls WHERE instance_id = $1",
        ] {
            Sql::new(sql).bind(instance).execute(&mut transaction).await?;
        }
        transaction.commit().await
    }
}

impl LeaseStore for Store {
    fn exchange<'s>(
        &'s self,
        instance: &'s str,
        resource: &'s str,
        order: &'s Order,
        now: Timestamp,
    ) -> Work<'s, Reply> {
        Box::pin(async move {
            in_time(self.exchange_lease(instance, resource, order, now)).await.map_err(LeaseError::new)
        })
    }

    fn hear<'s>(&'s self, instance: &'s str, now: Timestamp) -> Work<'s, Heard> {
        Box::pin(async move { in_time(self.hear_calls(instance, now)).await.map_err(LeaseError::new) })
    }

    fn lent_to<'s>(&'s self, instance: &'s str) -> Work<'s, Vec<String>> {
        Box::pin(async move {
            let select = Sql::new("SELECT resource FROM lent WHERE instance_id = $1").bind(instance);
            in_time(async { select.all(&mut self.reader().await?).await }).await.map_err(LeaseError::new)
        })
    }

    fn leave<'s>(&'s self, instance: &'s str) -> Work<'s, ()> {
        Box::pin(async move { in_time(self.forget_instance(instance)).await.map_err(LeaseError::new) })
    }
}
