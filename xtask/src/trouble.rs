//! What any preparation can fail at: a tool that is missing, a child process, a file of ours.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::{need, process};

/// What any preparation can fail at.
#[derive(Debug)]
pub enum Trouble {
    /// A tool is missing.
    Need(need::Error),
    /// A child process failed or did not become ready, or an end was asked for.
    Process(process::Error),
    /// A file or folder of ours could not be used.
    File {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Need(need) => need.fmt(f),
            Self::Process(error) => error.fmt(f),
            Self::File { path, source } => write!(f, "{}: {source}", path.display()),
        }
    }
}

/// Lets an error with a variant `Trouble` be made of what it can be.
macro_rules! made_of_trouble {
    ($error:ty) => {
        impl $error {
            /// An error of this file, ready for `map_err`.
            fn file(path: impl Into<std::path::PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
                let path = path.into();
                |source| Self::Trouble($crate::trouble::Trouble::File { path, source })
            }
        }

        impl From<$crate::need::Error> for $error {
            fn from(error: $crate::need::Error) -> Self {
                Self::Trouble($crate::trouble::Trouble::Need(error))
            }
        }

        impl From<$crate::process::Error> for $error {
            fn from(error: $crate::process::Error) -> Self {
                Self::Trouble($crate::trouble::Trouble::Process(error))
            }
        }
    };
}

pub(crate) use made_of_trouble;
