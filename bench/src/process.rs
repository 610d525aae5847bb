//! Processes under measurement: starting them, what they use, ending them.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::time::ClockId;
use nix::unistd::Pid;

/// A program that runs until this value is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// When it was started.
    pub started: Instant,
}

impl Process {
    /// Starts a command; what it prints goes to `log`.
    ///
    /// # Errors
    /// The program cannot be run, or the log cannot be written.
    pub fn start(command: &[String], folder: &Path, log: &Path) -> io::Result<Self> {
        let (program, arguments) = command
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"))?;
        let log = fs::File::create(log)?;
        let started = Instant::now();
        let child = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self { child, started })
    }

    /// Whether the program has ended by itself.
    pub fn is_gone(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    /// CPU time of the process and its descendants since their start, of all threads that run or have run,
    /// in nanoseconds from the kernel's clock for each process.
    pub fn cpu(&self) -> Duration {
        self.tree().filter_map(clock).sum()
    }

    /// Resident memory of the process and its descendants, in bytes. Pages that they share count each time.
    pub fn resident_bytes(&self) -> u64 {
        self.tree().filter_map(resident).sum()
    }

    fn tree(&self) -> impl Iterator<Item = Pid> {
        let mut found = vec![pid(&self.child)];
        let parents: Vec<_> = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|number: i32| Some((Pid::from_raw(number), parent(number)?)))
            .collect();
        let mut at = 0;
        while let Some(&of) = found.get(at) {
            found.extend(parents.iter().filter(|(_, parent)| *parent == of).map(|(pid, _)| *pid));
            at += 1;
        }
        found.into_iter()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGTERM first, so that a server with workers takes them along. It may be gone already.
        let _ = kill(pid(&self.child), Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(10);
        while !self.is_gone() && Instant::now() < deadline {
            sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of this process so far.
#[must_use]
pub fn own_cpu() -> Duration {
    ClockId::CLOCK_PROCESS_CPUTIME_ID.now().map_or(Duration::ZERO, Duration::from)
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("Linux's process ids fit an i32"))
}

fn clock(pid: Pid) -> Option<Duration> {
    ClockId::pid_cpu_clock_id(pid).ok()?.now().ok().map(Duration::from)
}

fn field(pid: impl std::fmt::Display, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

fn parent(number: i32) -> Option<Pid> {
    field(number, "PPid").and_then(|parent| i32::try_from(parent).ok()).map(Pid::from_raw)
}

fn resident(pid: Pid) -> Option<u64> {
    field(pid, "VmRSS").map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_and_what_it_started_are_counted_together() {
        let folder = std::env::temp_dir();
        let log = folder.join(format!("tollway-bench-test-{}", std::process::id()));
        let spin = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; read never < /dev/zero";
        let command = ["sh", "-c", &format!("sh -c '{spin}' & wait")].map(str::to_owned);
        let process = Process::start(&command, &folder, &log).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while process.tree().count() < 2 || process.cpu() < Duration::from_millis(1) {
            assert!(Instant::now() < deadline, "the child is not seen");
            std::thread::yield_now();
        }
        assert!(process.resident_bytes() > 0);
        for pid in process.tree().skip(1) {
            kill(pid, Signal::SIGKILL).unwrap();
        }
        fs::remove_file(log).unwrap();
    }
}
