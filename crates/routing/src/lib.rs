//! Which deployment answers a request, and what to do when it fails.
//!
//! A pure state machine that the SDK's router and the gateway share: no socket, clock, environment or async. Time
//! ([`Moment`]) and chance ([`Rng`]) are arguments.
//!
//! - [`Plan`]: the settings, checked and laid out. Immutable.
//! - [`Fleet`]: a plan and what is going on at its deployments. Shared by all requests, carried over by a reload.
//! - [`Journey`]: one request. Ask it what to do, do it, tell it how it went.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use routing::settings::DeploymentSettings;
//! use routing::{Decision, Fleet, Journey, Moment, Outcome, Plan, Request, Settings};
//!
//! let deployment = |id: &str| DeploymentSettings {
//!     id: id.into(),
//!     model_name: "gpt-4o".into(),
//!     ..DeploymentSettings::default()
//! };
//! let deployments = vec![deployment("east"), deployment("west")];
//! let (plan, problems) = Plan::new(Settings { deployments, ..Settings::default() });
//! assert!(problems.is_empty());
//! let fleet = Arc::new(Fleet::new(plan));
//!
//! let now = |seconds| Moment::after_start(Duration::from_secs(seconds));
//! let mut journey = Journey::new(&fleet, Request::new("gpt-4o"));
//! match journey.next(now(1), &mut || 4) {
//!     Decision::Call(attempt) => {
//!         // Call the deployment, and tell how it went.
//!         assert!(["east", "west"].contains(&attempt.id()));
//!         journey.report(attempt, &Outcome::SUCCESS, now(2));
//!     }
//!     Decision::Wait { duration, .. } => unreachable!("sleep for {duration:?} and ask again"),
//!     Decision::Stop(stop) => unreachable!("tell the client: {stop}"),
//! }
//! ```

mod attempt;
mod budget;
mod chance;
mod cooldown;
mod fallback;
mod fleet;
mod journey;
mod latency;
mod limits;
mod live;
mod moment;
mod outcome;
mod pattern;
mod pick;
mod plan;
mod problem;
mod region;
mod request;
mod retry;
mod screen;
pub mod settings;
mod share;
mod stop;
mod strategy;
mod tags;
mod window;

pub use attempt::{Attempt, AttemptKind};
pub use chance::Rng;
pub use cooldown::{CooldownReason, Phase};
pub use fleet::{Change, DeploymentState, Fleet};
pub use journey::{Decision, Journey, PassedOver, Why};
pub use limits::Limit;
pub use moment::Moment;
pub use outcome::{Failure, Outcome};
pub use pick::Considered;
pub use plan::{DeploymentIndex, Plan, Planned};
pub use problem::{Problem, ProblemKind};
pub use request::{Overrides, Request};
pub use screen::Verdict;
pub use settings::{Settings, Strategy};
pub use share::{Health, News};
pub use stop::{GivenUp, Lack, Stop};
