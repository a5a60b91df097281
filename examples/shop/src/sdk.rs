//! The built SDK, served from a folder under `/sdk/`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The largest file that is served, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The most parts of a path below the folder.
const DEPTH_MAX: usize = 4;

/// One file of the SDK.
#[derive(Debug)]
pub struct File {
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Its media type.
    pub media_type: &'static str,
    /// Changes whenever the file does: for `ETag`.
    pub tag: String,
}

/// Reads a file by its path below the folder. None where there is no such file, where its kind is
/// unknown, or where the path would lead out of the folder. Blocks.
pub fn read(folder: &Path, path: &str) -> Option<File> {
    let media_type = media_type(path)?;
    let path = inside(folder, path)?;
    match load(&path) {
        Ok(Some((bytes, tag))) => Some(File { bytes, media_type, tag }),
        Ok(None) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            tracing::warn!(%error, path = %path.display(), "a file of the SDK cannot be read");
            None
        }
    }
}

fn load(path: &Path) -> io::Result<Option<(Vec<u8>, String)>> {
    let about = fs::metadata(path)?;
    if !about.is_file() || about.len() > FILE_BYTES_MAX {
        return Ok(None);
    }
    let changed_ms = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let tag = format!("\"{:x}-{changed_ms:x}\"", about.len());
    Ok(Some((fs::read(path)?, tag)))
}

fn inside(folder: &Path, path: &str) -> Option<PathBuf> {
    let parts: Vec<&str> = path.split('/').collect();
    let plain = |part: &&str| {
        let plain = part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        !part.is_empty() && !part.starts_with('.') && plain
    };
    let fit = parts.len() <= DEPTH_MAX && parts.iter().all(plain);
    fit.then(|| parts.iter().fold(folder.to_owned(), |folder, part| folder.join(part)))
}

fn media_type(path: &str) -> Option<&'static str> {
    let (_, ending) = path.rsplit_once('.')?;
    Some(match ending {
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "wasm" => "application/wasm",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let folder = Path::new("sdk");
        for bad in [
            "",
            "../a.js",
            "a/../b.js",
            ".hidden.js",
            "a//b.js",
            "/etc/a.js",
            "a%2f.js",
            "a/b/c/d/e.js",
        ] {
            assert!(inside(folder, bad).is_none(), "{bad}");
        }
        assert_eq!(inside(folder, "snippets/a-1.js").unwrap(), Path::new("sdk/snippets/a-1.js"));
    }

    #[test]
    fn only_known_kinds_are_served() {
        assert_eq!(media_type("clickmill_core_bg.wasm"), Some("application/wasm"));
        assert_eq!(media_type("clickmill.js"), Some("text/javascript; charset=utf-8"));
        assert_eq!(media_type("notes.txt"), None);
        assert_eq!(media_type("wasm"), None);
    }

    #[test]
    fn a_file_is_read_with_a_tag() {
        let folder =
            std::env::temp_dir().join(format!("clickmill-shop-sdk-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("a.wasm"), b"\0asm").unwrap();
        let file = read(&folder, "a.wasm").unwrap();
        assert_eq!(file.bytes, b"\0asm");
        assert!(file.tag.starts_with("\"4-"), "{}", file.tag);
        assert!(read(&folder, "b.wasm").is_none());
        fs::remove_dir_all(&folder).unwrap();
    }
}
