use std::fmt::Write;

use serde_json::Value;

use crate::args::ExplainArgs;
use crate::output::{self, Failure};
use crate::remote::{Remote, block_on};

pub(crate) fn run(args: &ExplainArgs) -> Result<(), Failure> {
    let trace = block_on(fetch(args))??;
    if args.json {
        output::line(&serde_json::to_string_pretty(&trace)?);
    } else {
        output::piece(&explain(&trace));
    }
    Ok(())
}

async fn fetch(args: &ExplainArgs) -> Result<Value, Failure> {
    let remote = Remote::new(&args.remote);
    let id = if args.id == "last" {
        let latest = remote.get("/trace?limit=1").await?;
        let id = latest.pointer("/data/0/id").and_then(Value::as_str);
        id.ok_or_else(|| Failure::new("the gateway has answered no request yet"))?.to_owned()
    } else {
        args.id.clone()
    };
    remote.get(&format!("/trace/{id}")).await
}

/// A budget or limit that the request had to fit into.
fn explain_account(account: &Value, out: &mut String) {
    let whose = format!("{} {}", shown(account.get("of")), short(&account["id"]));
    for budget in rows(account, "/budgets") {
        let part = |name: &str| shown(budget.get(name));
        let until = budget.get("resets_at").filter(|at| !at.is_null());
        let until = until.map(|at| format!(", until {}", shown(Some(at)))).unwrap_or_default();
        let (spend, held, max) = (part("spend"), part("held"), part("max"));
        let _ = writeln!(out, "budget     {whose}: ${spend} spent and ${held} held of ${max}{until}");
    }
    for (name, what) in [
        ("remaining_requests", "requests"),
        ("remaining_tokens", "tokens"),
        ("remaining_parallel", "calls at once"),
    ] {
        if let Some(left) = account.get(name).filter(|left| !left.is_null()) {
            let _ = writeln!(out, "limit      {whose}: {} {what} left", shown(Some(left)));
        }
    }
}

/// A step on the way to a deployment.
fn explain_step(step: &Value, out: &mut String) {
    let after = shown(step.get("after_ms"));
    if let Some(why) = step.get("stopped") {
        let _ = writeln!(out, "stopped    {} at {after} ms", shown(Some(why)));
        return;
    }
    if let Some(note) = step.get("note") {
        let _ = writeln!(out, "note       {} at {after} ms", shown(Some(note)));
        return;
    }
    if let Some(waited) = step.get("waited_ms") {
        let _ =
            writeln!(out, "waited     {} ms at {after} ms: {}", shown(Some(waited)), shown(step.get("why")));
        return;
    }
    let _ = writeln!(out, "choice     in {} at {after} ms", shown(step.get("group")));
    for candidate in rows(step, "/candidates") {
        let left = candidate.get("left_ms").filter(|left| !left.is_null());
        let left = left.map(|left| format!(", {} ms left", shown(Some(left)))).unwrap_or_default();
        let _ = writeln!(
            out,
            "candidate  {}: {}{left}",
            short(&candidate["deployment"]),
            shown(candidate.get("verdict"))
        );
    }
}

/// What the cache said, if it was asked.
fn explain_cache(used: &Value, out: &mut String) {
    let Some(state) = used.get("state").and_then(Value::as_str) else { return };
    let mut line = format!("cache      {state}");
    if let Some(why) = used.get("why").and_then(Value::as_str) {
        let _ = write!(line, ": {why}");
    }
    if let Some(similar) = used.get("similar").filter(|similar| !similar.is_null()) {
        let (score, call) = (shown(similar.get("score")), shown(similar.get("call_id")));
        let _ = write!(line, ": {score} like the question of {call}");
    }
    if let Some(age) = used.get("age_s").filter(|age| !age.is_null()) {
        let _ = write!(line, ", {} s old", shown(Some(age)));
    }
    let _ = writeln!(out, "{line}");
}

/// The trace in words.
fn explain(trace: &Value) -> String {
    let text = |path: &str| shown(trace.pointer(path));
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(out, "request    {} at {}", text("/id"), text("/received_at"));
    let _ = writeln!(
        out,
        "asked      {} by {} ({}{})",
        text("/path"),
        text("/caller/identity"),
        text("/client_dialect"),
        if trace["stream"] == true { ", streamed" } else { "" }
    );
    let _ = writeln!(out, "model      {} → group {}", text("/requested_model"), text("/model_group"));
    for account in rows(trace, "/admission/accounts") {
        explain_account(account, &mut out);
    }
    if let Some(held) = trace.pointer("/admission/held").filter(|held| !held.is_null()) {
        let _ = writeln!(out, "held       ${}: {}", shown(Some(held)), text("/admission/why"));
    }
    explain_cache(&trace["cache"], &mut out);
    for step in rows(trace, "/route") {
        explain_step(step, &mut out);
    }
    for attempt in rows(trace, "/attempts") {
        let _ = writeln!(
            out,
            "attempt    {} {} as {} → {} after {} ms",
            shown(attempt.get("provider")),
            shown(attempt.get("url")),
            shown(attempt.get("dialect")),
            shown(attempt.get("status")),
            shown(attempt.get("head_ms")),
        );
        if !attempt["error"].is_null() {
            let _ = writeln!(out, "           {}", shown(attempt.get("error")));
        }
    }
    for note in rows(trace, "/parameters") {
        let (param, change) = (shown(note.get("param")), shown(note.get("change")));
        let _ = writeln!(out, "parameter  {param} {change}: {}", shown(note.get("detail")));
    }
    let _ = writeln!(
        out,
        "time       {} ms: {} ms provider, {} ms gateway",
        text("/time_ms/total"),
        text("/time_ms/upstream"),
        text("/time_ms/gateway")
    );
    if let Some(usage) = trace.pointer("/answer/usage").and_then(Value::as_object) {
        let counts: Vec<String> =
            usage.iter().map(|(name, count)| format!("{count} {}", name.replace('_', " "))).collect();
        let estimate = if trace.pointer("/answer/usage_is_estimate") == Some(&Value::Bool(true)) {
            " (estimated)"
        } else {
            ""
        };
        let _ = writeln!(out, "usage      {}{estimate}", counts.join(", "));
    }
    for line in rows(trace, "/answer/cost/lines") {
        let _ = writeln!(out, "cost       {}", shown(line.get("text").or(Some(line))));
    }
    if let Some(total) = trace.pointer("/answer/cost/total") {
        let _ = writeln!(out, "           total ${}", shown(Some(total)));
    }
    let _ = writeln!(out, "outcome    {} (HTTP {})", text("/outcome"), text("/status"));
    if trace.get("error").is_some_and(|error| !error.is_null()) {
        let _ = writeln!(out, "error      {}", text("/error/message"));
    }
    out
}

fn rows<'t>(trace: &'t Value, path: &str) -> &'t [Value] {
    trace.pointer(path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "–".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Deployment ids are hashes; their beginning tells them apart.
fn short(id: &Value) -> String {
    shown(Some(id)).chars().take(12).collect()
}
