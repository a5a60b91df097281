//! One wake-up, called off when it is dropped.

use wasm_bindgen::prelude::{Closure, wasm_bindgen};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(wake: &Closure<dyn FnMut()>, after_ms: f64) -> f64;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(timer: f64);
}

/// The longest wait that a browser's timers know, ms.
const WAIT_MS_MAX: u64 = i32::MAX as u64;

/// A running timer.
#[derive(Debug)]
#[must_use = "a dropped timer never fires"]
pub(crate) struct Timer {
    timer: f64,
    _wake: Closure<dyn FnMut()>,
}

impl Timer {
    /// Calls `wake` once after `after_ms`.
    pub(crate) fn after(after_ms: u64, wake: impl FnMut() + 'static) -> Self {
        let wake = Closure::<dyn FnMut()>::new(wake);
        Self { timer: set_timeout(&wake, after_ms.min(WAIT_MS_MAX) as f64), _wake: wake }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        clear_timeout(self.timer);
    }
}
