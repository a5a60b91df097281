//! What the example shows, what lies over it, and how mistakes are named.

use std::collections::BTreeSet;

use clickmill_server::config::{Environment, load_from};
use clickmill_server::cors::Origins;
use toml::{Table, Value};

use super::*;
use crate::privacy::QueryRule;

const EXAMPLE: &str = include_str!("../../collector.example.toml");

fn read(toml: &str) -> Result<Config, String> {
    toml::from_str(toml).map_err(|error: toml::de::Error| error.message().to_owned())
}

#[test]
fn the_example_says_what_the_defaults_are() {
    let example = read(EXAMPLE).unwrap();
    example.check().unwrap();
    let site: SiteEntry = toml::from_str("write_key = \"wk-shop\"\ntenant = \"shop\"\n").unwrap();
    let [shown] = example.sites.as_slice() else { panic!("one site is shown") };
    assert_eq!(&SiteEntry { origins: Origins::default(), urgent: None, ..shown.clone() }, &site);
    assert_eq!(shown.urgent, Some(clickmill_sdk_core::wire::SiteConfig::default().urgent));
    let keys = example.tokens.keys.len();
    assert_eq!(keys, 1);
    let tokens = TokensConfig { keys: Vec::new(), ..example.tokens.clone() };
    let bare = Config { sites: Vec::new(), tokens, ..example };
    // KafkaConfig has no equality, so the texts are compared.
    assert_eq!(format!("{bare:#?}"), format!("{:#?}", Config::default()));
}

/// Asks each table of the type for the keys it knows by giving it one that it cannot know.
#[test]
fn the_example_shows_every_key() {
    let whole: Table = EXAMPLE.parse().unwrap();
    let mut tables = vec![Vec::new()];
    while let Some(path) = tables.pop() {
        let mut asking = whole.clone();
        let table = dig(&mut asking, &path);
        // Keys that are optional without a default stand in the example as comments.
        let shown: BTreeSet<String> = table.keys().cloned().collect();
        for (key, below) in table.iter() {
            let names = ["properties", "types", "consent"].contains(&key.as_str());
            let free = path.is_empty() && key == "sites" || names;
            if below.is_table() && !free {
                tables.push([path.clone(), vec![key.clone()]].concat());
            }
        }
        table.insert("zz".to_owned(), Value::Boolean(true));
        let Err(complaint) = Config::deserialize(asking) else {
            panic!("{path:?} takes any key");
        };
        let complaint = complaint.message().to_owned();
        let known = complaint.split_once("expected ").unwrap().1;
        for key in known.split('`').skip(1).step_by(2) {
            let commented = EXAMPLE.lines().any(|l| l.starts_with(&format!("# {key} = ")));
            assert!(shown.contains(key) || commented, "{path:?} lacks {key}");
        }
    }
    let site = toml::from_str::<SiteEntry>("zz = 1").unwrap_err().message().to_owned();
    let shown = whole["sites"][0].as_table().unwrap();
    let query = QueryRule::deserialize(shown["query"].clone()).unwrap();
    assert_eq!(query, QueryRule::default(), "the example shows the default");
    for key in site.split_once("expected ").unwrap().1.split('`').skip(1).step_by(2) {
        assert!(shown.contains_key(key), "sites lacks {key}");
    }
}

fn dig<'a>(table: &'a mut Table, path: &[String]) -> &'a mut Table {
    path.iter().fold(table, |table, key| table[key].as_table_mut().unwrap())
}

/// What an operator reads when one line of the example is another.
fn complaint(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "{from}");
    let config = read(&EXAMPLE.replacen(from, to, 1)).unwrap();
    config.check().unwrap_err().to_string()
}

#[test]
fn what_makes_no_sense_is_named() {
    assert!(complaint("path_prefix = \"\"", "path_prefix = \"cm/\"").contains("`path_prefix`"));
    assert!(complaint("depth_max = 16", "depth_max = 0").contains("`limits.depth_max`"));
    assert!(complaint("ack_timeout = \"10s\"", "ack_timeout = \"30s\"").contains("exceed"));
    let slow = EXAMPLE.replacen("after = \"2s\"", "dir = \"spool\"\nafter = \"10s\"", 1);
    let slow = read(&slow).unwrap().check().unwrap_err().to_string();
    assert_eq!(slow, "`spool.after` must be shorter than limits.ack_timeout");
    assert!(
        complaint("segment_bytes_max = 16777216", "segment_bytes_max = 1")
            .contains("`spool.segment_bytes_max` must not be below producer.record_bytes_max")
    );
    assert!(
        complaint("inflated_bytes_max = 2097152", "inflated_bytes_max = 1")
            .contains("`limits.inflated_bytes_max`")
    );
    assert!(
        complaint("events_burst = 20000", "events_burst = 499")
            .contains("`sites.0.events_burst` must not be below limits.batch_events_max, 500")
    );
    assert!(
        complaint("memory_bytes_max = 268435456", "memory_bytes_max = 1000000")
            .contains("`limits.memory_bytes_max` must not be below")
    );
    let none = EXAMPLE.replacen("same_site = \"lax\"", "same_site = \"none\"", 1);
    read(&none).unwrap().check().unwrap();
    let open = read(&none.replacen("\"https://shop.example\"", "\"*\"", 1)).unwrap();
    assert_eq!(
        open.check().unwrap_err().to_string(),
        "`sites.0.origins` must not hold \"*\" where cookie.same_site is \"none\": any website \
         could get a visitor's token and read the hints"
    );
    let insecure = read(&none.replacen("secure = true", "secure = false", 1)).unwrap();
    assert!(insecure.check().unwrap_err().to_string().contains("`cookie.secure`"));
    let keys = |keys: &str| {
        let from = "proofs = { keys = []";
        complaint(from, &format!("proofs = {{ keys = [{keys}]"))
    };
    assert!(keys("{ id = \"a\", secret = \"short\" }").contains("`sites.0.proofs`"));
    let twice = "{ id = \"a\", secret = \"0123456789abcdef\" }";
    let twice = keys(&format!("{twice}, {twice}"));
    assert!(twice.contains("given twice") && !twice.contains("0123456789"), "{twice}");
    assert!(complaint("lifetime_max = \"1h\"", "lifetime_max = \"0s\"").contains("lifetime_max"));
    assert!(complaint("secret = \"", "secret = \"x\" #").contains("shorter than 16 bytes"));
    assert!(complaint("filter = \"info\"", "filter = \"info=x=y\"").contains("`log.filter`"));
    let none = Config::default().check().unwrap_err().to_string();
    assert_eq!(none, "`tokens.keys` is refused: there is no signing key");
}

#[test]
fn an_experiment_that_puts_nobody_where_it_should_is_named() {
    let good = "key = \"k\", seed = \"s\", weights = [5000, 5000], coverage = 10000";
    let with = |lines: &str| {
        let toml = EXAMPLE.replacen("experiments = []", &format!("experiments = [{lines}]"), 1);
        read(&toml).unwrap().check().map_err(|error| error.to_string())
    };
    assert_eq!(with(&format!("{{ {good} }}")), Ok(()));
    for (from, to, says) in [
        ("\"s\"", "\"ß\"", "ASCII"),
        ("[5000, 5000]", "[5000, 4000]", "add up to 10000"),
        ("= 10000", "= 10001", "coverage"),
        ("= 10000", "= 1, namespace = { name = \"n\", from = 5, to = 5 }", "namespace"),
        ("= 10000", "= 1, audience = { paths = [\"c/*\"] }", "paths begin with a slash"),
        ("= 10000", "= 1, audience = { width = { from = 5, to = 5 } }", "width"),
    ] {
        let error = with(&format!("{{ {} }}", good.replace(from, to))).unwrap_err();
        assert!(error.contains("`sites.0.experiments.0`") && error.contains(says), "{error}");
    }
    let typo = good.replace("= 10000", "= 1, audience = { langauges = [\"de\"] }");
    let toml = EXAMPLE.replacen("experiments = []", &format!("experiments = [{{ {typo} }}]"), 1);
    assert!(read(&toml).unwrap_err().contains("langauges"));
    let twice = with(&format!("{{ {good} }}, {{ {good} }}")).unwrap_err();
    assert!(twice.contains("`sites.0.experiments.1` has the key of another one"), "{twice}");
}

#[test]
fn a_registry_that_cannot_be_asked_is_named() {
    let with = |lines: &str| {
        let toml = EXAMPLE.replacen("urls = []", lines, 1);
        read(&toml).unwrap().check().map_err(|error| error.to_string())
    };
    let url = "urls = [\"http://registry:8081\"]\n";
    assert_eq!(with(url), Ok(()));
    for (lines, says) in [
        ("urls = [\"registry\"]".to_owned(), "`schemas.registry`"),
        (format!("{url}user = \"me\""), "`schemas.registry.password`"),
        (format!("{url}password = \"secret\""), "`schemas.registry.user`"),
        (
            format!("{url}user = \"me\"\npassword = \"secret\"\ntoken = \"secret\""),
            "`schemas.registry.token`",
        ),
        (format!("{url}ca_file = \"/no/such/ca.pem\""), "/no/such/ca.pem"),
    ] {
        let error = with(&lines).unwrap_err();
        assert!(error.contains(says) && !error.contains("secret"), "{lines}: {error}");
    }
    assert!(
        complaint("refresh_every = \"1m\"", "refresh_every = \"0s\"")
            .contains("`schemas.registry.refresh_every`")
    );
    let shown = format!("{:?}", read(&EXAMPLE.replacen("urls = []", "token = \"hush\"", 1)));
    assert!(!shown.contains("hush"));
}

#[test]
fn origins_must_be_exact() {
    for bad in ["shop.example", "https://shop.example/", "https://Shop.example", "ftp://x"] {
        let site = format!("write_key = \"k\"\ntenant = \"t\"\norigins = [\"{bad}\"]");
        let error = toml::from_str::<SiteEntry>(&site).unwrap_err();
        assert!(error.message().contains("origin"), "{bad}: {error}");
    }
}

#[test]
fn the_environment_lies_over_everything() {
    let variables = [
        ("CLICKMILL_COLLECTOR__LIMITS__ACK_TIMEOUT", "2s"),
        ("CLICKMILL_COLLECTOR__KAFKA__BOOTSTRAP", "kafka:9092"),
        (
            "CLICKMILL_COLLECTOR__SITES",
            "[{ write_key = \"k\", tenant = \"t\", origins = [\"*\"] }]",
        ),
        ("CLICKMILL_COLLECTOR__TOKENS__KEYS", "[{ id = \"a\", secret = \"0123456789abcdef\" }]"),
    ];
    let config: Config = load_from(None, Environment::new(ENV_PREFIX, variables)).unwrap();
    config.check().unwrap();
    assert_eq!(config.limits.ack_timeout, Duration::from_secs(2));
    assert_eq!(config.kafka.bootstrap, "kafka:9092");
    assert_eq!(config.sites.len(), 1);
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
}
