//! The stories, named by behaviour; one binary, so that it links once.
#![allow(missing_docs, clippy::expect_used, clippy::unwrap_used)]

/// Makes a story that takes an engine a test in each of these engines: `STORY::chromium` and so on.
/// Firefox and WebKit are run by `cargo xtask test --all`.
macro_rules! in_engines {
    ($story:ident: $($engine:ident),+) => {
        mod $story {
            $(in_engines!(@ $engine $story);)+
        }
    };
    (@ chromium $story:ident) => {
        #[tokio::test(flavor = "multi_thread")]
        async fn chromium() {
            super::$story(clickmill_tests::browser::Engine::Chromium).await;
        }
    };
    (@ firefox $story:ident) => {
        #[tokio::test(flavor = "multi_thread")]
        #[ignore = "in Firefox: `cargo xtask test --all`"]
        async fn firefox() {
            super::$story(clickmill_tests::browser::Engine::Firefox).await;
        }
    };
    (@ webkit $story:ident) => {
        #[tokio::test(flavor = "multi_thread")]
        #[ignore = "in WebKit: `cargo xtask test --all`"]
        async fn webkit() {
            super::$story(clickmill_tests::browser::Engine::WebKit).await;
        }
    };
}

/// The same for several stories, in all engines.
macro_rules! in_each_engine {
    ($($story:ident),+ $(,)?) => {
        $(in_engines!($story: chromium, firefox, webkit);)+
    };
}

mod answers;
mod asking_first;
mod autocapture;
mod before_the_core;
mod check_config;
mod click_to_hint;
mod come_and_go;
mod customers;
mod delivery;
mod demo_page_in_chromium;
mod drain_loses_nothing;
mod durability;
mod engine;
mod exactly_once;
mod fairness;
mod feeds;
mod forged_token_opens_nothing;
mod handing_over;
mod hard_places;
mod hot_and_bad;
mod http2;
mod identity;
mod in_stock;
mod linking;
mod live_page;
mod long;
mod modules;
mod npm;
mod open_copy;
mod origins;
mod promotions;
mod queries;
mod read_ahead;
mod real_registry;
mod rebuilding;
mod reloading;
mod rendering;
mod replaying;
mod sampling;
mod segment;
mod shop_page;
mod simulating;
mod slots;
mod spooling;
mod streams;
mod suggesting;
mod tabs;
mod taking_over;
mod traced;
mod verdicts;
mod views;
mod withdrawal;

use clickmill_sdk_core::wire::Hint;
use serde_json::Value;

pub(crate) use clickmill_tests::until::PATIENCE;

/// The product numbers a suggestion shows.
pub(crate) fn skus(hint: &Hint) -> Vec<String> {
    let content: Value = serde_json::from_str(hint.content.as_str()).expect("a hint's content");
    let items = content["items"].as_array().expect("a list of items");
    items.iter().map(|item| item["sku"].as_str().expect("a number").to_owned()).collect()
}
