//! A program of ours as a child process: started, asked whether it is ready, stopped, killed.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::http::{Ask, Http};
use crate::room::Room;
use crate::until::until;

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Program {
    name: &'static str,
    /// Behind a lock, since whoever asks whether it has ended may have to bury it.
    child: Mutex<Child>,
    /// Whether it was ended, or its end waited for.
    is_over: bool,
    id: u32,
    log: PathBuf,
}

/// Where the built programs lie: beside the tests that run.
///
/// # Panics
/// When the program was not built.
pub fn built(name: &str) -> PathBuf {
    let here = std::env::current_exe().expect("the path of this program");
    let folder = here.ancestors().find(|folder| folder.join(name).is_file());
    folder.map(|folder| folder.join(name)).unwrap_or_else(|| {
        panic!("{name} is not built: run `cargo build`, or the tests by `cargo xtask test`")
    })
}

/// A port that was free a moment ago, below those that a system gives to whoever wants any: nobody
/// takes it by chance while what listens there is started again.
///
/// # Panics
/// When the machine has none.
pub fn free_port() -> u16 {
    /// None of them is one that browsers refuse.
    const PORTS: RangeInclusive<u16> = 11_000..=31_999;
    let any = || {
        let place = RandomState::new().hash_one("port") % u64::from(PORTS.end() - PORTS.start());
        PORTS.start() + u16::try_from(place).expect("within the range")
    };
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    std::iter::repeat_with(any).take(1_000).find(is_free).expect("a free port")
}

impl Program {
    /// Starts `name` with these arguments, and in this room if there is one, without waiting for
    /// anything; what it says goes into the log.
    ///
    /// # Panics
    /// When it does not start.
    pub fn spawn(
        name: &'static str,
        arguments: &HashMap<&str, String>,
        log: &Path,
        room: Option<&Room>,
    ) -> Self {
        let to = std::fs::OpenOptions::new().create(true).append(true).open(log).expect("a log");
        let arguments = arguments.iter().flat_map(|(flag, value)| [*flag, value.as_str()]);
        let program = built(name);
        let mut command = match room {
            Some(room) => room.command(&program),
            None => Command::new(program),
        };
        let child = command
            .args(arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(to.try_clone().expect("a second handle of the log"))
            .stderr(to)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let (id, child) = (child.id(), Mutex::new(child));
        Self { name, child, is_over: false, id, log: log.to_owned() }
    }

    /// Waits until this address answers with success.
    ///
    /// # Panics
    /// When the program ends, or the address does not answer in time.
    pub async fn answers(&mut self, url: &str) {
        let http = Http::default();
        until(self.name, || {
            self.still_runs();
            let ask = http.ask(Ask::get(url));
            async { ask.await.ok().filter(|answer| answer.status.is_success()) }
        })
        .await;
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Asks it to end (SIGTERM) and waits for its exit status.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended().await
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ended(&mut self) -> ExitStatus {
        let status = until(self.name, || {
            let status = self.status();
            async move { status }
        })
        .await;
        self.is_over = true;
        status
    }

    /// Ends it at once (SIGKILL), unless it was ended before.
    ///
    /// # Panics
    /// When it has ended by itself, which would go unnoticed.
    pub fn kill(&mut self) {
        if !self.is_over {
            self.still_runs();
            self.end();
        }
    }

    fn end(&mut self) {
        self.is_over = true;
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Both fail only if it has ended already.
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Halts it where it stands (SIGSTOP).
    ///
    /// # Panics
    /// When it has ended by itself, which would go unnoticed.
    pub fn freeze(&self) {
        self.still_runs();
        self.signal("STOP");
    }

    /// Lets it go on after [`Self::freeze`] (SIGCONT).
    ///
    /// # Panics
    /// When it cannot be reached.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    /// Sends it SIGHUP.
    ///
    /// # Panics
    /// When it cannot be reached.
    pub fn hang_up(&self) {
        self.signal("HUP");
    }

    fn still_runs(&self) {
        let ended = self.status();
        assert!(ended.is_none(), "{} ended: {ended:?}\n{}", self.name, self.log_end());
    }

    /// How it has ended, if it has.
    fn status(&self) -> Option<ExitStatus> {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.try_wait().expect("the state of the process")
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIG{name} reaches {}", self.name);
    }

    /// All that it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines of its log.
    pub fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().rev().take(30).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            eprintln!("--- last lines of {}:\n{}", self.name, self.log_end());
        }
    }
}

/// A folder of a story's own, removed at the end unless the story failed.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes a new one.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new(name: &str) -> Self {
        let id = uuid::Uuid::now_v7().simple().to_string();
        let path = std::env::temp_dir().join(format!("clickmill-{name}-{id}"));
        std::fs::create_dir_all(&path).expect("a folder of its own");
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file in it and tells where.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        std::fs::write(&path, text).expect("a file in a folder of our own");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- kept for reading: {}", self.path.display());
        } else {
            // A folder that stays behind harms nobody.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// A short wait in which something is expected not to happen.
pub const A_MOMENT: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn program(seconds: &str) -> Program {
        let child = Command::new("sleep").arg(seconds).spawn().expect("a program");
        let (id, log) = (child.id(), PathBuf::new());
        Program { name: "sleep", child: Mutex::new(child), is_over: false, id, log }
    }

    #[tokio::test]
    async fn who_was_ended_may_be_killed_again() {
        let mut killed = program("60");
        killed.kill();
        killed.kill();
        let mut ended = program("0");
        assert!(ended.ended().await.success());
        ended.kill();
    }

    #[tokio::test]
    #[should_panic(expected = "sleep ended")]
    async fn who_has_ended_by_itself_is_not_killed_in_silence() {
        let mut ended = program("0");
        until("it ends", || std::future::ready(ended.status())).await;
        ended.kill();
    }

    #[tokio::test]
    #[should_panic(expected = "sleep ended")]
    async fn who_has_ended_by_itself_is_not_frozen_in_silence() {
        let ended = program("0");
        until("it ends", || std::future::ready(ended.status())).await;
        ended.freeze();
    }
}
