//! Fridges.

use super::paint::{Paint, Tone};
use super::pen::{INK, LIGHT, METAL, METAL_DARK, Pen};

pub(super) fn form(name: &str) -> Option<fn(&mut Pen, Paint)> {
    Some(match name {
        "classic" => classic,
        "french" => french,
        "glass" => glass,
        "low" => low,
        "two_door" => two_door,
        _ => return None,
    })
}

fn feet(pen: &mut Pen, [left, right]: [i32; 2]) {
    pen.shadow([(left + right) / 2, 356], (right - left) * 58 / 100);
    pen.rect([left + 12, 340, 22, 16], 4, INK);
    pen.rect([right - 34, 340, 22, 16], 4, INK);
}

fn classic(pen: &mut Pen, finish: Paint) {
    feet(pen, [122, 278]);
    pen.rect([122, 44, 156, 304], 42, finish.tone(100));
    pen.path("M240 44 A42 42 0 0 1 278 86 L278 306 A42 42 0 0 1 240 348 Z", finish.tone(88));
    pen.rect([122, 138, 156, 5], 0, finish.tone(72));
    pen.line("M146 76 Q150 62 166 60", (LIGHT, 7));
    pen.rect([138, 104, 12, 28], 6, METAL);
    pen.rect([138, 152, 12, 66], 6, METAL);
    pen.rect([146, 104, 4, 28], 2, METAL_DARK);
    pen.rect([146, 152, 4, 66], 2, METAL_DARK);
    pen.rect([176, 98, 50, 7], 3, METAL);
    pen.rect([140, 326, 120, 5], 2, finish.tone(72));
}

fn two_door(pen: &mut Pen, finish: Paint) {
    feet(pen, [122, 278]);
    pen.rect([122, 30, 156, 318], 10, finish.tone(100));
    pen.path("M246 30 h22 a10 10 0 0 1 10 10 v298 a10 10 0 0 1 -10 10 h-22 Z", finish.tone(88));
    pen.path(
        "M132 30 h14 v318 h-14 a10 10 0 0 1 -10 -10 v-298 a10 10 0 0 1 10 -10 Z",
        finish.tone(130),
    );
    pen.rect([122, 226, 156, 6], 0, finish.tone(52));
    pen.rect([254, 150, 9, 66], 4, INK);
    pen.rect([254, 242, 9, 44], 4, INK);
    pen.rect([168, 62, 46, 24], 5, INK);
    pen.rect([177, 71, 12, 6], 3, Tone(0x8C, 0xE0, 0xA4));
    pen.rect([195, 71, 10, 6], 3, METAL_DARK);
}

fn french(pen: &mut Pen, finish: Paint) {
    feet(pen, [88, 312]);
    pen.rect([88, 40, 224, 308], 12, finish.tone(100));
    pen.path("M276 40 h24 a12 12 0 0 1 12 12 v284 a12 12 0 0 1 -12 12 h-24 Z", finish.tone(90));
    pen.rect([198, 40, 4, 200], 0, finish.tone(66));
    pen.rect([88, 240, 224, 5], 0, finish.tone(66));
    pen.rect([182, 108, 8, 96], 4, METAL_DARK);
    pen.rect([210, 108, 8, 96], 4, METAL_DARK);
    pen.rect([140, 262, 120, 8], 4, METAL_DARK);
    pen.rect([112, 106, 48, 78], 6, INK);
    pen.rect([119, 114, 34, 22], 4, Tone(0x9C, 0xC8, 0xE6));
    pen.rect([130, 144, 12, 8], 2, METAL_DARK);
    pen.path("M128 168 h16 l-2 14 h-12 Z", LIGHT);
}

fn low(pen: &mut Pen, finish: Paint) {
    feet(pen, [120, 280]);
    pen.rect([120, 168, 160, 180], 14, finish.tone(100));
    pen.path("M246 168 h20 a14 14 0 0 1 14 14 v152 a14 14 0 0 1 -14 14 h-20 Z", finish.tone(84));
    pen.rect([114, 158, 172, 16], 6, Tone(0xDD, 0xBE, 0x94));
    pen.line("M144 200 Q146 190 158 190", (finish.tone(150), 6));
    pen.rect([138, 222, 11, 60], 5, METAL);
    pen.rect([184, 192, 40, 6], 3, METAL);
    // What a low fridge carries: a plant and a bowl.
    pen.path("M146 116 h40 l-6 42 h-28 Z", LIGHT);
    pen.path("M166 118 C130 104 138 66 134 58 C158 70 168 92 166 118 Z", Tone(0x4E, 0x7D, 0x5B));
    pen.path("M166 118 C200 108 198 70 208 60 C178 64 162 90 166 118 Z", Tone(0x62, 0x96, 0x6C));
    pen.path("M166 118 C158 84 166 52 172 40 C182 62 180 94 166 118 Z", Tone(0x3D, 0x68, 0x4C));
    pen.path("M212 132 h56 q-2 26 -22 26 h-12 q-20 0 -22 -26 Z", Tone(0x2F, 0x4B, 0xC4));
    pen.disc([228, 128], 12, Tone(0xF5, 0xCB, 0x5C));
    pen.disc([250, 127], 13, Tone(0xF0, 0x9A, 0x4A));
    pen.rect([212, 130, 56, 8], 3, Tone(0x2F, 0x4B, 0xC4));
}

fn glass(pen: &mut Pen, finish: Paint) {
    feet(pen, [118, 282]);
    pen.rect([118, 58, 164, 290], 12, finish.tone(100));
    pen.rect([134, 96, 132, 232], 6, Tone(0x1A, 0x1E, 0x22));
    pen.rect([134, 96, 132, 4], 2, Tone(0xF7, 0xE0, 0x9A));
    let glass = [Tone(0x3D, 0x68, 0x4C), Tone(0x7A, 0x45, 0x6E), Tone(0xB0, 0x74, 0x3A)];
    for (row, y) in [116, 170, 224, 278].into_iter().enumerate() {
        for (place, x) in [144, 168, 192, 216, 240].into_iter().enumerate() {
            let tone = glass[(row * 2 + place) % 3];
            pen.rect([x, y + 16, 16, 30], 5, tone);
            pen.rect([x + 5, y, 6, 20], 3, tone);
            pen.rect([x + 3, y + 26, 10, 10], 1, Tone(0xF6, 0xF3, 0xEC));
        }
        pen.rect([136, y + 46, 128, 4], 0, Tone(0xB8, 0x86, 0x55));
    }
    pen.veil("M134 96 h44 l-44 120 Z", LIGHT, 14);
    pen.rect([270, 150, 7, 92], 3, METAL);
    pen.rect([176, 72, 48, 12], 4, INK);
    pen.rect([184, 76, 14, 4], 2, Tone(0x9C, 0xC8, 0xE6));
    pen.rect([204, 76, 12, 4], 2, Tone(0xE2, 0x55, 0x3D));
}
