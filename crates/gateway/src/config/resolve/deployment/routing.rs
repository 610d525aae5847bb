//! What routing looks at of one deployment.

use regex::Regex;
use routing::settings::{DeploymentSettings, Predicate};

use crate::config::diagnose::{Diagnosis, Finding, ProblemKind};
use crate::config::keys::Section;
use crate::config::resolve::layers::{self, Layers};
use crate::config::resolve::routing::per_class;

/// The settings of an entry; the id is set when it is known to be the only one.
pub(super) fn settings(
    model_name: &str,
    params: &Layers<'_>,
    info: &Layers<'_>,
    diagnosis: &mut Diagnosis,
) -> DeploymentSettings {
    let region = ["region_name", "aws_region_name", "vertex_location", "watsonx_region_name"];
    DeploymentSettings {
        model_name: model_name.into(),
        order: params.signed("order"),
        weight: params.number("weight"),
        rpm: params.integer("rpm"),
        tpm: params.integer("tpm"),
        max_parallel_requests: params.count("max_parallel_requests"),
        tags: params.texts("tags"),
        tag_patterns: tag_patterns(params, diagnosis),
        region: region.iter().find_map(|name| params.text(name)).map(Into::into),
        max_input_tokens: info.integer("max_input_tokens"),
        team: info.text("team_id").map(Into::into),
        disabled: info.bool("blocked").unwrap_or(false),
        num_retries: params.count("num_retries").or_else(|| params.count("max_retries")),
        cooldown_time: params.wait("cooldown_time").or_else(|| info.wait("cooldown_time")),
        allowed_fails: info.count("allowed_fails"),
        allowed_fails_policy: per_class(Section::AllowedFailsPolicy, info.mapping("allowed_fails_policy")),
        ..DeploymentSettings::default()
    }
}

fn tag_patterns(params: &Layers<'_>, diagnosis: &mut Diagnosis) -> Vec<Predicate> {
    let mut patterns = Vec::new();
    for node in layers::items(params.get("tag_regex")) {
        let Some(text) = layers::text(node) else { continue };
        match Regex::new(&text) {
            Ok(regex) => patterns.push(Predicate::new(move |line| regex.is_match(line))),
            Err(error) => {
                // The last line says what is wrong, those before draw a picture of where.
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
                let finding = Finding::error(
                    ProblemKind::WrongValue,
                    format!("`tag_regex` has a pattern that cannot be used: {reason}"),
                );
                let expected = "a regular expression without look-around and back-references";
                diagnosis.report(&node.span, finding.expected(expected).found(format!("`{text}`")));
            }
        }
    }
    patterns
}
