//! The shop's own styles and script, embedded, under addresses that change when they do.

/// All styles, in the order they build on each other.
pub const STYLES: &str = concat!(
    include_str!("../assets/base.css"),
    include_str!("../assets/frame.css"),
    include_str!("../assets/goods.css"),
    include_str!("../assets/home.css"),
    include_str!("../assets/pages.css"),
    include_str!("../assets/buying.css"),
    include_str!("../assets/strip.css"),
);

/// The script: hints into slots, verdicts into the strip, a few events of the shop's own.
pub const SCRIPT: &str = include_str!("../assets/shop.js");

/// The sign in the browser's tab.
pub const ICON: &str = include_str!("../assets/icon.svg");

/// A short text that changes whenever a style or script does (FNV-1a, 64 bits).
pub fn fingerprint() -> String {
    let hash = [STYLES, SCRIPT, ICON]
        .iter()
        .flat_map(|text| text.bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        for text in [STYLES, SCRIPT, ICON] {
            for bad in ["@import", "url(http", "src: url", "eval(", "innerHTML"] {
                assert!(!text.contains(bad), "{bad}");
            }
        }
    }
}
