//! The settings without which Segment's browser SDK does not start.

use clickmill_sdk_core::wire::json::Writer;

/// What comes before and after the write key in the path of the settings.
const PATH: (&str, &str) = ("/v1/projects/", "/settings");

/// The write key in the path of the settings.
pub(crate) fn site_of(path: &str) -> Option<&str> {
    path.strip_prefix(PATH.0)?.strip_suffix(PATH.1).filter(|key| !key.contains('/'))
}

/// Settings under which the SDK sends every event to `api_host`, host and path, and only there: no
/// destinations are loaded, and it does not report on itself.
pub(crate) fn settings(write_key: &str, api_host: Option<&str>) -> String {
    let mut w = Writer::default();
    w.object(|w| {
        w.key("integrations").object(|w| {
            w.key("Segment.io").object(|w| {
                w.text_field("apiKey", write_key);
                w.field("apiHost", api_host);
            });
        });
        w.key("plan").object(|w| {
            for what in ["track", "identify", "group"] {
                w.key(what).object(|w| {
                    w.key("__default").object(|w| w.field("enabled", Some(&true)));
                });
            }
        });
        w.key("metrics").object(|w| w.number_field("sampleRate", 0));
    });
    w.finish()
}
