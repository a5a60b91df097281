//! `cargo xtask web`: the SDK's bundle.

use std::fs;

use clickmill_xtask::web::{self, Effort};

use super::{Failure, Shell};
use crate::words::Words;

pub(crate) fn run(shell: &Shell, mut words: Words) -> Result<(), Failure> {
    let effort = if words.flag("--release") { Effort::Release } else { Effort::Everyday };
    words.end()?;
    let out = shell.step("SDK", || Ok(web::build(&shell.place, effort, &shell.interrupt)?))?;
    let read = |error| Failure::Told(format!("{}: {error}", out.display()));
    let mut files = Vec::new();
    for entry in fs::read_dir(&out).map_err(read)? {
        let entry = entry.map_err(read)?;
        let bytes = entry.metadata().map_err(read)?.len();
        files.push((entry.path(), bytes));
    }
    files.sort();
    for (path, bytes) in files {
        println!("{bytes:>9} bytes  {}", path.display());
    }
    Ok(())
}
