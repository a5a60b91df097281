//! `cargo xtask tidy`: the rules of the house.

use clickmill_xtask::tidy;

use super::{Failure, Shell};
use crate::words::Words;

pub(crate) fn run(shell: &Shell, words: Words) -> Result<(), Failure> {
    words.end()?;
    let report = tidy::check(&shell.place)?;
    for finding in &report.findings {
        println!("{finding}");
    }
    let (files, edges, found) = (report.files, report.edges, report.findings.len());
    println!("tidy: {files} files and {edges} forbidden edges looked at, {found} findings");
    if found == 0 { Ok(()) } else { Err(Failure::Silent(1)) }
}
