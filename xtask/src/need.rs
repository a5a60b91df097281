//! What this needs from the machine: found, installed where we may, otherwise asked for in one
//! sentence.

mod apt;
mod java;

use std::fmt;
use std::path::PathBuf;

pub use java::{JAVA_VERSION_MIN, java, java_from};

use crate::browsers;
use crate::interrupt::Interrupt;
use crate::place::on_path;

/// One thing that has to be on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A Java that runs Kafka.
    Java,
    /// Maven, which fetches Kafka's jars.
    Maven,
    /// C and C++ compilers with make: librdkafka is built from its source.
    Compiler,
    /// Chromium with its driver, for what is checked in a real browser.
    Browser,
    /// Firefox, for what is tried in more than one engine.
    Firefox,
    /// WebKit's small browser with its driver, and a screen in memory for it; likewise.
    WebKit,
    /// Node.js with npm, for what is checked or squeezed by tools of the web.
    Node,
    /// Debian's Rust with the library's source: compiles for browsers without rustup's target.
    WasmCompiler,
    /// The C library of WASI programs: tests run as such.
    WasiLibrary,
}

impl Need {
    /// How people call it.
    fn name(self) -> &'static str {
        match self {
            Self::Java => "Java 17 or newer",
            Self::Maven => "Maven",
            Self::Compiler => "a C and C++ compiler with make",
            Self::Browser => "Chromium with chromedriver",
            Self::Firefox => "Firefox",
            Self::WebKit => "WebKitGTK's MiniBrowser with its WebDriver, and Xvfb",
            Self::Node => "Node.js with npm",
            Self::WasiLibrary => "the C library of WASI",
            Self::WasmCompiler => "a Rust compiler for wasm32 with its library's source",
        }
    }

    /// The Debian packages that bring it.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Java => &["default-jre-headless"],
            Self::Maven => &["maven"],
            Self::Compiler => &["gcc", "g++", "make", "libc6-dev"],
            Self::Browser => &["chromium", "chromium-driver"],
            Self::Firefox => &["firefox-esr"],
            Self::WebKit => &["webkit2gtk-driver", "xvfb", "xauth", "dbus"],
            Self::Node => &["nodejs", "npm"],
            Self::WasiLibrary => &["wasi-libc"],
            Self::WasmCompiler => &["rustc-web", "rust-web-src", "cargo-web"],
        }
    }

    /// Whether it is there.
    pub fn met(self) -> bool {
        let all = |names: &[&str]| names.iter().all(|name| on_path(name).is_some());
        match self {
            Self::Java => java().is_ok(),
            Self::Maven => all(&["mvn"]),
            Self::Compiler => all(&["cc", "c++", "make"]),
            Self::Browser => chromium().is_some() && all(&["chromedriver"]),
            Self::Firefox => browsers::firefox().is_some(),
            Self::WebKit => browsers::minibrowser().is_some() && all(&["WebKitWebDriver", "Xvfb"]),
            Self::Node => all(&["node", "npm"]),
            Self::WasiLibrary => crate::web::wasi_library(),
            Self::WasmCompiler => crate::web::debian_compiler().is_some(),
        }
    }
}

/// The browser that checks drive.
pub fn chromium() -> Option<PathBuf> {
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(on_path)
}

/// Why a need could not be met.
#[derive(Debug)]
pub enum Error {
    /// It is missing and we may not install it.
    Missing {
        /// What is missing, in words.
        what: String,
        /// The command that brings it, where one is known.
        command: Option<String>,
    },
    /// The package manager reaches no network.
    NoNetwork {
        /// What is missing, in words.
        what: String,
    },
    /// The package manager ran and failed.
    Install {
        /// The command.
        command: String,
        /// What it said last.
        said: String,
    },
    /// The package manager ran well, and still it is not there.
    StillMissing {
        /// What is missing, in words.
        what: String,
        /// The packages that should have brought it.
        packages: String,
    },
    /// The person at the terminal wants an end.
    Interrupted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { what, command: Some(command) } => {
                write!(f, "this needs {what}; install it with: {command}")
            }
            Self::Missing { what, command: None } => {
                write!(f, "this needs {what}; install it and make sure it is on PATH")
            }
            Self::NoNetwork { what } => write!(
                f,
                "this needs {what}, and no network reaches the package archive to install it from"
            ),
            Self::Install { command, said } => write!(f, "`{command}` failed: {said}"),
            Self::StillMissing { what, packages } => {
                write!(f, "{packages} went in, and {what} is still not found")
            }
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for Error {}

/// Makes sure that all of this is there; says what is missing and installs it where it may.
///
/// # Errors
/// When something is missing and cannot be brought.
pub fn ensure(needs: &[Need], interrupt: &Interrupt) -> Result<(), Error> {
    let missing: Vec<Need> = needs.iter().copied().filter(|need| !need.met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what = names(&missing);
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.packages()).copied().collect();
    let Some(apt) = apt::Apt::find() else {
        return Err(Error::Missing { what, command: None });
    };
    if !apt.may_install() {
        return Err(Error::Missing { what, command: Some(apt.command_by_hand(&packages)) });
    }
    eprintln!("missing: {what}; installing {}", packages.join(", "));
    apt.install(&packages, interrupt).map_err(|failure| match failure {
        apt::Failure::NoNetwork => Error::NoNetwork { what },
        apt::Failure::Said { command, said } => Error::Install { command, said },
        apt::Failure::Interrupted => Error::Interrupted,
    })?;
    let still: Vec<Need> = missing.into_iter().filter(|need| !need.met()).collect();
    if still.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = still.iter().flat_map(|need| need.packages()).copied().collect();
    Err(Error::StillMissing { what: names(&still), packages: packages.join(", ") })
}

fn names(needs: &[Need]) -> String {
    let names: Vec<&str> = needs.iter().map(|need| need.name()).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_as_a_list() {
        for (needs, text) in [
            (&[Need::Maven][..], "Maven"),
            (&[Need::Java, Need::Maven], "Java 17 or newer and Maven"),
            (
                &[Need::Java, Need::Maven, Need::Node],
                "Java 17 or newer, Maven and Node.js with npm",
            ),
        ] {
            assert_eq!(names(needs), text);
        }
    }

    #[test]
    fn what_is_missing_is_one_sentence() {
        let missing = Error::Missing {
            what: "Maven".into(),
            command: Some("sudo apt-get install maven".into()),
        };
        assert_eq!(
            missing.to_string(),
            "this needs Maven; install it with: sudo apt-get install maven"
        );
    }
}
