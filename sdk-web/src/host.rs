//! What the stub lends the core.

use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    /// The stub's side of the page.
    #[derive(Debug)]
    pub type Host;

    /// The site's write key.
    #[wasm_bindgen(method, getter)]
    pub fn key(this: &Host) -> String;

    /// Address of the relay; none where the site wants no hints.
    #[wasm_bindgen(method, getter)]
    pub fn hints(this: &Host) -> Option<String>;

    /// The purposes that the page's script tag grants, joined by commas; none where it leaves
    /// that to the site's settings.
    #[wasm_bindgen(method, getter)]
    pub fn consent(this: &Host) -> Option<String>;

    /// Whether the browser asks not to be sold or shared.
    #[wasm_bindgen(method, getter)]
    pub fn gpc(this: &Host) -> bool;

    /// The browser's storage, unless it is denied.
    #[wasm_bindgen(method, getter)]
    pub fn store(this: &Host) -> Option<web_sys::Storage>;

    /// 32 random bytes.
    #[wasm_bindgen(method)]
    pub fn seed(this: &Host) -> Vec<u8>;

    /// Posts a batch; answers by `Core::reply`.
    #[wasm_bindgen(method)]
    pub fn post(this: &Host, request: u32, body: &str, keepalive: bool);

    /// Sends a batch off as a beacon.
    #[wasm_bindgen(method)]
    pub fn copy(this: &Host, body: &str);

    /// Dispatches `clickmill:<name>` with a detail given as JSON.
    #[wasm_bindgen(method)]
    pub fn emit(this: &Host, name: &str, detail: &str);
}
