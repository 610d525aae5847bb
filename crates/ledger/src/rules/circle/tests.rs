use std::collections::BTreeMap;

use catalog::NanoUsd;

use super::*;
use crate::rules::access::{AddressList, RouteList};
use crate::rules::entity::Rotation;
use crate::rules::id::{KeyHash, KeyId, TeamId, UserId};

fn key() -> Key {
    Key {
        id: KeyId::new("k1").unwrap(),
        hash: KeyHash::of("sk-1"),
        name: "sk-...cdef".to_owned(),
        user: None,
        team: None,
        organization: None,
        models: ModelList::default(),
        access_groups: Vec::new(),
        aliases: BTreeMap::new(),
        routes: RouteList::default(),
        rotation: Rotation::default(),
        addresses: AddressList::default(),
        tags: Vec::new(),
        expires_at: None,
        details: Details::default(),
    }
}

fn team(models: &[&str]) -> Team {
    Team {
        id: TeamId::new("red").unwrap(),
        organization: None,
        models: ModelList(models.iter().map(|&model| model.to_owned()).collect()),
        access_groups: Vec::new(),
        aliases: BTreeMap::from([("fast".to_owned(), "gpt-4o-mini".to_owned())]),
        member_permissions: Vec::new(),
        secrets: BTreeMap::new(),
        details: Details::default(),
    }
}

fn circle<'a>(key: &'a Key, team: Option<&'a Team>) -> Circle<'a> {
    Circle { key, user: None, team, member: None, organization: None }
}

const CHAT: Ask<'static> =
    Ask { route: "/chat/completions", route_groups: &["llm_api_routes"], address: None };

#[test]
fn a_blocked_key_is_told_in_litellms_words() {
    let mut key = key();
    key.details.blocked = true;
    let refusal = circle(&key, None).may_ask(&CHAT, Timestamp(0)).unwrap_err();
    assert_eq!((refusal.status(), refusal.kind()), (401, "auth_error"));
    assert_eq!(refusal.to_string(), "Key is blocked. Update via `/key/unblock` if you're an admin.");
}

#[test]
fn a_blocked_team_blocks_its_keys() {
    let (key, mut team) = (key(), team(&[]));
    team.details.blocked = true;
    let refusal = circle(&key, Some(&team)).may_ask(&CHAT, Timestamp(0)).unwrap_err();
    assert_eq!(refusal.to_string(), "Team=red is blocked. Update via `/team/unblock` if you're an admin.");
}

#[test]
fn a_key_ends_at_its_expiry() {
    let mut key = key();
    key.expires_at = Some(Timestamp(1000));
    assert_eq!(circle(&key, None).may_ask(&CHAT, Timestamp(999)), Ok(()));
    let refusal = circle(&key, None).may_ask(&CHAT, Timestamp(1000)).unwrap_err();
    assert_eq!((refusal.status(), refusal.kind(), refusal.param()), (401, "expired_key", Some("sk-...cdef")));
    assert_eq!(
        refusal.to_string(),
        "Authentication Error - Expired Key. Key Expiry time 1970-01-01 00:00:01 UTC and current time 1970-01-01 \
         00:00:01 UTC"
    );
}

#[test]
fn a_key_bound_to_addresses_works_from_there_only() {
    let mut key = key();
    key.addresses = AddressList(vec!["10.0.0.0/8".to_owned()]);
    let from = |address: Option<&str>| {
        let address = address.map(|address| address.parse().unwrap());
        circle(&key, None).may_ask(&Ask { address, ..CHAT }, Timestamp(0)).map_err(|refusal| refusal.status())
    };
    assert_eq!(from(Some("10.2.3.4")), Ok(()));
    assert_eq!(from(Some("11.2.3.4")), Err(403));
    assert_eq!(from(None), Err(403));
}

#[test]
fn both_the_key_and_its_team_must_have_the_model() {
    let (mut key, team) = (key(), team(&["gpt-4o"]));
    let groups = AccessGroups::new();
    let refusal = |key: &Key, model: &str| {
        circle(key, Some(&team))
            .may_use(model, &groups)
            .map_err(|refusal| (refusal.kind(), refusal.to_string()))
    };
    assert_eq!(refusal(&key, "gpt-4o"), Ok(()));
    let words =
        "team not allowed to access model. This team can only access models=['gpt-4o']. Tried to access o3";
    assert_eq!(refusal(&key, "o3"), Err(("team_model_access_denied", words.to_owned())));
    key.models = ModelList(vec!["gpt-5".to_owned(), "o3".to_owned()]);
    let words = "key not allowed to access model. This key can only access models=['gpt-5', 'o3']. Tried to access gpt-4o";
    assert_eq!(refusal(&key, "gpt-4o"), Err(("key_model_access_denied", words.to_owned())));
}

#[test]
fn aliases_of_the_key_come_before_those_of_its_team() {
    let (mut key, team) = (key(), team(&[]));
    assert_eq!(circle(&key, Some(&team)).resolve("fast"), "gpt-4o-mini");
    key.aliases.insert("fast".to_owned(), "haiku".to_owned());
    assert_eq!(circle(&key, Some(&team)).resolve("fast"), "haiku");
    assert_eq!(circle(&key, Some(&team)).resolve("other"), "other");
}

#[test]
fn what_is_stored_is_read_again() {
    let text = serde_json::to_string(&key()).unwrap();
    assert_eq!(serde_json::from_str::<Key>(&text).unwrap(), key());
}

fn user(max: i64) -> User {
    let mut user: User = serde_json::from_value(serde_json::json!({ "id": "ada" })).unwrap();
    user.details.allowance.budget = Budget::of(NanoUsd(max));
    user
}

#[test]
fn a_request_is_charged_to_everybody_it_concerns() {
    let (mut key, team, user) = (key(), team(&[]), user(5));
    key.details.allowance.models.insert("gpt-4o".to_owned(), Default::default());
    let model = ModelName::new("openai/gpt-4o").unwrap();
    let subject = Subject { model: &model, customer: None, tags: &[], access_groups: &[] };
    let circle = Circle { user: Some(&user), ..circle(&key, Some(&team)) };
    let max = |policy: &Policy| {
        let accounts = circle.accounts(&subject, policy);
        let names: Vec<String> = accounts.iter().map(|(account, _)| account.to_string()).collect();
        assert_eq!(names.join(" "), "gateway red ada k1:openai/gpt-4o k1");
        let of_user =
            accounts.iter().find(|(account, _)| account.scope == Scope::User(UserId::new("ada").unwrap()));
        of_user.and_then(|(_, terms)| terms.budgets.first()?.max)
    };
    assert_eq!(max(&Policy::default()), None, "a user's budget is for keys without a team");
    assert_eq!(max(&Policy { user_terms_on_team_keys: true, ..Policy::default() }), Some(NanoUsd(5)));
}

#[test]
fn a_shared_budget_holds_where_the_entity_says_nothing() {
    let own = Allowance { budget: Budget::of(NanoUsd(1)), ..Allowance::default() };
    let limits = Limits { rpm: Some(3), ..Limits::default() };
    let shared = Allowance { budget: Budget::of(NanoUsd(2)), limits, ..Allowance::default() };
    assert_eq!(own.or(&shared).budget.max, Some(NanoUsd(1)));
    assert_eq!(own.or(&shared).limits.rpm, Some(3));
    assert_eq!(Allowance::default().or(&shared), shared);
}
