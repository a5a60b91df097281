//! A real schema registry as the stories see it: one that is there, refuses, dies and comes back.

use clickmill_xtask::interrupt::Interrupt;
use clickmill_xtask::place::Place;
use clickmill_xtask::registry::{Installed, Registry};
use hyper::Method;
use serde_json::{Value, json};

use crate::child::Folder;
use crate::http::{Answer, Ask, Http};

/// A registry of one's own.
#[derive(Debug)]
pub struct SchemaRegistry {
    /// The address of its API in Confluent's form.
    pub url: String,
    running: Registry,
    http: Http,
    _folder: Folder,
}

impl SchemaRegistry {
    /// Starts one that, as Confluent's, refuses what is not backward compatible.
    ///
    /// # Panics
    /// When it cannot be had.
    pub async fn start() -> Self {
        let folder = Folder::new("registry");
        let installed = Installed::ready(&Place::here(), &Interrupt::default());
        let running = Registry::start(&installed.expect("a registry to start"), folder.path());
        let running = running.expect("a registry");
        let (url, http) = (running.url(), Http::default());
        let registry = Self { url, running, http, _folder: folder };
        let rule = json!({"compatibility": "BACKWARD"}).to_string();
        let ask = Ask::post(format!("{}/config", registry.url), rule).method(Method::PUT);
        let answer = registry.ask(ask).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        registry
    }

    /// Registers a schema; `references` are `[name, subject, version]`.
    pub async fn register(
        &self,
        subject: &str,
        schema: &Value,
        references: &[(&str, &str, u32)],
    ) -> Answer {
        let reference = |(name, subject, version): &(&str, &str, u32)| json!({"name": name, "subject": subject, "version": version});
        let references: Vec<Value> = references.iter().map(reference).collect();
        let body = json!({"schemaType": "JSON", "schema": schema.to_string(),
            "references": references});
        self.ask(Ask::post(format!("{}/subjects/{subject}/versions", self.url), body.to_string()))
            .await
    }

    async fn ask(&self, ask: Ask) -> Answer {
        let ask = ask.header("content-type", "application/vnd.schemaregistry.v1+json");
        self.http.ask(ask).await.expect("an answer of the registry")
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(&mut self) {
        self.running.kill();
    }

    /// Starts it again with what it held.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self) {
        self.running.restart().expect("the registry again");
    }
}
