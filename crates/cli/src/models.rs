use serde_json::Value;

use crate::args::ModelsArgs;
use crate::local;
use crate::output::{self, Failure};
use crate::remote::{Remote, block_on};

pub(crate) fn run(args: &ModelsArgs) -> Result<(), Failure> {
    let entries = match &args.config {
        Some(file) => {
            let (_, snapshot, _) = local::from_file(file)?;
            snapshot
                .members()
                .map(|served| {
                    let deployment = &served.deployment;
                    (deployment.group.to_string(), format!("{}/{}", deployment.provider, deployment.model))
                })
                .collect()
        }
        None => block_on(remote_entries(&Remote::new(&args.remote)))??,
    };
    if args.json {
        let rows =
            entries.iter().map(|(name, model)| serde_json::json!({"model_name": name, "model": model}));
        output::line(&Value::from_iter(rows).to_string());
        return Ok(());
    }
    let width = entries.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    for (name, model) in entries {
        output::line(&format!("{name:width$}  {model}"));
    }
    Ok(())
}

async fn remote_entries(remote: &Remote) -> Result<Vec<(String, String)>, Failure> {
    let info = remote.get("/v1/model/info").await?;
    let rows = info.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |row: &Value, path: &str| row.pointer(path).and_then(Value::as_str).unwrap_or("?").to_owned();
    Ok(rows.iter().map(|row| (text(row, "/model_name"), text(row, "/litellm_params/model"))).collect())
}
