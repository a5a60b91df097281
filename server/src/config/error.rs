//! What is wrong with a configuration, as one sentence for the operator.

use std::io;
use std::path::Path;

use figment::error::{Actual, Kind};

use super::environment::{Environment, LAYER};

/// Why a configuration is refused. Each message names the place and the key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("configuration file {file} cannot be read: {source}")]
    Unreadable {
        /// The file as it was named.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{file}, line {line}: {why}")]
    Syntax {
        /// The file as it was named.
        file: String,
        /// Where, counted from 1.
        line: usize,
        /// What the parser said.
        why: String,
    },
    /// A variable is not text.
    #[error("environment variable {variable} is not UTF-8")]
    NotText {
        /// Its name.
        variable: String,
    },
    /// A key that must be given is not.
    #[error("`{key}` is missing: set it {places}")]
    Missing {
        /// The key's path, joined by dots.
        key: String,
        /// Where it may be set.
        places: String,
    },
    /// A key or its value is refused.
    #[error("{place}: `{key}` {why}")]
    Refused {
        /// The file or the variable.
        place: String,
        /// The key's path, joined by dots.
        key: String,
        /// The rest of the sentence.
        why: String,
    },
}

impl ConfigError {
    /// Turns the first complaint of the configuration library into a sentence.
    pub(super) fn explain(
        error: &figment::Error,
        environment: &Environment,
        file: Option<&Path>,
    ) -> Self {
        let mut path = error.path.clone();
        if let Kind::MissingField(name) = &error.kind {
            path.push(name.clone().into_owned());
            let variable = environment.variable(&path);
            let places = match file {
                Some(file) => format!("in {} or as {variable}", file.display()),
                None => format!("in a configuration file or as {variable}"),
            };
            return Self::Missing { key: path.join("."), places };
        }
        let place = match &error.metadata {
            Some(layer) if layer.name == LAYER => {
                format!("environment variable {}", environment.variable(&path))
            }
            Some(layer) => layer.name.clone().into_owned(),
            None => "configuration".to_owned(),
        };
        let key = if path.is_empty() { "(top level)".to_owned() } else { path.join(".") };
        Self::Refused { place, key, why: why(&error.kind) }
    }
}

fn why(kind: &Kind) -> String {
    match kind {
        Kind::Message(message) => format!("is refused: {message}"),
        Kind::InvalidType(found, wanted) | Kind::InvalidValue(found, wanted) => {
            format!("must be {wanted}, not {}", shown(found))
        }
        Kind::InvalidLength(length, wanted) => format!("must be {wanted}, not {length} long"),
        Kind::UnknownVariant(_, known) => format!("must be one of: {}", known.join(", ")),
        Kind::UnknownField(_, known) => {
            format!("is no key of this program; known there: {}", known.join(", "))
        }
        Kind::MissingField(name) => format!("lacks `{name}`"),
        Kind::DuplicateField(name) => format!("names `{name}` twice"),
        Kind::ISizeOutOfRange(number) => format!("is out of range: {number}"),
        Kind::USizeOutOfRange(number) => format!("is out of range: {number}"),
        Kind::Unsupported(found) => format!("cannot be {}", shown(found)),
        Kind::UnsupportedKey(found, wanted) => {
            format!("has a key that must be {wanted}, not {}", shown(found))
        }
    }
}

/// What was found, without the content of texts.
fn shown(found: &Actual) -> String {
    match found {
        Actual::Bool(value) => format!("the boolean {value}"),
        Actual::Unsigned(number) => format!("the number {number}"),
        Actual::Signed(number) => format!("the number {number}"),
        Actual::Float(number) => format!("the number {number}"),
        Actual::Char(_) | Actual::Str(_) => "this text".to_owned(),
        Actual::Seq => "a list".to_owned(),
        Actual::Map => "a table".to_owned(),
        Actual::Bytes(_)
        | Actual::Unit
        | Actual::Option
        | Actual::NewtypeStruct
        | Actual::Enum
        | Actual::UnitVariant
        | Actual::NewtypeVariant
        | Actual::TupleVariant
        | Actual::StructVariant
        | Actual::Other(_) => "this".to_owned(),
    }
}
