//! May this request be served? The key's models, its limits, everybody's budgets: what the request may cost is held
//! before the provider is called, and what it did cost is settled when it is over.

pub(super) mod attempt;
pub(super) mod customer;
mod extent;
pub(super) mod fit;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use catalog::NanoUsd;
use catalog::cost::{CallKind, Counts};
use catalog::tokens::TokenCount;
use dialects::conversation::Usage;
use dialects::document::Document;
use http::HeaderMap;
use ledger::rules::account::{Account, Scope};
use ledger::rules::budget::Terms;
use ledger::rules::circle::Subject;
use ledger::rules::entity::{Customer, TagTerms};
use ledger::rules::id::{CustomerId, ModelName, RequestId, Tag};
use ledger::rules::ledger::{Demand, Hold};
use ledger::rules::limit::Limits;
use ledger::rules::refusal::Refusal as Denied;
use ledger::{Claim, Claims};
use routing::settings::Predicate;

use attempt::Purse;
use extent::Extent;

use super::{Running, forward, receive};
use crate::books::orders::Orders;
use crate::books::people::{self, Holder};
use crate::books::{self, Books, NotKnown};
use crate::config::UnknownPrice;
use crate::events;
use crate::exchange::{Held, Identity, RouteStep};
use crate::operation::Operation;
use crate::refusal::{LimitReached, Refusal};
use crate::snapshot::{Group, Served, Snapshot};

/// How often somebody else may be quicker to take what is left of a budget.
const MOST_LOSSES: u32 = 16;

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
    /// What holds for that one, if anything does.
    pub customer_terms: Option<Arc<Customer>>,
    pub tags: Vec<Tag>,
    /// Which requests belong together, as the client says it.
    pub session: Option<Arc<str>>,
    pub claims: Claims,
    /// What was held when it was let in.
    pub hold: Hold,
    /// Tokens of the input, or more: its bytes, where they were not counted.
    pub input: u64,
    pub purse: Mutex<Purse>,
}

/// What a request says about its size.
pub(super) struct Size<'r> {
    pub document: &'r Document<'r>,
    pub body_bytes: usize,
    pub tags: &'r [String],
    /// See [`customer::name`].
    pub customer: Option<&'r str>,
    /// See [`session`].
    pub session: Option<&'r Arc<str>>,
    pub headers: &'r HeaderMap,
}

/// The name that the caller's model has for its key or team, if it may use it.
///
/// # Errors
/// A 403, when it may not.
pub(super) fn model(running: &Running, snapshot: &Snapshot, model: String) -> Result<String, Refusal> {
    let Some(holder) = running.exchange.caller.identity.holder() else { return Ok(model) };
    let resolved = holder.resolve(&model);
    may_use(holder, snapshot, resolved)?;
    Ok(if resolved == model { model } else { resolved.to_owned() })
}

/// What the caller's key and team say about all their requests.
pub(super) fn orders(running: &Running) -> Option<&Orders> {
    Some(&running.exchange.caller.identity.holder()?.orders)
}

/// Whether a caller may use a model, and so see it in lists.
#[must_use]
pub fn is_for(identity: &Identity, snapshot: &Snapshot, model: &str) -> bool {
    identity.holder().is_none_or(|holder| may_use(holder, snapshot, model).is_ok())
}

/// Under the name that was asked for or the group that it leads to.
fn may_use(holder: &Holder, snapshot: &Snapshot, model: &str) -> Result<(), Refusal> {
    let team = holder.team.as_ref().map(|team| team.id.as_str());
    if let Some(teams) = snapshot.own_models.get(model)
        && !team.is_some_and(|team| teams.contains(team))
    {
        // It is there for others: who asks learns no more than of a model that there is not.
        return Err(Refusal::unknown_model(model, None));
    }
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

/// The caller's team: it has its own deployments for itself.
pub(super) fn team(running: &Running) -> Option<Arc<str>> {
    let team = running.exchange.caller.identity.holder()?.team.as_ref()?;
    Some(team.id.as_str().into())
}

/// Whether the caller may be given a group as a fallback.
pub(super) fn permit(running: &Running, snapshot: &Arc<Snapshot>) -> Option<Predicate> {
    let holder = Arc::clone(running.exchange.caller.identity.holder()?);
    let snapshot = Arc::clone(snapshot);
    let customer = running.admission.as_ref().and_then(|admission| admission.customer_terms.clone());
    Some(Predicate::new(move |group: &str| {
        let for_customer =
            || customer.as_ref().is_none_or(|own| customer::may_use(own, &snapshot, group).is_ok());
        may_use(&holder, &snapshot, group).is_ok() && for_customer()
    }))
}

/// Where the customer's requests may be answered, if they may not anywhere.
pub(super) fn region(running: &Running) -> Option<Arc<str>> {
    let region = running.admission.as_ref()?.customer_terms.as_ref()?.allowed_model_region.as_deref()?;
    Some(region.into())
}

/// Counts the tokens of a request's input as a model does that has this name.
pub(super) type Count<'c> = &'c (dyn Fn(&str) -> Result<TokenCount, Refusal> + Sync);

/// Finds out what a request draws on, and holds what it may cost; near the edge of a budget its input is counted.
///
/// # Errors
/// As [`accounts`] and [`hold`].
pub(super) async fn let_in(
    running: &mut Running,
    snapshot: &Snapshot,
    model: &str,
    size: &Size<'_>,
    count: Option<Count<'_>>,
) -> Result<Option<u64>, Short> {
    let admission = accounts(running, snapshot, model, size).await?;
    let mut short = match hold(running, snapshot, admission, size).await {
        Ok(fit) => return Ok(fit),
        Err(short) => short,
    };
    match (short.uncounted.take(), count) {
        (Some(uncounted), Some(count)) => {
            let counted = count(&uncounted.model)?;
            uncounted.hold(running, snapshot, size, counted).await
        }
        (Some(_), None) | (None, _) => Err(short),
    }
}

/// Lets a request in under another model, where the budget for the one that it asks for is used up and its key or team
/// names others (`budget_fallbacks`). Tells the model, and what [`hold`] tells.
///
/// # Errors
/// Why it was not let in first, if none of them will do.
pub(super) async fn let_in_elsewhere(
    running: &mut Running,
    snapshot: &Snapshot,
    model: &str,
    short: Short,
    size: &Size<'_>,
    count: Option<Count<'_>>,
) -> Result<(String, Option<u64>), Refusal> {
    let Some(holder) = running.exchange.caller.identity.holder().cloned().filter(|_| short.of_model) else {
        return Err(short.refusal);
    };
    for other in holder.orders.budget_fallbacks(model) {
        let other = holder.resolve(other);
        if snapshot.group(other).is_none() || may_use(&holder, snapshot, other).is_err() {
            continue;
        }
        if let Ok(fit) = let_in(running, snapshot, other, size, count).await {
            let exchange = &mut running.exchange;
            let after = exchange.started.elapsed();
            let note = format!("the budget for `{model}` is used up; `{other}` is asked instead");
            exchange.route.push(RouteStep::Noted { after, note });
            other.clone_into(&mut exchange.requested_model);
            return Ok((other.to_owned(), fit));
        }
    }
    Err(short.refusal)
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
) -> Result<Option<Arc<Admission>>, Refusal> {
    let group = snapshot.group(model);
    if snapshot.priced_only && group.is_some() {
        let prices = Prices { group: group.as_deref(), operation: running.exchange.operation };
        if !prices.are_known() {
            return Err(without_price(model, "and only models with prices are served"));
        }
    }
    let Some(books) = running.gateway.books().cloned() else { return Ok(None) };
    let Some(holder) = books.holder_of(&running.exchange.caller.identity) else { return Ok(None) };
    books.journal().admits().map_err(|_| {
        Refusal::of_status(
            503,
            "spend cannot be written down at the moment (the journal's disk is full); try again later",
        )
    })?;
    let name = group.as_ref().map_or(model, |group| &*group.name);
    // What nobody serves is refused where it is routed.
    let Ok(name) = ModelName::new(name) else { return Ok(None) };
    let Some(request) = request_id(running, size.headers) else { return Ok(None) };
    let asked = Named::read(&books, &holder, snapshot, size).await?;
    if let Some(customer) = &asked.customer_terms {
        customer::may_use(customer, snapshot, model)?;
    }
    let claims = asked.claims(&books, &holder, snapshot, &name).await?;
    Ok(Some(Arc::new(Admission {
        request,
        model: name,
        customer: asked.customer,
        customer_terms: asked.customer_terms,
        tags: asked.tags,
        session: size.session.cloned(),
        claims,
        hold: Hold::Free,
        input: size.body_bytes as u64,
        purse: Mutex::default(),
        holder,
        books,
    })))
}

/// Holds what a request may cost; it has to be let in before anything is spent on it. Tells how many tokens its answer
/// may have for that, if the request does not say so itself (`budget_fit`).
///
/// # Errors
/// 429 when a limit has no room, 422 (or what is configured) when a budget has not.
async fn hold(
    running: &mut Running,
    snapshot: &Snapshot,
    admission: Option<Arc<Admission>>,
    size: &Size<'_>,
) -> Result<Option<u64>, Short> {
    let Some(admission) = admission else { return Ok(None) };
    running.exchange.held = Some(Box::new(admission.standing(size)));
    admit(running, snapshot, admission, size, None).await
}

/// A request that was not let in.
pub(super) struct Short {
    pub refusal: Refusal,
    /// It is a budget for the model alone that is used up.
    of_model: bool,
    /// Near the edge of a budget it is worth to know exactly how long the input is.
    uncounted: Option<Uncounted>,
}

/// A request whose input was taken for as many tokens as it has bytes.
struct Uncounted {
    admission: Arc<Admission>,
    /// By whose tokens to count.
    model: String,
}

impl From<Refusal> for Short {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, of_model: false, uncounted: None }
    }
}

impl Uncounted {
    /// Tries again, with as many tokens as the input has.
    ///
    /// # Errors
    /// As [`hold`].
    async fn hold(
        self,
        running: &mut Running,
        snapshot: &Snapshot,
        size: &Size<'_>,
        counted: TokenCount,
    ) -> Result<Option<u64>, Short> {
        let tokens = counted.tokens;
        let tokens = if counted.exact { tokens } else { tokens.saturating_add(tokens / 4) };
        admit(running, snapshot, self.admission, size, Some(tokens)).await
    }
}

async fn admit(
    running: &mut Running,
    snapshot: &Snapshot,
    mut admission: Arc<Admission>,
    size: &Size<'_>,
    counted: Option<u64>,
) -> Result<Option<u64>, Short> {
    let group = snapshot.group(admission.model.as_str());
    let prices = Prices { group: group.as_deref(), operation: running.exchange.operation };
    // A token has at least one byte.
    let bytes = size.body_bytes as u64;
    let input = counted.map_or(bytes, |tokens| tokens.min(bytes));
    let extent = Extent { operation: prices.operation, document: size.document, input };
    let tokens = admission.tokens(&extent, receive::rough_tokens(size.body_bytes));
    let mut losses = 0;
    loop {
        let cost = admission.cost(&prices, snapshot, &extent, counted.is_some());
        let cost = cost?;
        if let Some(held) = &mut running.exchange.held {
            held.cost = (cost.hold != Hold::Free).then_some(cost.hold);
            (held.tokens, held.fit) = (tokens, cost.fit);
        }
        let demand = Demand { hold: cost.hold, tokens, lease: LEASE };
        match admission.claims.admit_shared(&demand, books::now()).await {
            Ok(reservation) => {
                if let Some(own) = Arc::get_mut(&mut admission) {
                    (own.hold, own.input) = (cost.hold, input);
                    own.own_purse().reservation = Some(reservation);
                }
                running.admission = Some(admission);
                return Ok(cost.fit);
            }
            // What was left was taken by somebody else meanwhile.
            Err(Denied::OverBudget(_)) if counted.is_some() && cost.may_be_less && losses < MOST_LOSSES => {
                losses += 1;
            }
            Err(denied) => {
                let by_bytes = counted.is_none()
                    && matches!((&denied, cost.hold), (Denied::OverBudget(_), Hold::AtMost(_)));
                let model = prices.model().filter(|_| by_bytes).map(str::to_owned);
                if let (Denied::OverBudget(over), None) = (&denied, &model) {
                    events::over_budget(&running.gateway, over);
                }
                let of_model = matches!(&denied, Denied::OverBudget(over) if over.account.model.is_some());
                return Err(Short {
                    of_model,
                    refusal: Refusal::denied(&denied, snapshot.over_budget_status),
                    uncounted: model.map(|model| Uncounted { admission, model }),
                });
            }
        }
    }
}

/// Books a request that nobody asked for: whoever pays for it, no limit of theirs stands in its way.
pub(super) fn count_only(running: &mut Running, admission: Option<Arc<Admission>>) {
    let Some(mut admission) = admission else { return };
    let demand = Demand { hold: Hold::Free, tokens: 0, lease: LEASE };
    // Where nothing is bounded nothing is refused.
    let reservation = admission.claims.unbounded().admit(&demand, books::now()).ok();
    if let Some(own) = Arc::get_mut(&mut admission) {
        own.own_purse().reservation = reservation;
    }
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
    async fn read(
        books: &Books,
        holder: &Holder,
        snapshot: &Snapshot,
        size: &Size<'_>,
    ) -> Result<Self, Refusal> {
        let customer = size.customer.and_then(|id| CustomerId::new(id).ok());
        let customer_terms = match &customer {
            Some(id) => customer::terms(books, holder, snapshot, id).await,
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
            let own = books.people().tag(books.store(), tag).await;
            tag_terms.extend(own.or_else(|| snapshot.tag_terms.get(tag).cloned()));
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
        let subject = Subject {
            model,
            customer: self.customer_terms.as_deref(),
            tags: &tags,
            access_groups: &snapshot.bounded_groups,
        };
        let accounts = holder.circle().accounts(&subject, &snapshot.policy);
        let claims = people::claims(books.counters(), books.store(), accounts).await;
        let claims = Claims::new(claims.map_err(|error| Refusal::store_away(&error))?);
        if plain {
            holder.remember(model.as_str(), claims.clone());
        }
        Ok(claims)
    }
}

/// The longest name of a session that is kept.
const MAX_SESSION_BYTES: usize = 128;

/// The session that a request says it is part of. `document` still has the fields that speak to the gateway.
pub(super) fn session(document: &Document<'_>, headers: &HeaderMap) -> Option<Arc<str>> {
    let of_header = receive::header(headers, &receive::names::SESSION_ID).map(Arc::from);
    let of_body = || document.text("litellm_session_id").ok().flatten().map(Arc::from);
    let session: Option<Arc<str>> = of_header.or_else(of_body);
    session.filter(|session| !session.is_empty() && session.len() <= MAX_SESSION_BYTES)
}

impl Admission {
    /// For the trace.
    fn standing(&self, size: &Size<'_>) -> Held {
        let now = books::now();
        let is_bounded = |claim: &&Claim| {
            let Terms { budgets, limits, .. } = claim.terms();
            *limits != Limits::default() || budgets.iter().any(|budget| budget.max.is_some())
        };
        let bounded = self.claims.iter().filter(is_bounded);
        Held {
            cost: None,
            fit: None,
            tokens: receive::rough_tokens(size.body_bytes),
            accounts: bounded.map(|claim| (claim.account().clone(), claim.standing(now))).collect(),
        }
    }

    /// What the request may cost, and how long its answer may be for that, if that is less than it says.
    /// `is_exact`: how long the input is was counted.
    fn cost(
        &self,
        prices: &Prices<'_>,
        snapshot: &Snapshot,
        extent: &Extent<'_>,
        is_exact: bool,
    ) -> Result<Cost, Refusal> {
        let Some(room) = self.claims.room(books::now()) else {
            // There is no budget, so nobody needs to know.
            return Ok(Cost { hold: Hold::Free, fit: None, may_be_less: false });
        };
        let known = || {
            let claim = self.holder_claim();
            claim.map_or(NanoUsd::ZERO, |claim| claim.history(&self.model).expected_cost())
        };
        let members = prices.members();
        let declared = extent.declared();
        if extent.is_bounded() && !members.is_empty() {
            if self.fits_budgets(snapshot)
                && let Operation::Converse(dialect) = prices.operation
            {
                let (longest, is_known) = fit::longest(members);
                let wanted = declared.unwrap_or(longest);
                // Where the bytes of the input are too many, its tokens may not be.
                let room = if is_exact { room } else { NanoUsd(i64::MAX) };
                if let Some(tokens) = fit::affordable(extent, members, wanted, room) {
                    // Where the shortest answer is not paid for, it is asked for, and refused.
                    let least = fit::shortest(extent.document, dialect).min(wanted);
                    let most = extent.most_among(members, tokens.max(least)).unwrap_or(NanoUsd::ZERO);
                    let says_less = tokens < wanted || (declared.is_none() && !is_known);
                    let fit = says_less.then_some(tokens.max(least));
                    return Ok(Cost { hold: Hold::AtMost(most), fit, may_be_less: tokens > least });
                }
            }
            if let Some(most) = declared.and_then(|output| extent.most_among(members, output)) {
                return Ok(Cost { hold: Hold::AtMost(most), fit: None, may_be_less: false });
            }
        }
        let hold = if prices.are_known() {
            Hold::About(known())
        } else {
            self.unknown_price(snapshot).hold(&self.model, known())?
        };
        Ok(Cost { hold, fit: None, may_be_less: false })
    }

    /// Whether answers are kept as short as budgets pay for: the key's word, else its team's, else the configuration's.
    fn fits_budgets(&self, snapshot: &Snapshot) -> bool {
        self.holder.orders.budget_fit.unwrap_or(snapshot.budget_fit)
    }

    /// What becomes of it where nobody knows the price: the key's word, else its team's, else the configuration's.
    fn unknown_price(&self, snapshot: &Snapshot) -> UnknownPrice {
        self.holder.orders.unknown_price.unwrap_or(snapshot.unknown_price)
    }

    /// How many tokens are held: the input, and what the answer will have, going by the key's last ones, else by what is
    /// declared; no more than a limit has, so that who declares much can be served at all.
    fn tokens(&self, extent: &Extent<'_>, input: u64) -> u64 {
        let Some(least) = self.claims.iter().filter_map(|claim| claim.terms().limits.tpm).min() else {
            // There is no limit, so nobody needs to know.
            return input;
        };
        let known = match self.holder_claim().map_or(0, |claim| claim.history(&self.model).expected_output())
        {
            0 => self.holder.orders.estimated_output(self.model.as_str()),
            known => known,
        };
        let output = match extent.declared() {
            // Many declare far more than they get.
            Some(declared) if known > 0 => declared.min(known),
            Some(declared) => declared,
            None => known,
        };
        input.saturating_add(output.min(least.saturating_sub(input)))
    }

    /// The key's own account: whose experience tells what a call will cost.
    pub(super) fn holder_claim(&self) -> Option<&Claim> {
        let key = Account::of(Scope::Key(self.holder.key.id.clone()));
        self.claims.iter().find(|claim| *claim.account() == key)
    }
}

/// What a request may cost.
struct Cost {
    hold: Hold,
    /// How many tokens its answer may have for that, if the request does not say so itself.
    fit: Option<u64>,
    /// A shorter answer would do as well.
    may_be_less: bool,
}

/// What a group's deployments charge; of several the dearest counts.
struct Prices<'g> {
    group: Option<&'g Group>,
    operation: Operation,
}

impl Prices<'_> {
    fn members(&self) -> &[Arc<Served>] {
        self.group.map(|group| group.members.as_slice()).unwrap_or_default()
    }

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
}

impl UnknownPrice {
    /// What a call to a model without a price holds; `known` is what the last ones cost.
    fn hold(self, model: &ModelName, known: NanoUsd) -> Result<Hold, Refusal> {
        match self {
            Self::Allow => Ok(Hold::About(known)),
            Self::Hold(amount) => Ok(Hold::AtMost(amount)),
            Self::Refuse => Err(without_price(model.as_str(), "and this key has a budget")),
        }
    }
}

fn without_price(model: &str, why: &str) -> Refusal {
    Refusal::bad_request(format!(
        "the price of model `{model}` is not known, {why}; the gateway's operator can give `model_info` its prices"
    ))
    .about("model")
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
