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
    /// Makes the folder.
    ///
    /// # Panics
    /// When the folder cannot be made, or this system lets nobody mount for himself.
    pub fn new(path: impl Into<PathBuf>, bytes_max: u64) -> Self {
        let room = Self { path: path.into(), bytes_max };
        std::fs::create_dir_all(&room.path).expect("a folder of its own");
        let tried = room.command(Path::new("true")).output().expect("unshare");
        let said = String::from_utf8_lossy(&tried.stderr);
        assert!(tried.status.success(), "nobody may mount a small disk here: {said}");
        room
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

/// Ignored unless the test command found that one may mount here: it goes by this module's name.
#[cfg(test)]
mod small_disk {
    use super::*;
    use crate::Folder;

    #[test]
    #[ignore = "needs to mount a small disk: cargo xtask test --all"]
    fn it_takes_what_fits_and_no_more() {
        let folder = Folder::new("room");
        let room = Room::new(folder.path().join("small"), 1 << 20);
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
