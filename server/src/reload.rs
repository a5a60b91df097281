//! When to read configuration anew: on SIGHUP, and when a file is another than it was.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often files are looked at. Looking works on every file system, mounted ones included.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How deep folders are looked into.
const DEPTH_MAX: u32 = 3;

/// What shows that a file is another: its name, and when it was written how long.
type Look = Vec<(PathBuf, Option<SystemTime>, u64)>;

/// Tells of SIGHUP and of changes in files and folders.
#[derive(Debug)]
pub struct Changes {
    hangup: Signal,
    ticks: Interval,
    seen: Option<Look>,
}

impl Changes {
    /// Starts to listen to SIGHUP; its default action (to end the process) is gone then. Errors if
    /// the system refuses a handler. Needs a tokio runtime.
    pub fn install() -> io::Result<Self> {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self { hangup: signal(SignalKind::hangup())?, ticks, seen: None })
    }

    /// Resolves at the next SIGHUP, or once one of the files, or what lies in one of the folders,
    /// is another than at the last call.
    pub async fn next(&mut self, paths: &[PathBuf]) {
        if self.seen.is_none() {
            self.seen = Some(look(paths));
        }
        loop {
            let asked = tokio::select! {
                _ = self.hangup.recv() => true,
                _ = self.ticks.tick() => false,
            };
            let now = Some(look(paths));
            let differs = self.seen != now;
            self.seen = now;
            if asked || differs {
                return;
            }
        }
    }
}

fn look(paths: &[PathBuf]) -> Look {
    let mut look = Look::new();
    for path in paths {
        look_into(path, DEPTH_MAX, &mut look);
    }
    look
}

fn look_into(path: &Path, depth_left: u32, look: &mut Look) {
    let Ok(about) = fs::metadata(path) else {
        return look.push((path.to_owned(), None, 0));
    };
    look.push((path.to_owned(), about.modified().ok(), about.len()));
    if let (true, Some(depth_left)) = (about.is_dir(), depth_left.checked_sub(1)) {
        let mut inside: Vec<PathBuf> =
            fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        inside.sort_unstable();
        inside.iter().for_each(|path| look_into(path, depth_left, look));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_comes_changes_or_goes_is_seen() {
        let folder = std::env::temp_dir().join(format!("clickmill-look-{}", std::process::id()));
        let file = folder.join("product_click/1.json");
        let paths = [folder.clone()];
        let mut looks = vec![look(&paths)];
        fs::create_dir_all(folder.join("product_click")).unwrap();
        looks.push(look(&paths));
        fs::write(&file, "{}").unwrap();
        looks.push(look(&paths));
        assert_eq!(looks.last(), Some(&look(&paths)));
        fs::write(&file, "{ }").unwrap();
        looks.push(look(&paths));
        fs::remove_file(&file).unwrap();
        looks.push(look(&paths));
        fs::remove_dir_all(&folder).unwrap();
        assert!(looks.windows(2).all(|two| two[0] != two[1]), "{looks:?}");
    }
}
