//! One request and all that happened to it. Filled step by step by the pipeline; when it is over it is the trace.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use dialects::conversation::{StopReason, Usage};
use dialects::loss::Note;
use dialects::{Dialect, ErrorClass};
use ledger::rules::account::Account;
use ledger::rules::entity::UserRole;
use ledger::rules::ledger::{Hold, Standing};
use routing::{Verdict, Why};

use crate::books::people::Holder;
use crate::cache::{Declined, Key, Match};
use crate::operation::Operation;
use crate::snapshot::Served;
use crate::whereabouts::Mark;

/// See the module.
#[derive(Debug)]
pub struct Exchange {
    /// `x-litellm-call-id`: made here, or the caller's own.
    pub id: String,
    pub received_at: SystemTime,
    pub started: Instant,
    pub operation: Operation,
    pub path: String,
    pub caller: Caller,
    /// The model as the client wrote it.
    pub requested_model: String,
    /// The group it led to (`model_name`).
    pub group: Option<Arc<str>>,
    pub stream: bool,
    /// About how many tokens the input has.
    pub input_estimate: u64,
    /// What was held for it, and on which accounts; `None` if nothing is booked.
    pub held: Option<Box<Held>>,
    /// What the cache said; `None` if it was not asked.
    pub cache: Option<Box<CacheUse>>,
    /// How its deployments were found.
    pub route: Vec<RouteStep>,
    pub attempts: Vec<Attempt>,
    /// Uploaded files that the request refers to.
    pub(crate) files: Vec<Mark>,
    /// It refers to state of which is not known who has it.
    pub(crate) seeks_state: bool,
    /// Attempts in a group beyond its first.
    pub retries: u32,
    /// Groups that were fallen back to.
    pub fallbacks: u32,
    /// What was left out, renamed or changed in the request.
    pub notes: Vec<Note>,
    /// Time spent waiting for providers.
    pub upstream_time: Duration,
    pub first_token: Option<Duration>,
    pub answer: AnswerFacts,
    /// The request that this one is a copy of (`tollway.mirror`).
    pub mirror_of: Option<Arc<str>>,
    pub outcome: Outcome,
    pub duration: Duration,
    /// Request and answer, if the operator wants them kept.
    pub bodies: Option<Box<Bodies>>,
}

/// Who asks, as far as it is known.
#[derive(Clone, Debug)]
pub struct Caller {
    pub ip: IpAddr,
    pub user_agent: Option<String>,
    pub identity: Identity,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The holder of a virtual key.
    Key(Arc<Holder>),
    /// Not looked at yet, or refused.
    Unknown,
    /// The gateway has no master key and serves this machine only.
    Local,
    Master,
    /// The gateway itself, finding out how its deployments are.
    HealthCheck,
    /// The gateway itself, finding out what a question is similar to.
    SemanticCache,
}

impl Identity {
    /// How logs and metrics name it; LiteLLM's words.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Key(holder) => holder.key.id.as_str(),
            Self::Unknown => "None",
            Self::Local => "local",
            Self::Master => "litellm_proxy_master_key",
            Self::HealthCheck => "litellm-internal-health-check",
            Self::SemanticCache => "tollway-semantic-cache",
        }
    }

    /// Whose answers may be given to this caller: those of callers with the same scope, and nobody else's.
    #[must_use]
    pub fn cache_scope(&self) -> [&str; 2] {
        match self {
            Self::Key(holder) => holder.cache_scope(),
            _ => ["own", self.name()],
        }
    }

    /// Whether it is somebody who runs the gateway.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        match self {
            Self::Local | Self::Master => true,
            Self::Key(holder) => holder.user.as_ref().is_some_and(|user| user.role == UserRole::ProxyAdmin),
            Self::Unknown | Self::HealthCheck | Self::SemanticCache => false,
        }
    }

    /// Of a virtual key: whose it is.
    #[must_use]
    pub fn holder(&self) -> Option<&Arc<Holder>> {
        match self {
            Self::Key(holder) => Some(holder),
            _ => None,
        }
    }
}

/// What a request had to fit into.
#[derive(Clone, Debug)]
pub struct Held {
    /// What it might cost; `None`: nobody had to know.
    pub cost: Option<Hold>,
    /// How many tokens its answer may have, where budgets pay for no more than that (`budget_fit`).
    pub fit: Option<u64>,
    /// Tokens, as far as they are known or expected.
    pub tokens: u64,
    /// The accounts with a budget or a limit, as they stood before.
    pub accounts: Vec<(Account, Standing)>,
}

/// What the cache did for a request.
#[derive(Clone, Debug)]
pub struct CacheUse {
    pub state: CacheState,
    pub key: Option<Key>,
    /// Of the answer that was found.
    pub age: Option<Duration>,
    /// What did not have to be spent once more.
    pub saved: Saved,
    /// Of an embeddings request: how many items were known, of how many.
    pub items: Option<(usize, usize)>,
    /// The question that the answer was given to first, where it was another one.
    pub similar: Option<Match>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheState {
    /// Answered from the store.
    Hit,
    /// Answered together with the same question of somebody else.
    Joined,
    /// Answered from the store, with the answer to a similar question.
    Similar,
    /// Some items of an embeddings request were known.
    Partial,
    Miss,
    /// Not looked up.
    Declined(Declined),
}

impl CacheState {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Joined => "joined",
            Self::Similar => "similar",
            Self::Partial => "partial",
            Self::Miss => "miss",
            Self::Declined(_) => "declined",
        }
    }
}

/// See [`CacheUse::saved`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    pub tokens: u64,
    pub cost: catalog::NanoUsd,
    pub time: Duration,
}

impl CacheUse {
    #[must_use]
    pub fn new(state: CacheState, key: Option<Key>) -> Self {
        Self { state, key, age: None, saved: Saved::default(), items: None, similar: None }
    }

    /// Whether the whole answer came from the cache.
    #[must_use]
    pub fn is_hit(&self) -> bool {
        matches!(self.state, CacheState::Hit | CacheState::Joined | CacheState::Similar)
    }
}

/// A step on the way to a deployment.
#[derive(Clone, Debug)]
pub enum RouteStep {
    /// One of a group's deployments was looked for.
    Considered {
        /// Since the request began.
        after: Duration,
        group: Arc<str>,
        /// In the order of the configuration; of a large group not all.
        candidates: Vec<Candidate>,
    },
    Waited {
        after: Duration,
        duration: Duration,
        why: Why,
    },
    /// Something that the choice could not take into account.
    Noted {
        after: Duration,
        note: String,
    },
    /// No (further) attempt was made.
    Stopped {
        after: Duration,
        why: String,
    },
}

/// A deployment that could have answered.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub deployment: Arc<str>,
    pub verdict: Verdict,
    /// Until a cooldown ends.
    pub left: Option<Duration>,
}

/// One call of a provider.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub served: Arc<Served>,
    /// Without query: it may hold a key.
    pub url: Arc<str>,
    pub dialect: Dialect,
    /// When it began, counted from the request's beginning.
    pub after: Duration,
    /// Until the head of the answer.
    pub head: Option<Duration>,
    pub status: Option<u16>,
    pub error: Option<String>,
    /// It did not answer, and the provider bills about this much all the same.
    pub billed: Option<catalog::NanoUsd>,
    /// The provider's own id of the call, for its support.
    pub provider_request_id: Option<String>,
}

/// What the answer said about itself.
#[derive(Clone, Debug, Default)]
pub struct AnswerFacts {
    pub id: Option<String>,
    /// The model that answered, as the provider names it.
    pub model: Option<String>,
    pub stop: Option<StopReason>,
    pub usage: Option<Usage>,
    /// The provider reported no usage; the counts are ours.
    pub usage_is_estimate: bool,
    pub cost: Option<catalog::Cost>,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Running,
    Answered,
    /// The client left before the end.
    ClientGone,
    Failed {
        status: u16,
        class: Option<ErrorClass>,
        message: String,
        log: String,
    },
}

impl Outcome {
    /// The HTTP status that stands for it; 499 is nginx's word for a client that left.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Running | Self::Answered => 200,
            Self::ClientGone => 499,
            Self::Failed { status, .. } => *status,
        }
    }
}

/// Bodies kept for the trace, each cut at [`Bodies::MAX_BYTES`].
#[derive(Clone, Debug, Default)]
pub struct Bodies {
    pub client_request: Option<Bytes>,
    pub provider_request: Option<Bytes>,
    pub provider_response: Vec<u8>,
    pub client_response: Vec<u8>,
}

impl Bodies {
    /// The most that is kept of each body.
    pub const MAX_BYTES: usize = 256 * 1024;

    pub fn keep(buffer: &mut Vec<u8>, bytes: &[u8]) {
        let room = Self::MAX_BYTES.saturating_sub(buffer.len());
        buffer.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    }
}

impl Exchange {
    #[must_use]
    pub fn begin(id: String, operation: Operation, path: &str, caller: Caller) -> Self {
        Self::empty(id, SystemTime::now(), Instant::now(), operation, path.to_owned(), caller)
    }

    /// What happened, to be kept; an empty exchange stays.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let caller = Caller { ip: self.caller.ip, user_agent: None, identity: Identity::Unknown };
        let empty =
            Self::empty(String::new(), self.received_at, self.started, self.operation, String::new(), caller);
        std::mem::replace(self, empty)
    }

    fn empty(
        id: String,
        received_at: SystemTime,
        started: Instant,
        operation: Operation,
        path: String,
        caller: Caller,
    ) -> Self {
        Self {
            id,
            received_at,
            started,
            operation,
            path,
            caller,
            requested_model: String::new(),
            group: None,
            stream: false,
            input_estimate: 0,
            held: None,
            cache: None,
            route: Vec::new(),
            attempts: Vec::new(),
            files: Vec::new(),
            seeks_state: false,
            retries: 0,
            fallbacks: 0,
            notes: Vec::new(),
            upstream_time: Duration::ZERO,
            first_token: None,
            answer: AnswerFacts::default(),
            mirror_of: None,
            outcome: Outcome::Running,
            duration: Duration::ZERO,
            bodies: None,
        }
    }

    /// Whether the whole answer came from the cache.
    #[must_use]
    pub fn is_cache_hit(&self) -> bool {
        self.cache.as_deref().is_some_and(CacheUse::is_hit)
    }

    /// The deployment that was asked last.
    #[must_use]
    pub fn served(&self) -> Option<&Arc<Served>> {
        self.attempts.last().map(|attempt| &attempt.served)
    }
}
