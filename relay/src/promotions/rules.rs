//! All rules that are in force: read from files and from the topic, the bad ones left out and named.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use clickmill_sdk_core::wire::{RuleName, Tenant};
use clickmill_streams::{Poison, Raw, Rows};
use serde_json::{Map, Value};

use super::expression::Language;
use super::rule::{Refusal, Rule};

/// The most rules of one tenant.
pub const RULES_MAX: usize = 1_000;

/// The most work that all of a tenant's conditions may be together, in steps of the interpreter.
pub const COST_SUM_MAX: u64 = 1_000_000;

/// The longest file of rules, bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A rule as it was found, not read yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The file, or the key in the topic.
    pub place: String,
    /// Whose visitors it is for.
    pub tenant: Result<Tenant, String>,
    /// Its name, as far as it has one.
    pub name: String,
    /// The rule, or why it cannot be read.
    pub value: Result<Value, String>,
}

/// The rules in force.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    by_tenant: HashMap<Tenant, Vec<Arc<Rule>>>,
    refusals: Vec<Refusal>,
}

impl Rules {
    /// Reads and checks what was found. Of two rules with one name the first one counts. What was in
    /// force before and has not changed is taken over as it is.
    pub fn of(entries: &[Entry], (language, before): (&Language, &Self)) -> Self {
        let mut all = Self::default();
        let mut places = HashMap::<(&Tenant, &str), &str>::new();
        for entry in entries {
            let refuse = |field: &str, why: &str| Refusal {
                place: entry.place.clone(),
                rule: entry.name.clone(),
                field: field.to_owned(),
                why: why.to_owned(),
            };
            let tenant = match &entry.tenant {
                Ok(tenant) => tenant,
                Err(why) => {
                    all.refusals.push(refuse("tenant", why));
                    continue;
                }
            };
            if let Some(other) = places.get(&(tenant, entry.name.as_str())) {
                let why = format!("there is one of this name already, in {other}");
                all.refusals.push(refuse("name", &why));
                continue;
            }
            let read = match &entry.value {
                Ok(value) => before
                    .same(tenant, value)
                    .map_or_else(|| Rule::read(tenant, value.clone(), language).map(Arc::new), Ok),
                Err(why) => Err(("rule".to_owned(), why.clone())),
            };
            match read {
                Ok(rule) => {
                    places.insert((tenant, &entry.name), &entry.place);
                    all.by_tenant.entry(tenant.clone()).or_default().push(rule);
                }
                Err((field, why)) => all.refusals.push(refuse(&field, &why)),
            }
        }
        all.bound();
        all
    }

    /// A tenant's rules, in the order in which they are applied.
    pub fn of_tenant(&self, tenant: &Tenant) -> &[Arc<Rule>] {
        self.by_tenant.get(tenant).map_or(&[], Vec::as_slice)
    }

    /// A rule by its name.
    pub fn find(&self, tenant: &Tenant, name: &RuleName) -> Option<&Arc<Rule>> {
        self.of_tenant(tenant).iter().find(|rule| rule.name == *name)
    }

    /// All rules, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.by_tenant.values().flatten()
    }

    /// The rules that were refused.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// Puts rules into their order, and leaves out what would be too much for a click.
    fn bound(&mut self) {
        for rules in self.by_tenant.values_mut() {
            rules.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)));
            let (mut count, mut cost) = (0, 0_u64);
            let refusals = &mut self.refusals;
            rules.retain(|rule| {
                count += 1;
                let sum = cost.saturating_add(rule.cost());
                let why = if count > RULES_MAX {
                    format!("a tenant has {RULES_MAX} rules at the most")
                } else if sum > COST_SUM_MAX {
                    format!(
                        "all conditions together may take {COST_SUM_MAX} steps, and those of higher \
                         priority take {cost}"
                    )
                } else {
                    cost = sum;
                    return true;
                };
                let (place, name) = (rule.tenant.to_string(), rule.name.to_string());
                let field = "priority".to_owned();
                refusals.push(Refusal { place, rule: name, field, why });
                false
            });
        }
    }

    fn same(&self, tenant: &Tenant, value: &Value) -> Option<Arc<Rule>> {
        let rules = self.by_tenant.get(tenant)?;
        let version = Rule::version_of(tenant, value);
        rules.iter().find(|rule| rule.version == version).cloned()
    }
}

/// The rules in all files of a folder: `*.toml` and `*.json`, in the order of their names.
pub fn read_folder(folder: &Path) -> Vec<Entry> {
    let listed = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let listed = match listed {
        Ok(listed) => listed,
        Err(error) => return vec![unread(&folder.display().to_string(), &error.to_string())],
    };
    let mut files: Vec<_> = listed.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "toml" || end == "json"));
    files.sort_unstable();
    files.iter().flat_map(|file| read_file(file)).collect()
}

/// The rules in one file.
pub fn read_file(file: &Path) -> Vec<Entry> {
    let place = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let place = place.unwrap_or_default();
    match fs::metadata(file).map(|about| about.len()) {
        Ok(bytes) if bytes > FILE_BYTES_MAX => {
            return vec![unread(&place, &format!("is longer than {FILE_BYTES_MAX} bytes"))];
        }
        _ => {}
    }
    match fs::read(file) {
        Ok(bytes) => read_bytes(&place, &bytes),
        Err(error) => vec![unread(&place, &error.to_string())],
    }
}

/// The rules in the bytes of a file, whose name tells whether they are TOML or JSON.
pub fn read_bytes(place: &str, bytes: &[u8]) -> Vec<Entry> {
    let Ok(text) = std::str::from_utf8(bytes) else { return vec![unread(place, "is no text")] };
    let read = if place.ends_with(".json") {
        serde_json::from_str(text).map_err(|error| error.to_string())
    } else {
        let table = toml::from_str::<toml::Table>(text);
        table.map(json_of).map_err(|error| error.to_string().trim_end().replace('\n', " "))
    };
    let mut file: Map<String, Value> = match read {
        Ok(file) => file,
        Err(why) => return vec![unread(place, &why)],
    };
    let tenant = file.remove("tenant");
    let rules = match file.remove("rule") {
        Some(Value::Array(rules)) => rules,
        Some(_) => return vec![unread(place, "`rule` must be a list: `[[rule]]`")],
        None => Vec::new(),
    };
    let mut entries: Vec<Entry> =
        rules.into_iter().map(|rule| of_file(place, tenant.as_ref(), rule)).collect();
    if let Some(key) = file.keys().next() {
        entries.push(unread(place, &format!("`{key}` is neither `tenant` nor `rule`")));
    }
    entries
}

fn of_file(place: &str, tenant: Option<&Value>, mut rule: Value) -> Entry {
    let own = rule.as_object_mut().and_then(|fields| fields.remove("tenant"));
    let tenant = match own.as_ref().or(tenant) {
        Some(Value::String(name)) => Tenant::parse(name.as_str()).map_err(|e| e.to_string()),
        Some(_) => Err("must be a text".to_owned()),
        None => Err("is missing, at the head of the file or in the rule".to_owned()),
    };
    let name = name_of(&rule);
    Entry { place: place.to_owned(), tenant, name, value: Ok(rule) }
}

fn name_of(rule: &Value) -> String {
    // A name may be anything as long as nobody has looked at it.
    let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

fn unread(place: &str, why: &str) -> Entry {
    Entry {
        place: place.to_owned(),
        tenant: Err(why.to_owned()),
        name: String::new(),
        value: Err(why.to_owned()),
    }
}

/// TOML as JSON: a moment becomes its text.
fn json_of(table: toml::Table) -> Map<String, Value> {
    fn one(value: toml::Value) -> Value {
        match value {
            toml::Value::String(text) => Value::String(text),
            toml::Value::Integer(number) => Value::from(number),
            toml::Value::Float(number) => Value::from(number),
            toml::Value::Boolean(truth) => Value::Bool(truth),
            toml::Value::Datetime(moment) => Value::String(moment.to_string()),
            toml::Value::Array(all) => Value::Array(all.into_iter().map(one).collect()),
            toml::Value::Table(table) => Value::Object(json_of(table)),
        }
    }
    table.into_iter().map(|(key, value)| (key, one(value))).collect()
}

/// The rules of the topic, as they came.
#[derive(Debug, Default)]
pub struct Records(BTreeMap<(Tenant, String), Result<Value, String>>);

impl Records {
    /// The rules, by tenant and name.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.0.iter().map(|((tenant, name), value)| Entry {
            place: format!("{tenant}:{name}"),
            tenant: Ok(tenant.clone()),
            name: name.clone(),
            value: value.clone(),
        })
    }
}

impl Rows for Records {
    fn apply(&mut self, raw: &Raw<'_>) -> Result<(), Poison> {
        let wrong = || Poison::malformed("the key is not a tenant and the name of a rule");
        let key = std::str::from_utf8(raw.key.unwrap_or_default()).map_err(Poison::malformed)?;
        let (tenant, name) = key.split_once(':').ok_or_else(wrong)?;
        let tenant = Tenant::parse(tenant).map_err(Poison::malformed)?;
        let name = RuleName::parse(name).map_err(Poison::malformed)?;
        let key = (tenant, name.as_str().to_owned());
        match raw.value {
            None => self.0.remove(&key),
            Some(value) => self.0.insert(key, of_record(&name, value)),
        };
        Ok(())
    }
}

/// A rule of a record: its name may be left out, since the key has it.
fn of_record(name: &RuleName, value: &[u8]) -> Result<Value, String> {
    let mut rule: Value = serde_json::from_slice(value).map_err(|error| error.to_string())?;
    if let Some(fields) = rule.as_object_mut() {
        let named = fields.entry("name").or_insert_with(|| name.as_str().into());
        if named != name.as_str() {
            return Err("the key names another rule than the value".to_owned());
        }
    }
    Ok(rule)
}

#[cfg(test)]
mod tests {
    use clickmill_streams::{Place, Table};

    use super::*;

    const GOOD: &str = r#"
        tenant = "shop"
        [[rule]]
        name = "low"
        slot = "banner"
        content = { title = "Low" }
        [[rule]]
        name = "high"
        slot = "banner"
        priority = 9
        when = "visit.pages > 1"
        schedule = { from = 2026-11-27T00:00:00Z, hours = "09:00-18:00", zone = "Europe/Berlin" }
        content = { title = "High" }
    "#;

    fn rules(entries: &[Entry]) -> Rules {
        Rules::of(entries, (&Language::default(), &Rules::default()))
    }

    fn names(rules: &Rules) -> Vec<&str> {
        let shop = Tenant::parse("shop").unwrap();
        rules.of_tenant(&shop).iter().map(|rule| rule.name.as_str()).collect()
    }

    fn refused(rules: &Rules) -> Vec<String> {
        rules.refusals().iter().map(Refusal::to_string).collect()
    }

    #[test]
    fn a_bad_rule_is_refused_by_name_and_the_others_go_on() {
        let bad = r#"
            [[rule]]
            name = "typo"
            slot = "banner"
            when = "visit.page > 1"
            content = {}
            [[rule]]
            name = "low"
            slot = "banner"
            content = {}
            [[rule]]
            tenant = "a b"
            name = "nobodys"
        "#;
        let text = format!("{GOOD}{bad}");
        let rules = rules(&read_bytes("a.toml", text.as_bytes()));
        assert_eq!(names(&rules), ["high", "low"]);
        let said = refused(&rules);
        assert!(
            said[0].starts_with("a.toml: rule `typo`: when: there is no `visit.page`"),
            "{said:?}"
        );
        assert!(
            said[1].starts_with("a.toml: rule `low`: name: there is one of this name"),
            "{said:?}"
        );
        assert!(
            said[2].starts_with("a.toml: rule `nobodys`: tenant: not a valid tenant"),
            "{said:?}"
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_and_costs_only_itself() {
        for (place, text, says) in [
            ("a.toml", "[[rule]", "a.toml: rule ``: tenant: TOML parse error"),
            ("a.json", "{", "a.json: rule ``: tenant: EOF"),
            ("a.toml", "rules = []", "`rules` is neither `tenant` nor `rule`"),
            ("a.toml", "rule = 1", "must be a list"),
            ("a.toml", "[[rule]]\nname = 'x'", "rule `x`: tenant: is missing"),
        ] {
            let mut entries = read_bytes(place, text.as_bytes());
            entries.extend(read_bytes("good.toml", GOOD.as_bytes()));
            let rules = rules(&entries);
            assert_eq!(names(&rules), ["high", "low"]);
            assert!(refused(&rules)[0].contains(says), "{:?}", refused(&rules));
        }
    }

    #[test]
    fn the_same_rule_in_json_is_the_same() {
        let toml = rules(&read_bytes("a.toml", GOOD.as_bytes()));
        let table = json_of(toml::from_str(GOOD).unwrap());
        let json = Value::Object(table).to_string();
        let json = rules(&read_bytes("a.json", json.as_bytes()));
        let shop = Tenant::parse("shop").unwrap();
        assert_eq!(toml.of_tenant(&shop), json.of_tenant(&shop));
    }

    #[test]
    fn records_come_change_and_go() {
        let table = Table::<Records>::detached("promotions");
        let put = |key: &str, value: Option<&str>| {
            let place = Place { partition: 0, offset: 0 };
            let (key, value) = (Some(key.as_bytes()), value.map(str::as_bytes));
            table.apply(&Raw { source: 0, place, key, value, timestamp_ms: 0 })
        };
        let now = || rules(&table.read().entries().collect::<Vec<_>>());
        put("shop:a", Some(r#"{"slot":"banner","content":{}}"#)).unwrap();
        put("shop:b", Some(r#"{"slot":"banner","content":{},"when":"1"}"#)).unwrap();
        put("shop:c", Some(r#"{"name":"d","slot":"banner","content":{}}"#)).unwrap();
        put("shop:e", Some("{")).unwrap();
        assert_eq!(names(&now()), ["a"]);
        let said = refused(&now()).join("\n");
        for says in
            ["shop:b: rule `b`: when: ", "shop:c: rule `c`: rule: the key", "`e`: rule: EOF"]
        {
            assert!(said.contains(says), "{said}");
        }
        // A change that is no good takes the rule away: what lies there is what holds.
        put("shop:a", Some(r#"{"slot":"banner"}"#)).unwrap();
        assert!(names(&now()).is_empty());
        put("shop:a", None).unwrap();
        assert_eq!(now().refusals().len(), 3);
        for bad in ["shop", "shop:", "a b:c", "shop:A"] {
            assert!(put(bad, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn all_conditions_together_are_bounded_and_the_lowest_go_first() {
        let dear = ["visitor.basket.exists(b, b == product.sku)"; 12].join(" && ");
        let entry = |n: i64| Entry {
            place: "many".into(),
            tenant: Tenant::parse("shop").map_err(|e| e.to_string()),
            name: format!("r{n}"),
            value: Ok(serde_json::json!({"name": format!("r{n}"), "slot": "banner", "priority": n,
                "content": {}, "when": dear})),
        };
        let all = rules(&(0..150).map(entry).collect::<Vec<_>>());
        let count = names(&all).len();
        assert!((40..150).contains(&count), "{count}");
        assert_eq!(count + all.refusals().len(), 150);
        assert_eq!(names(&all)[0], "r149");
        assert!(all.refusals()[0].to_string().contains("all conditions together"));
        // What has not changed is not read again.
        let again = Rules::of(&[entry(149)], (&Language::default(), &all));
        assert!(Arc::ptr_eq(
            again.all().next().unwrap(),
            &all.of_tenant(&entry(0).tenant.unwrap())[0]
        ));
    }
}
