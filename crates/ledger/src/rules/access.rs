//! What a key reaches: models, routes, addresses.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::id::AccessGroupId;

/// Access groups by name and by id, and the models that each stands for.
pub type AccessGroups = BTreeMap<String, Vec<String>>;

/// The models that an entity may use, as its administrator listed them. An empty list is all models.
///
/// An entry is a model's name, a pattern with `*` (`openai/*`), the name of an access group, or one of
/// `all-proxy-models`, `all-team-models`, `no-default-models`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelList(pub Vec<String>);

/// Every model of the gateway.
pub const ALL_PROXY_MODELS: &str = "all-proxy-models";
/// What the key's team may use.
pub const ALL_TEAM_MODELS: &str = "all-team-models";
/// None: what there is comes from elsewhere, from teams.
pub const NO_DEFAULT_MODELS: &str = "no-default-models";

impl ModelList {
    /// This list, and access groups beside it. An empty list is all models with and without them.
    #[must_use]
    pub fn beside(&self, groups: &[AccessGroupId]) -> Cow<'_, Self> {
        if groups.is_empty() || self.0.is_empty() {
            return Cow::Borrowed(self);
        }
        let groups = groups.iter().map(AccessGroupId::to_string);
        Cow::Owned(Self(self.0.iter().cloned().chain(groups).collect()))
    }

    /// Whether a model is in this list. `team` is what [`ALL_TEAM_MODELS`] stands for; without a team that is all
    /// models, as in LiteLLM.
    #[must_use]
    pub fn allows(&self, model: &str, team: Option<&Self>, groups: &AccessGroups) -> bool {
        self.0.is_empty()
            || self.0.iter().any(|entry| match entry.as_str() {
                ALL_PROXY_MODELS => true,
                NO_DEFAULT_MODELS => false,
                ALL_TEAM_MODELS => team.is_none_or(|team| {
                    // A team's own list cannot mean itself.
                    team.0.iter().any(|entry| entry == ALL_TEAM_MODELS) || team.allows(model, None, groups)
                }),
                entry => {
                    matches(entry, model)
                        || groups
                            .get(entry)
                            .is_some_and(|models| models.iter().any(|entry| matches(entry, model)))
                }
            })
    }

    /// Whether every entry of this list is one that its giver has: nobody gives what they do not have.
    #[must_use]
    pub fn is_within(&self, giver: &Self, groups: &AccessGroups) -> bool {
        let gives_all = giver.0.is_empty() || giver.0.iter().any(|entry| entry == ALL_PROXY_MODELS);
        gives_all
            || (!self.0.is_empty()
                && self.0.iter().all(|entry| match entry.as_str() {
                    ALL_PROXY_MODELS => false,
                    // What these reach is decided by others' lists.
                    ALL_TEAM_MODELS | NO_DEFAULT_MODELS => true,
                    entry => {
                        giver.0.iter().any(|own| own == entry)
                            || match groups.get(entry) {
                                Some(models) => models.iter().all(|model| giver.allows(model, None, groups)),
                                None => giver.allows(entry, None, groups),
                            }
                    }
                }))
    }
}

/// The routes that a key may call. An empty list is all routes.
///
/// An entry is a path, a path whose end is `*`, or the name of a group of routes such as `llm_api_routes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RouteList(pub Vec<String>);

impl RouteList {
    /// Whether a route is in this list; `groups` are the groups that the route is in.
    #[must_use]
    pub fn allows(&self, path: &str, groups: &[&str]) -> bool {
        self.0.is_empty()
            || self.0.iter().any(|entry| {
                groups.contains(&entry.as_str())
                    || match entry.strip_suffix('*') {
                        Some(start) => path.starts_with(start),
                        None => path == entry,
                    }
            })
    }
}

/// The addresses that a key may be used from: single ones, or networks (`10.0.0.0/8`). An empty list is all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AddressList(pub Vec<String>);

impl AddressList {
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.is_empty() || self.0.iter().any(|entry| is_in(entry, address))
    }
}

fn is_in(entry: &str, address: IpAddr) -> bool {
    let (network, prefix) = match entry.split_once('/') {
        Some((network, prefix)) => (network, prefix.parse::<u32>().ok()),
        None => (entry, Some(128)),
    };
    let (Ok(network), Some(prefix)) = (network.parse::<IpAddr>(), prefix) else { return false };
    match (network.to_canonical(), address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let differ = network.to_bits() ^ address.to_bits();
            differ.leading_zeros() >= prefix.min(32)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let differ = network.to_bits() ^ address.to_bits();
            differ.leading_zeros() >= prefix.min(128)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// Whether a name fits a pattern in which `*` stands for any text.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let Some(end) = parts.pop() else { return true };
    for part in parts {
        let Some((_, after)) = name.split_once(part) else { return false };
        name = after;
    }
    name.ends_with(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(models: &[&str]) -> ModelList {
        ModelList(models.iter().map(|&model| model.to_owned()).collect())
    }

    fn groups() -> AccessGroups {
        AccessGroups::from([("beta".to_owned(), vec!["gpt-5".to_owned(), "claude-*".to_owned()])])
    }

    #[test]
    fn who_may_use_what() {
        let team = list(&["gpt-4o"]);
        for (models, model, allowed) in [
            (list(&[]), "anything", true),
            (list(&["gpt-4o"]), "gpt-4o", true),
            (list(&["gpt-4o"]), "gpt-4o-mini", false),
            (list(&["openai/*"]), "openai/gpt-4o", true),
            (list(&["openai/*"]), "anthropic/claude", false),
            (list(&["*"]), "anything", true),
            (list(&["bedrock/*claude*"]), "bedrock/anthropic.claude-3", true),
            (list(&["bedrock/*claude*"]), "bedrock/llama", false),
            (list(&["all-proxy-models"]), "anything", true),
            (list(&["no-default-models"]), "gpt-4o", false),
            (list(&["all-team-models"]), "gpt-4o", true),
            (list(&["all-team-models"]), "gpt-5", false),
            (list(&["beta"]), "gpt-5", true),
            (list(&["beta"]), "claude-opus", true),
            (list(&["beta"]), "gpt-4o", false),
        ] {
            assert_eq!(models.allows(model, Some(&team), &groups()), allowed, "{models:?} {model}");
        }
        assert!(list(&["all-team-models"]).allows("x", None, &groups()), "no team: as LiteLLM does");
    }

    #[test]
    fn nobody_gives_what_they_do_not_have() {
        for (wanted, giver, within) in [
            (list(&[]), list(&[]), true),
            (list(&[]), list(&["gpt-4o"]), false),
            (list(&["gpt-4o"]), list(&["gpt-4o", "gpt-5"]), true),
            (list(&["gpt-4o", "o3"]), list(&["gpt-4o"]), false),
            (list(&["all-proxy-models"]), list(&["gpt-4o"]), false),
            (list(&["openai/*"]), list(&["*"]), true),
            (list(&["*"]), list(&["openai/*"]), false),
            (list(&["beta"]), list(&["gpt-5"]), false),
            (list(&["beta"]), list(&["gpt-5", "claude-*"]), true),
        ] {
            assert_eq!(wanted.is_within(&giver, &groups()), within, "{wanted:?} {giver:?}");
        }
    }

    #[test]
    fn access_groups_beside_a_list_widen_it_and_leave_an_empty_one_as_wide_as_it_is() {
        let beta = [AccessGroupId::new("beta").unwrap()];
        let allows = |models: &[&str], model: &str| list(models).beside(&beta).allows(model, None, &groups());
        assert!(allows(&["gpt-4o"], "gpt-5") && allows(&["gpt-4o"], "gpt-4o") && !allows(&["gpt-4o"], "o3"));
        assert!(allows(&["no-default-models"], "claude-opus") && !allows(&["no-default-models"], "gpt-4o"));
        assert!(allows(&[], "o3"));
        let within = |giver: &[&str]| list(&["gpt-4o"]).beside(&beta).is_within(&list(giver), &groups());
        assert!(
            within(&["gpt-4o", "beta"]) && within(&["gpt-4o", "gpt-5", "claude-*"]) && !within(&["gpt-4o"])
        );
    }

    const MODELS: [&str; 4] = ["gpt-4o", "gpt-5", "claude-opus", "o3"];

    fn some_list() -> impl Strategy<Value = ModelList> {
        let entries = ["gpt-4o", "gpt-5", "gpt-*", "*5", "claude-*", "*", "beta", "new", NO_DEFAULT_MODELS];
        prop::collection::vec(prop::sample::select(entries.to_vec()), 0..4).prop_map(|models| list(&models))
    }

    fn some_groups() -> impl Strategy<Value = Vec<AccessGroupId>> {
        let ids = ["beta", "new", "gone"].map(|id| AccessGroupId::new(id).unwrap());
        prop::collection::vec(prop::sample::select(ids.to_vec()), 0..3)
    }

    proptest! {
        /// Whoever is given something reaches no model that its giver does not.
        #[test]
        fn what_is_within_reaches_no_more(
            wanted in some_list(), beside in some_groups(), giver in some_list(), has in some_groups(),
            new in prop::collection::vec(prop::sample::select(MODELS.to_vec()), 0..3),
        ) {
            let mut groups = groups();
            groups.insert("new".to_owned(), new.into_iter().map(str::to_owned).collect());
            let (wanted, giver) = (wanted.beside(&beside), giver.beside(&has));
            if wanted.is_within(&giver, &groups) {
                for model in MODELS {
                    let gained = wanted.allows(model, None, &groups) && !giver.allows(model, None, &groups);
                    prop_assert!(!gained, "{} through {:?} of {:?}", model, wanted, giver);
                }
            }
        }

        /// Groups beside a list take nothing away.
        #[test]
        fn groups_beside_a_list_narrow_nothing(own in some_list(), beside in some_groups()) {
            for model in MODELS {
                let before = own.allows(model, None, &groups());
                prop_assert!(!before || own.beside(&beside).allows(model, None, &groups()), "{}", model);
            }
        }
    }

    #[test]
    fn routes_by_path_prefix_and_group() {
        let routes = RouteList(vec!["llm_api_routes".into(), "/key/info".into(), "/v1/files*".into()]);
        assert!(routes.allows("/chat/completions", &["llm_api_routes"]));
        assert!(routes.allows("/key/info", &["info_routes"]));
        assert!(routes.allows("/v1/files/x", &[]));
        assert!(!routes.allows("/key/generate", &["management_routes"]));
        assert!(RouteList::default().allows("/key/generate", &[]));
    }

    #[test]
    fn addresses_by_network() {
        let addresses = AddressList(vec!["10.1.0.0/16".into(), "2001:db8::1".into(), "nonsense/8".into()]);
        let allows = |address: &str| addresses.allows(address.parse().unwrap());
        assert!(allows("10.1.2.3") && allows("2001:db8::1") && allows("::ffff:10.1.2.3"));
        assert!(!allows("10.2.0.1") && !allows("2001:db8::2"));
    }
}
