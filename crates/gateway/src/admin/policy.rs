//! What the configuration says about keys, users and teams that are made: what they get where nobody says, and the most
//! that they may get.

use api::Object;
use api::body::Body;
use api::field;
use api::grant;
use api::moment;
use api::problem::Problem;
use ledger::rules::time::Timestamp;
use serde_json::Value;

/// See the module. Its fields are those of the API.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IssuePolicy {
    /// `litellm_settings.default_key_generate_params`
    pub keys: Object,
    /// `litellm_settings.upperbound_key_generate_params`
    pub keys_at_most: Object,
    /// `litellm_settings.default_internal_user_params`
    pub users: Object,
    /// `litellm_settings.default_team_params`, and `default_team_settings` where that is a mapping
    pub teams: Object,
    /// `default_team_settings` where that is a list: by `team_id`.
    pub team: Vec<Object>,
}

impl IssuePolicy {
    /// Fills in what a request for a key leaves open, and refuses what is too much.
    pub(super) fn for_key(&self, body: &mut Body, now: Timestamp) -> Result<(), Problem> {
        fill(body, &self.keys);
        for (name, most) in &self.keys_at_most {
            let Some(wanted) = body.get(name).filter(|wanted| wanted.as_str() != Some("-1")).cloned() else {
                // Nothing said would be without bound.
                body.set(name, most.clone());
                continue;
            };
            Self::bound(name, &wanted, most, now)?;
        }
        Ok(())
    }

    /// A change may not go beyond the bound either, but need not say anything.
    pub(super) fn for_changed_key(&self, body: &Body, now: Timestamp) -> Result<(), Problem> {
        for (name, most) in &self.keys_at_most {
            match body.get(name).filter(|wanted| wanted.as_str() != Some("-1")) {
                Some(wanted) => Self::bound(name, wanted, most, now)?,
                None if body.has(name) => return Err(grant::over(name, "none", &shown(most))),
                None => {}
            }
        }
        Ok(())
    }

    fn bound(name: &str, wanted: &Value, most: &Value, now: Timestamp) -> Result<(), Problem> {
        let is_over = match name {
            "duration" | "budget_duration" => {
                let end = |value: &Value| moment::after(now, value.as_str()?);
                end(wanted) > end(most)
            }
            _ => match (field::amount(wanted), field::amount(most)) {
                (Ok(wanted), Ok(most)) => wanted > most,
                _ => false,
            },
        };
        if is_over { Err(grant::over(name, &shown(wanted), &shown(most))) } else { Ok(()) }
    }

    /// Fills in what a request for a user leaves open.
    pub(super) fn for_user(&self, body: &mut Body) {
        fill(body, &self.users);
    }

    /// Fills in what a request for a team leaves open.
    pub(super) fn for_team(&self, body: &mut Body, team: &str) {
        let own = self.team.iter().find(|own| own.get("team_id").and_then(Value::as_str) == Some(team));
        if let Some(own) = own {
            fill(body, own);
        }
        fill(body, &self.teams);
    }
}

fn fill(body: &mut Body, defaults: &Object) {
    for (name, value) in defaults.iter().filter(|(name, value)| *name != "team_id" && !value.is_null()) {
        body.fill(name, || Some(value.clone()));
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_254_233_000);

    fn policy() -> IssuePolicy {
        let object = |value: Value| value.as_object().cloned().unwrap();
        IssuePolicy {
            keys: object(json!({"max_budget": 2, "models": ["gpt-4o"]})),
            keys_at_most: object(json!({"max_budget": 10, "duration": "30d", "rpm_limit": 100})),
            ..IssuePolicy::default()
        }
    }

    fn body(value: &Value) -> Body {
        let known: &[&[field::Field]] = &[api::key::FIELDS, api::terms::TERMS];
        Body::of(value.as_object().cloned().unwrap(), known).unwrap()
    }

    #[test]
    fn what_is_left_open_is_filled_in() {
        let mut body = body(&json!({"rpm_limit": 5}));
        policy().for_key(&mut body, NOW).unwrap();
        let filled = json!({"rpm_limit": 5, "max_budget": 2, "models": ["gpt-4o"], "duration": "30d"});
        assert_eq!(json!(body.fields()), filled);
    }

    #[test]
    fn more_than_the_bound_is_refused_in_litellms_words() {
        for (wanted, told) in [
            (
                json!({"max_budget": 11}),
                "max_budget is over max limit set in config - user_value=11; max_value=10",
            ),
            (
                json!({"duration": "2mo"}),
                "duration is over max limit set in config - user_value=2mo; max_value=30d",
            ),
            (
                json!({"rpm_limit": 101}),
                "rpm_limit is over max limit set in config - user_value=101; max_value=100",
            ),
        ] {
            assert_eq!(policy().for_key(&mut body(&wanted), NOW).unwrap_err().message, told);
        }
        let cleared = body(&json!({"max_budget": null}));
        assert!(policy().for_changed_key(&cleared, NOW).is_err(), "no bound is more than any");
        assert_eq!(policy().for_changed_key(&body(&json!({"key_alias": "a"})), NOW), Ok(()));
    }
}
