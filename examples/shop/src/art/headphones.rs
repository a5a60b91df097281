//! Headphones and earbuds.

use super::paint::{Paint, Tone};
use super::pen::{INK, METAL, METAL_DARK, Pen};

pub(super) fn form(name: &str) -> Option<fn(&mut Pen, Paint)> {
    Some(match name {
        "buds" => buds,
        "on" => on,
        "open" => open,
        "over" => over,
        "studio" => studio,
        _ => return None,
    })
}

/// The stand that headphones hang on.
fn stand(pen: &mut Pen, top: i32) {
    pen.shadow([200, 330], 92);
    pen.rect([191, top, 18, 320 - top], 0, Paint::Oak.tone(100));
    pen.rect([201, top, 8, 320 - top], 0, Paint::Oak.tone(86));
    pen.rect([122, 314, 156, 14], 7, Paint::Oak.tone(110));
    pen.rect([158, top - 8, 84, 22], 11, Paint::Oak.tone(112));
}

fn over(pen: &mut Pen, finish: Paint) {
    stand(pen, 92);
    pen.line("M110 214 C98 34 302 34 290 214", (finish.tone(100), 22));
    pen.line("M120 150 C140 66 260 66 280 150", (finish.tone(138), 6));
    for (x, cup) in [(84, 132), (256, 252)] {
        pen.rect([x, 178, 60, 112], 28, finish.tone(100));
        pen.rect([cup, 188, 16, 92], 8, INK);
    }
    pen.path("M84 206 a28 28 0 0 1 28 -28 v112 a28 28 0 0 1 -28 -28 Z", finish.tone(128));
    pen.path("M316 206 a28 28 0 0 0 -28 -28 v112 a28 28 0 0 0 28 -28 Z", finish.tone(78));
    pen.disc([104, 262], 4, Tone(0x8C, 0xE0, 0xA4));
}

fn on(pen: &mut Pen, finish: Paint) {
    stand(pen, 80);
    pen.line("M118 226 C94 26 306 26 282 226", (METAL_DARK, 9));
    pen.line("M121 190 C108 40 292 40 279 190", (METAL, 4));
    for x in [118, 282] {
        pen.rect([x - 7, 170, 14, 46], 6, INK);
        pen.disc([x, 240], 44, finish.tone(84));
        pen.disc([x, 240], 36, finish.tone(100));
        pen.disc([x, 240], 13, finish.tone(128));
    }
    pen.line("M118 284 C118 320 152 300 160 322 C168 346 226 352 262 338", (INK, 4));
}

fn buds(pen: &mut Pen, finish: Paint) {
    pen.shadow([200, 318], 150);
    pen.rect([112, 176, 176, 138], 56, finish.tone(100));
    pen.path(
        "M232 176 a56 56 0 0 1 56 56 v26 a56 56 0 0 1 -56 56 h-12 c28 -36 28 -102 12 -138 Z",
        finish.tone(91),
    );
    pen.rect([112, 220, 176, 5], 0, finish.tone(76));
    pen.rect([186, 216, 28, 13], 6, finish.tone(84));
    pen.disc([200, 262], 5, Tone(0x8C, 0xE0, 0xA4));
    for (x, out) in [(92, -1), (308, 1)] {
        pen.rect([x - 11, 222, 22, 92], 11, finish.tone(104));
        pen.rect([x + out * 5 - 4, 222, 8, 84], 4, finish.tone(94));
        pen.disc([x - out * 20, 218], 17, INK);
        pen.disc([x, 214], 30, finish.tone(108));
        pen.disc([x + out * 10, 206], 8, METAL_DARK);
        pen.rect([x - 11, 304, 22, 10], 4, METAL);
    }
}

fn studio(pen: &mut Pen, finish: Paint) {
    stand(pen, 84);
    pen.line("M106 206 C92 22 308 22 294 206", (INK, 26));
    pen.line("M124 118 C150 60 250 60 276 118", (finish.tone(120), 8));
    for (x, pad) in [(74, 138), (258, 246)] {
        pen.rect([x + 16, 158, 36, 40], 8, METAL_DARK);
        pen.rect([pad, 192, 18, 104], 9, Tone(0x3A, 0x41, 0x49));
        pen.disc([x + 34, 244], 56, finish.tone(88));
        pen.disc([x + 34, 244], 48, finish.tone(100));
        pen.ring([x + 34, 244], 28, (finish.tone(128), 5));
    }
    let coil =
        "M106 300 q-14 14 2 18 q18 2 14 12 q-6 12 8 10 q18 -6 16 6 q-4 12 10 8 q18 -6 18 4 l30 6";
    pen.line(coil, (INK, 5));
}

fn open(pen: &mut Pen, finish: Paint) {
    stand(pen, 88);
    pen.line("M104 210 C88 26 312 26 296 210", (METAL_DARK, 10));
    pen.line("M130 132 C150 84 250 84 270 132", (Paint::Oak.tone(70), 18));
    for x in [110, 290] {
        pen.disc([x, 236], 62, finish.tone(80));
        pen.disc([x, 236], 54, finish.tone(100));
        pen.disc([x, 236], 42, INK);
        for dy in [-24, -12, 0, 12, 24_i32] {
            let half = 36 - dy.abs() / 2;
            pen.line(&format!("M{} {} h{}", x - half, 236 + dy, half * 2), (METAL_DARK, 3));
        }
        pen.disc([x, 236], 9, METAL);
    }
}
