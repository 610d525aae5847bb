//! Who may call what: all routes × all roles × all ways to stand to an object.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::*;
use crate::caller::{Caller, Membership, Object, Role};

/// How somebody stands to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Stranger,
    Owner,
    Itself,
    Member,
    PermittedMember,
    TeamAdmin,
    OrganizationMember,
    OrganizationAdmin,
}

const RELATIONS: [Relation; 8] = [
    Relation::Stranger,
    Relation::Owner,
    Relation::Itself,
    Relation::Member,
    Relation::PermittedMember,
    Relation::TeamAdmin,
    Relation::OrganizationMember,
    Relation::OrganizationAdmin,
];

fn object() -> Object {
    Object {
        key: Some("key".parse().unwrap()),
        user: Some("owner".parse().unwrap()),
        team: Some("red".parse().unwrap()),
        organization: Some("acme".parse().unwrap()),
    }
}

/// Somebody with a key, a user, a team and an organization of their own, which are all others than the object's.
fn stranger(role: Role) -> Caller {
    Caller {
        role,
        user: Some("stranger".parse().unwrap()),
        key: Some("other-key".parse().unwrap()),
        memberships: vec![Membership {
            team: "blue".parse().unwrap(),
            is_admin: true,
            permissions: all_paths(),
        }],
        organizations: vec!["other".parse().unwrap()],
        member_of: vec!["other".parse().unwrap()],
        sees_spend: false,
    }
}

fn all_paths() -> Vec<String> {
    all().map(|route| route.path.to_owned()).collect()
}

fn caller(role: Role, relation: Relation) -> Caller {
    let mut caller = stranger(role);
    let member = |is_admin, permissions| Membership { team: "red".parse().unwrap(), is_admin, permissions };
    match relation {
        Relation::Stranger => {}
        Relation::Owner => caller.user = object().user,
        Relation::Itself => caller.key = object().key,
        Relation::Member => caller.memberships.push(member(false, Vec::new())),
        Relation::PermittedMember => caller.memberships.push(member(false, all_paths())),
        Relation::TeamAdmin => caller.memberships.push(member(true, Vec::new())),
        Relation::OrganizationMember => caller.member_of.extend(object().organization),
        Relation::OrganizationAdmin => {
            caller.member_of.extend(object().organization);
            caller.organizations.extend(object().organization);
        }
    }
    caller
}

/// The whole of it as a text that people can read and a change of which they see.
fn matrix() -> String {
    let mut text = String::from(
        "# Who may call which route of the management API about which object. Generated; compared in a test.\n\
         # proxy_admin and the master key may call all of them. `anyone` has any valid key.\n",
    );
    for route in all() {
        _ = write!(text, "\n{} {}\n", route.method, route.path);
        if route.who == [Who::Master] {
            text.push_str("  the master key only\n");
            continue;
        }
        let mut nobody = true;
        for role in Role::ALL.into_iter().filter(|role| !role.is_admin()) {
            let may: Vec<String> = RELATIONS
                .into_iter()
                .filter(|relation| caller(role, *relation).may(route, &object()))
                .map(|relation| format!("{relation:?}"))
                .collect();
            if !may.is_empty() {
                nobody = false;
                let may = if may.len() == RELATIONS.len() { "anyone".to_owned() } else { may.join(", ") };
                _ = writeln!(text, "  {}: {may}", role.name());
            }
        }
        if nobody {
            text.push_str("  administrators only\n");
        }
    }
    text
}

#[test]
fn who_may_call_what_is_as_it_was_decided() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/permissions.txt");
    let found = matrix();
    if std::env::var_os("TOLLWAY_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(file, &found).unwrap();
    }
    let decided = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        found == decided,
        "permissions.txt is not what the table says; see TOLLWAY_GOLDEN in CONTRIBUTING.md\n{found}"
    );
}

#[test]
fn laws_of_permission_hold_for_every_route_role_and_object() {
    for route in all() {
        let is_open = route.who.contains(&Who::Anyone);
        for role in Role::ALL {
            for relation in RELATIONS {
                let caller = caller(role, relation);
                let may = caller.may(route, &object());
                let case = format!("{} {} as {role:?}, {relation:?}", route.method, route.path);
                assert!(!may || caller.may_ever(route), "what is allowed passes the gate: {case}");
                match role {
                    Role::Master => assert!(may, "{case}"),
                    Role::ProxyAdmin => assert_eq!(may, !route.who.contains(&Who::Master), "{case}"),
                    Role::ProxyAdminViewer | Role::InternalUserViewer if route.effect == Effect::Writes => {
                        assert!(!may, "viewers change nothing: {case}");
                    }
                    Role::InternalUser | Role::InternalUserViewer if relation == Relation::Stranger => {
                        assert_eq!(may, is_open, "strangers reach nothing of others: {case}");
                    }
                    Role::Nobody if route.effect == Effect::Writes => {
                        assert!(!may, "a program's key changes nothing: {case}");
                    }
                    _ => {}
                }
            }
        }
        // Nothing is known of who asks: deny.
        let nobody = Caller { role: Role::Nobody, user: None, key: None, ..Caller::master() };
        assert_eq!(nobody.may(route, &Object::default()), is_open, "{}", route.path);
    }
}

#[test]
fn who_may_see_spend_sees_that_and_gains_nothing_else() {
    for route in all() {
        for role in Role::ALL.into_iter().filter(|role| !role.is_admin()) {
            for relation in RELATIONS {
                let without = caller(role, relation);
                let with = Caller { sees_spend: true, ..without.clone() };
                let case = format!("{} {} as {role:?}, {relation:?}", route.method, route.path);
                let gained = with.may(route, &object()) && !without.may(route, &object());
                assert!(!gained || route.tells_spend() && route.who.contains(&Who::Viewer), "{case}");
                assert!(!with.may(route, &object()) || with.may_ever(route), "{case}");
            }
        }
    }
}

#[test]
fn an_object_of_nobody_is_nobodys() {
    // `None` of the caller and `None` of the object are not the same person.
    let caller = Caller { role: Role::InternalUser, user: None, key: None, ..Caller::master() };
    for route in all().filter(|route| !route.who.contains(&Who::Anyone)) {
        assert!(!caller.may(route, &Object::default()), "{}", route.path);
    }
}

#[test]
fn a_route_is_there_once_and_found() {
    let mut seen = BTreeSet::new();
    for route in all() {
        for path in std::iter::once(&route.path).chain(route.aliases) {
            assert!(seen.insert((route.method, path)), "{} {path}", route.method);
            assert_eq!(find(route.method, path).map(|found| found.path), Some(route.path), "{path}");
        }
    }
    assert_eq!(find("POST", "/key/sk-x/regenerate").map(|route| route.path), Some("/key/regenerate"));
    assert!(find("GET", "/key/generate").is_none());
}

#[test]
fn only_what_changes_something_or_asks_with_a_list_has_a_body() {
    for route in all() {
        assert!(route.method != "GET" || route.body.is_empty(), "{}", route.path);
        assert!(route.body.is_empty() || route.query.is_empty(), "{}", route.path);
        assert_eq!(
            route.method == "GET",
            route.effect == Effect::Reads && route.body.is_empty() && route.path != "/key/health",
            "{}",
            route.path
        );
    }
}
