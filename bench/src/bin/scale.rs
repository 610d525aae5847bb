//! Measures a gateway with many keys and a long log of spend.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tollway_bench::scale::{self, Database, Scale};
use tollway_bench::shot::Failure;
use tollway_bench::subject::{Folder, Recipe};
use tollway_bench::table::Report;

/// Measures a gateway with many keys and a long log of spend, on SQLite and on PostgreSQL
#[derive(Parser)]
struct Flags {
    /// The gateway; started with `--config FILE --port PORT`
    #[arg(long)]
    gateway: PathBuf,
    /// A PostgreSQL database that may be filled, instead of the one of `TEST_DATABASE_URL`
    #[arg(long)]
    postgres: Option<String>,
    /// Leave out SQLite
    #[arg(long)]
    no_sqlite: bool,
    /// Leave out what a request costs
    #[arg(long)]
    no_cost: bool,
    /// Rows in the log of spend; 10 million are 6 GB on the disk of temporary files
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Virtual keys
    #[arg(long, default_value_t = 100_000)]
    keys: u64,
    /// Teams
    #[arg(long, default_value_t = 1_000)]
    teams: u64,
    /// Seconds of every loop
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Turns
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Write the figures to a file as well
    #[arg(long)]
    json: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> Result<(), Failure> {
    let folder = Folder::new()?;
    let mock = Recipe::mock()?;
    let port = mock.port;
    let _mock = mock.start(&folder).await?;
    let scale = Scale {
        gateway: flags.gateway,
        rows: flags.rows,
        keys: flags.keys.max(1),
        teams: flags.teams.max(1),
        time: Duration::from_secs_f64(flags.seconds),
        rounds: flags.rounds,
    };
    let mut report =
        Report { subjects: ["measured", "target"].map(str::to_owned).to_vec(), ..Report::default() };
    if !flags.no_cost {
        scale::cost(&scale, &folder, port, &mut report).await?;
    }
    let file = folder.path().join("scale.db");
    let sqlite = Database { name: "SQLite", url: format!("sqlite:{}", file.display()) };
    let url = flags.postgres.or_else(|| std::env::var("TEST_DATABASE_URL").ok());
    let postgres = url.map(|url| Database { name: "PostgreSQL", url });
    for database in (!flags.no_sqlite).then_some(sqlite).into_iter().chain(postgres) {
        scale::run(&scale, &folder, port, &database, &mut report).await?;
        // Both at once need not fit on the disk.
        _ = std::fs::remove_file(&file);
    }
    print!("{}", report.plain());
    if let Some(path) = &flags.json {
        std::fs::write(path, format!("{:#}\n", report.json()))?;
    }
    Ok(())
}
