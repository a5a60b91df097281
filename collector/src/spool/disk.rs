//! The disk as a port: what may fail for want of room or of health, and what makes bytes durable.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What a disk that fails to give some bytes is asked for them by.
const BLOCK_BYTES: usize = 4096;

/// The ways in which the spool uses a disk that can fail.
pub(crate) trait Disk: fmt::Debug + Send + Sync {
    /// Makes a new file.
    fn create(&self, path: &Path) -> io::Result<File>;

    /// Writes all bytes at that place.
    fn write(&self, file: &File, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Returns once what was written would survive a loss of power.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Opens a file to read from it.
    fn open(&self, path: &Path) -> io::Result<File>;

    /// Reads a stretch of a file; shorter only where the file ends.
    fn read(&self, file: &File, at: u64, count: usize) -> io::Result<Vec<u8>>;
}

/// The machine's own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).open(path)
    }

    fn write(&self, file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(bytes, at)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        File::open(path)
    }

    fn read(&self, file: &File, at: u64, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        let mut filled = 0;
        while filled < count {
            match file.read_at(&mut bytes[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

/// Makes the names in a folder as durable as what they name.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes a folder, and its name durable.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    folder.parent().filter(|above| !above.as_os_str().is_empty()).map_or(Ok(()), sync_folder)
}

/// Reads a stretch of a file as far as the disk gives it. What it does not give comes as zeros, with
/// which nothing begins that was written here; how many bytes those are is told, too.
pub(crate) fn read_around(disk: &dyn Disk, file: &File, at: u64, count: usize) -> (Vec<u8>, usize) {
    if let Ok(bytes) = disk.read(file, at, count) {
        return (bytes, 0);
    }
    let mut bytes = Vec::with_capacity(count);
    let mut missing = 0;
    while bytes.len() < count {
        let from = at + bytes.len() as u64;
        // Lossless: less than a block.
        let into_block = (from % BLOCK_BYTES as u64) as usize;
        let step = (BLOCK_BYTES - into_block).min(count - bytes.len());
        match disk.read(file, from, step) {
            Ok(read) => {
                bytes.extend_from_slice(&read);
                if read.len() < step {
                    break;
                }
            }
            Err(_) => {
                missing += step;
                bytes.resize(bytes.len() + step, 0);
            }
        }
    }
    (bytes, missing)
}
