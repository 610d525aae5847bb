//! The program `tollway`.

mod args;
mod chat;
mod check;
mod explain;
mod init;
mod local;
mod models;
mod output;
mod remote;
mod router;
mod serve;
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
