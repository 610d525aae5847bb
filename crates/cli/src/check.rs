use gateway::config::Severity;

use crate::args::CheckArgs;
use crate::local;
use crate::output::{self, BAD_CONFIG, Failure};

pub(crate) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let (mut errors, mut warnings) = (0, 0);
    for file in &args.files {
        let loaded = local::load(file);
        if args.json {
            output::line(&loaded.report.to_json().to_string());
        } else {
            output::piece(&loaded.report.to_string());
        }
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
