//! The servers that are compared: the mock by itself, nginx before it, and gateways before it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::{Method, Uri};
use serde_json::{Value, json};

use crate::case::{CASES, Case, KEY, Setup, bearer};
use crate::process::Process;
use crate::shot::{Failure, Gun, Shot};

/// How a subject is addressed and started.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// For the table.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Port on which it serves.
    pub port: u16,
    /// A gateway, which speaks to the client for itself; `None`: it passes on what it gets (mock, nginx).
    pub setup: Option<Setup>,
}

/// A recipe that runs.
#[derive(Debug)]
pub struct Subject {
    /// Where it came from.
    pub recipe: Recipe,
    /// The running program.
    pub process: Process,
    /// From its start to the end of its first good answer.
    pub start: Duration,
    /// What its callers present.
    key: String,
}

/// A folder for configurations and logs, removed in the end.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes a folder of this process's own among the temporary ones.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new() -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("tollway-bench-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// A folder in it.
    fn home(&self, name: &str) -> std::io::Result<PathBuf> {
        let path = self.0.join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn file(&self, name: &str, text: &str) -> std::io::Result<String> {
        let path = self.0.join(name);
        fs::write(&path, text)?;
        Ok(path.to_string_lossy().into_owned())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind in the temporary folder harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A port that was free a moment ago.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

impl Recipe {
    /// The mock, beside this program.
    ///
    /// # Errors
    /// It is not there, or no port is free.
    pub fn mock() -> std::io::Result<Self> {
        let program = std::env::current_exe()?.with_file_name("mock-upstream");
        if !program.exists() {
            let hint = format!("{} is missing: build it with this program", program.display());
            return Err(std::io::Error::new(std::io::ErrorKind::NotFound, hint));
        }
        let port = free_port()?;
        let command = [&program.to_string_lossy(), "--port", &port.to_string()].map(str::to_owned).to_vec();
        Ok(Self { name: "mock".to_owned(), command, port, setup: None })
    }

    /// nginx as a plain reverse proxy that keeps its upstream connections.
    ///
    /// # Errors
    /// nginx is not installed, or its configuration cannot be written.
    pub fn nginx(folder: &Folder, mock: u16, workers: u32) -> std::io::Result<Self> {
        let program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .ok_or_else(|| {
                let hint = "nginx is missing: apt-get install nginx-light (or leave it out with --no-nginx)";
                std::io::Error::new(std::io::ErrorKind::NotFound, hint)
            })?;
        let port = free_port()?;
        let home = folder.0.display();
        let configuration = folder.file("nginx.conf", &nginx_conf(&home.to_string(), port, mock, workers))?;
        let command = [program, "-p", &home.to_string(), "-c", &configuration].map(str::to_owned).to_vec();
        Ok(Self { name: "nginx".to_owned(), command, port, setup: None })
    }

    /// A gateway that is started with a configuration: the mock's deployments and some lines more.
    ///
    /// # Errors
    /// The configuration cannot be written, the program is not there, or no port is free.
    pub fn configured(
        folder: &Folder,
        name: &str,
        program: &Path,
        mock: u16,
        more: &str,
    ) -> std::io::Result<Self> {
        let text = format!("{}{more}", Setup::Bare.model_list(mock));
        let configuration = folder.file(&format!("{name}.yaml"), &text)?;
        let port = free_port()?;
        let program = fs::canonicalize(program)?.to_string_lossy().into_owned();
        let arguments = ["--config", &configuration, "--port", &port.to_string()].map(str::to_owned);
        let command = [program].into_iter().chain(arguments).collect();
        Ok(Self { name: name.to_owned(), command, port, setup: Some(Setup::Bare) })
    }

    /// A gateway from a command with the placeholders `{config}`, `{port}` and `{upstream}`.
    ///
    /// # Errors
    /// Its configuration cannot be written, or no port is free.
    pub fn gateway(
        folder: &Folder,
        name: &str,
        command: &str,
        mock: u16,
        setup: Setup,
    ) -> std::io::Result<Self> {
        let port = free_port()?;
        let name = format!("{name}{}", setup.suffix());
        let configuration = folder.file(&format!("{name}.yaml"), &setup.config(mock))?;
        let filled = command
            .split_whitespace()
            .map(|word| word.replace("{config}", &configuration).replace("{port}", &port.to_string()))
            .map(|word| word.replace("{upstream}", &mock.to_string()));
        let mut command: Vec<_> = filled.collect();
        // Subjects run in the folder; a program named by a path is meant from here.
        if let Some(program) = command.first_mut()
            && program.contains('/')
        {
            *program = fs::canonicalize(&*program)
                .map_err(|error| std::io::Error::new(error.kind(), format!("{program}: {error}")))?
                .to_string_lossy()
                .into_owned();
        }
        Ok(Self { name, command, port, setup: Some(setup) })
    }

    /// Where among `recipes` the same gateway stands without what this one's set-up adds, if it adds something.
    pub fn beside(&self, recipes: &[Self]) -> Option<usize> {
        let setup = self.setup.filter(|setup| *setup != Setup::Bare)?;
        let name = self.name.strip_suffix(setup.suffix())?;
        recipes.iter().position(|recipe| recipe.setup == Some(Setup::Bare) && recipe.name == name)
    }

    /// Starts it and waits for its first good answer.
    ///
    /// # Errors
    /// It does not start, ends early, or does not answer well within a minute; the text has its last words.
    pub async fn start(&self, folder: &Folder) -> Result<Subject, Failure> {
        let log = folder.0.join(format!("{}.log", self.name));
        // What a gateway writes down (its database) is its own.
        let home = folder.home(&self.name)?;
        let process = Process::start(&self.command, &home, &log)?;
        let key = KEY.to_owned();
        let mut subject = Subject { recipe: self.clone(), process, start: Duration::ZERO, key };
        let small = CASES.first().expect("there are cases");
        let shot = subject.shot(small);
        loop {
            let mut body = Vec::new();
            let answer = Gun::new(&shot).fire(&mut |piece| body.extend_from_slice(piece)).await;
            let complaint = match answer {
                Ok(_) if small.is_answer(&body) => break,
                Ok(answer) => format!("{} {}", answer.shape.status, String::from_utf8_lossy(&body)),
                Err(error) => error.to_string(),
            };
            let waited = subject.process.started.elapsed();
            if subject.process.is_gone() || waited > Duration::from_secs(60) {
                let said = fs::read_to_string(&log).unwrap_or_default();
                let last: Vec<_> = said.lines().rev().take(10).collect();
                let last: Vec<_> = last.into_iter().rev().collect();
                return Err(format!(
                    "{} gave no good answer ({complaint}); its last words:\n{}",
                    self.name,
                    last.join("\n")
                )
                .into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        subject.start = Instant::now() - subject.process.started;
        if self.setup == Some(Setup::Keys) {
            subject.key = subject.virtual_key().await?;
        }
        Ok(subject)
    }
}

impl Subject {
    /// A case's request to this subject.
    pub fn shot(&self, case: &Case) -> Arc<Shot> {
        let Recipe { port, setup, .. } = self.recipe;
        Arc::new(if setup.is_some() { case.to_gateway(port, &self.key) } else { case.to_provider(port) })
    }

    /// Whether a case is meant for it: mock and nginx take all.
    pub fn takes(&self, case: &Case) -> bool {
        self.recipe.setup.is_none_or(|setup| case.setups.contains(&setup))
    }

    /// A new key with a budget and limits that no run reaches.
    async fn virtual_key(&self) -> Result<String, Failure> {
        let body = json!({"max_budget": 1e6, "rpm_limit": 1_000_000_000, "tpm_limit": 1_000_000_000_000_u64});
        let shot = Arc::new(Shot {
            method: Method::POST,
            port: self.recipe.port,
            path: Uri::from_static("/key/generate"),
            headers: [bearer(KEY)].into_iter().collect(),
            body: body.to_string().into(),
        });
        let mut answer = Vec::new();
        Gun::new(&shot).fire(&mut |piece| answer.extend_from_slice(piece)).await?;
        let made: Value = serde_json::from_slice(&answer)?;
        let key = made.get("key").and_then(Value::as_str).map(str::to_owned);
        key.ok_or_else(|| format!("{} made no key: {made}", self.recipe.name).into())
    }
}

/// `proxy_buffering off` as everyone sets it for event streams; buffers so large that no body goes to disk.
fn nginx_conf(home: &str, port: u16, mock: u16, workers: u32) -> String {
    format!(
        "daemon off;
worker_processes {workers};
pid {home}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {home}/nginx-body;
  proxy_temp_path {home}/nginx-proxy;
  client_body_buffer_size 1m;
  client_max_body_size 64m;
  keepalive_requests 100000000;
  tcp_nodelay on;
  upstream mock {{ server 127.0.0.1:{mock}; keepalive 512; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096 {reuseport};
    location / {{
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_buffering off;
      proxy_read_timeout 600s;
    }}
  }}
}}
",
        // Without it one of the workers takes nearly all connections.
        reuseport = if workers > 1 { "reuseport" } else { "" },
    )
}
