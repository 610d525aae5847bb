//! The program `tollway`.

mod args;
mod books;
mod chat;
mod check;
mod explain;
mod init;
mod local;
mod manage;
mod models;
mod output;
mod remote;
mod report;
mod router;
mod serve;
mod table;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Args { command, serve } = Args::parse();
    let result = match command {
        None => serve::run(&serve),
        Some(Command::Serve(serve)) => serve::run(&serve),
        Some(Command::Check(check)) => check::run(&check),
        Some(Command::Models(models)) => models::run(&models),
        Some(Command::Chat(chat)) => chat::run(&chat),
        Some(Command::Explain(explain)) => explain::run(&explain),
        Some(Command::Router(router)) => router::run(&router),
        Some(Command::Keys(keys)) => manage::run(manage::KEYS, &keys),
        Some(Command::Teams(teams)) => manage::run(manage::TEAMS, &teams),
        Some(Command::Users(users)) => manage::run(manage::USERS, &users),
        Some(Command::Budgets(budgets)) => manage::run(manage::BUDGETS, &budgets),
        Some(Command::Report(report)) => report::run(&report),
        Some(Command::Changes(changes)) => report::changes(&changes),
        Some(Command::Audit(audit)) => books::audit(&audit),
        Some(Command::Backup(backup)) => books::backup(&backup),
        Some(Command::Reseal(reseal)) => books::reseal(&reseal),
        Some(Command::Init(init)) => init::run(&init),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::error(&failure.message);
            ExitCode::from(failure.code)
        }
    }
}
