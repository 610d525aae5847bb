//! A small world for the specifications: a fleet, a clock that moves when told, dice with a seed.

use std::sync::Arc;
use std::time::Duration;

use dialects::ErrorClass;
use routing::settings::{DeploymentSettings, FallbackRule, Target};
use routing::{
    Attempt, Change, Decision, Failure, Fleet, Journey, Moment, Outcome, Phase, Plan, Request, Settings, Stop,
};

pub(crate) struct World {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) now: Moment,
    pub(crate) dice: fastrand::Rng,
}

impl World {
    pub(crate) fn new(settings: Settings) -> Self {
        let (plan, problems) = Plan::new(settings);
        assert_eq!(problems, []);
        let now = Moment::after_start(Duration::from_secs(1000));
        Self { fleet: Arc::new(Fleet::new(plan)), now, dice: fastrand::Rng::with_seed(7) }
    }

    /// Deployments with their groups, nothing else set.
    pub(crate) fn of(deployments: &[(&str, &str)]) -> Self {
        Self::new(Settings { deployments: deployed(deployments), ..Settings::default() })
    }

    pub(crate) fn sleep(&mut self, seconds: f64) {
        self.now = self.now + Duration::from_secs_f64(seconds);
    }

    pub(crate) fn journey(&self, request: Request) -> Journey {
        Journey::new(&self.fleet, request)
    }

    pub(crate) fn next(&mut self, journey: &mut Journey) -> Decision {
        let dice = &mut self.dice;
        journey.next(self.now, &mut || dice.u64(..))
    }

    pub(crate) fn call(&mut self, journey: &mut Journey) -> Attempt {
        match self.next(journey) {
            Decision::Call(attempt) => attempt,
            Decision::Wait { duration, why } => panic!("waits {duration:?} for {why:?}"),
            Decision::Stop(stop) => panic!("stops: {stop:?}"),
        }
    }

    /// The call after a wait, if there is one.
    pub(crate) fn call_later(&mut self, journey: &mut Journey) -> Attempt {
        if let Decision::Wait { duration, .. } = self.next(journey) {
            self.now = self.now + duration;
        }
        self.call(journey)
    }

    pub(crate) fn wait(&mut self, journey: &mut Journey) -> Duration {
        match self.next(journey) {
            Decision::Wait { duration, .. } => duration,
            Decision::Call(attempt) => panic!("calls {}", attempt.id()),
            Decision::Stop(stop) => panic!("stops: {stop:?}"),
        }
    }

    pub(crate) fn stop(&mut self, journey: &mut Journey) -> Stop {
        match self.next(journey) {
            Decision::Stop(stop) => stop,
            Decision::Call(attempt) => panic!("calls {}", attempt.id()),
            Decision::Wait { duration, why } => panic!("waits {duration:?} for {why:?}"),
        }
    }

    pub(crate) fn answer(&self, journey: &mut Journey, attempt: Attempt) -> Option<Change> {
        journey.report(attempt, &Outcome::SUCCESS, self.now)
    }

    pub(crate) fn fail(&self, journey: &mut Journey, attempt: Attempt, status: u16) -> Option<Change> {
        let failure = Failure::new(ErrorClass::from_status(status));
        journey.report(attempt, &Outcome::Failure(failure), self.now)
    }

    /// Sends a plain request; where it fails, all its calls do. Tells where it was.
    pub(crate) fn send(&mut self, model: &str, status: u16) -> Vec<String> {
        let mut journey = self.journey(Request::new(model));
        let mut places = Vec::new();
        loop {
            match self.next(&mut journey) {
                Decision::Call(attempt) => {
                    places.push(attempt.id().to_owned());
                    if status == 200 {
                        self.answer(&mut journey, attempt);
                    } else {
                        self.fail(&mut journey, attempt, status);
                    }
                }
                Decision::Wait { duration, .. } => self.now = self.now + duration,
                Decision::Stop(_) => return places,
            }
        }
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.fleet.snapshot(self.now).iter().map(|state| state.in_flight).sum()
    }

    pub(crate) fn phase(&self, id: &str) -> Phase {
        let states = self.fleet.snapshot(self.now);
        states.iter().find(|state| &*state.id == id).unwrap().phase
    }
}

pub(crate) fn deployed(deployments: &[(&str, &str)]) -> Vec<DeploymentSettings> {
    let deployment = |(id, group): &(&str, &str)| DeploymentSettings {
        id: (*id).into(),
        model_name: (*group).into(),
        ..DeploymentSettings::default()
    };
    deployments.iter().map(deployment).collect()
}

pub(crate) fn rule(group: &str, targets: &[&str]) -> FallbackRule {
    let targets = targets.iter().map(|name| Target::name(name)).collect();
    FallbackRule { group: group.to_owned(), targets }
}
