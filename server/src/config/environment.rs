//! The environment as a layer of configuration.

use std::env;

use figment::value::{Dict, Map, Tag, Value};
use figment::{Metadata, Profile, Provider};

use super::ConfigError;

/// Between the prefix and the parts of a key's path.
const SEPARATOR: &str = "__";

/// The name of this layer in messages.
pub(super) const LAYER: &str = "environment";

/// The variables that concern one program.
#[derive(Clone)]
pub struct Environment {
    prefix: String,
    values: Dict,
}

impl std::fmt::Debug for Environment {
    /// Leaves the values out: they may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Environment {
    /// Takes those of the given variables that carry the prefix.
    pub fn new<'a>(prefix: &str, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut environment = Self { prefix: prefix.to_owned(), values: Dict::new() };
        for (name, value) in variables {
            environment.take(name, value);
        }
        environment
    }

    /// Takes the variables of this process that carry the prefix. Errors if one of those is not
    /// UTF-8.
    pub fn of_process(prefix: &str) -> Result<Self, ConfigError> {
        let mut environment = Self::new(prefix, []);
        for (name, value) in env::vars_os() {
            let Some(name) = name.to_str().filter(|name| environment.path(name).is_some()) else {
                continue;
            };
            let value =
                value.to_str().ok_or_else(|| ConfigError::NotText { variable: name.to_owned() })?;
            environment.take(name, value);
        }
        Ok(environment)
    }

    /// The variable that sets a key.
    pub(super) fn variable(&self, path: &[String]) -> String {
        let mut name = self.prefix.clone();
        for part in path {
            name.push_str(SEPARATOR);
            name.push_str(&part.to_ascii_uppercase());
        }
        name
    }

    /// The path behind the prefix, if the variable carries it.
    fn path<'a>(&self, variable: &'a str) -> Option<&'a str> {
        let path = variable.strip_prefix(&self.prefix)?.strip_prefix(SEPARATOR)?;
        Some(path).filter(|path| !path.is_empty())
    }

    fn take(&mut self, variable: &str, value: &str) {
        let Some(path) = self.path(variable) else { return };
        let path = path.to_ascii_lowercase();
        let parts: Vec<&str> = path.split(SEPARATOR).collect();
        insert(&mut self.values, &parts, parse(value));
    }
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named(LAYER)
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

/// Lists and tables are read, everything else stays the text it is: a secret of digits keeps its
/// leading zeros, and a number is read where a number is wanted.
fn parse(value: &str) -> Value {
    if value.trim_start().starts_with(['[', '{']) {
        // Text that is no list after all comes back as text: this parser never fails.
        value.parse().unwrap_or_else(|never| match never {})
    } else {
        Value::from(value)
    }
}

fn insert(dict: &mut Dict, path: &[&str], value: Value) {
    let [first, rest @ ..] = path else { return };
    if rest.is_empty() {
        dict.insert((*first).to_owned(), value);
        return;
    }
    let node =
        dict.entry((*first).to_owned()).or_insert_with(|| Value::Dict(Tag::Default, Dict::new()));
    // Of a text and a table under one name, the table wins.
    if !matches!(node, Value::Dict(..)) {
        *node = Value::Dict(Tag::Default, Dict::new());
    }
    if let Value::Dict(_, inner) = node {
        insert(inner, rest, value);
    }
}
