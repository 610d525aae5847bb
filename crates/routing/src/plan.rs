//! The settings, checked and laid out for choosing. Never changes; a reload makes another.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use crate::pattern;
use crate::problem::{Problem, ProblemKind};
use crate::settings::{
    CooldownSettings, DeploymentSettings, FallbackRule, Hedging, PerClass, RetrySettings, Settings, Split,
    Strategy, StrategyArgs, TagSettings, Target,
};

/// A deployment's place in its [`Plan`]: dense, counted from 0, group after group. Means nothing in another plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeploymentIndex(pub(crate) u32);

impl DeploymentIndex {
    /// For arrays with a place for each deployment of the plan.
    #[must_use]
    pub fn get(self) -> usize {
        self.0 as usize
    }
}

/// A group's place in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct GroupIndex(u32);

impl GroupIndex {
    pub(crate) fn get(self) -> usize {
        self.0 as usize
    }
}

/// A deployment as planned.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What was set.
    pub settings: DeploymentSettings,
    pub(crate) group: GroupIndex,
    /// `order`, the unordered ones last.
    pub(crate) order: i64,
    /// Share in a draw; what the group is weighed by.
    pub(crate) weight: f64,
    /// Will do for every request that wants nothing particular: most deployments, whose settings are not looked at again.
    pub(crate) is_plain: bool,
    /// Has a limit.
    pub(crate) is_limited: bool,
}

/// Deployments behind one name.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: Arc<str>,
    pub(crate) is_pattern: bool,
    pub(crate) members: Range<u32>,
    /// Some member has a weight, by whatever the group is weighed by.
    pub(crate) weighted: bool,
    pub(crate) strategy: Strategy,
    pub(crate) strategy_args: StrategyArgs,
    pub(crate) retry_policy: PerClass,
    /// A failing request of this group has somewhere else to go.
    pub(crate) has_fallbacks: bool,
    /// Some member serves one team alone.
    pub(crate) has_teams: bool,
}

/// What kind of failure a list of fallbacks is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FallbackKind {
    General,
    ContextWindow,
    ContentPolicy,
}

/// Lists of fallbacks by the group that failed.
#[derive(Debug, Default)]
struct Lists(HashMap<String, Arc<[Target]>>);

/// See the module.
#[derive(Debug)]
pub struct Plan {
    deployments: Vec<Planned>,
    by_id: HashMap<Arc<str>, DeploymentIndex>,
    groups: Vec<Group>,
    by_name: HashMap<Arc<str>, GroupIndex>,
    /// Groups whose name is a pattern, the longest first, as in LiteLLM.
    patterns: Vec<GroupIndex>,
    aliases: HashMap<String, Arc<str>>,
    general: Lists,
    context_window: Lists,
    content_policy: Lists,
    pub(crate) max_fallbacks: u32,
    pub(crate) retries: RetrySettings,
    pub(crate) cooldowns: CooldownSettings,
    pub(crate) tags: TagSettings,
    pub(crate) pre_call_checks: bool,
    pub(crate) weighted_failover: bool,
    pub(crate) max_queue_wait: Option<std::time::Duration>,
    pub(crate) affinity: bool,
    pub(crate) canaries: Vec<Split>,
    pub(crate) mirrors: Vec<Split>,
    pub(crate) hedging: Option<Hedging>,
}

impl Plan {
    /// Lays out the settings. What is wrong with them is left out of the plan and told, all of it at once.
    #[must_use]
    pub fn new(settings: Settings) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let Settings { deployments, aliases, fallbacks, retries, .. } = settings;
        let mut plan = Self {
            deployments: Vec::with_capacity(deployments.len()),
            by_id: HashMap::new(),
            groups: Vec::new(),
            by_name: HashMap::new(),
            patterns: Vec::new(),
            aliases: aliases.into_iter().map(|(alias, group)| (alias, group.into())).collect(),
            general: Lists::default(),
            context_window: Lists::default(),
            content_policy: Lists::default(),
            max_fallbacks: fallbacks.max_fallbacks,
            retries,
            cooldowns: settings.cooldowns,
            tags: settings.tags,
            pre_call_checks: settings.pre_call_checks,
            weighted_failover: settings.weighted_failover,
            max_queue_wait: settings.max_queue_wait,
            affinity: settings.affinity,
            canaries: Vec::new(),
            mirrors: Vec::new(),
            hedging: settings.hedging,
        };
        for (name, members) in grouped(deployments) {
            let args = checked(settings.strategy_args, "", &mut problems);
            plan.add_group(name, members, settings.strategy, args, &mut problems);
        }
        plan.check_aliases(&mut problems);
        for (name, strategy, args) in settings.group_strategies {
            let args = checked(args, &name, &mut problems);
            match plan.exact_group(&name, "routing_groups", &mut problems) {
                Some(group) => (group.strategy, group.strategy_args) = (strategy, args),
                None => continue,
            }
        }
        for (name, policy) in std::mem::take(&mut plan.retries.group_policies) {
            if let Some(group) = plan.exact_group(&name, "model_group_retry_policy", &mut problems) {
                group.retry_policy = policy;
            }
        }
        plan.general = plan.lists("fallbacks", fallbacks.general, &mut problems);
        plan.context_window = plan.lists("context_window_fallbacks", fallbacks.context_window, &mut problems);
        plan.content_policy = plan.lists("content_policy_fallbacks", fallbacks.content_policy, &mut problems);
        plan.find_cycles(&mut problems);
        plan.canaries = plan.splits("canaries", settings.canaries, &mut problems);
        plan.mirrors = plan.splits("mirrors", settings.mirrors, &mut problems);
        let with_fallbacks: Vec<bool> =
            plan.groups.iter().map(|group| plan.general.of(&group.name).is_some()).collect();
        for (group, has) in plan.groups.iter_mut().zip(with_fallbacks) {
            group.has_fallbacks = has;
        }
        (plan, problems)
    }

    /// The deployments, each at its index.
    #[must_use]
    pub fn deployments(&self) -> &[Planned] {
        &self.deployments
    }

    /// The deployment of this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<DeploymentIndex> {
        self.by_id.get(id).copied()
    }

    /// The group that a name leads to: an alias, a group, or the longest pattern that stands for it. The answer is the
    /// group's own name.
    #[must_use]
    pub fn group_of(&self, name: &str) -> Option<&Arc<str>> {
        let name = self.behind(name).map_or(name, |group| group);
        self.resolve(name).and_then(|group| self.group(group)).map(|group| &group.name)
    }

    /// The group that an alias stands for.
    pub(crate) fn behind(&self, alias: &str) -> Option<&Arc<str>> {
        self.aliases.get(alias)
    }

    /// The group with this name or with the longest pattern for it.
    pub(crate) fn resolve(&self, name: &str) -> Option<GroupIndex> {
        if let Some(group) = self.by_name.get(name) {
            return Some(*group);
        }
        let fits = |index: &&GroupIndex| {
            self.group(**index).is_some_and(|group| pattern::matches(&group.name, name))
        };
        self.patterns.iter().find(fits).copied()
    }

    /// What is planned for a deployment; `None` for an index of another plan.
    #[must_use]
    pub fn deployment(&self, index: DeploymentIndex) -> Option<&Planned> {
        self.deployments.get(index.get())
    }

    pub(crate) fn group(&self, index: GroupIndex) -> Option<&Group> {
        self.groups.get(index.0 as usize)
    }

    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The members of a group with their indexes.
    pub(crate) fn members(&self, group: &Group) -> impl Iterator<Item = (DeploymentIndex, &Planned)> + Clone {
        let range = group.members.start as usize..group.members.end as usize;
        let planned = self.deployments.get(range).unwrap_or_default();
        (group.members.start..).map(DeploymentIndex).zip(planned)
    }

    /// The fallbacks that are configured for a group that failed so; `Err` if only other groups have some of that kind.
    pub(crate) fn fallbacks(
        &self,
        kind: FallbackKind,
        name: &str,
    ) -> Result<Option<&Arc<[Target]>>, NoneForGroup> {
        let special = match kind {
            FallbackKind::General => return Ok(self.general.of(name)),
            FallbackKind::ContextWindow => &self.context_window,
            FallbackKind::ContentPolicy => &self.content_policy,
        };
        if special.0.is_empty() {
            return Ok(self.general.of(name));
        }
        special.of(name).map(Some).ok_or(NoneForGroup)
    }

    fn add_group(
        &mut self,
        name: Arc<str>,
        members: Vec<DeploymentSettings>,
        strategy: Strategy,
        strategy_args: StrategyArgs,
        problems: &mut Vec<Problem>,
    ) {
        let index = GroupIndex(count(self.groups.len()));
        let start = count(self.deployments.len());
        let weights = weights(&members, problems);
        let weighted = weights.iter().any(|weight| *weight > 0.0);
        for (settings, weight) in members.into_iter().zip(weights) {
            let at = DeploymentIndex(count(self.deployments.len()));
            if self.by_id.insert(Arc::clone(&settings.id), at).is_some() {
                problems.push(Problem {
                    kind: ProblemKind::DuplicateId,
                    setting: "id",
                    of: settings.id.to_string(),
                    value: settings.id.to_string(),
                    message: "two deployments have this id; give one another `model_info.id`".to_owned(),
                });
            }
            let order = settings.order.unwrap_or(i64::MAX);
            let is_plain = !settings.disabled
                && settings.team.is_none()
                && !(self.pre_call_checks && settings.max_input_tokens.is_some());
            let limits = [settings.rpm, settings.tpm, settings.max_parallel_requests.map(u64::from)];
            let is_limited = limits.iter().any(Option::is_some);
            self.deployments.push(Planned { settings, group: index, order, weight, is_plain, is_limited });
        }
        let members = start..count(self.deployments.len());
        let is_pattern = name.contains('*');
        if is_pattern {
            let longer =
                |other: &GroupIndex| self.group(*other).is_some_and(|other| other.name.len() >= name.len());
            let at = self.patterns.iter().take_while(|other| longer(other)).count();
            self.patterns.insert(at, index);
        }
        self.by_name.insert(Arc::clone(&name), index);
        let range = members.start as usize..members.end as usize;
        let own = self.deployments.get(range).unwrap_or_default();
        self.groups.push(Group {
            name,
            is_pattern,
            weighted,
            strategy,
            strategy_args,
            retry_policy: PerClass::default(),
            has_fallbacks: false,
            has_teams: own.iter().any(|planned| planned.settings.team.is_some()),
            members,
        });
    }

    fn exact_group(
        &mut self,
        name: &str,
        setting: &'static str,
        problems: &mut Vec<Problem>,
    ) -> Option<&mut Group> {
        let index = self.by_name.get(name).copied();
        if index.is_none() {
            problems.push(unknown(setting, name, name));
        }
        self.groups.get_mut(index?.0 as usize)
    }

    fn is_known(&self, name: &str) -> bool {
        self.group_of(name).is_some()
    }

    fn check_aliases(&self, problems: &mut Vec<Problem>) {
        let lost = self.aliases.iter().filter(|(_, group)| self.resolve(group).is_none());
        let mut lost: Vec<Problem> =
            lost.map(|(alias, group)| unknown("model_group_alias", alias, group)).collect();
        lost.sort_by(|a, b| a.of.cmp(&b.of));
        problems.extend(lost);
    }

    fn lists(&self, setting: &'static str, rules: Vec<FallbackRule>, problems: &mut Vec<Problem>) -> Lists {
        let mut lists: HashMap<String, Vec<Target>> = HashMap::new();
        for FallbackRule { group, targets } in rules {
            if group != "*" && !self.is_known(&group) {
                problems.push(unknown(setting, &group, &group));
            }
            // Of two entries for one group LiteLLM reads the first.
            if lists.contains_key(&group) {
                continue;
            }
            let (known, lost): (Vec<Target>, Vec<Target>) =
                targets.into_iter().partition(|target| self.is_known(&target.name));
            problems.extend(lost.iter().map(|target| unknown(setting, &group, &target.name)));
            lists.insert(group, known);
        }
        Lists(lists.into_iter().map(|(group, targets)| (group, targets.into())).collect())
    }

    /// Fallbacks that lead back, each circle told once, at the member that comes first in the configuration.
    fn find_cycles(&self, problems: &mut Vec<Problem>) {
        let mut told: HashSet<&str> = HashSet::new();
        for group in &self.groups {
            let start = &*group.name;
            if told.contains(start) || !self.general.0.contains_key(start) {
                continue;
            }
            if let Some(path) = self.way_back(start) {
                let circle = path.iter().chain([&start]).map(|name| format!("`{name}`"));
                let message = format!(
                    "fallbacks lead in a circle: {}; each group is asked once",
                    circle.collect::<Vec<_>>().join(" → ")
                );
                told.extend(&path);
                problems.push(Problem {
                    kind: ProblemKind::Cycle,
                    setting: "fallbacks",
                    of: start.to_owned(),
                    value: path.last().map_or_else(String::new, |last| (*last).to_owned()),
                    message,
                });
            }
        }
    }

    /// The groups from `start` to one whose fallbacks name `start`.
    fn way_back<'p>(&'p self, start: &'p str) -> Option<Vec<&'p str>> {
        let mut seen = HashSet::from([start]);
        let mut paths = vec![vec![start]];
        while let Some(path) = paths.pop() {
            let targets = path.last().and_then(|last| self.general.0.get(*last));
            for target in targets.into_iter().flat_map(|targets| targets.iter()) {
                let next = self.behind(&target.name).unwrap_or(&target.name);
                // A group among its own fallbacks is passed over, and common enough not to be worth a word.
                if **next == *start && path.len() > 1 {
                    return Some(path);
                }
                if seen.insert(next) {
                    paths.push(path.iter().copied().chain([&**next]).collect());
                }
            }
        }
        None
    }

    fn splits(&self, setting: &'static str, splits: Vec<Split>, problems: &mut Vec<Problem>) -> Vec<Split> {
        let sound = |split: &Split| {
            let before = problems.len();
            for name in [&split.group, &split.to] {
                if !self.is_known(name) {
                    problems.push(unknown(setting, &split.group, name));
                }
            }
            if !(0.0..=100.0).contains(&split.percent) {
                problems.push(bad_number(setting, &split.group, split.percent, "a percentage of 0 to 100"));
            }
            problems.len() == before
        };
        let mut sound = sound;
        splits.into_iter().filter(|split| sound(split)).collect()
    }
}

/// Other groups have fallbacks for that kind of failure, this one has none: its error is the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoneForGroup;

impl Lists {
    /// LiteLLM's search: the group, its name without the provider, any.
    fn of(&self, name: &str) -> Option<&Arc<[Target]>> {
        let bare = name.split_once('/').map(|(_, bare)| bare);
        let found = self.0.get(name).or_else(|| self.0.get(bare?)).or_else(|| self.0.get("*"));
        found.filter(|targets| !targets.is_empty())
    }
}

/// Deployments by group, groups in the order in which they first come up.
fn grouped(deployments: Vec<DeploymentSettings>) -> Vec<(Arc<str>, Vec<DeploymentSettings>)> {
    let mut groups: Vec<(Arc<str>, Vec<DeploymentSettings>)> = Vec::new();
    let mut places: HashMap<Arc<str>, usize> = HashMap::new();
    for deployment in deployments {
        let name = Arc::clone(&deployment.model_name);
        let at = *places.entry(Arc::clone(&name)).or_insert_with(|| {
            groups.push((name, Vec::new()));
            groups.len() - 1
        });
        if let Some((_, members)) = groups.get_mut(at) {
            members.push(deployment);
        }
    }
    groups
}

/// LiteLLM's weights: the first of `weight`, `rpm` and `tpm` that some deployment of the group has.
fn weights(members: &[DeploymentSettings], problems: &mut Vec<Problem>) -> Vec<f64> {
    let sound = |member: &DeploymentSettings| {
        let weight = member.weight.unwrap_or(0.0);
        if weight.is_finite() && weight >= 0.0 {
            return weight;
        }
        problems.push(bad_number("weight", &member.id, weight, "a number of 0 or more"));
        0.0
    };
    let weights: Vec<f64> = members.iter().map(sound).collect();
    let number = |limit: Option<u64>| limit.map_or(0.0, |limit| limit as f64);
    let given = |weights: &Vec<f64>| weights.iter().any(|weight| *weight > 0.0);
    Some(weights)
        .filter(given)
        .or_else(|| Some(members.iter().map(|member| number(member.rpm)).collect()).filter(given))
        .unwrap_or_else(|| members.iter().map(|member| number(member.tpm)).collect())
}

fn checked(args: StrategyArgs, of: &str, problems: &mut Vec<Problem>) -> StrategyArgs {
    let buffer = args.lowest_latency_buffer;
    if buffer.is_finite() && buffer >= 0.0 {
        return args;
    }
    problems.push(bad_number("lowest_latency_buffer", of, buffer, "a number of 0 or more"));
    StrategyArgs { lowest_latency_buffer: 0.0, ..args }
}

fn unknown(setting: &'static str, of: &str, name: &str) -> Problem {
    Problem {
        kind: ProblemKind::UnknownGroup,
        setting,
        of: of.to_owned(),
        value: name.to_owned(),
        message: format!("no deployment has the `model_name` `{name}`; add one or take the entry out"),
    }
}

fn bad_number(setting: &'static str, of: &str, value: f64, expected: &str) -> Problem {
    Problem {
        kind: ProblemKind::BadNumber,
        setting,
        of: of.to_owned(),
        value: value.to_string(),
        message: format!("`{value}` is not {expected}"),
    }
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
