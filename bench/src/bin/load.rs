//! Sends one request many times to a server on 127.0.0.1.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Uri};
use tollway_bench::load::{self, Bound};
use tollway_bench::shot::{Failure, Gun, Shot};

/// Sends one request many times to a server on 127.0.0.1 and compares every answer with the first
#[derive(Parser)]
struct Flags {
    /// Port on 127.0.0.1
    #[arg(long)]
    port: u16,
    /// Path, with query
    #[arg(long, default_value = "/v1/chat/completions")]
    path: Uri,
    /// JSON body
    #[arg(long, default_value = r#"{"model":"mock","messages":[{"role":"user","content":"hi"}]}"#)]
    body: String,
    /// `NAME: VALUE` (repeatable)
    #[arg(long, value_parser = header)]
    header: Vec<(HeaderName, HeaderValue)>,
    /// Requests under way at most
    #[arg(long, default_value_t = 32)]
    connections: u32,
    /// Requests a second, on a schedule that does not wait for answers; as fast as answers come if left out
    #[arg(long)]
    rate: Option<f64>,
    /// Ends after so many requests
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
    /// Ends after so many seconds
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let (name, value) = text.split_once(':').ok_or("write `NAME: VALUE`")?;
    Ok((name.trim().parse()?, value.trim().parse()?))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Flags::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("no first answer: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: Flags) -> Result<bool, Failure> {
    let headers = flags.header.into_iter().collect();
    let shot = Arc::new(Shot {
        method: Method::POST,
        port: flags.port,
        path: flags.path,
        headers,
        body: flags.body.into(),
    });
    let shape = Gun::new(&shot).fire(&mut |_| {}).await?.shape;
    let bound = Bound { requests: flags.requests, time: Duration::from_secs_f64(flags.seconds) };
    let tally = match flags.rate {
        None => load::closed(&shot, shape, flags.connections, bound).await,
        Some(rate) => load::open(&shot, shape, flags.connections, rate, bound).await,
    };
    println!("every answer: status {}, {} bytes, {} events", shape.status, shape.bytes, shape.events);
    println!(
        "{} good, {} bad, {:.0} requests/s, {} events",
        tally.good,
        tally.bad,
        tally.rate(),
        tally.events
    );
    for (name, histogram) in [("first byte", &tally.first), ("whole", &tally.whole)] {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        println!(
            "{name}: p50 {:.0} µs, p90 {:.0}, p99 {:.0}, p99.9 {:.0}",
            at(0.5),
            at(0.9),
            at(0.99),
            at(0.999)
        );
    }
    if let Some(complaint) = &tally.complaint {
        println!("last bad answer: {complaint}");
    }
    Ok(tally.bad == 0)
}
