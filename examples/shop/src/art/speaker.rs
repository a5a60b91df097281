//! Speakers, radios and sound bars.

use super::paint::{Paint, Tone};
use super::pen::{INK, LIGHT, METAL, METAL_DARK, Pen};

pub(super) fn form(name: &str) -> Option<fn(&mut Pen, Paint)> {
    Some(match name {
        "bar" => bar,
        "can" => can,
        "column" => column,
        "pair" => pair,
        "radio" => radio,
        _ => return None,
    })
}

fn radio(pen: &mut Pen, finish: Paint) {
    pen.shadow([200, 318], 156);
    pen.line(
        "M112 160 L112 118 Q112 104 126 104 L274 104 Q288 104 288 118 L288 160",
        (Paint::Oak.tone(90), 15),
    );
    pen.line("M306 156 L330 52", (METAL_DARK, 5));
    pen.disc([330, 50], 6, INK);
    pen.rect([86, 304, 40, 14], 5, INK);
    pen.rect([274, 304, 40, 14], 5, INK);
    pen.rect([58, 150, 284, 160], 26, finish.tone(100));
    pen.rect([58, 284, 284, 26], 13, finish.tone(84));
    pen.rect([76, 170, 140, 112], 14, finish.tone(80));
    for row in 0..7 {
        for column in 0..9 {
            pen.disc([88 + column * 14, 184 + row * 14], 3, finish.tone(52));
        }
    }
    pen.disc([280, 214], 44, LIGHT);
    pen.disc([280, 214], 38, INK);
    pen.line("M280 214 L302 192", (Paint::Tomato.tone(110), 5));
    pen.disc([280, 214], 8, METAL);
    for x in [254, 280, 306] {
        pen.disc([x, 276], 7, INK);
    }
}

/// One two-way speaker with its top left corner at a point.
fn gable(pen: &mut Pen, [x, y]: [i32; 2], finish: Paint) {
    pen.rect([x, y, 128, 206], 8, finish.tone(100));
    pen.path(
        &format!("M{} {y} h14 a8 8 0 0 1 8 8 v190 a8 8 0 0 1 -8 8 h-14 Z", x + 106),
        finish.tone(86),
    );
    pen.rect([x + 12, y + 12, 92, 182], 6, INK);
    pen.disc([x + 58, y + 54], 20, METAL_DARK);
    pen.disc([x + 58, y + 54], 14, Tone(0x16, 0x1A, 0x1E));
    pen.disc([x + 53, y + 49], 5, METAL);
    pen.disc([x + 58, y + 132], 40, METAL_DARK);
    pen.disc([x + 58, y + 132], 34, Tone(0x16, 0x1A, 0x1E));
    pen.disc([x + 58, y + 132], 20, Tone(0x3A, 0x41, 0x49));
    pen.disc([x + 58, y + 132], 9, METAL_DARK);
}

fn pair(pen: &mut Pen, finish: Paint) {
    pen.shadow([124, 318], 84);
    pen.shadow([276, 318], 84);
    gable(pen, [60, 112], finish);
    gable(pen, [212, 112], finish);
    pen.disc([160, 298], 4, Tone(0x8C, 0xE0, 0xA4));
}

fn bar(pen: &mut Pen, finish: Paint) {
    // The picture above it, cut by the upper edge.
    pen.rect([36, 60, 328, 158], 8, INK);
    pen.rect([44, 68, 312, 142], 4, Paint::Cobalt.tone(70));
    pen.disc([262, 128], 34, Paint::Butter.tone(100));
    pen.path("M44 210 L44 176 C100 140 150 176 200 168 C260 158 300 186 356 160 L356 206 a4 4 0 0 1 -4 4 Z", Paint::Plum.tone(100));
    pen.rect([150, 218, 100, 12], 2, INK);
    pen.shadow([200, 318], 186);
    pen.rect([24, 254, 352, 60], 20, finish.tone(100));
    pen.rect([24, 254, 352, 14], 7, finish.tone(132));
    for row in 0..3 {
        for column in 0..26 {
            pen.disc([44 + column * 12 + (row % 2) * 6, 278 + row * 11], 3, finish.tone(60));
        }
    }
    pen.rect([188, 259, 24, 4], 2, LIGHT);
}

fn can(pen: &mut Pen, finish: Paint) {
    pen.shadow([196, 320], 98);
    pen.line("M160 112 C150 46 242 46 232 112", (Paint::Chalk.tone(100), 11));
    pen.line(
        "M164 100 L170 84 M180 74 L194 70 M206 71 L220 78 M226 90 L230 104",
        (Paint::Oak.tone(90), 4),
    );
    pen.rect([122, 104, 148, 214], 34, finish.tone(100));
    pen.path("M222 104 h14 a34 34 0 0 1 34 34 v146 a34 34 0 0 1 -34 34 h-14 Z", finish.tone(84));
    pen.rect([122, 150, 148, 122], 0, finish.tone(62));
    for row in 0..9 {
        for column in 0..11 {
            pen.disc([132 + column * 13, 158 + row * 13], 4, finish.tone(88));
        }
    }
    pen.rect([122, 104, 148, 22], 11, INK);
    for x in [164, 196, 228] {
        pen.disc([x, 115], 4, METAL);
    }
    pen.rect([150, 286, 48, 8], 4, LIGHT);
}

fn column(pen: &mut Pen, finish: Paint) {
    pen.shadow([200, 320], 112);
    pen.rect([126, 92, 148, 226], 40, finish.tone(96));
    for x in (134..270).step_by(11) {
        let inset = match x {
            134 | 266 => 22,
            145 | 255 => 10,
            _ => 4,
        };
        pen.line(&format!("M{x} {} V{}", 100 + inset, 304 - inset), (finish.tone(80), 4));
    }
    pen.path("M126 132 a40 40 0 0 1 40 -40 h68 a40 40 0 0 1 40 40 Z", Paint::Oak.tone(108));
    pen.path("M126 132 h148 v8 h-148 Z", Paint::Oak.tone(78));
    pen.ring([200, 112], 11, (LIGHT, 4));
    pen.rect([176, 292, 48, 8], 4, METAL);
}
