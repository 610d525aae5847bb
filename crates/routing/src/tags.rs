//! Routing by tags: `enable_tag_filtering`.

use crate::settings::{DeploymentSettings, TagSettings};

/// LiteLLM's tag for deployments that take the requests which no tag leads elsewhere.
const DEFAULT: &str = "default";

/// What a request's tags ask of the deployments of one group.
#[derive(Clone, Debug, Default)]
pub(crate) enum TagRule {
    /// Nothing.
    #[default]
    Any,
    /// The deployments that match.
    Matching(Tags),
    /// The deployments tagged `default`, and none that the tags exclude.
    Default(Tags),
    /// All but those that the tags exclude.
    Rest(Tags),
    /// The group has none that would do.
    Nobody,
}

/// A request's tags by what they mean.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tags {
    wanted: Vec<String>,
    required: Vec<String>,
    excluded: Vec<String>,
    lines: Vec<String>,
    match_any: bool,
}

impl Tags {
    pub(crate) fn new(tags: &[String], lines: &[String], settings: &TagSettings) -> Self {
        let mut sorted = Self { lines: lines.to_vec(), match_any: settings.match_any, ..Self::default() };
        for tag in tags {
            let (list, tag) = if let Some(tag) = tag.strip_prefix('!') {
                (&mut sorted.excluded, tag)
            } else if let Some(tag) = tag.strip_prefix('&') {
                (&mut sorted.required, tag)
            } else {
                (&mut sorted.wanted, tag.as_str())
            };
            if tag.starts_with(&settings.prefix) {
                list.push(tag.to_owned());
            }
        }
        sorted
    }

    /// Whether the tags, rather than none of them, lead to this deployment.
    fn match_to(&self, deployment: &DeploymentSettings) -> bool {
        if !self.allow(deployment) {
            return false;
        }
        let has = |tag: &String| deployment.tags.contains(tag);
        let wanted = match (self.wanted.is_empty(), self.match_any) {
            (true, _) => !self.required.is_empty(),
            (false, true) => self.wanted.iter().any(has),
            (false, false) => self.wanted.iter().all(has),
        };
        let pattern = |line: &String| deployment.tag_patterns.iter().any(|pattern| pattern.holds(line));
        wanted || self.lines.iter().any(pattern)
    }

    /// Whether the deployment has what is required and nothing that is excluded.
    fn allow(&self, deployment: &DeploymentSettings) -> bool {
        let has = |tag: &String| deployment.tags.contains(tag);
        self.required.iter().all(has) && !self.excluded.iter().any(has)
    }

    fn ask_nothing(&self) -> bool {
        self.wanted.is_empty() && self.required.is_empty()
    }
}

impl TagRule {
    /// The rule for a group. LiteLLM's order: what matches; what is tagged `default`; without tags in the request,
    /// everything.
    pub(crate) fn of<'p>(
        mut members: impl Iterator<Item = &'p DeploymentSettings> + Clone,
        tags: &Tags,
        settings: &TagSettings,
    ) -> Self {
        if members.clone().any(|member| tags.match_to(member)) {
            return Self::Matching(tags.clone());
        }
        let is_default = |member: &DeploymentSettings| has_default(member) && tags.allow(member);
        if members.clone().any(is_default) {
            return Self::Default(tags.clone());
        }
        if settings.allow_fail_open {
            return Self::Any;
        }
        if tags.ask_nothing() && members.any(|member| tags.allow(member)) {
            return Self::Rest(tags.clone());
        }
        Self::Nobody
    }

    pub(crate) fn admits(&self, deployment: &DeploymentSettings) -> bool {
        match self {
            Self::Any => true,
            Self::Matching(tags) => tags.match_to(deployment),
            Self::Default(tags) => has_default(deployment) && tags.allow(deployment),
            Self::Rest(tags) => tags.allow(deployment),
            Self::Nobody => false,
        }
    }
}

fn has_default(deployment: &DeploymentSettings) -> bool {
    deployment.tags.iter().any(|tag| tag == DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Predicate;

    /// The numbers of the deployments, given by their tags, that a request with `tags` may use.
    fn admitted(deployments: &[&[&str]], tags: &[&str], settings: &TagSettings) -> Vec<usize> {
        let member = |tags: &&[&str]| DeploymentSettings {
            tags: tags.iter().map(ToString::to_string).collect(),
            ..DeploymentSettings::default()
        };
        let members: Vec<DeploymentSettings> = deployments.iter().map(member).collect();
        let tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
        let rule = TagRule::of(members.iter(), &Tags::new(&tags, &[], settings), settings);
        members.iter().enumerate().filter(|(_, member)| rule.admits(member)).map(|(at, _)| at).collect()
    }

    const GROUP: &[&[&str]] = &[&["free"], &["paid"], &["paid", "fast"], &["default"]];

    #[test]
    fn a_tag_leads_to_the_deployments_that_have_it() {
        let settings = TagSettings::default();
        assert_eq!(admitted(GROUP, &["paid"], &settings), [1, 2]);
        assert_eq!(admitted(GROUP, &["free", "fast"], &settings), [0, 2]);
        let all = TagSettings { match_any: false, ..settings };
        assert_eq!(admitted(GROUP, &["paid", "fast"], &all), [2]);
    }

    #[test]
    fn without_a_match_the_default_answers() {
        let settings = TagSettings::default();
        assert_eq!(admitted(GROUP, &[], &settings), [3]);
        assert_eq!(admitted(GROUP, &["unheard-of"], &settings), [3]);
    }

    #[test]
    fn without_a_default_only_untagged_requests_are_answered() {
        let group: &[&[&str]] = &[&["free"], &[]];
        let settings = TagSettings::default();
        assert_eq!(admitted(group, &[], &settings), [0, 1]);
        assert!(admitted(group, &["paid"], &settings).is_empty());
        let open = TagSettings { allow_fail_open: true, ..settings };
        assert_eq!(admitted(group, &["paid"], &open), [0, 1]);
    }

    #[test]
    fn tags_exclude_and_require() {
        let settings = TagSettings::default();
        assert_eq!(admitted(GROUP, &["paid", "!fast"], &settings), [1]);
        assert_eq!(admitted(GROUP, &["&fast"], &settings), [2]);
        assert_eq!(admitted(&[&["free"], &["paid"]], &["!free"], &settings), [1]);
    }

    #[test]
    fn tags_without_the_prefix_are_not_for_routing() {
        let settings = TagSettings { prefix: "route:".to_owned(), ..TagSettings::default() };
        assert_eq!(admitted(&[&["route:a"], &["b"]], &["route:a", "b"], &settings), [0]);
    }

    #[test]
    fn patterns_look_at_headers() {
        let browser = DeploymentSettings {
            tag_patterns: vec![Predicate::new(|line| line.starts_with("User-Agent: Mozilla"))],
            ..DeploymentSettings::default()
        };
        let other = DeploymentSettings::default();
        let settings = TagSettings::default();
        let tags = Tags::new(&[], &["User-Agent: Mozilla/5.0".to_owned()], &settings);
        let rule = TagRule::of([&browser, &other].into_iter(), &tags, &settings);
        assert!(rule.admits(&browser) && !rule.admits(&other));
    }
}
