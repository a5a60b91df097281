//! Debian's package manager, used only where it may be.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::interrupt::Interrupt;
use crate::place::on_path;
use crate::process;

/// Found on a Debian-like machine.
#[derive(Debug)]
pub(super) struct Apt {
    program: PathBuf,
    /// How we become root, where we are not and may.
    sudo: Option<PathBuf>,
    root: bool,
}

/// Why packages did not go in.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing answers where the packages are.
    NoNetwork,
    /// Something else, in the program's own words.
    Said { command: String, said: String },
    /// The person at the terminal wants an end.
    Interrupted,
}

impl Apt {
    /// The package manager, where this machine has it.
    pub(super) fn find() -> Option<Self> {
        let program = on_path("apt-get")?;
        if !Path::new("/etc/debian_version").exists() {
            return None;
        }
        let root = output(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0");
        let sudo = on_path("sudo")
            .filter(|sudo| !root && output(Command::new(sudo).args(["-n", "true"])).is_some());
        Some(Self { program, sudo, root })
    }

    /// Whether it can be used without asking the person for a password.
    pub(super) fn may_install(&self) -> bool {
        self.root || self.sudo.is_some()
    }

    /// What a person types.
    pub(super) fn command_by_hand(&self, packages: &[&str]) -> String {
        format!("sudo apt-get install --no-install-recommends {}", packages.join(" "))
    }

    /// Brings the lists up to date and puts the packages in. Nothing is ever removed for them.
    pub(super) fn install(&self, packages: &[&str], interrupt: &Interrupt) -> Result<(), Failure> {
        // An old list names packages that are gone; a failing mirror shows at the install.
        let _ = self.run(&["update"], interrupt)?;
        let mut arguments = vec!["install", "--yes", "--no-remove", "--no-install-recommends"];
        arguments.extend(packages);
        let (well, log) = self.run(&arguments, interrupt)?;
        if well {
            return Ok(());
        }
        if no_network(&log) {
            return Err(Failure::NoNetwork);
        }
        let said =
            log.lines().rev().find(|line| line.starts_with("E:")).unwrap_or("no reason given");
        Err(Failure::Said { command: self.command_by_hand(packages), said: said.to_owned() })
    }

    /// Runs it quietly; whether it went well, and what it said.
    fn run(&self, arguments: &[&str], interrupt: &Interrupt) -> Result<(bool, String), Failure> {
        let said = |said: String| Failure::Said {
            command: format!("apt-get {}", arguments.join(" ")),
            said,
        };
        let path = std::env::temp_dir().join(format!("clickmill-apt-{}.log", std::process::id()));
        let log = std::fs::File::create(&path).map_err(|error| said(error.to_string()))?;
        let errors = log.try_clone().map_err(|error| said(error.to_string()))?;
        let mut command = match &self.sudo {
            Some(sudo) => {
                let mut command = Command::new(sudo);
                command.args(["-n", "env", "DEBIAN_FRONTEND=noninteractive"]).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command
            .args(["-o", "Acquire::Retries=2", "-o", "DPkg::Lock::Timeout=120"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            // We read its words.
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        let status = process::status("apt-get", &mut command, interrupt);
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).into_owned();
        // A log that stays behind harms nobody.
        let _ = std::fs::remove_file(&path);
        match status {
            Ok(status) => Ok((status.success(), text)),
            Err(process::Error::Interrupted) => Err(Failure::Interrupted),
            Err(error) => Err(said(error.to_string())),
        }
    }
}

/// What a command prints, when it goes well.
fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether apt-get's words mean that nothing answers where the packages are.
fn no_network(log: &str) -> bool {
    ["Temporary failure resolving", "Could not resolve", "Could not connect", "Unable to connect"]
        .iter()
        .any(|sign| log.contains(sign))
        || (log.contains("Failed to fetch") && !log.contains("404"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_network_is_recognised() {
        for (log, missing) in [
            ("Err:1 somewhere\n  Temporary failure resolving 'somewhere'", true),
            ("E: Failed to fetch somewhere/x.deb  Could not connect", true),
            ("E: Failed to fetch somewhere/x.deb  404  Not Found", false),
            ("E: Unable to locate package chromiom", false),
        ] {
            assert_eq!(no_network(log), missing, "{log}");
        }
    }
}
