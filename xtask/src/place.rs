//! Where things lie: the workspace, what we keep between runs, the built programs.

use std::env;
use std::path::{Path, PathBuf};

/// The workspace on this machine and the folder that keeps what is fetched or made once.
#[derive(Clone, Debug)]
pub struct Place {
    root: PathBuf,
    cache: PathBuf,
}

impl Place {
    /// The workspace that this program was built from. What is kept between runs lies in its
    /// `.clickmill` folder, or where `CLICKMILL_HOME` says.
    pub fn here() -> Self {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = package.parent().unwrap_or(package).to_owned();
        let cache = match env::var_os("CLICKMILL_HOME") {
            Some(home) if !home.is_empty() => PathBuf::from(home),
            _ => root.join(".clickmill"),
        };
        Self { root, cache }
    }

    /// The folder of the workspace.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of what is kept between runs; it may not exist yet.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The folder of everything that cargo builds.
    pub fn target(&self) -> PathBuf {
        match env::var_os("CARGO_TARGET_DIR") {
            Some(target) if !target.is_empty() => self.root.join(target),
            _ => self.root.join("target"),
        }
    }

    /// Where the SDK's bundle is put together.
    pub fn sdk(&self) -> PathBuf {
        self.target().join("sdk")
    }

    /// Where the SDK's package for npm is put together.
    pub fn npm(&self) -> PathBuf {
        self.target().join("npm")
    }

    /// Where a program of the workspace lies after a build with this cargo profile's folder
    /// (`debug`, `release`).
    pub fn program(&self, profile: &str, name: &str) -> PathBuf {
        self.target().join(profile).join(name)
    }
}

/// The first file of this name in the folders of `PATH`.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
