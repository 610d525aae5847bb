use serde_json::Value;

use crate::args::RouterArgs;
use crate::output::{self, Failure};
use crate::remote::{Remote, block_on};
use crate::table;

const COLUMNS: [(&str, &str); 8] = [
    ("group", "/model_group"),
    ("deployment", "/model_id"),
    ("state", "/state"),
    ("in flight", "/in_flight"),
    ("latency ms", "/latency_ms"),
    ("first token ms", "/first_token_ms"),
    ("rpm", "/requests_last_minute"),
    ("tpm", "/tokens_last_minute"),
];

pub(crate) fn run(args: &RouterArgs) -> Result<(), Failure> {
    let state = block_on(async { Remote::new(&args.remote).get("/router/state").await })??;
    if args.json {
        output::line(&state.to_string());
        return Ok(());
    }
    let deployments =
        state.get("deployments").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for line in deployment_lines(deployments) {
        output::line(&line);
    }
    Ok(())
}

fn deployment_lines(deployments: &[Value]) -> Vec<String> {
    let header = COLUMNS.iter().map(|(title, _)| (*title).to_owned()).collect();
    let mut rows: Vec<Vec<String>> = vec![header];
    for deployment in deployments {
        let mut row: Vec<String> = COLUMNS.iter().map(|(_, path)| cell(deployment.pointer(path))).collect();
        if let Some(reason) = deployment.get("cooldown_reason").and_then(Value::as_str) {
            let left = deployment.get("cooldown_left_s").and_then(Value::as_f64);
            let left = left.map(|left| format!(" ({left:.1} s left)")).unwrap_or_default();
            row.push(format!("{reason}{left}"));
        }
        rows.push(row);
    }
    table::lines(&rows)
}

/// Ids are long; their beginning tells them apart.
fn cell(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) if text.len() == 64 => text.chars().take(12).collect(),
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => "–".to_owned(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_line_up_and_reasons_follow() {
        let deployments = [
            json!({"model_group": "gpt-4o", "model_id": "east", "state": "well", "in_flight": 2}),
            json!({"model_group": "gpt-4o", "model_id": "west", "state": "cooling down", "in_flight": 0,
                   "cooldown_reason": "rate limited", "cooldown_left_s": 3.25}),
        ];
        let lines = deployment_lines(&deployments);
        assert_eq!(lines.len(), 3);
        let at = |line: &String, text: &str| line.find(text).map(|at| line.chars().take(at).count());
        assert_eq!(at(&lines[1], "well"), at(&lines[2], "cooling down"));
        assert!(lines[2].contains("rate limited (3.2 s left)"), "{}", lines[2]);
    }
}
