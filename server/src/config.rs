//! Typed configuration: a TOML file, then the environment over it.
//!
//! A variable is the service's prefix and the key's path, joined by two underscores, in upper case:
//! with the prefix `CLICKMILL_COLLECTOR`, the key `limits.events_per_s` is
//! `CLICKMILL_COLLECTOR__LIMITS__EVENTS_PER_S`. Values of the environment are text that a number
//! or a boolean is read from where one is wanted; a value that opens with `[` or `{` is read as a
//! TOML list or inline table.
//!
//! Unknown keys are refused where the type says `#[serde(deny_unknown_fields)]`. Messages name the
//! place and the key, and never repeat a text that was found, since it may be a secret.

pub mod duration;
mod environment;
mod error;
mod secret;

use std::fs;
use std::path::Path;

use figment::value::{Dict, Map};
use figment::{Figment, Metadata, Profile, Provider};
use serde::de::DeserializeOwned;

pub use environment::Environment;
pub use error::ConfigError;
pub use secret::Secret;

/// Reads the configuration of this process: the file, if there is one, and over it the
/// environment's variables with the prefix (without the two underscores).
pub fn load<T: DeserializeOwned>(file: Option<&Path>, env_prefix: &str) -> Result<T, ConfigError> {
    load_from(file, Environment::of_process(env_prefix)?)
}

/// Like [`load`], with an environment from anywhere.
pub fn load_from<T: DeserializeOwned>(
    file: Option<&Path>,
    environment: Environment,
) -> Result<T, ConfigError> {
    let layer = file.map(FileLayer::read).transpose()?;
    let figment = match layer {
        Some(layer) => Figment::from(layer),
        None => Figment::new(),
    };
    let explain = environment.clone();
    figment
        .merge(environment)
        .extract_lossy()
        .map_err(|error| ConfigError::explain(&error, &explain, file))
}

/// One parsed file, and its name for messages.
struct FileLayer {
    name: String,
    values: Dict,
}

impl FileLayer {
    fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { file: name.clone(), source })?;
        let values = toml::from_str(&text).map_err(|error: toml::de::Error| {
            let start = error.span().map_or(0, |span| span.start);
            ConfigError::Syntax {
                file: name.clone(),
                line: 1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count(),
                why: error.message().replace('\n', ", "),
            }
        })?;
        Ok(Self { name, values })
    }
}

impl Provider for FileLayer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        Ok(Map::from([(Profile::Default, self.values.clone())]))
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::path::PathBuf;
    use std::time::Duration;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        name: String,
        #[serde(default)]
        limits: Limits,
        #[serde(default)]
        origins: Vec<String>,
        secret: Secret,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Limits {
        events_per_s: NonZeroU32,
        #[serde(with = "duration")]
        wait: Duration,
    }

    impl Default for Limits {
        fn default() -> Self {
            Self { events_per_s: NonZeroU32::MIN, wait: Duration::from_secs(1) }
        }
    }

    /// A file that is gone when the test ends.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str, text: &str) -> Self {
            let file = format!("clickmill-config-{}-{name}.toml", std::process::id());
            let path = std::env::temp_dir().join(file);
            fs::write(&path, text).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn read(name: &str, text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let file = Scratch::new(name, text);
        load_from(Some(&file.0), Environment::new("APP", env.iter().copied()))
    }

    /// What an operator reads, with the file's own name shortened.
    fn complaint(name: &str, text: &str, env: &[(&str, &str)]) -> String {
        let file = Scratch::new(name, text);
        let environment = Environment::new("APP", env.iter().copied());
        let error = load_from::<Config>(Some(&file.0), environment).unwrap_err();
        error.to_string().replace(&file.0.display().to_string(), "app.toml")
    }

    const WHOLE: &str =
        "name = \"a\"\nsecret = \"s3cret\"\n[limits]\nevents_per_s = 5\nwait = \"250ms\"\n";

    #[test]
    fn the_environment_lies_over_the_file() {
        let config = read(
            "over",
            WHOLE,
            &[
                ("APP__LIMITS__EVENTS_PER_S", "700"),
                ("APP__ORIGINS", "[\"https://a.example\", \"https://b.example\"]"),
                ("APP__SECRET", "0123456789"),
                ("APPLE__NAME", "another program's"),
            ],
        )
        .unwrap();
        assert_eq!(config.name, "a");
        assert_eq!(config.limits.events_per_s.get(), 700);
        assert_eq!(config.limits.wait, Duration::from_millis(250));
        assert_eq!(config.origins, ["https://a.example", "https://b.example"]);
        assert_eq!(config.secret.expose(), b"0123456789");
    }

    #[test]
    fn the_environment_alone_is_enough() {
        let variables = [("APP__NAME", "b"), ("APP__SECRET", "s"), ("APP__LIMITS__WAIT", "2s")];
        let config: Config = load_from(None, Environment::new("APP", variables)).unwrap();
        assert_eq!(config.name, "b");
        assert_eq!(config.limits.wait, Duration::from_secs(2));
    }

    #[test]
    fn a_complaint_is_one_sentence_that_names_place_and_key() {
        assert_eq!(
            complaint("unknown", &WHOLE.replace("wait", "wiat"), &[]),
            "app.toml: `limits.wiat` is no key of this program; known there: events_per_s, wait"
        );
        assert_eq!(
            complaint("unknown-env", WHOLE, &[("APP__LIMITS__WIAT", "1s")]),
            "environment variable APP__LIMITS__WIAT: `limits.wiat` is no key of this program; \
             known there: events_per_s, wait"
        );
        assert_eq!(
            complaint("missing", "secret = \"s\"", &[]),
            "`name` is missing: set it in app.toml or as APP__NAME"
        );
        assert_eq!(
            complaint("type", &WHOLE.replace("= 5", "= \"many\""), &[]),
            "app.toml: `limits.events_per_s` must be a nonzero u32, not this text"
        );
        assert_eq!(
            complaint("zero", WHOLE, &[("APP__LIMITS__EVENTS_PER_S", "0")]),
            "environment variable APP__LIMITS__EVENTS_PER_S: `limits.events_per_s` must be a \
             nonzero u32, not the number 0"
        );
        assert_eq!(
            complaint("unit", &WHOLE.replace("\"250ms\"", "250"), &[]),
            "app.toml: `limits.wait` must be a duration with its unit such as \"30s\" or \"250ms\", \
             not the number 250"
        );
        assert_eq!(
            complaint("syntax", "name = \"a\"\nsecret = \n", &[]).split(": ").next().unwrap(),
            "app.toml, line 2"
        );
    }

    #[test]
    fn a_missing_file_is_said_so() {
        let nowhere = Path::new("nowhere/app.toml");
        let error =
            load_from::<Config>(Some(nowhere), Environment::new("APP", [("", ""); 0])).unwrap_err();
        assert!(
            error.to_string().starts_with("configuration file nowhere/app.toml cannot be read: "),
            "{error}"
        );
    }

    #[test]
    fn no_message_repeats_a_text() {
        let env = [("APP__LIMITS", "s3cret"), ("APP__SECRET", "s3cret")];
        let text = complaint("leak", WHOLE, &env);
        assert!(text.contains("APP__LIMITS") && !text.contains("s3cret"), "{text}");
    }
}
