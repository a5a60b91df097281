//! Kettles.

use super::paint::{Paint, Tone};
use super::pen::{INK, LIGHT, METAL, METAL_DARK, Pen};

pub(super) fn form(name: &str) -> Option<fn(&mut Pen, Paint)> {
    Some(match name {
        "dome" => dome,
        "glass" => glass,
        "gooseneck" => gooseneck,
        "jug" => jug,
        "small" => small,
        _ => return None,
    })
}

fn base(pen: &mut Pen, x: i32, width: i32) {
    pen.shadow([x + width / 2, 321], width * 62 / 100);
    pen.rect([x, 300, width, 18], 8, INK);
}

fn gooseneck(pen: &mut Pen, finish: Paint) {
    base(pen, 128, 172);
    pen.line("M152 282 C96 282 128 186 92 158 L78 152", (finish.tone(82), 13));
    pen.line("M262 168 C330 158 336 200 322 262", (INK, 17));
    pen.path("M162 160 L266 160 L290 302 L138 302 Z", finish.tone(100));
    pen.path("M238 160 L266 160 L290 302 L248 302 Z", finish.tone(86));
    pen.path("M172 160 L184 160 L164 302 L150 302 Z", finish.tone(122));
    pen.rect([154, 148, 120, 16], 8, finish.tone(78));
    pen.rect([202, 126, 24, 24], 4, INK);
    pen.disc([214, 120], 14, INK);
    pen.disc([286, 309], 4, Tone(0x8C, 0xE0, 0xA4));
}

fn dome(pen: &mut Pen, finish: Paint) {
    base(pen, 112, 176);
    pen.line("M132 176 C132 66 268 66 268 176", (INK, 15));
    pen.path("M124 238 L60 196 L72 178 L142 204 Z", finish.tone(84));
    pen.path("M54 190 L76 174 L82 184 L62 202 Z", METAL);
    pen.path("M104 302 C92 190 146 152 200 152 C254 152 308 190 296 302 Z", finish.tone(100));
    pen.path(
        "M240 162 C284 180 306 226 296 302 L250 302 C266 236 258 190 240 162 Z",
        finish.tone(87),
    );
    pen.path("M130 270 C130 220 146 190 166 178 C152 208 146 240 148 282 Z", finish.tone(150));
    pen.rect([152, 150, 96, 12], 6, METAL);
    pen.disc([200, 138], 13, INK);
    pen.rect([106, 288, 188, 14], 4, METAL);
}

fn jug(pen: &mut Pen, finish: Paint) {
    base(pen, 122, 152);
    pen.line("M268 132 L318 132 L318 262 L272 262", (INK, 18));
    pen.path("M132 152 L96 118 L146 110 Z", finish.tone(80));
    pen.path("M132 110 L266 110 L272 302 L126 302 Z", finish.tone(100));
    pen.path("M228 110 L266 110 L272 302 L232 302 Z", finish.tone(84));
    pen.path("M142 120 L156 120 L152 292 L137 292 Z", finish.tone(126));
    pen.rect([132, 98, 134, 16], 8, INK);
    pen.rect([184, 180, 14, 88], 7, finish.tone(60));
    pen.rect([184, 216, 14, 52], 7, Tone(0xBF, 0xE4, 0xF5));
    pen.disc([248, 309], 4, Tone(0x8C, 0xE0, 0xA4));
}

fn glass(pen: &mut Pen, finish: Paint) {
    base(pen, 118, 164);
    pen.line("M268 140 C330 140 330 268 276 272", (INK, 18));
    pen.path("M136 150 L98 126 L146 116 Z", METAL_DARK);
    pen.veil("M134 116 L266 116 L280 300 L120 300 Z", LIGHT, 62);
    pen.veil("M128 206 L272 206 L280 300 L120 300 Z", Tone(0x4F, 0xA8, 0xD8), 55);
    pen.veil(
        "M128 206 C150 198 170 214 200 206 C226 199 250 212 272 206 L272 214 L127 214 Z",
        LIGHT,
        70,
    );
    for (x, y, r) in [(166, 262, 6), (188, 240, 4), (226, 268, 7), (244, 238, 4), (206, 284, 4)] {
        pen.ring([x, y], r, (LIGHT, 2));
    }
    pen.path("M148 128 L160 128 L150 286 L136 286 Z", LIGHT);
    pen.rect([128, 102, 144, 18], 8, finish.tone(92));
    pen.rect([118, 286, 164, 16], 4, finish.tone(100));
    pen.rect([184, 88, 32, 16], 6, INK);
}

fn small(pen: &mut Pen, finish: Paint) {
    pen.shadow([196, 321], 122);
    pen.rect([144, 306, 104, 12], 6, INK);
    pen.line("M242 200 L276 200 L276 272 L246 272", (INK, 14));
    pen.path("M150 204 L122 182 L160 176 Z", finish.tone(78));
    pen.path("M148 176 L244 176 L250 308 L142 308 Z", finish.tone(92));
    pen.path("M214 176 L244 176 L250 308 L218 308 Z", finish.tone(78));
    pen.path("M157 186 L167 186 L163 298 L152 298 Z", finish.tone(132));
    pen.rect([146, 164, 100, 15], 7, INK);
    pen.path("M64 262 L116 262 L110 318 L70 318 Z", finish.tone(128));
    pen.path("M98 262 L116 262 L110 318 L96 318 Z", finish.tone(108));
    pen.path("M292 262 L344 262 L338 318 L298 318 Z", finish.tone(128));
    pen.path("M326 262 L344 262 L338 318 L324 318 Z", finish.tone(108));
}
