//! Plays the providers, with canned answers and with faults.
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a command-line tool")]

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;

use clap::Parser;
use tokio::net::TcpSocket;
use tollway_bench::listen::{self, Runtime};
use tollway_bench::mock::fault::Fault;
use tollway_bench::mock::server::converse;

const HOW: &str = "Serves OpenAI (POST /v1/chat/completions, /v1/responses), Anthropic (POST /v1/messages) and Gemini (POST \
/v1beta/models/MODEL:generateContent, :streamGenerateContent) on 127.0.0.1.

A plan says how to answer: KEY-VALUE pairs joined by hyphens.
  stream-N   text deltas in a streamed answer (default 100)
  burst-N    events in one write (default 1)
  delay-MS   pause before every write of a stream
  wait-MS    pause before the answer
  fault-NAME what goes wrong; must come last
It is taken from the model's name after `mock-` (mock-stream-100-delay-5), from a path prefix /with/PLAN/ (so a \
deployment's api_base can be http://127.0.0.1:PORT/with/fault-reset/v1) and from the header `x-mock: PLAN`.

Faults:";

#[derive(Parser)]
#[command(about = "Plays LLM providers, with canned answers and with faults")]
struct Flags {
    /// Port on 127.0.0.1
    #[arg(long, default_value_t = 9100)]
    port: u16,
    /// Port on which connections are refused; 0 picks a free one
    #[arg(long, default_value_t = 0)]
    refused_port: u16,
    /// Threads, each with its own listener
    #[arg(long, default_value = "1")]
    threads: NonZeroUsize,
}

fn main() {
    let faults = Fault::TABLE.iter().map(|(name, about)| format!("\n  {name:<15} {about}"));
    let statuses =
        "\n  400 … 599       that status with a body in the provider's form; 429 and 503 with retry-after: 1";
    let help: String = [HOW.to_owned()].into_iter().chain(faults).chain([statuses.to_owned()]).collect();
    let command = <Flags as clap::CommandFactory>::command().after_help(help);
    let flags = <Flags as clap::FromArgMatches>::from_arg_matches(&command.get_matches())
        .unwrap_or_else(|error| error.exit());

    // Bound and never listened on: the kernel refuses who connects, and nobody else can take the port.
    let refused = TcpSocket::new_v4().expect("a socket");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, flags.refused_port));
    refused.bind(address).expect("the port for refused connections is free");
    println!("mock upstream on http://127.0.0.1:{}", flags.port);
    println!("connections refused on http://{}", refused.local_addr().expect("bound above"));
    listen::serve(flags.port, Runtime::PerCore, flags.threads, || converse);
}
