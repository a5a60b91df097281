//! The colours that products and rooms come in, and their lighter and darker tones.

use std::fmt;

use serde::Deserialize;

/// A named colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Paint {
    /// Pale wood.
    Ash,
    /// Pink plaster.
    Blush,
    /// Yellow.
    Butter,
    /// Warm white.
    Chalk,
    /// Deep blue.
    Cobalt,
    /// Nearly black.
    Graphite,
    /// Pale violet.
    Lilac,
    /// Pale blue-green.
    Mint,
    /// Pale grey-blue.
    Mist,
    /// Warm wood.
    Oak,
    /// Dark violet.
    Plum,
    /// Grey green.
    Sage,
    /// Warm grey.
    Sand,
    /// Light blue.
    Sky,
    /// Brushed metal.
    Steel,
    /// Red.
    Tomato,
    /// Cold white.
    White,
}

impl Paint {
    /// The colour at so many per cent of its lightness: below 100 darker, above lighter.
    pub fn tone(self, percent: u16) -> Tone {
        let (r, g, b) = self.rgb();
        Tone(tint(r, percent), tint(g, percent), tint(b, percent))
    }

    fn rgb(self) -> (u8, u8, u8) {
        match self {
            Self::Ash => (0xDD, 0xBE, 0x94),
            Self::Blush => (0xF2, 0xC4, 0xB3),
            Self::Butter => (0xF5, 0xCB, 0x5C),
            Self::Chalk => (0xF6, 0xF3, 0xEC),
            Self::Cobalt => (0x2F, 0x4B, 0xC4),
            Self::Graphite => (0x35, 0x3B, 0x42),
            Self::Lilac => (0xCF, 0xC6, 0xEA),
            Self::Mint => (0xA9, 0xD3, 0xC0),
            Self::Mist => (0xD3, 0xDC, 0xE2),
            Self::Oak => (0xB8, 0x86, 0x55),
            Self::Plum => (0x7A, 0x45, 0x6E),
            Self::Sage => (0xA3, 0xBC, 0x9C),
            Self::Sand => (0xE4, 0xDA, 0xC8),
            Self::Sky => (0x9C, 0xC8, 0xE6),
            Self::Steel => (0xBD, 0xC5, 0xCA),
            Self::Tomato => (0xE2, 0x55, 0x3D),
            Self::White => (0xF7, 0xF9, 0xFA),
        }
    }
}

/// A colour as it is written into a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tone(pub(super) u8, pub(super) u8, pub(super) u8);

impl fmt::Display for Tone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }
}

/// Below 100 per cent towards black, above towards white.
fn tint(channel: u8, percent: u16) -> u8 {
    let channel = u32::from(channel);
    let percent = u32::from(percent.min(200));
    let tinted = match percent {
        0..=100 => channel * percent / 100,
        _ => channel + (255 - channel) * (percent - 100) / 100,
    };
    // Both arms stay within 0 and 255.
    u8::try_from(tinted).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tones_run_from_black_over_the_colour_to_white() {
        assert_eq!(Paint::Cobalt.tone(0).to_string(), "#000000");
        assert_eq!(Paint::Cobalt.tone(100).to_string(), "#2f4bc4");
        assert_eq!(Paint::Cobalt.tone(200).to_string(), "#ffffff");
        assert_eq!(Paint::Cobalt.tone(900).to_string(), "#ffffff");
    }
}
