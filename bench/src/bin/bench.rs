//! Measures gateways against their bare upstream and against nginx.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tollway_bench::case::{CASES, Setup};
use tollway_bench::measure::{self, Effort};
use tollway_bench::shot::Failure;
use tollway_bench::subject::{Folder, Recipe};
use tollway_bench::table::Report;

/// Measures a gateway against its bare upstream and against nginx, on loopback
#[derive(Parser)]
struct Flags {
    /// A gateway that is started with `--config FILE --port PORT`
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// Another gateway as `NAME=COMMAND` with {config}, {port} and {upstream}, the mock's port (repeatable)
    #[arg(long, value_name = "NAME=COMMAND")]
    gateway_cmd: Vec<String>,
    /// Only this case (repeatable)
    #[arg(long, value_name = "CASE", value_parser = CASES.iter().map(|case| case.name).collect::<Vec<_>>())]
    only: Vec<String>,
    /// Only gateways set up so (repeatable)
    #[arg(long, value_enum)]
    setup: Vec<Setup>,
    /// A run of about two minutes
    #[arg(long)]
    quick: bool,
    /// Turns of every subject in every case
    #[arg(long)]
    rounds: Option<usize>,
    /// Seconds of every closed loop
    #[arg(long)]
    seconds: Option<f64>,
    /// Requests before memory is read again
    #[arg(long)]
    requests: Option<u64>,
    /// Requests a second when latency is measured, instead of each case's own
    #[arg(long)]
    rate: Option<f64>,
    /// Worker processes of nginx
    #[arg(long, default_value_t = 1)]
    nginx_workers: u32,
    /// Compare with the mock alone
    #[arg(long)]
    no_nginx: bool,
    /// Leave out start-up time and memory
    #[arg(long)]
    no_process: bool,
    /// Write the figures to a file as well
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Flags {
    fn effort(&self) -> Effort {
        let (rounds, closed, starts, requests) =
            if self.quick { (3, 0.4, 2, 5_000) } else { (5, 3.0, 5, 100_000) };
        let closed = Duration::from_secs_f64(self.seconds.unwrap_or(closed));
        Effort {
            rounds: self.rounds.unwrap_or(rounds),
            closed,
            open: closed,
            starts: if self.no_process { 1 } else { starts },
            requests: self.requests.unwrap_or(requests),
            rate: self.rate,
        }
    }

    fn recipes(&self, folder: &Folder) -> Result<Vec<Recipe>, Failure> {
        let mock = Recipe::mock()?;
        let port = mock.port;
        let mut recipes = vec![mock];
        if !self.no_nginx {
            recipes.push(Recipe::nginx(folder, port, self.nginx_workers)?);
        }
        if let Some(program) = &self.gateway {
            let name = program.file_stem().unwrap_or_default().to_string_lossy();
            let command = format!("{} --config {{config}} --port {{port}}", program.display());
            self.gateways(folder, &name, &command, port, &mut recipes)?;
        }
        for named in &self.gateway_cmd {
            let (name, command) = named.split_once('=').ok_or("--gateway-cmd wants NAME=COMMAND")?;
            self.gateways(folder, name, command, port, &mut recipes)?;
        }
        Ok(recipes)
    }

    /// One recipe for each set-up. Who is not given a configuration has none to be set up by.
    fn gateways(
        &self,
        folder: &Folder,
        name: &str,
        command: &str,
        mock: u16,
        recipes: &mut Vec<Recipe>,
    ) -> Result<(), Failure> {
        let takes = |setup| command.contains("{config}") || setup == Setup::Bare;
        let wanted = |setup| self.setup.is_empty() || self.setup.contains(&setup);
        for setup in Setup::ALL.into_iter().filter(|setup| takes(*setup) && wanted(*setup)) {
            recipes.push(Recipe::gateway(folder, name, command, mock, setup)?);
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(&Flags::parse()).await {
        Ok(report) if report.notes.is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: &Flags) -> Result<Report, Failure> {
    let effort = flags.effort();
    let folder = Folder::new()?;
    let recipes = flags.recipes(&folder)?;
    let mut report = Report::default();
    report.subjects.extend(recipes.iter().map(|recipe| recipe.name.clone()));
    report.beside.extend(recipes.iter().map(|recipe| recipe.beside(&recipes)));
    let subjects = measure::starts(&recipes, &folder, effort, &mut report).await?;
    if !flags.no_process {
        measure::memory(&subjects, effort, &mut report).await;
    }
    for case in
        CASES.iter().filter(|case| flags.only.is_empty() || flags.only.iter().any(|name| name == case.name))
    {
        eprintln!("{}: {}", case.name, case.about);
        measure::case(case, &subjects, effort, &mut report).await;
    }
    print!("{report}");
    if let Some(path) = &flags.json {
        std::fs::write(path, format!("{:#}\n", report.json()))?;
    }
    Ok(report)
}
