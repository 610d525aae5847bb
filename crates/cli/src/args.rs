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
    /// Make, show, change, block and delete virtual keys of a running gateway.
    Keys(ManageArgs),
    /// Make, show, change, block and delete teams of a running gateway.
    Teams(ManageArgs),
    /// Make, show, change and delete users of a running gateway.
    Users(ManageArgs),
    /// Make, show, change and delete shared budgets of a running gateway.
    Budgets(ManageArgs),
    /// Show what was spent, by team, key, user, model, …
    Report(ReportArgs),
    /// Show who changed what.
    Changes(ChangesArgs),
    /// Check that the books are right: that every sum is that of its rows.
    Audit(BooksArgs),
    /// Copy the database (SQLite) to a file, while the gateway runs.
    Backup(BackupArgs),
    /// Put stored provider secrets under a new salt key.
    Reseal(BooksArgs),
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
    #[arg(
        long,
        global = true,
        env = "TOLLWAY_URL",
        default_value = "http://127.0.0.1:4000",
        value_name = "URL"
    )]
    pub url: String,
    /// Key of the gateway.
    #[arg(long, global = true, env = "TOLLWAY_API_KEY", hide_env_values = true, value_name = "KEY")]
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
pub(crate) struct ManageArgs {
    #[command(subcommand)]
    pub action: Action,
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Print JSON.
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// List them.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: u32,
    },
    /// Make one, from the API's fields: `max_budget=10 models=gpt-4o,o3 duration=30d`.
    New {
        #[arg(value_name = "FIELD=VALUE")]
        fields: Vec<String>,
    },
    /// Show one.
    Info {
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Change one; `field=null` takes a field away.
    Update {
        #[arg(value_name = "ID")]
        id: String,
        #[arg(value_name = "FIELD=VALUE", required = true)]
        fields: Vec<String>,
    },
    /// Delete one or several.
    Delete {
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// Block one: requests are refused.
    Block {
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Unblock one.
    Unblock {
        #[arg(value_name = "ID")]
        id: String,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ReportArgs {
    /// What to sum by: one or several of team, key, user, organization, customer, tag, model, provider, day.
    #[arg(long, value_delimiter = ',', default_value = "team,model", value_name = "WHAT")]
    pub by: Vec<By>,
    /// Since when: so many days (`7d`), or a date.
    #[arg(long, default_value = "30d", value_name = "WHEN")]
    pub since: String,
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What a report sums by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum By {
    Team,
    Key,
    User,
    Organization,
    Customer,
    Tag,
    Model,
    Provider,
    Day,
}

/// Whose books.
#[derive(Debug, ClapArgs)]
pub(crate) struct BooksArgs {
    /// The gateway's configuration; it says where the database is.
    #[arg(long, short, value_name = "FILE", env = "CONFIG_FILE_PATH")]
    pub config: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    pub books: BooksArgs,
    /// The copy; it must not exist yet.
    #[arg(value_name = "FILE")]
    pub to: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ChangesArgs {
    /// At most so many changes, the newest first.
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub limit: u32,
    /// Only changes of this key, team, …
    #[arg(long, value_name = "ID")]
    pub object: Option<String>,
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// Print JSON, with what was before and after.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct InitArgs {
    /// Write to this file instead of standard output; an existing file is not touched.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}
