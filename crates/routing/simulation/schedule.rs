//! What happens in one simulated world, made from a seed.

use std::time::Duration;

use dialects::ErrorClass;
use routing::settings::{
    CooldownSettings, DeploymentSettings, FallbackRule, FallbackSettings, RetryBudget, RetrySettings, Target,
};
use routing::{Settings, Strategy};

/// How long the clients keep coming.
pub(crate) const LENGTH: Duration = Duration::from_secs(150);

/// After this a call counts as hanging: the caller's timeout.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) settings: Settings,
    /// At the deployments' places in `settings`.
    pub(crate) weather: Vec<Vec<Spell>>,
    pub(crate) clients: Vec<Client>,
    pub(crate) seed: u64,
}

/// A deployment behaves so from then on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spell {
    pub(crate) from: Duration,
    pub(crate) behaviour: Behaviour,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Behaviour {
    Well,
    /// Answers take this much longer.
    Slow(Duration),
    /// Nothing ever comes.
    Hangs,
    /// 429, perhaps with a `retry-after`.
    Throttles(Option<Duration>),
    /// This share of the calls fails so.
    Fails(f64, ErrorClass),
    /// Refuses connections.
    Refuses,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) at: Duration,
    /// The group that it asks for.
    pub(crate) group: usize,
    /// How long it stays, if it does not stay to the end.
    pub(crate) patience: Option<Duration>,
}

impl Schedule {
    pub(crate) fn from_seed(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let groups = dice.usize(1..4);
        let mut deployments = Vec::new();
        for group in 0..groups {
            let weighted = dice.f32() < 0.3;
            for n in 0..dice.usize(1..6) {
                deployments.push(deployment(&mut dice, group, n, weighted));
            }
        }
        let weather = deployments.iter().map(|_| weather(&mut dice)).collect();
        let crowd = dice.usize(20..150);
        let clients = (0..crowd).map(|_| client(&mut dice, groups)).collect();
        let settings = settings(&mut dice, deployments, groups);
        Self { settings, weather, clients, seed }
    }
}

pub(crate) fn group_name(group: usize) -> String {
    format!("group-{group}")
}

fn chance(dice: &mut fastrand::Rng, percent: u32) -> bool {
    dice.u32(0..100) < percent
}

fn seconds(dice: &mut fastrand::Rng, most: f64) -> Duration {
    Duration::from_secs_f64(dice.f64() * most)
}

fn deployment(dice: &mut fastrand::Rng, group: usize, n: usize, weighted: bool) -> DeploymentSettings {
    DeploymentSettings {
        id: format!("{group}/{n}").into(),
        model_name: group_name(group).into(),
        order: chance(dice, 20).then(|| dice.i64(1..3)),
        weight: weighted.then(|| f64::from(dice.u32(1..10))),
        rpm: chance(dice, 15).then(|| dice.u64(5..60)),
        tpm: chance(dice, 10).then(|| dice.u64(500..5000)),
        max_parallel_requests: chance(dice, 20).then(|| dice.u32(1..4)),
        disabled: chance(dice, 3),
        cooldown_time: chance(dice, 20).then(|| seconds(dice, 20.0)),
        num_retries: chance(dice, 10).then(|| dice.u32(0..4)),
        ..DeploymentSettings::default()
    }
}

fn weather(dice: &mut fastrand::Rng) -> Vec<Spell> {
    let mut spells = vec![Spell { from: Duration::ZERO, behaviour: Behaviour::Well }];
    if chance(dice, 30) {
        return spells;
    }
    let mut at = Duration::ZERO;
    while at < LENGTH {
        at += seconds(dice, 40.0);
        let behaviour = match dice.u32(0..8) {
            0 => Behaviour::Slow(seconds(dice, 4.0)),
            1 => Behaviour::Hangs,
            2 => Behaviour::Throttles(None),
            3 => Behaviour::Throttles(Some(seconds(dice, 30.0))),
            4 => Behaviour::Refuses,
            5 => Behaviour::Fails(dice.f64(), ErrorClass::Internal),
            6 => Behaviour::Fails(1.0, ErrorClass::Unavailable),
            _ => {
                let classes = [ErrorClass::Authentication, ErrorClass::NotFound, ErrorClass::BadRequest];
                Behaviour::Fails(dice.f64(), dice.choice(classes).unwrap_or(ErrorClass::NotFound))
            }
        };
        spells.push(Spell { from: at, behaviour });
        at += seconds(dice, 40.0);
        spells.push(Spell { from: at, behaviour: Behaviour::Well });
    }
    spells
}

fn client(dice: &mut fastrand::Rng, groups: usize) -> Client {
    // Half of them come in a wave.
    let at = if dice.bool() {
        seconds(dice, LENGTH.as_secs_f64())
    } else {
        Duration::from_secs(60) + seconds(dice, 5.0)
    };
    Client { at, group: dice.usize(..groups), patience: chance(dice, 8).then(|| seconds(dice, 3.0)) }
}

fn settings(dice: &mut fastrand::Rng, deployments: Vec<DeploymentSettings>, groups: usize) -> Settings {
    let strategies = [
        Strategy::Balanced,
        Strategy::SimpleShuffle,
        Strategy::LeastBusy,
        Strategy::UsageBased,
        Strategy::LatencyBased,
        Strategy::CostBased,
    ];
    let mut general = Vec::new();
    for group in 0..groups {
        if chance(dice, 40) {
            let targets = (0..groups).filter(|other| *other != group && dice.bool());
            let targets = targets.map(|other| Target::name(&group_name(other))).collect();
            general.push(FallbackRule { group: group_name(group), targets });
        }
    }
    Settings {
        deployments,
        strategy: dice.choice(strategies).unwrap_or_default(),
        retries: RetrySettings {
            num_retries: dice.u32(0..6),
            budget: chance(dice, 70).then(|| RetryBudget { percent: 20, floor: dice.u32(0..30) }),
            ..RetrySettings::default()
        },
        cooldowns: CooldownSettings {
            time: Duration::from_secs(dice.u64(1..15)),
            allowed_fails: chance(dice, 20).then(|| dice.u32(0..4)),
            last: chance(dice, 15),
            disabled: chance(dice, 5),
            ..CooldownSettings::default()
        },
        fallbacks: FallbackSettings { general, ..FallbackSettings::default() },
        max_queue_wait: chance(dice, 30).then(|| seconds(dice, 5.0)),
        ..Settings::default()
    }
}
