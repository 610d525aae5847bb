//! May this request be served? The key's models, its limits, everybody's budgets: what the request may cost is held
//! before the provider is called, and what it did cost is settled when it is over.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use catalog::NanoUsd;
use catalog::cost::{CallKind, Counts};
use dialects::conversation::Usage;
use dialects::document::Document;
use dialects::service::Service;
use http::HeaderMap;
use ledger::rules::account::{Account, Scope};
use ledger::rules::budget::Terms;
use ledger::rules::circle::Subject;
use ledger::rules::entity::{Customer, TagTerms};
use ledger::rules::id::{CustomerId, ModelName, RequestId, Tag};
use ledger::rules::ledger::{Demand, Hold};
use ledger::rules::limit::Limits;
use ledger::rules::refusal::Refusal as Denied;
use ledger::{Claim, Claims, Reservation};
use memchr::memmem::Finder;
use routing::settings::Predicate;
use serde_json::Value;

use super::{Running, forward, receive};
use crate::books::people::{self, Holder};
use crate::books::{self, Books, NotKnown};
use crate::config::UnknownPrice;
use crate::exchange::{Held, Identity};
use crate::operation::Operation;
use crate::refusal::{LimitReached, Refusal};
use crate::snapshot::{Group, Snapshot};

/// A hold that nobody ends ends by itself; no request takes that long.
const LEASE: Duration = Duration::from_secs(24 * 3600);

/// A request that was let in, and what it holds until it is settled.
#[derive(Debug)]
pub struct Admission {
    pub books: Arc<Books>,
    pub holder: Arc<Holder>,
    pub request: RequestId,
    /// The group that was asked for; experience of its cost is kept under this name.
    pub model: ModelName,
    pub customer: Option<CustomerId>,
    pub tags: Vec<Tag>,
    pub claims: Claims,
    pub reservation: Option<Reservation>,
}

/// What a request says about its size.
pub(super) struct Size<'r> {
    pub document: &'r Document<'r>,
    pub body_bytes: usize,
    pub tags: &'r [String],
    /// See [`customer`].
    pub customer: Option<&'r str>,
    pub headers: &'r HeaderMap,
}

/// The name that the caller's model has for its key or team, if it may use it.
///
/// # Errors
/// A 403, when it may not.
pub(super) fn model(running: &Running, snapshot: &Snapshot, model: String) -> Result<String, Refusal> {
    let Some(holder) = running.exchange.caller.identity.holder() else { return Ok(model) };
    let circle = holder.circle();
    let resolved = circle.resolve(&model);
    may_use(holder, snapshot, resolved)?;
    Ok(if resolved == model { model } else { resolved.to_owned() })
}

/// Whether a caller may use a model, and so see it in lists.
#[must_use]
pub fn is_for(identity: &Identity, snapshot: &Snapshot, model: &str) -> bool {
    identity.holder().is_none_or(|holder| may_use(holder, snapshot, model).is_ok())
}

/// Under the name that was asked for or the group that it leads to.
fn may_use(holder: &Holder, snapshot: &Snapshot, model: &str) -> Result<(), Refusal> {
    let groups = &snapshot.access_groups;
    let denied = match holder.circle().may_use(model, groups) {
        Ok(()) => return Ok(()),
        Err(denied) => denied,
    };
    let fleet = snapshot.fleet();
    let group = fleet.plan().group_of(model).filter(|group| &***group != model);
    match group.map(|group| holder.circle().may_use(group, groups)) {
        Some(Ok(())) => Ok(()),
        Some(Err(_)) | None => Err(Refusal::denied(&denied, snapshot.over_budget_status)),
    }
}

/// Whether the caller may be given a group as a fallback.
pub(super) fn permit(running: &Running, snapshot: &Arc<Snapshot>) -> Option<Predicate> {
    let holder = Arc::clone(running.exchange.caller.identity.holder()?);
    let snapshot = Arc::clone(snapshot);
    Some(Predicate::new(move |group: &str| may_use(&holder, &snapshot, group).is_ok()))
}

/// Finds out what a request draws on; `None` where nothing is booked.
///
/// # Errors
/// 503 when the database is needed and away, or the journal's disk is full.
pub(super) async fn accounts(
    running: &Running,
    snapshot: &Snapshot,
    model: &str,
    size: &Size<'_>,
) -> Result<Option<Box<Admission>>, Refusal> {
    let Some(books) = running.gateway.books().cloned() else { return Ok(None) };
    let Some(holder) = books.holder_of(&running.exchange.caller.identity) else { return Ok(None) };
    books.journal().admits().map_err(|_| {
        Refusal::of_status(
            503,
            "spend cannot be written down at the moment (the journal's disk is full); try again later",
        )
    })?;
    let group = snapshot.group(model);
    let name = group.as_ref().map_or(model, |group| &*group.name);
    // What nobody serves is refused where it is routed.
    let Ok(name) = ModelName::new(name) else { return Ok(None) };
    let Some(request) = request_id(running, size.headers) else { return Ok(None) };
    let asked = Named::read(&books, &holder, size).await?;
    let claims = asked.claims(&books, &holder, snapshot, &name).await?;
    Ok(Some(Box::new(Admission {
        request,
        model: name,
        customer: asked.customer,
        tags: asked.tags,
        claims,
        reservation: None,
        holder,
        books,
    })))
}

/// Holds what a request may cost; it has to be let in before anything is spent on it.
///
/// # Errors
/// 429 when a limit has no room, 422 (or what is configured) when a budget has not.
pub(super) async fn hold(
    running: &mut Running,
    snapshot: &Snapshot,
    admission: Option<Box<Admission>>,
    size: &Size<'_>,
) -> Result<(), Short> {
    let Some(admission) = admission else { return Ok(()) };
    running.exchange.held = Some(Box::new(admission.standing(size)));
    admit(running, snapshot, admission, size, None).await
}

/// A request that was not let in.
pub(super) struct Short {
    pub refusal: Refusal,
    /// Near the edge of a budget it is worth to know exactly how long the input is.
    pub uncounted: Option<Uncounted>,
}

/// A request whose input was taken for as many tokens as it has bytes.
pub(super) struct Uncounted {
    admission: Box<Admission>,
    /// By whose tokens to count.
    pub model: String,
}

impl From<Short> for Refusal {
    fn from(short: Short) -> Self {
        short.refusal
    }
}

impl Uncounted {
    /// Tries again, with as many tokens as the input has.
    ///
    /// # Errors
    /// As [`hold`].
    pub(super) async fn hold(
        self,
        running: &mut Running,
        snapshot: &Snapshot,
        size: &Size<'_>,
        counted: catalog::tokens::TokenCount,
    ) -> Result<(), Refusal> {
        let tokens = counted.tokens;
        let tokens = if counted.exact { tokens } else { tokens.saturating_add(tokens / 4) };
        Ok(admit(running, snapshot, self.admission, size, Some(tokens)).await?)
    }
}

async fn admit(
    running: &mut Running,
    snapshot: &Snapshot,
    mut admission: Box<Admission>,
    size: &Size<'_>,
    counted: Option<u64>,
) -> Result<(), Short> {
    let group = snapshot.group(admission.model.as_str());
    let prices = Prices { group: group.as_deref(), operation: running.exchange.operation };
    let certain = |refusal| Short { refusal, uncounted: None };
    let hold = admission.cost(&prices, snapshot, size, counted).map_err(certain)?;
    if let Some(held) = &mut running.exchange.held {
        held.cost = (hold != Hold::Free).then_some(hold);
    }
    let demand = Demand { hold, tokens: receive::rough_tokens(size.body_bytes), lease: LEASE };
    match admission.claims.admit_shared(&demand, books::now()).await {
        Ok(reservation) => {
            admission.reservation = Some(reservation);
            running.admission = Some(admission);
            Ok(())
        }
        Err(denied) => {
            let by_bytes =
                counted.is_none() && matches!((&denied, hold), (Denied::OverBudget(_), Hold::AtMost(_)));
            let model = prices.model().filter(|_| by_bytes).map(str::to_owned);
            Err(Short {
                refusal: Refusal::denied(&denied, snapshot.over_budget_status),
                uncounted: model.map(|model| Uncounted { admission, model }),
            })
        }
    }
}

/// Books a request that nobody asked for: whoever pays for it, no limit of theirs stands in its way.
pub(super) fn count_only(running: &mut Running, admission: Option<Box<Admission>>) {
    let Some(mut admission) = admission else { return };
    let demand = Demand { hold: Hold::Free, tokens: 0, lease: LEASE };
    // Where nothing is bounded nothing is refused.
    admission.reservation = admission.claims.unbounded().admit(&demand, books::now()).ok();
    running.admission = Some(admission);
}

/// Under which a request is booked. A caller may choose the id of its call, but not one that was booked before.
fn request_id(running: &Running, headers: &HeaderMap) -> Option<RequestId> {
    let own = headers.contains_key(&receive::names::CALL_ID).then(receive::random_uuid);
    let id = own.as_deref().unwrap_or(&running.exchange.id);
    // Both are 36 characters.
    RequestId::new(id).ok()
}

/// Whom a request names beside its key.
struct Named {
    customer: Option<CustomerId>,
    customer_terms: Option<Arc<Customer>>,
    tags: Vec<Tag>,
    tag_terms: Vec<Arc<TagTerms>>,
}

impl Named {
    async fn read(books: &Books, holder: &Holder, size: &Size<'_>) -> Result<Self, Refusal> {
        let customer = size.customer.and_then(|id| CustomerId::new(id).ok());
        let customer_terms = match &customer {
            Some(id) => books.people().customer(books.store(), id).await,
            None => None,
        };
        if customer_terms.as_ref().is_some_and(|customer| customer.details.blocked) {
            let id = customer.as_ref().map_or("", |id| id.as_str());
            return Err(Refusal::unauthenticated(format_args!("End user={id} is blocked.")));
        }
        let mut tags = holder.key.tags.clone();
        for tag in size.tags {
            match Tag::new(tag.trim_start_matches(['!', '&'])) {
                Ok(tag) if !tags.contains(&tag) => tags.push(tag),
                _ => {}
            }
        }
        let mut tag_terms = Vec::new();
        for tag in &tags {
            tag_terms.extend(books.people().tag(books.store(), tag).await);
        }
        Ok(Self { customer, customer_terms, tags, tag_terms })
    }

    /// What the request draws on.
    async fn claims(
        &self,
        books: &Books,
        holder: &Arc<Holder>,
        snapshot: &Snapshot,
        model: &ModelName,
    ) -> Result<Claims, Refusal> {
        let plain = self.customer_terms.is_none() && self.tag_terms.is_empty();
        if plain && let Some(known) = holder.claims(model.as_str()) {
            return Ok(known);
        }
        let tags: Vec<TagTerms> = self.tag_terms.iter().map(|tag| TagTerms::clone(tag)).collect();
        let subject = Subject { model, customer: self.customer_terms.as_deref(), tags: &tags };
        let accounts = holder.circle().accounts(&subject, &snapshot.policy);
        let claims = people::claims(books.counters(), books.store(), accounts).await;
        let claims = Claims::new(claims.map_err(|error| Refusal::store_away(&error))?);
        if plain {
            holder.remember(model.as_str(), claims.clone());
        }
        Ok(claims)
    }
}

/// The end user that a request names; LiteLLM's fields in its order. `document` still has the fields that speak to the
/// gateway.
pub(super) fn customer(document: &Document<'_>, headers: &HeaderMap) -> Option<String> {
    for name in ["x-litellm-customer-id", "x-litellm-end-user-id"] {
        if let Some(id) = receive::header(headers, name).filter(|id| !id.is_empty()) {
            return Some(id.to_owned());
        }
    }
    let text = |name: &str| document.text(name).ok().flatten().map(std::borrow::Cow::into_owned);
    let inside = |name: &str, field: &str| {
        let object: Value = serde_json::from_str(document.get(name)?).ok()?;
        object.get(field)?.as_str().map(str::to_owned)
    };
    let found = text("user")
        .or_else(|| inside("litellm_metadata", "user"))
        .or_else(|| inside("metadata", "user_id"))
        .or_else(|| text("safety_identifier"));
    found.filter(|id| !id.is_empty())
}

impl Admission {
    /// For the trace.
    fn standing(&self, size: &Size<'_>) -> Held {
        let now = books::now();
        let is_bounded = |claim: &&Claim| {
            let Terms { budgets, limits } = claim.terms();
            *limits != Limits::default() || budgets.iter().any(|budget| budget.max.is_some())
        };
        let bounded = self.claims.iter().filter(is_bounded);
        Held {
            cost: None,
            tokens: receive::rough_tokens(size.body_bytes),
            accounts: bounded.map(|claim| (claim.account().clone(), claim.standing(now))).collect(),
        }
    }

    /// What the request may cost.
    fn cost(
        &self,
        prices: &Prices<'_>,
        snapshot: &Snapshot,
        size: &Size<'_>,
        counted: Option<u64>,
    ) -> Result<Hold, Refusal> {
        if self.claims.room(books::now()).is_none() {
            // There is no budget, so nobody needs to know.
            return Ok(Hold::Free);
        }
        let known = || self.holder_claim().map_or(NanoUsd::ZERO, |claim| claim.expected_cost(&self.model));
        // A token has at least one byte.
        let bytes = size.body_bytes as u64;
        let input = counted.map_or(bytes, |tokens| tokens.min(bytes));
        match declared(prices.operation, size).and_then(|output| prices.most(input, output)) {
            Some(most) => Ok(Hold::AtMost(most)),
            None if prices.are_known() => Ok(Hold::About(known())),
            None => snapshot.unknown_price.hold(&self.model, known()),
        }
    }

    /// The key's own account: whose experience tells what a call will cost.
    pub(super) fn holder_claim(&self) -> Option<&Claim> {
        let key = Account::of(Scope::Key(self.holder.key.id.clone()));
        self.claims.iter().find(|claim| *claim.account() == key)
    }
}

/// What a group's deployments charge; of several the dearest counts.
struct Prices<'g> {
    group: Option<&'g Group>,
    operation: Operation,
}

impl Prices<'_> {
    /// Whether something of what such a call uses has a price at each.
    fn are_known(&self) -> bool {
        let usage = Usage { input: 1, output: 1, characters: 1, audio_ms: 1000, ..Usage::default() };
        let counts = Counts { images: 1, queries: 1, ..Counts::default() };
        let kind = match self.operation {
            Operation::Forward(service) => forward::call_kind(service),
            Operation::Converse(_) | Operation::CountTokens(_) => CallKind::Chat,
        };
        self.group.is_some_and(|group| {
            group.members.iter().all(|served| served.cost_of(&usage, kind, counts.clone()).is_some())
        })
    }

    fn model(&self) -> Option<&str> {
        Some(self.group?.members.first()?.deployment.model.as_str())
    }

    /// The most that so many tokens can cost; `None` where something else is billed as well, or prices are unknown.
    fn most(&self, input: u64, output: u64) -> Option<NanoUsd> {
        let usage = Usage { input, output, ..Usage::default() };
        let costs = self.group?.members.iter().map(|served| {
            let cost = match self.operation {
                Operation::Converse(_) => served.cost(&usage),
                Operation::Forward(service @ Service::Embeddings) => {
                    served.cost_of(&usage, forward::call_kind(service), Counts::default())
                }
                Operation::Forward(_) | Operation::CountTokens(_) => None,
            };
            cost.map(|cost| cost.total())
        });
        costs.collect::<Option<Vec<_>>>()?.into_iter().max()
    }
}

/// What is not text, or is billed beside it. To prepare the search takes longer than a small body's.
static BEYOND_TEXT: LazyLock<[Finder<'static>; 11]> = LazyLock::new(|| {
    [
        "\"image",
        "_image\"",
        "\"input_audio",
        "\"audio\"",
        "\"file",
        "_file\"",
        "\"document\"",
        "inlineData",
        "fileData",
        "web_search",
        "cache_control",
    ]
    .map(Finder::new)
});

/// The most tokens that the answer may have, if the request says so and its input is text alone: what pictures, sound,
/// hosted tools and writing to a provider's cache cost is not in the request.
fn declared(operation: Operation, size: &Size<'_>) -> Option<u64> {
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse::<u64>().ok());
    let fields = ["max_completion_tokens", "max_tokens", "max_output_tokens"];
    let most = fields.iter().filter_map(|name| number(size.document.get(name))).max().or_else(|| {
        let config: Value = serde_json::from_str(size.document.get("generationConfig")?).ok()?;
        config.get("maxOutputTokens")?.as_u64()
    });
    let most = match operation {
        // Vectors have no tokens.
        Operation::Forward(Service::Embeddings) => 0,
        _ => most?,
    };
    let bodies = ["messages", "input", "contents", "tools", "system", "prompt"];
    let is_text = bodies
        .iter()
        .filter_map(|name| size.document.get(name))
        .all(|body| !BEYOND_TEXT.iter().any(|word| word.find(body.as_bytes()).is_some()));
    is_text.then(|| most.saturating_mul(number(size.document.get("n")).unwrap_or(1).max(1)))
}

impl UnknownPrice {
    /// What a call to a model without a price holds; `known` is what the last ones cost.
    fn hold(self, model: &ModelName, known: NanoUsd) -> Result<Hold, Refusal> {
        match self {
            Self::Allow => Ok(Hold::About(known)),
            Self::Hold(amount) => Ok(Hold::AtMost(amount)),
            Self::Refuse => Err(Refusal::bad_request(format!(
                "the price of model `{model}` is not known, and this key has a budget; the gateway's operator can give \
                 `model_info` its prices"
            ))
            .about("model")),
        }
    }
}

impl Refusal {
    pub(crate) fn not_known(error: &NotKnown) -> Self {
        match error {
            NotKnown::StoreAway(error) => Self::store_away(error),
            NotKnown::TooManyGuesses(wait) => {
                let mut refusal = Self::of_status(
                    429,
                    "too many wrong keys were presented from this address; wait, and send a key of this gateway",
                );
                refusal.retry_after = Some(*wait);
                refusal
            }
        }
    }

    pub(crate) fn store_away(error: &ledger::store::StoreError) -> Self {
        Self::of_status(503, format!("the database of keys does not answer: {error}; try again later"))
    }

    /// What the ledger refuses, in the client's words; `over_budget` is the status of an exceeded budget.
    pub(crate) fn denied(denied: &Denied, over_budget: u16) -> Self {
        let status = if matches!(denied, Denied::OverBudget(_)) { over_budget } else { denied.status() };
        let mut refusal = Self::of_kind(status, denied.kind(), denied.to_string());
        refusal.param = denied.param().map(str::to_owned);
        refusal.retry_after = denied.retry_after();
        if let Denied::OverLimit(over) = denied {
            let reached = LimitReached { kind: over.kind.name(), resets_at: over.resets_at };
            refusal.limit = Some(Box::new(reached));
        }
        refusal
    }
}

#[cfg(test)]
mod tests;
