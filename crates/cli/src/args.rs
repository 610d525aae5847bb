use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

/// One gate to every LLM.
///
/// Without a command, `tollway` starts the gateway: with `--config` from a LiteLLM config.yaml, with `--model` for one
/// model, with neither it serves the built-in model `demo`.
#[derive(Debug, Parser)]
#[command(name = "tollway", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub serve: ServeArgs,
}

const EXAMPLES: &str = "\
Examples:
  tollway                                  serve the built-in demo model on 127.0.0.1:4000
  tollway --model openai/gpt-4o            serve one model, with OPENAI_API_KEY from the environment
  tollway --config config.yaml             serve what a LiteLLM config.yaml says
  tollway check config.yaml                report everything that is wrong with it
  tollway init > config.yaml               write a starter config from the keys in the environment
  tollway chat --model demo 'Hello!'       ask a running gateway";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the gateway (the default).
    Serve(ServeArgs),
    /// Report everything that is wrong with a configuration, with file, line and column.
    Check(CheckArgs),
    /// List the models of a running gateway, or of a configuration.
    Models(ModelsArgs),
    /// Ask a running gateway one question, or chat with it.
    Chat(ChatArgs),
    /// Tell what happened to a request: why which deployment, what was sent, what it cost.
    Explain(ExplainArgs),
    /// Show how each deployment of a running gateway is doing.
    Router(RouterArgs),
    /// Write a commented starter configuration for the provider keys found in the environment.
    Init(InitArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ServeArgs {
    /// LiteLLM-format configuration file.
    #[arg(long, short, value_name = "FILE", env = "CONFIG_FILE_PATH")]
    pub config: Option<PathBuf>,
    /// Serve this one model without a configuration, e.g. `openai/gpt-4o`; may be given several times.
    #[arg(long, short, value_name = "PROVIDER/MODEL", conflicts_with = "config")]
    pub model: Vec<String>,
    /// Address of the provider for `--model`.
    #[arg(long, alias = "api_base", value_name = "URL", requires = "model")]
    pub api_base: Option<String>,
    /// Port to listen on.
    #[arg(long, short, env = "PORT", value_name = "PORT")]
    pub port: Option<u16>,
    /// Address to listen on; without a master key only this machine's own.
    #[arg(long, env = "HOST", value_name = "ADDRESS")]
    pub host: Option<IpAddr>,
    /// Reload the configuration when its file changes (SIGHUP always reloads).
    #[arg(long)]
    pub watch: bool,
    /// Log more.
    #[arg(long, alias = "detailed_debug")]
    pub debug: bool,
    /// Threads for connections of clients; by default one per core.
    #[arg(long, alias = "num_workers", env = "NUM_WORKERS", value_name = "N")]
    pub workers: Option<usize>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CheckArgs {
    /// Configuration files.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Print the problems as JSON, one object per file.
    #[arg(long)]
    pub json: bool,
    /// Fail on warnings too.
    #[arg(long)]
    pub strict: bool,
}

/// Where a running gateway is, and its key.
#[derive(Debug, ClapArgs)]
pub(crate) struct RemoteArgs {
    /// Address of the gateway.
    #[arg(long, env = "TOLLWAY_URL", default_value = "http://127.0.0.1:4000", value_name = "URL")]
    pub url: String,
    /// Key of the gateway.
    #[arg(long, env = "TOLLWAY_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub key: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ModelsArgs {
    /// Read a configuration instead of asking a running gateway.
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ChatArgs {
    /// Model to ask; by default the gateway's first.
    #[arg(long, short, value_name = "MODEL")]
    pub model: Option<String>,
    /// System prompt.
    #[arg(long, short, value_name = "TEXT")]
    pub system: Option<String>,
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// The question; without one, chat until end of input.
    #[arg(value_name = "QUESTION")]
    pub question: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RouterArgs {
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Print the state as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ExplainArgs {
    /// The request's `x-litellm-call-id`, or the id of its answer; `last` for the latest request.
    #[arg(value_name = "ID")]
    pub id: String,
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Print the trace as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct InitArgs {
    /// Write to this file instead of standard output; an existing file is not touched.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}
