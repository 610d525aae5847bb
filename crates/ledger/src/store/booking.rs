//! Spend: rows, daily sums and budget windows, in one transaction.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use catalog::NanoUsd;

use super::session::Session;
use super::sql::{Insert, Read, Row, Sql, Value};
use super::{Database, Store, StoreError, in_time, totals};
use crate::booking::{Booking, Tokens};
use crate::rules::account::{Account, Scope};
use crate::rules::id::{CustomerId, KeyId, ModelName, OrganizationId, ProviderName, Tag, TeamId, UserId};
use crate::rules::ledger::{Charge, Opening};
use crate::rules::period::Period;
use crate::rules::time::{Day, Timestamp};

/// What came of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Booked {
    pub new: usize,
    /// Booked before: nothing was added.
    pub known: usize,
}

/// What is new of a batch.
#[derive(Debug)]
pub(crate) struct New<'b> {
    pub(crate) bookings: Vec<&'b Booking>,
    /// What that came to in each window, where an instance booked it.
    pub(crate) tallies: Vec<Tally>,
}

/// What an instance booked in a budget window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    pub charge: Charge,
    pub more: NanoUsd,
    /// In all.
    pub sum: NanoUsd,
}

/// What was spent in a budget window, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowSpend {
    pub all: NanoUsd,
    /// What instances booked of it, by name.
    pub by: BTreeMap<String, i64>,
}

/// Names a daily sum.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DailyName {
    pub(super) kind: &'static str,
    pub(super) id: String,
    pub(super) day: Day,
    pub(super) key: String,
    pub(super) model: String,
    pub(super) provider: String,
}

/// What is summed per day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) requests: i64,
    pub(super) failed: i64,
    pub(super) input: i64,
    pub(super) output: i64,
    pub(super) cache_read: i64,
    pub(super) cache_write: i64,
    pub(super) cost: i64,
    pub(super) duration: i64,
}

impl Sums {
    pub(super) fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.cache_write = self.cache_write.saturating_add(other.cache_write);
        self.cost = self.cost.saturating_add(other.cost);
        self.duration = self.duration.saturating_add(other.duration);
    }

    /// What one row adds.
    fn of(booking: &Booking) -> Self {
        let Tokens { input, output, cache_read, cache_write } = booking.tokens;
        Self {
            requests: 1,
            failed: i64::from(booking.failed),
            input: count(input),
            output: count(output),
            cache_read: count(cache_read),
            cache_write: count(cache_write),
            cost: booking.cost.0,
            duration: count(booking.started_at.until(booking.ended_at).as_millis()),
        }
    }
}

/// A count as the database holds it. No true count is larger.
fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// Names a budget window: kind, id, model, period, start.
type WindowName = (&'static str, String, String, String, i64);

impl Store {
    /// Books finished requests, each once: one whose id and beginning are known adds nothing. All of it or nothing is
    /// written.
    ///
    /// # Errors
    /// The database's; then the same batch can be given again.
    pub async fn book(&self, bookings: &[Booking]) -> Result<Booked, StoreError> {
        let new = self.book_by(None, bookings).await?.bookings.len();
        Ok(Booked { new, known: bookings.len() - new })
    }

    /// As [`book`](Self::book), by one of several instances.
    pub(crate) async fn book_by<'b>(
        &self,
        instance: Option<&str>,
        bookings: &'b [Booking],
    ) -> Result<New<'b>, StoreError> {
        let Database::Postgres(database) = &self.database else {
            return self.book_once(instance, bookings).await;
        };
        let days = || bookings.iter().map(|booking| booking.started_at.day());
        database.make_partitions(days()).await?;
        match self.book_once(instance, bookings).await {
            // Another instance dropped a day that we have rows of.
            Err(error) if database.forget_partitions_on(&error) => {
                database.make_partitions(days()).await?;
                self.book_once(instance, bookings).await
            }
            booked => booked,
        }
    }

    async fn book_once<'b>(
        &self,
        instance: Option<&str>,
        bookings: &'b [Booking],
    ) -> Result<New<'b>, StoreError> {
        let mut transaction = self.transaction().await?;
        let inserted = INSERT.execute(&mut transaction, bookings, row).await?;
        let new = if usize::try_from(inserted) == Ok(bookings.len()) {
            bookings.iter().collect()
        } else {
            // Seldom: after a crash. Now it has to be known which they are.
            drop(transaction);
            transaction = self.transaction().await?;
            insert_new(&mut transaction, bookings).await?
        };
        let (daily, windows) = sums(&new);
        // Both in the order of their names, so that instances never wait for each other in a circle.
        let daily: Vec<(DailyName, Sums)> = daily.into_iter().collect();
        totals::add(&mut transaction, &daily).await?;
        let windows: Vec<(WindowName, Spent<'_>)> = windows.into_iter().collect();
        ADD_WINDOWS.execute(&mut transaction, &windows, window_row).await?;
        let tallies = match instance {
            Some(instance) => tally(&mut transaction, instance, &new, &windows).await?,
            None => Vec::new(),
        };
        transaction.commit().await?;
        Ok(New { bookings: new, tallies })
    }

    /// What was spent in a window, and who booked it.
    ///
    /// # Errors
    /// The database's.
    pub(crate) async fn window_spend(&self, charge: &Charge) -> Result<WindowSpend, StoreError> {
        let (kind, id, model, period, start) = window_name(charge);
        // One statement, so that both are of one moment. No instance's name is empty.
        let select = Sql::new(
            "SELECT '', spend_nano FROM window_spend
             WHERE kind = $1 AND id = $2 AND model = $3 AND period = $4 AND window_start = $5
             UNION ALL
             SELECT instance_id, spend_nano FROM instance_spend
             WHERE kind = $1 AND id = $2 AND model = $3 AND period = $4 AND window_start = $5",
        )
        .bind(kind)
        .bind(id)
        .bind(model)
        .bind(period)
        .bind(start);
        let rows: Vec<(String, i64)> = in_time(async { select.all(&mut self.reader().await?).await }).await?;
        let mut spend = WindowSpend::default();
        for (instance, sum) in rows {
            if instance.is_empty() {
                spend.all = NanoUsd(sum);
            } else {
                spend.by.insert(instance, sum);
            }
        }
        Ok(spend)
    }

    /// What an account spent in its latest window of every period, to open its ledger with.
    ///
    /// # Errors
    /// The database's.
    pub async fn openings(&self, account: &Account) -> Result<Vec<Opening>, StoreError> {
        let select = Sql::new(
            "SELECT period, window_start, spend_nano FROM window_spend w
             WHERE kind = $1 AND id = $2 AND model = $3 AND window_start = (
                 SELECT MAX(window_start) FROM window_spend l
                 WHERE l.kind = w.kind AND l.id = w.id AND l.model = w.model AND l.period = w.period)",
        )
        .bind(account.scope.kind())
        .bind(account.scope.id())
        .bind(account.model.as_ref().map_or("", |model| model.as_str()));
        let rows: Vec<(String, i64, i64)> =
            in_time(async { select.all(&mut self.reader().await?).await }).await?;
        let opening = |(period, start, spend): (String, i64, i64)| {
            // A period that this version cannot read is none of its budgets.
            let period = if period.is_empty() { None } else { Some(Period::parse(&period).ok()?) };
            Some(Opening { period, window: Timestamp(start), spend: NanoUsd(spend) })
        };
        Ok(rows.into_iter().filter_map(opening).collect())
    }

    /// Sets what was spent in a window (`reset_spend`), and returns what it was. Rows and reports stay as they are.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_spend(
        &self,
        account: &Account,
        period: Option<Period>,
        window: Timestamp,
        spend: NanoUsd,
    ) -> Result<NanoUsd, StoreError> {
        let (kind, id) = (account.scope.kind(), account.scope.id());
        let model = account.model.as_ref().map_or("", |model| model.as_str());
        let period = period.map(|period| period.to_string()).unwrap_or_default();
        let of_window =
            |sql| Sql::new(sql).bind(kind).bind(id.clone()).bind(model).bind(period.clone()).bind(window.0);
        let mut transaction = self.transaction().await?;
        of_window(
            "INSERT INTO window_spend (kind, id, model, period, window_start, spend_nano, adjusted_nano)
             VALUES ($1, $2, $3, $4, $5, 0, 0) ON CONFLICT DO NOTHING",
        )
        .execute(&mut transaction)
        .await?;
        // Changes nothing, but from here on nobody else does either.
        let before: i64 = of_window(
            "UPDATE window_spend SET spend_nano = spend_nano
             WHERE kind = $1 AND id = $2 AND model = $3 AND period = $4 AND window_start = $5
             RETURNING spend_nano",
        )
        .one(&mut transaction)
        .await?;
        of_window(
            "UPDATE window_spend SET spend_nano = $6, adjusted_nano = adjusted_nano + $7
             WHERE kind = $1 AND id = $2 AND model = $3 AND period = $4 AND window_start = $5",
        )
        .bind(spend.0)
        .bind(spend.0.saturating_sub(before))
        .execute(&mut transaction)
        .await?;
        self.note_spend(&mut transaction, &account.scope).await?;
        self.commit_noted(transaction).await?;
        Ok(NanoUsd(before))
    }
}

pub(super) fn daily_names(booking: &Booking) -> impl Iterator<Item = DailyName> + '_ {
    booking.reported_to().map(|scope| DailyName {
        kind: scope.kind(),
        id: scope.id(),
        day: booking.started_at.day(),
        key: booking.key.to_string(),
        model: booking.model.to_string(),
        provider: booking.provider.to_string(),
    })
}

pub(super) fn daily_sums(booking: &Booking) -> Sums {
    Sums::of(booking)
}

/// What rows have in common that are part of the same sums.
#[derive(PartialEq, Eq, Hash)]
struct Alike<'b> {
    day: Day,
    key: &'b KeyId,
    model: &'b ModelName,
    provider: &'b ProviderName,
    user: Option<&'b UserId>,
    team: Option<&'b TeamId>,
    organization: Option<&'b OrganizationId>,
    customer: Option<&'b CustomerId>,
    tags: &'b [Tag],
}

impl<'b> Alike<'b> {
    fn of(booking: &'b Booking) -> Self {
        Self {
            day: booking.started_at.day(),
            key: &booking.key,
            model: &booking.model,
            provider: &booking.provider,
            user: booking.user.as_ref(),
            team: booking.team.as_ref(),
            organization: booking.organization.as_ref(),
            customer: booking.customer.as_ref(),
            tags: &booking.tags,
        }
    }
}

/// What the rows of a batch add to sums. Most rows of a batch are like others in it, and the names of sums are made
/// once for them.
fn sums<'b>(bookings: &[&'b Booking]) -> (BTreeMap<DailyName, Sums>, BTreeMap<WindowName, Spent<'b>>) {
    let mut alike: HashMap<Alike<'_>, (&Booking, Sums)> = HashMap::new();
    let mut charged: HashMap<&'b Charge, i64> = HashMap::new();
    for &booking in bookings {
        alike.entry(Alike::of(booking)).or_insert((booking, Sums::default())).1.add(Sums::of(booking));
        // What everybody whom a row names spends for good is not in its charges alone; access groups no row names.
        let others = booking.charges.iter().filter(|charge| {
            let is_group = matches!(charge.account.scope, Scope::AccessGroup(_));
            is_group || charge.period.is_some() || charge.account.model.is_some()
        });
        for charge in others {
            let spend = charged.entry(charge).or_default();
            *spend = spend.saturating_add(booking.cost.0);
        }
    }
    let mut daily: BTreeMap<DailyName, Sums> = BTreeMap::new();
    let mut windows: BTreeMap<WindowName, Spent<'b>> = BTreeMap::new();
    let mut spend = |name, window, cost| {
        let spent = windows.entry(name).or_insert(Spent { window, cost: 0 });
        spent.cost = spent.cost.saturating_add(cost);
    };
    for (booking, sums) in alike.into_values() {
        for name in daily_names(booking) {
            daily.entry(name).or_default().add(sums);
        }
        for scope in booking.charged_to() {
            spend(for_good(&scope), Window::ForGood(scope), sums.cost);
        }
    }
    for (charge, cost) in charged {
        spend(window_name(charge), Window::Charged(charge), cost);
    }
    (daily, windows)
}

/// What a batch spends in a window.
struct Spent<'b> {
    window: Window<'b>,
    cost: i64,
}

enum Window<'b> {
    ForGood(Scope),
    Charged(&'b Charge),
}

impl Window<'_> {
    fn charge(&self) -> Charge {
        match self {
            Self::ForGood(scope) => {
                Charge { account: Account::of(scope.clone()), period: None, window: Timestamp(0) }
            }
            Self::Charged(charge) => (*charge).clone(),
        }
    }
}

fn for_good(scope: &Scope) -> WindowName {
    (scope.kind(), scope.id(), String::new(), String::new(), 0)
}

fn window_name(charge: &Charge) -> WindowName {
    let Account { scope, model } = &charge.account;
    let model = model.as_ref().map(ToString::to_string).unwrap_or_default();
    let period = charge.period.map(|period| period.to_string()).unwrap_or_default();
    (scope.kind(), scope.id(), model, period, charge.window.0)
}

const SPEND: &str =
    "INSERT INTO spend (request_id, started_at, ended_at, call_type, failed, model, model_group, provider, deployment,
     key_id, user_id, team_id, organization_id, customer_id, tags, input_tokens, output_tokens, cache_read_tokens,
     cache_write_tokens, cost_nano, saved_nano, estimated, cache_hit, catalog, session, detail)";

/// Tells how many rows were not there.
static INSERT: Insert = Insert::new(SPEND, "ON CONFLICT DO NOTHING");
/// Tells which.
static INSERT_NEW: Insert = Insert::new(SPEND, "ON CONFLICT DO NOTHING RETURNING request_id, started_at");

fn row(booking: &Booking) -> [Value<'_>; 26] {
    let shared = |id: Arc<str>| Value::Shared(Some(id));
    [
        shared((&booking.request).into()),
        booking.started_at.0.into(),
        booking.ended_at.0.into(),
        Value::Text(Some(Cow::Borrowed(&booking.call_type))),
        Value::Flag(booking.failed),
        shared((&booking.model).into()),
        booking.model_group.clone().into(),
        shared((&booking.provider).into()),
        booking.deployment.clone().into(),
        shared((&booking.key).into()),
        Value::Shared(booking.user.as_ref().map(Into::into)),
        Value::Shared(booking.team.as_ref().map(Into::into)),
        Value::Shared(booking.organization.as_ref().map(Into::into)),
        Value::Shared(booking.customer.as_ref().map(Into::into)),
        tags(booking).into(),
        count(booking.tokens.input).into(),
        count(booking.tokens.output).into(),
        count(booking.tokens.cache_read).into(),
        count(booking.tokens.cache_write).into(),
        booking.cost.0.into(),
        (booking.saved != NanoUsd::ZERO).then_some(booking.saved.0).into(),
        Value::Flag(booking.estimated),
        Value::Flag(booking.cache_hit),
        booking.catalog.clone().into(),
        booking.session.clone().into(),
        booking.detail.clone().into(),
    ]
}

/// Inserts rows, and returns those that were not there.
async fn insert_new<'b>(
    session: &mut Session,
    bookings: &'b [Booking],
) -> Result<Vec<&'b Booking>, StoreError> {
    let inserted: Vec<(String, i64)> = INSERT_NEW.returning(session, bookings, row).await?;
    // A batch may name a request twice: the first of them was inserted.
    let mut inserted: BTreeSet<(String, i64)> = inserted.into_iter().collect();
    let is_new = |booking: &&Booking| inserted.remove(&(booking.request.to_string(), booking.started_at.0));
    Ok(bookings.iter().filter(is_new).collect())
}

/// As JSON, so that a tag may hold anything.
fn tags(booking: &Booking) -> Option<String> {
    if booking.tags.is_empty() {
        return None;
    }
    serde_json::to_string(&booking.tags).ok()
}

static ADD_WINDOWS: Insert = Insert::new(
    "INSERT INTO window_spend (kind, id, model, period, window_start, spend_nano, adjusted_nano)",
    "ON CONFLICT (kind, id, model, period, window_start) DO UPDATE SET
     spend_nano = window_spend.spend_nano + excluded.spend_nano",
);

fn window_row<'q>(((kind, id, model, period, start), spent): &'q (WindowName, Spent<'_>)) -> [Value<'q>; 7] {
    [(*kind).into(), id.into(), model.into(), period.into(), (*start).into(), spent.cost.into(), 0_i64.into()]
}

static ADD_TALLIES: Insert = Insert::new(
    "INSERT INTO instance_spend (kind, id, model, period, window_start, instance_id, spend_nano, booked_on)",
    "ON CONFLICT (kind, id, model, period, window_start, instance_id) DO UPDATE SET
     spend_nano = instance_spend.spend_nano + excluded.spend_nano, booked_on = excluded.booked_on
     RETURNING kind, id, model, period, window_start, spend_nano",
);

/// Counts what an instance books, and tells what it comes to.
async fn tally(
    session: &mut Session,
    instance: &str,
    bookings: &[&Booking],
    windows: &[(WindowName, Spent<'_>)],
) -> Result<Vec<Tally>, StoreError> {
    let day = bookings.iter().map(|booking| booking.ended_at.day().0).max().unwrap_or_default();
    let mut sums: Vec<TallyRow> = ADD_TALLIES
        .returning(session, windows, |(name, spent): &(WindowName, Spent<'_>)| {
            let (kind, id, model, period, start) = name;
            [
                (*kind).into(),
                id.into(),
                model.into(),
                period.into(),
                (*start).into(),
                instance.into(),
                spent.cost.into(),
                day.into(),
            ]
        })
        .await?;
    // Rows come back in any order; each window has one.
    sums.sort_unstable();
    let tally = |((_, spent), row): (&(WindowName, Spent<'_>), &TallyRow)| Tally {
        charge: spent.window.charge(),
        more: NanoUsd(spent.cost),
        sum: NanoUsd(row.sum),
    };
    Ok(windows.iter().zip(&sums).map(tally).collect())
}

/// In the order of [`WindowName`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TallyRow {
    kind: String,
    id: String,
    model: String,
    period: String,
    start: i64,
    sum: i64,
}

impl Read for TallyRow {
    fn read(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            kind: row.get("kind")?,
            id: row.get("id")?,
            model: row.get("model")?,
            period: row.get("period")?,
            start: row.get("window_start")?,
            sum: row.get("spend_nano")?,
        })
    }
}
