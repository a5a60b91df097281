//! Firefox and WebKit beside Chromium, for what is tried in more than one engine: where they are,
//! and how they come.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::interrupt::Interrupt;
use crate::need::{self, Need};
use crate::place::{Place, on_path};
use crate::process;
use crate::web;

/// Firefox's driver is a crate; no Debian package has it.
const GECKODRIVER: &str = "geckodriver";
/// The version that is installed where there is none.
const GECKODRIVER_VERSION: &str = "0.37.1";
/// Where Debian puts its libraries, by architecture.
const LIBRARIES: &str = "/usr/lib";

/// Firefox, as Debian or anybody else calls it.
pub fn firefox() -> Option<PathBuf> {
    ["firefox-esr", "firefox"].into_iter().find_map(on_path)
}

/// Firefox's driver: of `PATH`, or the one that was installed for us.
pub fn geckodriver(place: &Place) -> Option<PathBuf> {
    let ours = home(place).join("bin").join(GECKODRIVER);
    on_path(GECKODRIVER).or_else(|| ours.is_file().then_some(ours))
}

/// The small browser that comes with WebKitGTK, which its driver starts.
pub fn minibrowser() -> Option<PathBuf> {
    let folders = |path: &Path| {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let libraries = folders(Path::new(LIBRARIES)).into_iter().flat_map(|path| folders(&path));
    let is_webkit = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("webkit2gtk-"))
    };
    let found = libraries.filter(is_webkit).map(|path| path.join("MiniBrowser"));
    found.filter(|path| path.is_file()).max()
}

/// Finds or installs Firefox and its driver.
///
/// # Errors
/// In one sentence, when one of them is missing and cannot be brought.
pub fn bring_firefox(place: &Place, interrupt: &Interrupt) -> Result<(), String> {
    need::ensure(&[Need::Firefox], interrupt).map_err(|error| error.to_string())?;
    if geckodriver(place).is_some() {
        return Ok(());
    }
    let what = format!("{GECKODRIVER} {GECKODRIVER_VERSION}");
    eprintln!("missing: {what}; building it");
    let mut command = web::cargo(place);
    command.args(["install", "--quiet", "--locked", GECKODRIVER]);
    command.args(["--version", GECKODRIVER_VERSION, "--root"]).arg(home(place));
    command.stdin(Stdio::null());
    process::run("cargo install", &mut command, interrupt)
        .map_err(|error| format!("this needs {what}, and it could not be built: {error}"))
}

/// Finds or installs WebKit with its driver and a screen for it.
///
/// # Errors
/// In one sentence, when something is missing and cannot be brought.
pub fn bring_webkit(interrupt: &Interrupt) -> Result<(), String> {
    need::ensure(&[Need::WebKit], interrupt).map_err(|error| error.to_string())
}

fn home(place: &Place) -> PathBuf {
    place.cache().join(format!("{GECKODRIVER}-{GECKODRIVER_VERSION}"))
}
