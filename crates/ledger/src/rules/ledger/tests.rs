//! A model that keeps every hold by itself and computes sums when asked, run beside the real ledgers.

use proptest::prelude::*;

use super::*;
use crate::rules::account::Scope;
use crate::rules::id::{KeyId, TeamId};
use crate::rules::limit::Limits;
use crate::rules::zone::Zone;

const MINUTE: Duration = Duration::from_secs(60);

fn key() -> Account {
    Account::of(Scope::Key(KeyId::new("k").unwrap()))
}

fn team() -> Account {
    Account::of(Scope::Team(TeamId::new("t").unwrap()))
}

fn budget(max: i64, period: &str) -> Budget {
    Budget { period: Some(Period::parse(period).unwrap()), ..Budget::of(NanoUsd(max)) }
}

fn demand(hold: Hold) -> Demand {
    Demand { hold, tokens: 0, lease: MINUTE }
}

fn limited(limits: Limits) -> Terms {
    Terms { limits, ..Terms::default() }
}

/// One account alone.
struct Alone {
    account: Account,
    terms: Terms,
    ledger: Ledger,
}

impl Alone {
    fn new(terms: Terms) -> Self {
        Self { account: key(), terms, ledger: Ledger::default() }
    }

    fn entries(&mut self) -> [Entry<'_, &mut Ledger>; 1] {
        [(&self.account, &self.terms, &mut self.ledger)]
    }

    fn admit(&mut self, demand: &Demand, at: i64) -> Result<Grant, Refusal> {
        admit(&mut self.entries(), demand, Timestamp(at))
    }

    fn settle(&mut self, grant: &Grant, cost: i64, tokens: u64, at: i64) -> Settlement {
        settle(&mut self.entries(), grant, Actual { cost: NanoUsd(cost), tokens }, Timestamp(at))
    }
}

#[test]
fn a_budget_is_refused_in_litellms_words() {
    let mut alone =
        Alone::new(Terms { budgets: vec![Budget::of(NanoUsd(1_000_000_000))], ..Terms::default() });
    let grant = alone.admit(&demand(Hold::About(NanoUsd(600_000_000))), 0).unwrap();
    _ = alone.settle(&grant, 1_500_000_000, 0, 1);
    let refusal = alone.admit(&demand(Hold::About(NanoUsd::ZERO)), 2).unwrap_err();
    assert_eq!((refusal.status(), refusal.kind(), refusal.param()), (422, "budget_exceeded", None));
    assert_eq!(refusal.to_string(), "Budget has been exceeded! Key=k Current cost: 1.5, Max budget: 1.0");
}

#[test]
fn a_refusal_below_the_budget_says_what_is_held() {
    let mut alone = Alone::new(Terms { budgets: vec![Budget::of(NanoUsd(10))], ..Terms::default() });
    let _grant = alone.admit(&demand(Hold::AtMost(NanoUsd(7))), 0).unwrap();
    let refusal = alone.admit(&demand(Hold::AtMost(NanoUsd(4))), 0).unwrap_err().to_string();
    assert!(
        refusal.ends_with("(running calls hold 0.000000007, this one may cost 0.000000004)"),
        "{refusal}"
    );
}

#[test]
fn what_is_free_looks_at_no_budget() {
    let mut alone = Alone::new(Terms { budgets: vec![Budget::of(NanoUsd::ZERO)], ..Terms::default() });
    assert!(alone.admit(&demand(Hold::Free), 0).is_ok());
    assert!(alone.admit(&demand(Hold::About(NanoUsd::ZERO)), 0).is_err());
}

#[test]
fn the_widest_account_is_told_and_budgets_before_limits() {
    let (key, team) = (key(), team());
    let empty = Terms { budgets: vec![Budget::of(NanoUsd::ZERO)], ..Terms::default() };
    let closed = limited(Limits { rpm: Some(0), ..Limits::default() });
    let refusal = |of_key: &Terms, of_team: &Terms| {
        let (mut one, mut two) = (Ledger::default(), Ledger::default());
        let mut entries = [(&key, of_key, &mut one), (&team, of_team, &mut two)];
        admit(&mut entries, &demand(Hold::AtMost(NanoUsd(1))), Timestamp(0)).unwrap_err().to_string()
    };
    assert!(refusal(&empty, &empty).contains("Team=t"));
    assert!(refusal(&empty, &closed).contains("Key=k"));
    assert!(refusal(&closed, &closed).contains("team: t"));
}

#[test]
fn a_refused_request_holds_nothing_anywhere() {
    let (key, team) = (key(), team());
    let (open, empty) =
        (Terms::default(), Terms { budgets: vec![Budget::of(NanoUsd::ZERO)], ..Terms::default() });
    let (mut one, mut two) = (Ledger::default(), Ledger::default());
    let mut entries = [(&key, &open, &mut one), (&team, &empty, &mut two)];
    assert!(admit(&mut entries, &demand(Hold::AtMost(NanoUsd(1))), Timestamp(0)).is_err());
    assert!(one.is_idle_since(Timestamp(100_000)) && two.is_idle_since(Timestamp(100_000)));
}

#[test]
fn a_limit_is_refused_in_litellms_words_with_the_true_time() {
    let mut alone = Alone::new(limited(Limits { rpm: Some(2), ..Limits::default() }));
    let start = 1_795_254_233_000;
    for at in [start, start + 20_000] {
        assert!(alone.admit(&demand(Hold::Free), at).is_ok());
    }
    let refusal = alone.admit(&demand(Hold::Free), start + 30_000).unwrap_err();
    assert_eq!((refusal.status(), refusal.kind()), (429, "throttling_error"));
    assert_eq!(
        refusal.to_string(),
        "Rate limit exceeded for api_key: k. Limit type: requests. Current limit: 2, Remaining: 0. Limit resets at: \
         2026-11-21 09:44:53 UTC"
    );
    let wait = refusal.retry_after().unwrap();
    assert!((30_000..=30_500).contains(&wait.as_millis()), "{wait:?}");
    let then = start + 30_000 + i64::try_from(wait.as_millis()).unwrap();
    assert!(alone.admit(&demand(Hold::Free), then - 1).is_err());
    assert!(alone.admit(&demand(Hold::Free), then).is_ok());
}

#[test]
fn a_request_larger_than_the_limit_never_fits() {
    let mut alone = Alone::new(limited(Limits { tpm: Some(20), ..Limits::default() }));
    let refusal = alone.admit(&Demand { tokens: 21, ..demand(Hold::Free) }, 0).unwrap_err();
    assert_eq!(refusal.retry_after(), None);
    assert!(refusal.to_string().contains("Limit type: tokens. Current limit: 20, Remaining: 20."));
}

#[test]
fn tokens_are_corrected_when_a_call_ends() {
    let mut alone = Alone::new(limited(Limits { tpm: Some(100), ..Limits::default() }));
    let grant = alone.admit(&Demand { tokens: 90, ..demand(Hold::Free) }, 0).unwrap();
    _ = alone.settle(&grant, 0, 10, 1000);
    assert_eq!(alone.ledger.standing(&alone.terms, Timestamp(1000)).remaining_tokens, Some(90));
    let grant = alone.admit(&Demand { tokens: 10, ..demand(Hold::Free) }, 1000).unwrap();
    _ = alone.settle(&grant, 0, 60, 30_000);
    assert_eq!(alone.ledger.standing(&alone.terms, Timestamp(30_000)).remaining_tokens, Some(30));
    let grant = alone.admit(&Demand { tokens: 30, ..demand(Hold::Free) }, 30_000).unwrap();
    give_back(&mut alone.entries(), &grant);
    assert_eq!(alone.ledger.standing(&alone.terms, Timestamp(30_000)).remaining_tokens, Some(30));
}

#[test]
fn lost_requests_free_their_slots_when_their_lease_ends() {
    let mut alone = Alone::new(limited(Limits { max_parallel_requests: Some(1), ..Limits::default() }));
    let _lost = alone.admit(&demand(Hold::Free), 0).unwrap();
    let refusal = alone.admit(&demand(Hold::Free), 59_000).unwrap_err();
    assert!(
        refusal.to_string().contains("Limit type: max_parallel_requests. Current limit: 1, Remaining: 0.")
    );
    assert!(alone.admit(&demand(Hold::Free), 70_000).is_ok());
}

#[test]
fn a_budget_begins_anew_without_a_job() {
    let terms = Terms { budgets: vec![budget(10, "1d")], ..Terms::default() };
    let mut alone = Alone::new(terms);
    let grant = alone.admit(&demand(Hold::AtMost(NanoUsd(10))), 0).unwrap();
    let settlement = alone.settle(&grant, 10, 0, 5);
    assert_eq!(settlement.charges.len(), 1, "spend for good is charged by the booking itself");
    let refusal = alone.admit(&demand(Hold::AtMost(NanoUsd(1))), 6).unwrap_err();
    assert_eq!(refusal.retry_after(), Some(Duration::from_millis(86_400_000 - 6)));
    assert!(alone.admit(&demand(Hold::AtMost(NanoUsd(10))), 86_400_000).is_ok());
}

#[test]
fn a_call_over_midnight_is_charged_to_the_day_that_it_began_on() {
    let midnight = 86_400_000;
    let mut alone = Alone::new(Terms { budgets: vec![budget(10, "1d")], ..Terms::default() });
    let grant = alone.admit(&demand(Hold::AtMost(NanoUsd(10))), midnight - 1).unwrap();
    let second = alone.admit(&demand(Hold::AtMost(NanoUsd(10))), midnight).unwrap();
    let settlement = alone.settle(&grant, 10, 0, midnight + 5);
    assert!(settlement.charges.iter().all(|charge| charge.window == Timestamp(0)));
    _ = alone.settle(&second, 4, 0, midnight + 6);
    let standing = alone.ledger.standing(&alone.terms, Timestamp(midnight + 7));
    assert_eq!(
        standing.budgets.first().map(|budget| (budget.spend, budget.held)),
        Some((NanoUsd(4), NanoUsd(0)))
    );
    assert_eq!(standing.total, NanoUsd(14));
}

#[test]
fn a_raise_over_midnight_moves_to_the_new_day() {
    let midnight = 86_400_000;
    let mut alone = Alone::new(Terms { budgets: vec![budget(10, "1d")], ..Terms::default() });
    let mut grant = alone.admit(&demand(Hold::AtMost(NanoUsd(6))), midnight - 1).unwrap();
    // The day before might be used up meanwhile: nobody knows any more.
    raise(&mut alone.entries(), &mut grant, NanoUsd(9), Timestamp(midnight)).unwrap();
    assert_eq!(room(&mut alone.entries(), Timestamp(midnight)), Some(NanoUsd(1)));
    let settlement = alone.settle(&grant, 9, 0, midnight + 1);
    assert!(settlement.charges.iter().all(|charge| charge.window == Timestamp(midnight)));
    let standing = alone.ledger.standing(&alone.terms, Timestamp(midnight + 2));
    assert_eq!(
        standing.budgets.first().map(|budget| (budget.spend, budget.held)),
        Some((NanoUsd(9), NanoUsd(0)))
    );
}

#[test]
fn a_refused_raise_leaves_everything_as_it_is() {
    let (key, team) = (key(), team());
    let of = |max| Terms { budgets: vec![Budget::of(NanoUsd(max))], ..Terms::default() };
    let (wide, narrow) = (of(100), of(10));
    let (mut one, mut two) = (Ledger::default(), Ledger::default());
    let mut entries = [(&key, &wide, &mut one), (&team, &narrow, &mut two)];
    let now = Timestamp(0);
    let mut grant = admit(&mut entries, &demand(Hold::AtMost(NanoUsd(8))), now).unwrap();
    let refusal = raise(&mut entries, &mut grant, NanoUsd(11), now).unwrap_err();
    assert!(refusal.to_string().contains("Team=t"), "{refusal}");
    assert_eq!(room(&mut entries, now), Some(NanoUsd(2)));
    raise(&mut entries, &mut grant, NanoUsd(10), now).unwrap();
    give_back(&mut entries, &grant);
    assert_eq!(room(&mut entries, now), Some(NanoUsd(10)));
}

#[test]
fn crossing_a_line_is_told_once() {
    let budgets = vec![Budget { soft: Some(NanoUsd(5)), ..Budget::of(NanoUsd(10)) }];
    let mut alone = Alone::new(Terms { budgets, ..Terms::default() });
    let mut lines = Vec::new();
    for _ in 0..4 {
        let grant = alone.admit(&demand(Hold::About(NanoUsd::ZERO)), 0).unwrap();
        lines.push(
            alone.settle(&grant, 3, 0, 0).crossings.iter().map(|crossing| crossing.line).collect::<Vec<_>>(),
        );
    }
    assert_eq!(
        lines,
        [vec![Line::Half], vec![Line::Soft], vec![Line::Percent(85)], vec![Line::Max]],
        "of what one call crosses on the way to the same end, the last is told"
    );
}

#[test]
fn lines_that_others_carried_spend_over_are_told_by_the_next_call_here() {
    let mut alone = Alone::new(Terms { budgets: vec![Budget::of(NanoUsd(10))], ..Terms::default() });
    let grant = alone.admit(&demand(Hold::About(NanoUsd::ZERO)), 0).unwrap();
    let charge = Charge { account: alone.account.clone(), period: None, window: Timestamp(0) };
    alone.ledger.set_known_spend(&charge, NanoUsd(9));
    let told = alone.settle(&grant, 0, 0, 0).crossings;
    assert_eq!(
        told.iter().map(|crossing| crossing.line).collect::<Vec<_>>(),
        [Line::Half, Line::Percent(85)]
    );
    assert_eq!((told[1].amount, told[1].spend), (NanoUsd(9), NanoUsd(9)));
    let again = alone.admit(&demand(Hold::About(NanoUsd::ZERO)), 0).unwrap();
    assert_eq!(alone.settle(&again, 0, 0, 0).crossings, []);
}

proptest! {
    /// However spend is cut into calls, the end is told once, and what comes before it at most once each.
    #[test]
    fn no_line_is_told_twice_and_the_last_ones_are_told(
        costs in prop::collection::vec(0_i64..40, 1..60), soft in prop::option::of(1_i64..100), max in 1_i64..100,
    ) {
        let budgets = vec![Budget { soft: soft.map(NanoUsd), ..Budget::of(NanoUsd(max)) }];
        let mut alone = Alone::new(Terms { budgets, ..Terms::default() });
        let (mut lines, mut spent) = (Vec::new(), 0);
        for cost in costs {
            let Ok(grant) = alone.admit(&demand(Hold::Free), 0) else { break };
            let told = alone.settle(&grant, cost, 0, 0).crossings;
            spent += cost;
            for crossing in &told {
                prop_assert_eq!(crossing.spend, NanoUsd(spent));
                prop_assert!(crossing.amount <= crossing.spend);
            }
            lines.extend(told.into_iter().map(|crossing| crossing.line));
        }
        for line in [Line::Half, Line::Percent(85), Line::Percent(95), Line::Soft, Line::Max] {
            prop_assert!(lines.iter().filter(|told| **told == line).count() <= 1, "{line:?} of {lines:?}");
        }
        prop_assert_eq!(lines.contains(&Line::Max), spent >= max);
        prop_assert_eq!(lines.contains(&Line::Soft), soft.is_some_and(|soft| spent >= soft));
    }
}

#[test]
fn a_temporary_increase_ends() {
    let raise = Some(super::super::budget::Raise { by: NanoUsd(5), until: Timestamp(100) });
    let mut alone =
        Alone::new(Terms { budgets: vec![Budget { raise, ..Budget::of(NanoUsd(5)) }], ..Terms::default() });
    let grant = alone.admit(&demand(Hold::AtMost(NanoUsd(10))), 99).unwrap();
    give_back(&mut alone.entries(), &grant);
    assert_eq!(room(&mut alone.entries(), Timestamp(100)), Some(NanoUsd(5)));
    assert!(alone.admit(&demand(Hold::AtMost(NanoUsd(10))), 100).is_err());
}

#[test]
fn a_ledger_opens_with_what_was_spent() {
    let day = Period::parse("1d").unwrap();
    let opening = |period, spend| Opening { period, window: Timestamp(0), spend: NanoUsd(spend) };
    let openings = [opening(None, 100), opening(Some(day), 9)];
    let mut alone = Alone::new(Terms { budgets: vec![budget(10, "1d")], ..Terms::default() });
    alone.ledger = Ledger::open(&openings, &alone.terms);
    assert_eq!(room(&mut alone.entries(), Timestamp(1)), Some(NanoUsd(1)));
    assert_eq!(room(&mut alone.entries(), Timestamp(86_400_000)), Some(NanoUsd(10)));
    assert_eq!(alone.ledger.standing(&alone.terms, Timestamp(1)).total, NanoUsd(100));
}

// The model.

#[derive(Clone, Debug)]
enum Op {
    /// Who asks: key alone, team alone, both.
    Admit {
        who: usize,
        hold: i64,
    },
    /// Which running request, and how much of its hold it used, in percent.
    Settle {
        which: usize,
        percent: i64,
    },
    GiveBack {
        which: usize,
    },
    /// Which running request has to hold more, and how much.
    Raise {
        which: usize,
        by: i64,
    },
    /// The request is never heard of again.
    Lose {
        which: usize,
    },
    /// Time passes; running requests extend their leases, or not.
    Pass {
        millis: i64,
        extend: bool,
    },
    Reset {
        account: usize,
        percent: i64,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        6 => (0..3_usize, 0..40_i64).prop_map(|(who, hold)| Op::Admit { who, hold }),
        3 => (any::<usize>(), 0..=100_i64).prop_map(|(which, percent)| Op::Settle { which, percent }),
        2 => (any::<usize>(), 1..40_i64).prop_map(|(which, by)| Op::Raise { which, by }),
        1 => any::<usize>().prop_map(|which| Op::GiveBack { which }),
        1 => any::<usize>().prop_map(|which| Op::Lose { which }),
        3 => (0..50_000_i64, prop::bool::weighted(0.8)).prop_map(|(millis, extend)| Op::Pass { millis, extend }),
        1 => (0..2_usize, 0..=100_i64).prop_map(|(account, percent)| Op::Reset { account, percent }),
    ];
    proptest::collection::vec(op, 1..120)
}

/// A request as the model sees it.
struct Known {
    who: usize,
    hold: i64,
    at: i64,
    lease: i64,
    grant: Option<Grant>,
}

const WHO: [&[usize]; 3] = [&[0], &[1], &[0, 1]];

fn window(budget: &Budget, at: i64) -> i64 {
    budget.window(Timestamp(at), &Zone::UTC).start.0
}

fn lease_is_over(lease: i64, now: i64) -> bool {
    lease / 10_000 < now / 10_000
}

struct World {
    accounts: [Account; 2],
    terms: [Terms; 2],
    ledgers: [Ledger; 2],
    requests: Vec<Known>,
    /// Charges by account and moment.
    charged: Vec<(usize, i64, i64)>,
    /// By account and budget: in which window, up to which charge, and to what spend was reset.
    resets: Vec<(usize, usize, i64, usize, i64)>,
    now: i64,
}

impl World {
    fn new() -> Self {
        let of_key = Terms { budgets: vec![Budget::of(NanoUsd(400)), budget(100, "1m")], ..Terms::default() };
        let of_team = Terms { budgets: vec![budget(150, "5m")], ..Terms::default() };
        Self {
            accounts: [key(), team()],
            terms: [of_key, of_team],
            ledgers: [Ledger::default(), Ledger::default()],
            requests: Vec::new(),
            charged: Vec::new(),
            resets: Vec::new(),
            now: 0,
        }
    }

    fn spend(&self, account: usize, which: usize) -> i64 {
        let budget = &self.terms[account].budgets[which];
        let current = window(budget, self.now);
        let reset = self
            .resets
            .iter()
            .rev()
            .find(|(of, budget, window, ..)| (*of, *budget, *window) == (account, which, current));
        let (from, base) = reset.map_or((0, 0), |(.., from, base)| (*from, *base));
        let charges = self.charged.iter().skip(from);
        let here = charges.filter(|(of, at, _)| *of == account && window(budget, *at) == current);
        base + here.map(|(.., cost)| cost).sum::<i64>()
    }

    fn held(&self, account: usize, which: usize) -> i64 {
        let budget = &self.terms[account].budgets[which];
        let here = self.requests.iter().filter(|request| {
            WHO[request.who].contains(&account)
                && !lease_is_over(request.lease, self.now)
                && window(budget, request.at) == window(budget, self.now)
        });
        here.map(|request| request.hold).sum()
    }

    /// Runs an operation on the real ledgers of `who`.
    fn with<T>(&mut self, who: usize, run: impl FnOnce(&mut [Entry<'_, &mut Ledger>]) -> T) -> T {
        let parts = self.accounts.iter().zip(&self.terms).zip(&mut self.ledgers).enumerate();
        let mut entries: Vec<Entry<'_, &mut Ledger>> = parts
            .filter(|(at, _)| WHO[who].contains(at))
            .map(|(_, ((account, terms), ledger))| (account, terms, ledger))
            .collect();
        run(&mut entries)
    }

    /// The index of a request that still runs.
    fn running(&self, which: usize) -> Option<usize> {
        let running: Vec<usize> =
            (0..self.requests.len()).filter(|&at| self.requests[at].grant.is_some()).collect();
        running.get(which % running.len().max(1)).copied()
    }

    fn step(&mut self, op: &Op) -> Result<(), TestCaseError> {
        match *op {
            Op::Admit { who, hold } => {
                let fits = WHO[who].iter().all(|&account| {
                    (0..self.terms[account].budgets.len()).all(|budget| {
                        let max = self.terms[account].budgets[budget].max.unwrap().0;
                        hold == 0 || self.spend(account, budget) + self.held(account, budget) + hold <= max
                    })
                });
                let now = Timestamp(self.now);
                let demand = demand(Hold::AtMost(NanoUsd(hold)));
                let granted = self.with(who, |entries| admit(entries, &demand, now));
                prop_assert_eq!(granted.is_ok(), fits, "{:?}", granted);
                if let Ok(grant) = granted {
                    let lease = self.now + 60_000;
                    self.requests.push(Known { who, hold, at: self.now, lease, grant: Some(grant) });
                }
            }
            Op::Settle { which, percent } => {
                let Some(at) = self.running(which) else { return Ok(()) };
                let request = self.requests.remove(at);
                let cost = request.hold * percent / 100;
                let now = Timestamp(self.now);
                let actual = Actual { cost: NanoUsd(cost), tokens: 0 };
                let grant = request.grant.unwrap();
                _ = self.with(request.who, |entries| settle(entries, &grant, actual, now));
                self.charged.extend(WHO[request.who].iter().map(|&account| (account, request.at, cost)));
            }
            Op::GiveBack { which } => {
                let Some(at) = self.running(which) else { return Ok(()) };
                let request = self.requests.remove(at);
                let grant = request.grant.unwrap();
                self.with(request.who, |entries| give_back(entries, &grant));
            }
            Op::Raise { which, by } => {
                let Some(at) = self.running(which) else { return Ok(()) };
                let (who, to) = (self.requests[at].who, self.requests[at].hold + by);
                let mut request = self.requests.remove(at);
                // What it holds itself stands in nobody's way.
                let fits = WHO[who].iter().all(|&account| {
                    (0..self.terms[account].budgets.len()).all(|budget| {
                        let max = self.terms[account].budgets[budget].max.unwrap().0;
                        self.spend(account, budget) + self.held(account, budget) + to <= max
                    })
                });
                let now = Timestamp(self.now);
                let mut grant = request.grant.take().unwrap();
                let raised = self.with(who, |entries| raise(entries, &mut grant, NanoUsd(to), now));
                prop_assert_eq!(raised.is_ok(), fits, "{:?}", raised);
                if fits {
                    (request.hold, request.at) = (to, self.now);
                }
                request.grant = Some(grant);
                self.requests.insert(at, request);
            }
            Op::Lose { which } => {
                let Some(at) = self.running(which) else { return Ok(()) };
                self.requests[at].grant = None;
            }
            Op::Pass { millis, extend: extends } => {
                for at in 0..self.requests.len() {
                    let who = self.requests[at].who;
                    let Some(mut grant) = self.requests[at].grant.take() else { continue };
                    if extends {
                        let until = self.now + millis + 60_000;
                        self.with(who, |entries| extend(entries, &mut grant, Timestamp(until)));
                        self.requests[at].lease = self.requests[at].lease.max(until);
                    }
                    self.requests[at].grant = Some(grant);
                }
                self.now += millis;
            }
            Op::Reset { account, percent } => {
                for which in 0..self.terms[account].budgets.len() {
                    let spend = self.spend(account, which) * percent / 100;
                    let budget = self.terms[account].budgets[which].clone();
                    self.ledgers[account].set_spend(&budget, &Zone::UTC, NanoUsd(spend), Timestamp(self.now));
                    let entry = (account, which, window(&budget, self.now), self.charged.len(), spend);
                    self.resets.push(entry);
                }
            }
        }
        Ok(())
    }

    fn check(&mut self, may_overshoot: bool) -> Result<(), TestCaseError> {
        for account in 0..2 {
            let standing = self.ledgers[account].standing(&self.terms[account], Timestamp(self.now));
            for (which, real) in standing.budgets.iter().enumerate() {
                let (spend, held) = (self.spend(account, which), self.held(account, which));
                prop_assert_eq!(
                    (real.spend.0, real.held.0),
                    (spend, held),
                    "account {} budget {}",
                    account,
                    which
                );
                prop_assert!(may_overshoot || spend + held <= real.max.unwrap().0);
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn ledgers_do_what_the_model_does_in_every_order(ops in ops()) {
        let mut world = World::new();
        let mut may_overshoot = false;
        for op in &ops {
            world.step(op)?;
            // A request that outlives its lease can overshoot: then, and only then.
            may_overshoot |= world.requests.iter().any(|request| {
                request.grant.is_some() && lease_is_over(request.lease, world.now)
            });
            world.check(may_overshoot)?;
        }
        // Once all is quiet, no hold is left.
        world.now += 1_000_000;
        for account in 0..2 {
            let now = Timestamp(world.now);
            let standing = world.ledgers[account].standing(&world.terms[account], now);
            prop_assert!(standing.budgets.iter().all(|budget| budget.held == NanoUsd::ZERO));
            prop_assert_eq!(world.ledgers[account].running(), 0);
        }
    }

    /// No minute of admitted requests holds more than the limit, and none is refused that would have fitted into
    /// the last minute and half a second.
    #[test]
    fn limits_hold_in_every_minute(steps in proptest::collection::vec((0_i64..2_000, 1_u64..30), 1..300)) {
        let limits = Limits { rpm: Some(40), tpm: Some(500), max_parallel_requests: None };
        let mut alone = Alone::new(limited(limits));
        let mut admitted: Vec<(i64, u64)> = Vec::new();
        let mut now = 0;
        for (pause, tokens) in steps {
            now += pause;
            let used = |span: i64| {
                let within = admitted.iter().filter(|(at, _)| *at > now - span);
                within.fold((1, tokens), |(requests, sum), (_, tokens)| (requests + 1, sum + tokens))
            };
            let fits = |(requests, tokens): (u64, u64)| requests <= 40 && tokens <= 500;
            let granted = alone.admit(&Demand { tokens, ..demand(Hold::Free) }, now);
            prop_assert!(granted.is_ok() || !fits(used(60_500)), "refused with room");
            if granted.is_ok() {
                prop_assert!(fits(used(60_000)), "more than the limit in a minute");
                admitted.push((now, tokens));
            }
        }
    }
}
