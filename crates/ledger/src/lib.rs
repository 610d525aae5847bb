//! Keys, teams, budgets, limits and spend.
//!
//! - [`rules`]: what may be asked, by whom, and for how much; pure.
//! - [`counters`]: the live state of all accounts, in memory; a request holds what it may cost and settles what it did.
//! - [`journal`]: bookings on their way to the database; survives whatever ends the process.
//! - [`shared`]: parts of limits that are lent to each of several instances.
//! - [`store`]: what lasts.
//! - [`vault`]: providers' secrets, as they are stored.
//!
//! A request: find its [`Key`](rules::entity::Key) by the [`KeyHash`](rules::id::KeyHash), ask its
//! [`Circle`](rules::circle::Circle), [`admit`](Claims::admit), call the provider,
//! [`settle`](Reservation::settle), [`append`](Journal::append) a [`Booking`] before the last byte goes out. Beside
//! it one task calls [`drain`](journal::drain) again and again.
//!
//! ```
//! # use std::sync::Arc;
//! # use std::time::Duration;
//! # use catalog::NanoUsd;
//! use ledger::rules::account::{Account, Scope};
//! use ledger::rules::budget::Budget;
//! use ledger::rules::entity::Key;
//! use ledger::rules::id::{KeyHash, ModelName, ProviderName, RequestId};
//! use ledger::rules::ledger::{Actual, Demand, Hold};
//! use ledger::rules::time::Timestamp;
//! use ledger::rules::zone::Zone;
//! use ledger::{Booking, Claims, Counters, Journal, Store, journal};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("tollway-ledger-example-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! let now = Timestamp(1_795_254_233_000);
//! let store = Store::open(&folder.join("tollway.db")).await?;
//! let journal = Journal::open(journal::Settings::new(folder.join("journal")))?;
//! let counters = Counters::default();
//!
//! // A key that may spend ten cents.
//! let hash = KeyHash::of("sk-1234567890abcdef");
//! let mut key: Key = serde_json::from_value(serde_json::json!({ "id": hash, "hash": hash, "name": "sk-...cdef" }))?;
//! key.details.allowance.budget = Budget::of(NanoUsd(100_000_000));
//! store.insert(&key).await?;
//!
//! // A request with it: known from now on.
//! let key = store.key_by_hash(&hash, now).await?.ok_or("unknown key")?.record;
//! let account = Account::of(Scope::Key(key.id.clone()));
//! let terms = Arc::new(key.details.allowance.terms(&Zone::UTC));
//! let claims = Claims::new(vec![counters.open(&account, &terms, &store.openings(&account).await?)]);
//!
//! // It may cost six cents, so that another one does not fit beside it.
//! let demand = Demand { hold: Hold::AtMost(NanoUsd(60_000_000)), tokens: 900, lease: Duration::from_secs(600) };
//! let reservation = claims.admit(&demand, now)?;
//! assert_eq!(claims.admit(&demand, now).unwrap_err().status(), 422);
//!
//! // It cost two.
//! let cost = NanoUsd(20_000_000);
//! let settlement = reservation.settle(Actual { cost, tokens: 311 }, now);
//! let booking = Booking {
//!     request: RequestId::new("chatcmpl-1")?,
//!     started_at: now,
//!     ended_at: now.plus(Duration::from_millis(900)),
//!     call_type: "acompletion".into(),
//!     model: ModelName::new("gpt-4o")?,
//!     provider: ProviderName::new("openai")?,
//!     key: key.id.clone(),
//!     cost,
//!     charges: settlement.charges,
//! #   failed: false, model_group: None, deployment: None, user: None, team: None, organization: None, customer: None,
//! #   tags: Vec::new(), tokens: Default::default(), saved: NanoUsd::ZERO, estimated: false, cache_hit: false,
//! #   catalog: None, session: None, detail: None,
//! };
//! journal.append(booking)?;
//! assert!(claims.admit(&demand, now).is_ok());
//!
//! // Beside it, again and again.
//! journal::drain(&journal, &store).await?;
//! assert!(store.audit().await?.is_empty());
//! # store.close().await;
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```

pub mod booking;
pub mod counters;
pub mod journal;
pub mod rules;
pub mod shared;
pub mod store;
pub mod vault;

pub use booking::{Booking, Tokens};
pub use counters::{Claim, Claims, Counters, Leases, Reservation};
pub use journal::Journal;
pub use store::Store;
pub use vault::Vault;
