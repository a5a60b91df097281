//! The programs behind a window: a browser's driver and, for a browser that draws, a screen in
//! memory. All that was started is ended by its id.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use clickmill_xtask::browsers;
use clickmill_xtask::place::Place;
use fantoccini::wd::{Capabilities, WebDriverCompatibleCommand};
use serde_json::{Value, json};
use url::{ParseError, Url};

use super::Engine;
use crate::child::free_port;

/// Running programs; killed when dropped.
#[derive(Debug)]
pub(super) struct Programs {
    driver: Child,
    screen: Option<Child>,
}

/// What a browser is started with.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes {
    /// Further words of Chromium's command line.
    pub(super) switches: Vec<String>,
    /// Whether sites may keep nothing.
    pub(super) without_storage: bool,
    /// Whether the window is a private one.
    pub(super) is_private: bool,
    /// Whether the visitor wants to be neither sold nor shared.
    pub(super) signals_privacy: bool,
}

impl Programs {
    /// Starts an engine's driver, whose browser is to keep its things in `profile`, and tells where
    /// it will answer.
    pub(super) fn start(engine: Engine, profile: &Path) -> (Self, String) {
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}");
        let mut screen = None;
        let mut command = match engine {
            Engine::Chromium => Command::new("chromedriver"),
            Engine::Firefox => {
                let driver = browsers::geckodriver(&Place::here());
                let mut command =
                    Command::new(driver.expect("geckodriver: see `cargo xtask test`"));
                // Its other door would be the same for all.
                command.arg(format!("--websocket-port={}", free_port())).arg("--binary");
                command.arg(browsers::firefox().expect("Firefox: see `cargo xtask test`"));
                // The switch that takes the network away belongs to the browser, not to a page.
                command.args(["--allow-system-access", "--log=fatal"]);
                command
            }
            Engine::WebKit => {
                let (child, display) = start_screen();
                screen = Some(child);
                let mut command = Command::new("WebKitWebDriver");
                command.env("DISPLAY", display).env("HOME", profile);
                // As on most test machines: as root, and without a graphics card.
                command.env("WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS", "1");
                command.env("WEBKIT_DISABLE_COMPOSITING_MODE", "1");
                for (name, folder) in [("XDG_DATA_HOME", "data"), ("XDG_CACHE_HOME", "cache")] {
                    command.env(name, profile.join(folder));
                }
                command
            }
        };
        let driver = command
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("the driver of {engine:?}: {error}; `cargo xtask test --all` installs it")
            });
        (Self { driver, screen }, url)
    }

    /// The processes that run pages of WebKit's.
    pub(super) fn page_processes(&self) -> Vec<u32> {
        let runs_a_page = |id: &u32| {
            let name = std::fs::read_to_string(format!("/proc/{id}/cmdline"));
            name.is_ok_and(|name| name.contains("WebKitWebProcess"))
        };
        descendants(self.driver.id()).into_iter().filter(runs_a_page).collect()
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        // A driver that is killed leaves its browser behind, so the browser goes first. All of this
        // fails only if it has ended already.
        descendants(self.driver.id()).into_iter().for_each(kill);
        for child in [Some(&mut self.driver), self.screen.as_mut()].into_iter().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Ends a process at once.
pub(super) fn kill(id: u32) {
    // Fails only if it has ended already.
    let _ = Command::new("kill").arg("-KILL").arg(id.to_string()).stderr(Stdio::null()).status();
}

/// A screen that nobody sees, and how programs are told of it.
fn start_screen() -> (Child, String) {
    // It takes a number that is free and says which.
    let mut child = Command::new("Xvfb")
        .args(["-displayfd", "1", "-screen", "0", "1280x900x24", "-nolisten", "tcp"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("Xvfb starts: `cargo xtask test --all` installs it");
    let mut number = String::new();
    let said = child.stdout.take().map(|said| BufReader::new(said).read_line(&mut number));
    assert!(matches!(said, Some(Ok(1..))), "Xvfb names its screen: {said:?}");
    (child, format!(":{}", number.trim()))
}

/// All processes that `parent` started, and those that they started, as far as they run.
fn descendants(parent: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists =
        threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let ids =
        |list: String| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>();
    lists.flat_map(ids).flat_map(|id| [vec![id], descendants(id)].concat()).collect()
}

/// What is asked of the driver for a window.
pub(super) fn capabilities(engine: Engine, profile: &Path, wishes: &Wishes) -> Capabilities {
    let (name, options) = match engine {
        Engine::Chromium => ("goog:chromeOptions", chromium(profile, wishes)),
        Engine::Firefox => ("moz:firefoxOptions", firefox(profile, wishes)),
        Engine::WebKit => ("webkitgtk:browserOptions", webkit(wishes)),
    };
    // Some scripts measure for minutes.
    let timeouts = json!({ "script": 600_000 });
    [(name.to_owned(), options), ("timeouts".to_owned(), timeouts)].into_iter().collect()
}

fn chromium(profile: &Path, wishes: &Wishes) -> Value {
    let folder = format!("--user-data-dir={}", profile.display());
    // Without a screen and, as on most test machines, as root and without Google's services.
    let mut args = vec![
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--window-size=1280,900",
        &folder,
    ];
    args.extend(wishes.switches.iter().map(String::as_str));
    args.extend(wishes.is_private.then_some("--incognito"));
    // As its own page of settings writes it: sites may not save data on the device.
    let prefs = match wishes.without_storage {
        true => json!({ "profile.default_content_setting_values.cookies": 2 }),
        false => json!({}),
    };
    json!({ "args": args, "prefs": prefs })
}

fn firefox(profile: &Path, wishes: &Wishes) -> Value {
    let profile = profile.display().to_string();
    let mut args = vec!["-headless", "--width=1280", "--height=900", "-profile", &profile];
    args.extend(wishes.is_private.then_some("-private"));
    // 2: sites may keep nothing; 5 is what Firefox comes with.
    let keeps = if wishes.without_storage { 2 } else { 5 };
    let prefs = json!({
        "network.cookie.cookieBehavior": keeps,
        "privacy.globalprivacycontrol.enabled": wishes.signals_privacy,
        "privacy.globalprivacycontrol.functionality.enabled": wishes.signals_privacy,
        "browser.privatebrowsing.autostart": wishes.is_private,
    });
    json!({ "args": args, "prefs": prefs })
}

fn webkit(wishes: &Wishes) -> Value {
    let mut args = vec!["--automation", "--geometry=1280x900"];
    args.extend(wishes.is_private.then_some("--private"));
    if wishes.without_storage {
        args.extend(["--enable-html5-local-storage=false", "--enable-html5-database=false"]);
    }
    let binary = browsers::minibrowser().expect("WebKit's browser: see `cargo xtask test`");
    json!({ "binary": binary, "args": args })
}

/// A command that only one driver knows.
#[derive(Debug)]
pub(super) struct Own {
    /// Its path below that of the session.
    pub(super) path: &'static str,
    /// What it says.
    pub(super) body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &Url) -> (hyper::Method, Option<String>) {
        (hyper::Method::POST, Some(self.body.to_string()))
    }
}
