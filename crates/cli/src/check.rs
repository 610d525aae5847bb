use gateway::config::Severity;
use gateway::snapshot::Snapshot;

use crate::args::CheckArgs;
use crate::local;
use crate::output::{self, BAD_CONFIG, Failure};

pub(crate) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let (mut errors, mut warnings) = (0, 0);
    for file in &args.files {
        let loaded = local::load(file);
        let unusable = loaded.config.as_ref().map(Snapshot::unusable).unwrap_or_default();
        let unpriced = loaded.config.as_ref().map(Snapshot::unpriced).unwrap_or_default();
        let unpriced: Vec<String> = unpriced.into_iter().collect();
        if args.json {
            let mut report = loaded.report.to_json();
            if let Some(report) = report.as_object_mut() {
                report.insert("unusable".to_owned(), unusable.as_slice().into());
                report.insert("unpriced".to_owned(), unpriced.as_slice().into());
            }
            output::line(&report.to_string());
        } else {
            output::piece(&loaded.report.to_string());
            for why in &unusable {
                output::line(&format!("warning: {why}\n"));
            }
            if !unpriced.is_empty() {
                let models = unpriced.join("`, `");
                output::line(&format!(
                    "note: no price is known of `{models}`\n  calls to them are booked at zero; give `model_info` their \
                     prices, or say in `tollway.unknown_price` what becomes of them under a budget\n"
                ));
            }
        }
        warnings += unusable.len();
        errors += loaded.report.count(Severity::Error);
        warnings += loaded.report.count(Severity::Warning);
    }
    let summary = format!("{errors} errors, {warnings} warnings in {} files", args.files.len());
    if errors > 0 || (args.strict && warnings > 0) {
        return Err(Failure { message: summary, code: BAD_CONFIG });
    }
    output::note(&summary);
    Ok(())
}
