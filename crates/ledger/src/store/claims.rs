//! What is to be done once for all instances: who claims it first does it.

use super::sql::Sql;
use super::{Store, StoreError, in_time};
use crate::rules::time::Timestamp;

impl Store {
    /// Claims something until a moment. `false`: somebody has, and their time is not over.
    ///
    /// # Errors
    /// The database's.
    pub async fn claim(&self, name: &str, now: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        in_time(async {
            let mut transaction = self.transaction().await?;
            let claimed = Sql::new(
                "INSERT INTO claims (name, until_at) VALUES ($1, $2)
                 ON CONFLICT (name) DO UPDATE SET until_at = excluded.until_at WHERE claims.until_at <= $3",
            )
            .bind(name)
            .bind(until.0)
            .bind(now.0)
            .execute(&mut transaction)
            .await?;
            transaction.commit().await?;
            Ok(claimed > 0)
        })
        .await
    }

    /// Gives a claim up: what was claimed was not done.
    ///
    /// # Errors
    /// The database's.
    pub async fn give_up_claim(&self, name: &str) -> Result<(), StoreError> {
        in_time(async {
            let mut transaction = self.transaction().await?;
            Sql::new("DELETE FROM claims WHERE name = $1").bind(name).execute(&mut transaction).await?;
            transaction.commit().await
        })
        .await
    }
}
