//! Coffee machines and grinders.

use super::paint::{Paint, Tone};
use super::pen::{INK, LIGHT, METAL, METAL_DARK, Pen};

const BREW: Tone = Tone(0x4A, 0x2C, 0x1C);

pub(super) fn form(name: &str) -> Option<fn(&mut Pen, Paint)> {
    Some(match name {
        "bean" => bean,
        "espresso" => espresso,
        "filter" => filter,
        "grinder" => grinder,
        "moka" => moka,
        _ => return None,
    })
}

/// A cup with its top left corner at a point.
fn cup(pen: &mut Pen, [x, y]: [i32; 2]) {
    pen.line(&format!("M{0} {1} q16 0 16 12 q0 12 -18 12", x + 46, y + 6), (LIGHT, 6));
    pen.path(&format!("M{x} {y} h48 l-6 34 q-1 6 -8 6 h-20 q-7 0 -8 -6 Z"), LIGHT);
    pen.rect([x + 3, y, 42, 6], 3, BREW);
}

fn espresso(pen: &mut Pen, finish: Paint) {
    pen.shadow([200, 320], 140);
    pen.rect([96, 284, 208, 34], 8, finish.tone(78));
    pen.rect([96, 276, 208, 12], 4, INK);
    pen.rect([226, 130, 78, 156], 6, finish.tone(86));
    pen.rect([96, 96, 208, 92], 14, finish.tone(104));
    pen.rect([96, 166, 208, 22], 8, finish.tone(90));
    pen.rect([108, 106, 130, 8], 4, LIGHT);
    pen.disc([262, 136], 24, INK);
    pen.disc([262, 136], 19, LIGHT);
    pen.line("M262 136 L272 124", (Tone(0xE2, 0x55, 0x3D), 4));
    pen.disc([132, 136], 11, INK);
    pen.disc([166, 136], 11, INK);
    pen.rect([122, 188, 84, 16], 4, METAL_DARK);
    pen.rect([130, 204, 68, 14], 5, INK);
    pen.line("M128 211 L70 222", (INK, 15));
    pen.line("M156 218 L152 230 M172 218 L176 230", (INK, 5));
    pen.line("M232 184 L252 250", (METAL_DARK, 7));
    cup(pen, [138, 236]);
    pen.rect([120, 70, 72, 26], 6, finish.tone(60));
    pen.line("M118 92 L186 92", (METAL, 4));
}

fn filter(pen: &mut Pen, finish: Paint) {
    pen.shadow([200, 320], 132);
    pen.rect([102, 292, 200, 26], 8, finish.tone(86));
    pen.rect([238, 92, 64, 210], 10, finish.tone(100));
    pen.rect([258, 130, 22, 130], 11, Tone(0x9C, 0xC8, 0xE6));
    pen.rect([258, 130, 22, 40], 11, LIGHT);
    pen.rect([102, 84, 200, 36], 10, finish.tone(112));
    pen.path("M120 120 L218 120 L202 176 L136 176 Z", finish.tone(76));
    pen.rect([160, 176, 18, 12], 2, INK);
    pen.line("M128 214 C92 214 92 276 126 276", (INK, 13));
    pen.path("M136 196 L202 196 L222 292 L116 292 Z", METAL);
    pen.path("M184 196 L202 196 L222 292 L194 292 Z", METAL_DARK);
    pen.rect([132, 188, 74, 14], 6, INK);
    pen.disc([270, 284], 6, Tone(0xF5, 0xCB, 0x5C));
}

fn grinder(pen: &mut Pen, finish: Paint) {
    pen.shadow([200, 320], 98);
    pen.veil("M136 78 L264 78 L238 166 L162 166 Z", LIGHT, 60);
    pen.veil("M146 112 L254 112 L238 166 L162 166 Z", BREW, 88);
    for (x, y) in [(160, 112), (178, 107), (200, 110), (220, 106), (240, 112)] {
        pen.disc([x, y], 10, BREW);
    }
    pen.rect([128, 66, 144, 16], 8, INK);
    pen.rect([146, 162, 108, 26], 6, INK);
    for x in (154..248).step_by(10) {
        pen.line(&format!("M{x} 170 L{x} 180"), (METAL_DARK, 2));
    }
    pen.rect([132, 186, 136, 132], 16, finish.tone(100));
    pen.path("M232 186 h20 a16 16 0 0 1 16 16 v100 a16 16 0 0 1 -16 16 h-20 Z", finish.tone(86));
    pen.rect([158, 216, 84, 88], 10, finish.tone(70));
    pen.path("M170 238 h60 l-5 62 h-50 Z", METAL);
    pen.path("M212 238 h18 l-5 62 h-13 Z", METAL_DARK);
    pen.rect([186, 214, 28, 16], 4, INK);
}

fn bean(pen: &mut Pen, finish: Paint) {
    pen.shadow([200, 320], 130);
    pen.rect([102, 82, 196, 236], 20, finish.tone(100));
    pen.path("M262 82 h16 a20 20 0 0 1 20 20 v196 a20 20 0 0 1 -20 20 h-16 Z", finish.tone(82));
    pen.veil("M122 58 h120 l-8 26 h-104 Z", LIGHT, 70);
    pen.path("M128 68 h108 l-5 16 h-98 Z", BREW);
    pen.rect([114, 50, 136, 10], 5, INK);
    pen.rect([122, 104, 124, 50], 8, INK);
    pen.disc([148, 129], 11, Tone(0xF5, 0xCB, 0x5C));
    pen.rect([170, 119, 58, 6], 3, METAL);
    pen.rect([170, 132, 38, 6], 3, METAL_DARK);
    pen.rect([128, 178, 112, 118], 10, finish.tone(50));
    pen.rect([158, 178, 52, 32], 6, METAL);
    pen.rect([168, 208, 8, 12], 2, INK);
    pen.rect([192, 208, 8, 12], 2, INK);
    cup(pen, [158, 248]);
    pen.rect([116, 290, 136, 16], 5, METAL);
}

fn moka(pen: &mut Pen, finish: Paint) {
    pen.shadow([200, 320], 100);
    pen.rect([132, 302, 136, 16], 8, INK);
    pen.line("M254 128 L310 128 L300 220", (INK, 17));
    pen.path("M140 140 L104 112 L152 106 Z", finish.tone(78));
    pen.path("M150 106 L250 106 L238 196 L162 196 Z", finish.tone(100));
    pen.path("M212 106 L250 106 L238 196 L208 196 Z", finish.tone(84));
    pen.path("M150 106 L178 106 L184 196 L162 196 Z", finish.tone(124));
    pen.rect([156, 194, 88, 14], 4, METAL);
    pen.path("M162 208 L238 208 L260 304 L140 304 Z", finish.tone(100));
    pen.path("M210 208 L238 208 L260 304 L216 304 Z", finish.tone(84));
    pen.path("M162 208 L184 208 L174 304 L140 304 Z", finish.tone(124));
    pen.path("M146 106 L200 80 L254 106 Z", METAL);
    pen.disc([200, 76], 11, INK);
    pen.disc([228, 256], 7, METAL_DARK);
}
