//! A folder with an end: a small file system that one program alone sees, and that goes with it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Mounts `$0` with `$1` bytes and becomes the program that follows.
const MOUNT: &str = r#"mount -t tmpfs -o size="$1" none "$0" && shift && exec "$@""#;

/// A folder that takes only so many bytes.
#[derive(Clone, Debug)]
pub struct Room {
    path: PathBuf,
    bytes_max: u64,
}

impl Room {
    /// Makes the folder; none where this system lets nobody mount for himself.
    ///
    /// # Panics
    /// When the folder cannot be made.
    pub fn new(path: impl Into<PathBuf>, bytes_max: u64) -> Option<Self> {
        let room = Self { path: path.into(), bytes_max };
        std::fs::create_dir_all(&room.path).expect("a folder of its own");
        let tried = room.command(Path::new("true")).output();
        tried.is_ok_and(|output| output.status.success()).then_some(room)
    }

    /// A command that runs a program in it. The process is the program's own.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--map-root-user", "--mount", "sh", "-c", MOUNT])
            .arg(&self.path)
            .arg(self.bytes_max.to_string())
            .arg(program);
        command
    }

    /// The folder as a running program of this room sees it.
    pub fn seen_by(&self, process: u32) -> PathBuf {
        let inside = self.path.strip_prefix("/").unwrap_or(&self.path);
        Path::new("/proc").join(process.to_string()).join("root").join(inside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Folder;

    #[test]
    fn it_takes_what_fits_and_no_more() {
        let folder = Folder::new("room");
        let Some(room) = Room::new(folder.path().join("small"), 1 << 20) else {
            eprintln!("skipped: nobody may mount for himself here");
            return;
        };
        let place = folder.path().join("small/file").display().to_string();
        let write = |bytes: u32| {
            let script = format!("head -c {bytes} /dev/zero > {place}");
            let ran = room.command(Path::new("sh")).args(["-c", &script]).output();
            ran.expect("a shell").status.success()
        };
        assert!(write(500_000));
        assert!(!write(2_000_000));
        assert!(!Path::new(&place).exists(), "nobody else sees it");
    }
}
