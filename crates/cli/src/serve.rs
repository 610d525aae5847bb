use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use gateway::books::{Books, OpenError};
use gateway::config::{Config, LogFormat, LogLevel, MasterKey};
use gateway::events::{self, Level, Log, log::Format};
use gateway::snapshot::Snapshot;
use gateway::{Gateway, server};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::ServeArgs;
use crate::output::{self, Failure};
use crate::watch::Watch;
use crate::{books, local};

/// Serves until it is told to stop.
pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let plan = Plan::of(args)?;
    // Clients' connections have threads of their own; this one is for what goes on beside them.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(serve(args, plan))
}

/// What the command line and the configuration come to.
struct Plan {
    config: Config,
    snapshot: Snapshot,
    address: SocketAddr,
    /// Warnings of the configuration, rendered.
    warnings: String,
    /// Why the address is not the one that was asked for.
    remark: Option<String>,
}

impl Plan {
    fn of(args: &ServeArgs) -> Result<Self, Failure> {
        let (config, snapshot, warnings) = match (&args.config, args.model.is_empty()) {
            (Some(file), _) => local::from_file(file)?,
            (None, false) => local::from_models(&args.model, args.api_base.as_deref())?,
            (None, true) => local::demo()?,
        };
        if let MasterKey::Weak(_) = config.general.master_key
            && !config.general.may_serve()
        {
            return Err(Failure::config(
                "the master key is one that everyone knows; set `general_settings.master_key` to a key of your own, \
                 e.g. `sk-` and the output of `openssl rand -hex 24`, or accept the risk with \
                 `general_settings.dangerously_permit_weak_or_unset_master_key: true`",
            ));
        }
        let (address, remark) = address(args, &config)?;
        Ok(Self { config, snapshot, address, warnings, remark })
    }
}

/// Where to listen: without a master key whoever reaches the port may spend the operator's money, so only this
/// machine does.
fn address(args: &ServeArgs, config: &Config) -> Result<(SocketAddr, Option<String>), Failure> {
    let host = match args.host {
        Some(host) => host,
        None => config.tollway.host.parse::<IpAddr>().map_err(|_| {
            Failure::config(format!("`tollway.host`: `{}` is not an IP address", config.tollway.host))
        })?,
    };
    let port = args.port.unwrap_or(config.tollway.port);
    let open = matches!(config.general.master_key, MasterKey::Unset);
    if open && !host.is_loopback() && !config.general.permit_weak_master_key {
        let remark = "no master key is set, so only this machine is served; \
                      set `general_settings.master_key` (or LITELLM_MASTER_KEY) to serve others";
        return Ok((SocketAddr::from((Ipv4Addr::LOCALHOST, port)), Some(remark.to_owned())));
    }
    Ok((SocketAddr::from((host, port)), None))
}

async fn serve(args: &ServeArgs, plan: Plan) -> Result<(), Failure> {
    let Plan { config, snapshot, address, warnings, remark } = plan;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::new(format!("cannot listen on {address}: {error}; another port can be chosen with --port"))
    })?;
    let address = listener.local_addr()?;
    let models = snapshot.model_count();
    let first_model = snapshot.groups().next().map(|group| group.name.to_string());
    let watch = Watch::new(if args.watch || config.tollway.watch { &snapshot.files } else { &[] });
    let level = if args.debug { Level::Debug } else { level(config.tollway.log_level) };
    let log = Log::to_stdout(level, format(config.tollway.log_format));
    let kept = open_books(&config, args.config.as_deref(), &log).await?;
    let gateway = Gateway::new(snapshot, log, kept.clone());
    if let Some(vault) = books::vault(&config)? {
        gateway.keep_secrets_with(vault);
        gateway.load_models().await?;
        tokio::spawn(Gateway::follow_models(Arc::downgrade(&gateway)));
    }
    if !warnings.is_empty() {
        output::note(warnings.trim_end());
    }
    welcome(address, models, first_model.as_deref(), args, remark.as_deref());
    events::listening(&gateway.log, &address.to_string(), models);
    if let Some(file) = args.config.clone() {
        tokio::spawn(reload_on_demand(Arc::clone(&gateway), file, watch));
    }
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let cores = args.workers.or_else(|| std::thread::available_parallelism().ok().map(Into::into));
    let grace = config.tollway.shutdown_grace;
    server::serve(Arc::clone(&gateway), listener, cores.unwrap_or(1), stop, grace).await?;
    if let Some(books) = kept {
        books.close().await;
    }
    gateway.log.close();
    Ok(())
}

/// Keys are made with the master key, so without one there is nothing to keep. Where nobody chose a folder and the usual
/// one cannot be written (a read-only volume), requests are served all the same.
async fn open_books(config: &Config, file: Option<&Path>, log: &Log) -> Result<Option<Arc<Books>>, Failure> {
    if let MasterKey::Unset = config.general.master_key {
        return Ok(None);
    }
    let is_chosen = config.books.folder.is_some();
    match Books::open(&books::settings(config, file), log.clone()).await {
        Ok(books) => {
            let kept = books.keep().await;
            kept.map_err(|error| Failure::new(format!("the database does not tell what changes: {error}")))?;
            Ok(Some(books))
        }
        Err(error @ OpenError::Folder(..)) if !is_chosen => {
            output::note(&format!(
                "warning: {error}; there are no virtual keys and spend is not kept. {CHOOSE_A_FOLDER}"
            ));
            Ok(None)
        }
        Err(error @ (OpenError::Folder(..) | OpenError::File(..))) => {
            Err(Failure::new(format!("{error}. {CHOOSE_A_FOLDER}")))
        }
        Err(error) => Err(Failure::new(error.to_string())),
    }
}

const CHOOSE_A_FOLDER: &str =
    "Choose a folder that can be written with `tollway.data_folder` or TOLLWAY_DATA.";

/// Reads the configuration again when a file changes or SIGHUP comes. A wrong one is refused and the old one stays.
async fn reload_on_demand(gateway: Arc<Gateway>, file: std::path::PathBuf, mut watch: Watch) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    loop {
        tokio::select! {
            _ = hangup.recv() => {}
            () = watch.changed() => {}
        }
        reload(&gateway, &file);
    }
}

fn reload(gateway: &Gateway, file: &Path) {
    match local::from_file(file) {
        Ok((_, snapshot, warnings)) => {
            let count = warnings.lines().filter(|line| line.starts_with("warning")).count();
            events::config_reloaded(&gateway.log, snapshot.model_count(), count);
            gateway.reload(snapshot);
        }
        Err(failure) => events::config_refused(&gateway.log, &failure.message),
    }
}

/// What a person who has just started the gateway wants to know.
fn welcome(address: SocketAddr, models: usize, model: Option<&str>, args: &ServeArgs, remark: Option<&str>) {
    let shown = if address.ip().is_unspecified() {
        SocketAddr::from((Ipv4Addr::LOCALHOST, address.port()))
    } else {
        address
    };
    let word = if models == 1 { "model" } else { "models" };
    output::note(&format!("Tollway {} on http://{shown} with {models} {word}", env!("CARGO_PKG_VERSION")));
    if let Some(remark) = remark {
        output::note(&format!("note: {remark}"));
    }
    if args.config.is_some() {
        return;
    }
    let model = model.unwrap_or("demo");
    output::note(&format!(
        "\n  curl http://{shown}/v1/chat/completions -H 'content-type: application/json' \\\n    \
         -d '{{\"model\": \"{model}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello!\"}}]}}'\n\n\
         The API: http://{shown}/docs   Add a provider: tollway init > config.yaml && tollway --config config.yaml\n"
    ));
}

fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::Error,
        LogLevel::Warn => Level::Warn,
        LogLevel::Info => Level::Info,
        LogLevel::Debug | LogLevel::Trace => Level::Debug,
    }
}

fn format(format: LogFormat) -> Format {
    match format {
        LogFormat::Text => Format::Text,
        LogFormat::Json => Format::Json,
    }
}
