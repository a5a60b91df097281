//! What the example shows, what lies over it, and how mistakes are named.

use clickmill_server::config::{ConfigError, Environment};
use clickmill_server::cors::Origins;
use hyper::header::HeaderValue;

use super::*;

const EXAMPLE: &str = include_str!("../../relay.example.toml");

fn read(env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    config::load_from(
        Some(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/relay.example.toml"))),
        Environment::new(ENV_PREFIX, env.iter().copied()),
    )
}

/// The example shows the defaults, so that reading it is reading what holds without a file.
#[test]
fn the_example_is_the_defaults_and_names_every_key() {
    let (example, own) = (read(&[]).unwrap(), Config::default());
    example.check().unwrap();
    assert_eq!(example.tokens.keys.len(), 1);
    let shop = serde_json::from_str(r#"["http://127.0.0.1:8080"]"#).unwrap();
    assert_eq!(example.hints.origins, shop);
    let blind = |config: Config| Config {
        tokens: TokensConfig::default(),
        servers: ServersConfig::default(),
        hints: HintsConfig { origins: Origins::default(), ..config.hints },
        ..config
    };
    assert_eq!(format!("{:?}", blind(example)), format!("{:?}", blind(own)));
    let shown = format!("{:#?}", Config::default());
    let keys = shown.lines().filter_map(|line| line.trim_start().split_once(": "));
    for (key, _) in keys.filter(|(key, _)| !["any", "exact"].contains(key)) {
        let shows = |line: &str| {
            let line = line.trim_start_matches("# ");
            line.starts_with(&format!("{key} = "))
                || line == format!("[{key}]")
                || line == format!("[kafka.{key}]")
                || line == format!("[suggest.{key}]")
        };
        assert!(EXAMPLE.lines().any(shows), "the example does not show {key}");
    }
}

#[test]
fn the_environment_lies_over_it() {
    let config = read(&[
        ("CLICKMILL_RELAY__HINTS__ORIGINS", "[\"*\"]"),
        ("CLICKMILL_RELAY__VIEW__STATE_TTL", "2h"),
        ("CLICKMILL_RELAY__SUGGEST__SLOTS", "[\"a\", \"b\"]"),
    ])
    .unwrap();
    assert!(config.hints.origins.allow(&HeaderValue::from_static("https://x.example")));
    assert_eq!(config.bounds().ttl_ms, 7_200_000);
    assert_eq!(config.suggest.slots.len(), 2);
}

#[test]
fn an_instance_is_reached_where_it_says() {
    let address = |advertise: Option<&str>, listen: &str| {
        let advertise = advertise.map(str::to_owned);
        let peers = PeersConfig { advertise, ..PeersConfig::default() };
        peers.address(listen.parse().unwrap()).ok()
    };
    assert_eq!(address(None, "10.0.0.1:8083").as_deref(), Some("10.0.0.1:8083"));
    assert_eq!(address(None, "0.0.0.0:8083"), None);
    assert_eq!(address(Some("relay-1:80"), "0.0.0.0:8083").as_deref(), Some("relay-1:80"));
    for nowhere in ["relay-1", "relay-1:", "relay-1:0", ":80", "a@b:80", "http://relay-1:80", ""] {
        assert_eq!(address(Some(nowhere), "0.0.0.0:8083"), None, "{nowhere}");
    }
}

#[test]
fn a_mistake_is_named() {
    let complaint = |env: &[(&str, &str)]| match read(env) {
        Ok(config) => config.check().unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    let env = |key: &'static str, value: &'static str| [(key, value)];
    assert_eq!(
        complaint(&env("CLICKMILL_RELAY__PEERS__LISTEN", "10.0.0.1:8083")),
        "peers.keys: there is no signing key"
    );
    let keys = r#"[{id = "a", secret = "0123456789abcdef"}]"#;
    let everywhere = [
        ("CLICKMILL_RELAY__PEERS__LISTEN", "0.0.0.0:8083"),
        ("CLICKMILL_RELAY__PEERS__KEYS", keys),
    ];
    assert!(complaint(&everywhere).starts_with("peers.advertise must be"));
    let nowhere = complaint(&env("CLICKMILL_RELAY__PEERS__KEYS", keys));
    assert!(nowhere.starts_with("peers.listen is missing"), "{nowhere}");
    let weak = r#"[{tenant = "shop", secret = "short"}]"#;
    assert_eq!(
        complaint(&env("CLICKMILL_RELAY__SERVERS__KEYS", weak)),
        "servers.keys: the secret of shop must have 16 bytes or more"
    );
    assert_eq!(
        complaint(&env("CLICKMILL_RELAY__HINTS__HEARTBEAT", "0s")),
        "hints.heartbeat must not be zero"
    );
    assert!(
        complaint(&env("CLICKMILL_RELAY__HINTS__ORIGINS", "[\"shop.example\"]"))
            .contains("CLICKMILL_RELAY__HINTS__ORIGINS")
    );
    for address in ["javascript:alert(1)", "http://a:1/inspect/tail?token=secret"] {
        let said = complaint(&env("CLICKMILL_RELAY__LIVE__INSPECTOR", address));
        assert!(said.contains("http://127.0.0.1:9081"), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
    assert!(complaint(&env("CLICKMILL_RELAY__PATH_PREFIX", "clicks")).contains("path_prefix"));
    assert!(complaint(&env("CLICKMILL_RELAY__HINT", "1")).contains("hint"));
    assert!(
        complaint(&env("CLICKMILL_RELAY__TOKENS__KEYS", "[]")).contains("there is no signing key")
    );
}
