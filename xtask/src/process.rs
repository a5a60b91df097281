//! Child processes: run to their end, or kept running with their words in a file.
//!
//! Three things end a child that is kept running: [`Running::stop`] in order, the drop of its
//! handle, and, on Linux, the end of this process for whatever reason (util-linux's `setpriv` asks
//! the kernel for that; elsewhere a SIGKILL of this process leaves the child behind).
//! A child has a process group of its own, so that Ctrl-C reaches only us and the order of the
//! end is ours to choose.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::http;
use crate::interrupt::Interrupt;
use crate::place::on_path;
use crate::wait::wait_until;

/// Lines of a log that are shown when something went wrong.
const LOG_LINES_SHOWN: usize = 20;
/// How long a program that was interrupted may take to end by itself.
const INTERRUPT_GRACE: Duration = Duration::from_secs(10);

/// What can go wrong with a child process.
#[derive(Debug)]
pub enum Error {
    /// The program could not be started.
    Start {
        /// Its name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// It ended although it should run.
    Ended {
        /// Its name.
        name: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        last: String,
    },
    /// It runs but did not become ready in time.
    NotReady {
        /// Its name.
        name: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of the log.
        last: String,
    },
    /// It ran to its end and says that it failed.
    Failed {
        /// Its name.
        name: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// The person at the terminal wants an end.
    Interrupted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { name, source } => write!(f, "{name} cannot be started: {source}"),
            Self::Ended { name, log, last } => {
                write!(f, "{name} ended by itself; the end of {}:\n{last}", log.display())
            }
            Self::NotReady { name, log, last } => {
                write!(
                    f,
                    "{name} did not become ready in time; the end of {}:\n{last}",
                    log.display()
                )
            }
            Self::Failed { name, status } => write!(f, "{name} failed ({status})"),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for Error {}

/// Runs a command to its end, in this terminal.
///
/// # Errors
/// When it does not start, fails, or when an end is asked for.
pub fn run(name: &str, command: &mut Command, interrupt: &Interrupt) -> Result<(), Error> {
    let status = status(name, command, interrupt)?;
    if status.success() { Ok(()) } else { Err(Error::Failed { name: name.into(), status }) }
}

/// Runs a command to its end, in this terminal, and tells how it ended.
///
/// # Errors
/// When it does not start, or when an end is asked for.
pub fn status(
    name: &str,
    command: &mut Command,
    interrupt: &Interrupt,
) -> Result<ExitStatus, Error> {
    let start = |source| Error::Start { name: name.to_owned(), source };
    let mut child = command.spawn().map_err(start)?;
    loop {
        if let Some(status) = child.try_wait().map_err(start)? {
            return if interrupt.requested() { Err(Error::Interrupted) } else { Ok(status) };
        }
        if interrupt.wait(Duration::from_millis(25)) {
            // It shares our terminal, so Ctrl-C has reached it too; a SIGTERM to us has not.
            terminate(&child);
            end(&mut child, INTERRUPT_GRACE);
            return Err(Error::Interrupted);
        }
    }
}

/// What to start and where its words go.
#[derive(Clone, Debug)]
pub struct Launch {
    /// What people call it.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables on top of our own environment.
    pub environment: Vec<(String, OsString)>,
    /// The folder it runs in.
    pub folder: PathBuf,
    /// The file that takes both its outputs; an older one is replaced.
    pub log: PathBuf,
}

/// A program that runs until its handle is dropped.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
    log: PathBuf,
    /// The kernel ends the child with the *thread* that started it; that thread lives as long as
    /// this end of its channel.
    _keeper: mpsc::Sender<()>,
}

impl Running {
    /// Starts a program.
    ///
    /// # Errors
    /// When its log cannot be written or it does not start.
    pub fn start(launch: &Launch) -> Result<Self, Error> {
        let failed = |source| Error::Start { name: launch.name.clone(), source };
        if let Some(folder) = launch.log.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let log = File::create(&launch.log).map_err(failed)?;
        let mut command = dies_with_us(&launch.program);
        command
            .args(&launch.arguments)
            .envs(launch.environment.iter().map(|(key, value)| (key, value)))
            .current_dir(&launch.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .process_group(0);
        let (keeper, kept) = mpsc::channel::<()>();
        let (give, take) = mpsc::channel();
        std::thread::Builder::new()
            .name(format!("keeper of {}", launch.name))
            .spawn(move || {
                let spawned = command.spawn();
                if give.send(spawned).is_ok() {
                    // Ends with an error when the handle is gone; nothing is ever sent.
                    let _ = kept.recv();
                }
            })
            .map_err(failed)?;
        let child = take.recv().map_err(|gone| failed(io::Error::other(gone)))?.map_err(failed)?;
        Ok(Self { name: launch.name.clone(), child, log: launch.log.clone(), _keeper: keeper })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Whether it has ended.
    pub fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until `ready` says yes.
    ///
    /// # Errors
    /// When it ends before, when it takes longer than `patience`, or when an end is asked for.
    pub fn wait_until_ready(
        &mut self,
        patience: Duration,
        interrupt: &Interrupt,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), Error> {
        let state = wait_until(patience, || {
            if interrupt.requested() {
                Some(Err(Error::Interrupted))
            } else if self.ended() {
                let (name, log, last) = self.last_words();
                Some(Err(Error::Ended { name, log, last }))
            } else {
                ready().then_some(Ok(()))
            }
        });
        state.unwrap_or_else(|| {
            let (name, log, last) = self.last_words();
            Err(Error::NotReady { name, log, last })
        })
    }

    /// Waits until `/ready` of this admin address answers 200.
    ///
    /// # Errors
    /// As [`Self::wait_until_ready`].
    pub fn wait_for_http(
        &mut self,
        admin: SocketAddr,
        patience: Duration,
        interrupt: &Interrupt,
    ) -> Result<(), Error> {
        let ready = || http::status(admin, "/ready").is_ok_and(|status| status == 200);
        self.wait_until_ready(patience, interrupt, ready)
    }

    /// Asks it to end (SIGTERM), waits for at most `grace`, then ends it (SIGKILL). Whether it
    /// ended by itself.
    pub fn stop(&mut self, grace: Duration) -> bool {
        if self.ended() {
            return true;
        }
        terminate(&self.child);
        end(&mut self.child, grace)
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(&mut self) {
        end(&mut self.child, Duration::ZERO);
    }

    /// Halts it where it stands (SIGSTOP). Only [`Self::thaw`] and [`Self::kill`] reach it then.
    pub fn freeze(&self) {
        signal("STOP", &self.child);
    }

    /// Lets it go on after [`Self::freeze`] (SIGCONT).
    pub fn thaw(&self) {
        signal("CONT", &self.child);
    }

    /// The end of its log.
    pub fn last_lines(&self) -> String {
        last_lines(&self.log)
    }

    fn last_words(&self) -> (String, PathBuf, String) {
        (self.name.clone(), self.log.clone(), self.last_lines())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last lines of a text file, each with a bar before it; nothing when it cannot be read.
pub fn last_lines(file: &Path) -> String {
    let text = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LOG_LINES_SHOWN);
    let shown: Vec<String> = lines[from..].iter().map(|line| format!("  | {line}")).collect();
    shown.join("\n")
}

/// A command whose process the kernel ends when the thread that started it is gone.
fn dies_with_us(program: &Path) -> Command {
    let wrapper = if cfg!(target_os = "linux") { on_path("setpriv") } else { None };
    match wrapper {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL", "--"]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// Asks it to end.
fn terminate(child: &Child) {
    signal("TERM", child);
}

/// Sends a signal. The process id is the child's for as long as nobody waited for it.
fn signal(name: &str, child: &Child) {
    let sent = Command::new("sh")
        .args(["-c", "kill -\"$1\" \"$0\""])
        .arg(child.id().to_string())
        .arg(name)
        .stderr(Stdio::null())
        .status();
    // It fails only when the process is on its way out already.
    drop(sent);
}

/// Waits for a child's end, at most for `grace`, then ends it. Whether it ended by itself.
fn end(child: &mut Child, grace: Duration) -> bool {
    let by_itself = wait_until(grace, || child.try_wait().ok().flatten()).is_some();
    if !by_itself {
        // Both fail only when it has ended after all.
        let _ = child.kill();
        let _ = child.wait();
    }
    by_itself
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn shell(name: &str, script: &str) -> Running {
        let folder = std::env::temp_dir().join(format!("clickmill-xtask-{}", std::process::id()));
        let launch = Launch {
            name: name.into(),
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            environment: vec![("GREETING".into(), "hello".into())],
            folder: "/".into(),
            log: folder.join(format!("{name}.log")),
        };
        Running::start(&launch).unwrap()
    }

    fn alive(id: u32) -> bool {
        Command::new("sh")
            .args(["-c", "kill -0 \"$0\" 2>/dev/null"])
            .arg(id.to_string())
            .status()
            .unwrap()
            .success()
    }

    #[test]
    fn what_it_says_lies_in_its_log() {
        let mut child = shell("says", "echo $GREETING; echo trouble >&2; read nothing");
        wait_until(PATIENCE, || child.ended().then_some(())).unwrap();
        assert_eq!(child.last_lines(), "  | hello\n  | trouble");
    }

    #[test]
    fn one_that_ends_is_not_waited_for() {
        let mut child = shell("ends", "echo no; exit 3");
        let waited = child.wait_until_ready(PATIENCE, &Interrupt::default(), || false);
        let Err(Error::Ended { last, .. }) = waited else { panic!("{waited:?}") };
        assert_eq!(last, "  | no");
    }

    #[test]
    fn one_that_obeys_ends_by_itself() {
        let mut child = shell("obeys", "trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done");
        let log = child.log().to_owned();
        let up = || !last_lines(&log).is_empty();
        child.wait_until_ready(PATIENCE, &Interrupt::default(), up).unwrap();
        assert!(child.stop(PATIENCE));
    }

    #[test]
    fn one_that_does_not_obey_ends_all_the_same() {
        let mut child = shell("deaf", "trap '' TERM; echo up; while :; do sleep 0.01; done");
        let log = child.log().to_owned();
        let up = || !last_lines(&log).is_empty();
        child.wait_until_ready(PATIENCE, &Interrupt::default(), up).unwrap();
        assert!(!child.stop(Duration::from_millis(50)));
        assert!(!alive(child.id()));
    }

    #[test]
    fn one_that_is_frozen_goes_on_when_it_thaws() {
        let mut child =
            shell("frozen", "trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done");
        let log = child.log().to_owned();
        let up = || !last_lines(&log).is_empty();
        child.wait_until_ready(PATIENCE, &Interrupt::default(), up).unwrap();
        let state = |id: u32| {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
            stat.rsplit(") ").next().unwrap().chars().next().unwrap()
        };
        child.freeze();
        wait_until(PATIENCE, || (state(child.id()) == 'T').then_some(())).unwrap();
        child.thaw();
        assert!(child.stop(PATIENCE));
    }

    #[test]
    fn a_dropped_handle_ends_it() {
        let child = shell("dropped", "while :; do sleep 1; done");
        let id = child.id();
        assert!(alive(id));
        drop(child);
        assert!(!alive(id));
    }

    #[test]
    fn it_outlives_the_thread_that_asked_for_it() {
        let asker = std::thread::spawn(|| shell("outlives", "while :; do sleep 0.01; done"));
        let mut child = asker.join().unwrap();
        assert!(wait_until(Duration::from_millis(200), || child.ended().then_some(())).is_none());
    }

    #[test]
    fn an_interrupt_ends_what_runs_in_the_terminal() {
        let interrupt = Interrupt::default();
        interrupt.raise();
        let start = Instant::now();
        let ran = run("sleeper", Command::new("sleep").arg("60"), &interrupt);
        assert!(matches!(ran, Err(Error::Interrupted)), "{ran:?}");
        assert!(start.elapsed() < PATIENCE);
    }
}
