//! Toasters.

use super::paint::{Paint, Tone};
use super::pen::{INK, LIGHT, METAL, METAL_DARK, Pen};

const CRUMB: Tone = Tone(0xE9, 0xC1, 0x84);
const CRUST: Tone = Tone(0xB0, 0x74, 0x3A);

pub(super) fn form(name: &str) -> Option<fn(&mut Pen, Paint)> {
    Some(match name {
        "drop" => drop,
        "four_slot" => four_slot,
        "long" => long,
        "two_slot" => two_slot,
        "window" => window,
        _ => return None,
    })
}

/// A slice that looks out at the top: left edge, top, width.
fn slice(pen: &mut Pen, [x, y, width]: [i32; 3]) {
    pen.rect([x, y, width, 90], 20, CRUST);
    pen.rect([x + 7, y + 7, width - 14, 90], 15, CRUMB);
}

fn two_slot(pen: &mut Pen, finish: Paint) {
    pen.shadow([200, 319], 140);
    slice(pen, [128, 118, 68]);
    slice(pen, [206, 128, 68]);
    pen.rect([104, 306, 34, 14], 5, INK);
    pen.rect([262, 306, 34, 14], 5, INK);
    pen.rect([82, 168, 236, 144], 30, finish.tone(100));
    pen.path(
        "M276 168 L288 168 A30 30 0 0 1 318 198 L318 282 A30 30 0 0 1 288 312 L276 312 Z",
        finish.tone(84),
    );
    pen.rect([82, 288, 236, 24], 12, finish.tone(78));
    pen.rect([100, 180, 150, 10], 5, finish.tone(132));
    pen.rect([318, 206, 10, 62], 4, finish.tone(60));
    pen.rect([312, 212, 32, 16], 7, INK);
    pen.disc([128, 250], 22, INK);
    pen.line("M128 250 L128 234", (LIGHT, 4));
    for x in [170, 186, 202, 218] {
        pen.disc([x, 250], 4, finish.tone(60));
    }
}

fn four_slot(pen: &mut Pen, finish: Paint) {
    pen.shadow([200, 319], 170);
    for x in [72, 138, 208, 274] {
        slice(pen, [x, if x == 138 || x == 208 { 124 } else { 136 }, 54]);
    }
    pen.rect([50, 174, 300, 138], 26, finish.tone(100));
    pen.rect([50, 288, 300, 24], 12, finish.tone(82));
    pen.rect([198, 174, 4, 116], 0, finish.tone(84));
    for x in [86, 236] {
        pen.rect([x, 206, 16, 62], 6, finish.tone(70));
        pen.rect([x - 10, 212, 36, 14], 6, INK);
        pen.disc([x + 62, 238], 22, METAL);
        pen.disc([x + 62, 238], 15, METAL_DARK);
        pen.line(&format!("M{0} 238 L{0} 226", x + 62), (LIGHT, 4));
    }
    pen.rect([70, 184, 118, 8], 4, LIGHT);
    pen.rect([212, 184, 118, 8], 4, LIGHT);
}

fn drop(pen: &mut Pen, finish: Paint) {
    pen.shadow([200, 319], 150);
    slice(pen, [162, 92, 76]);
    pen.path("M70 312 C70 190 116 140 200 140 C284 140 330 190 330 312 Z", finish.tone(100));
    pen.path(
        "M246 147 C300 164 330 214 330 312 L286 312 C288 232 276 178 246 147 Z",
        finish.tone(85),
    );
    pen.path("M96 280 C98 216 118 180 152 164 C130 198 120 240 120 280 Z", finish.tone(150));
    pen.rect([148, 132, 104, 14], 7, METAL);
    pen.rect([62, 296, 276, 20], 8, INK);
    pen.rect([134, 256, 132, 8], 4, METAL);
    pen.rect([134, 270, 132, 8], 4, METAL);
    pen.disc([200, 222], 20, INK);
    pen.line("M200 222 L210 210", (LIGHT, 4));
}

fn window(pen: &mut Pen, finish: Paint) {
    pen.shadow([200, 319], 158);
    pen.rect([86, 306, 36, 14], 5, INK);
    pen.rect([278, 306, 36, 14], 5, INK);
    pen.rect([60, 138, 280, 174], 18, finish.tone(100));
    pen.rect([60, 138, 280, 24], 12, finish.tone(140));
    pen.rect([84, 174, 196, 112], 10, Tone(0xF0, 0x9A, 0x4A));
    pen.rect([92, 182, 180, 96], 6, Tone(0xF6, 0xB8, 0x6E));
    for x in [104, 188] {
        pen.rect([x, 194, 72, 84], 18, Tone(0x7E, 0x4C, 0x22));
        pen.rect([x + 8, 202, 56, 76], 12, CRUST);
        pen.rect([x + 16, 212, 40, 66], 10, CRUMB);
    }
    for y in [186, 206, 262] {
        pen.line(&format!("M94 {y} L270 {y}"), (Tone(0xE2, 0x55, 0x3D), 3));
    }
    pen.veil("M120 174 L160 174 L110 286 L84 286 L84 254 Z", LIGHT, 32);
    pen.disc([310, 196], 13, METAL);
    pen.disc([310, 196], 8, METAL_DARK);
    pen.rect([304, 224, 12, 46], 6, finish.tone(60));
    pen.rect([296, 228, 28, 12], 6, METAL);
}

fn long(pen: &mut Pen, finish: Paint) {
    pen.shadow([200, 319], 172);
    pen.path("M84 230 C76 160 120 140 200 140 C280 140 324 160 316 230 Z", CRUST);
    pen.path("M94 230 C88 170 128 150 200 150 C272 150 312 170 306 230 Z", CRUMB);
    pen.rect([68, 306, 36, 14], 5, INK);
    pen.rect([296, 306, 36, 14], 5, INK);
    pen.rect([46, 196, 308, 116], 22, finish.tone(100));
    pen.rect([46, 196, 308, 22], 11, finish.tone(124));
    pen.rect([46, 290, 308, 22], 11, finish.tone(78));
    pen.rect([354, 222, 8, 52], 4, finish.tone(60));
    pen.rect([346, 226, 32, 14], 7, INK);
    pen.disc([92, 256], 18, METAL);
    pen.line("M92 256 L92 243", (INK, 4));
    for x in [128, 146, 164] {
        pen.rect([x, 251, 10, 10], 5, finish.tone(145));
    }
}
