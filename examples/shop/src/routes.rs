//! Every path of the shop in one table: a request in, an answer out.

mod buy;
mod visit;

use crate::answer::{Answer, Content};
use crate::art;
use crate::ask::{Ask, Verb};
use crate::pages::View;
use crate::sessions::Session;
use crate::shop::{Memory, Shop};

/// The longest form that is read, in bytes.
pub const FORM_BYTES_MAX: usize = 16 * 1024;

/// Answers one request. Needs no clock, network or chance but what the request carries.
pub fn answer(shop: &Shop, ask: &Ask) -> Answer {
    let mut memory = shop.memory();
    let memory = &mut *memory;
    let segments: Vec<&str> = ask.path.trim_matches('/').split('/').collect();
    match (ask.verb, segments.as_slice()) {
        (Verb::Get, [""]) => visit::home(shop, memory, ask),
        (Verb::Get, ["c", slug]) => visit::category(shop, memory, ask, slug),
        (Verb::Get, ["p", sku]) => visit::product(shop, memory, ask, sku),
        (Verb::Get, ["search"]) => visit::search(shop, memory, ask),
        (Verb::Get, ["basket"]) => buy::basket(shop, memory, ask),
        (Verb::Post, ["basket", "add"]) => buy::add(shop, memory, ask),
        (Verb::Post, ["basket", "remove"]) => buy::remove(memory, ask),
        (Verb::Get, ["checkout"]) => buy::checkout(shop, memory, ask),
        (Verb::Post, ["checkout"]) => buy::order(shop, memory, ask),
        (Verb::Get, ["thanks", number]) => buy::thanks(shop, memory, ask, number),
        (Verb::Get, ["login"]) => visit::login_form(shop, memory, ask),
        (Verb::Post, ["login"]) => visit::login(shop, memory, ask),
        (Verb::Post, ["logout"]) => visit::logout(memory, ask),
        (Verb::Post, ["proof"]) => visit::proof(shop, memory, ask),
        (Verb::Get, ["img", file]) => picture(shop, file)
            .map_or_else(|| visit::missing(shop, memory, ask), |svg| Content::Picture(svg).into()),
        (Verb::Get, ["healthz"]) => Content::Text("ok\n".to_owned()).into(),
        (Verb::Get, ["basket", "add" | "remove"] | ["logout" | "proof"]) => {
            Content::WrongVerb.into()
        }
        (Verb::Get, _) => visit::missing(shop, memory, ask),
        (Verb::Post, _) => Content::WrongVerb.into(),
    }
}

fn picture(shop: &Shop, file: &str) -> Option<String> {
    let product = shop.catalogue.product(file.strip_suffix(".svg")?)?;
    art::document(&product.category, &product.art)
}

/// What a page needs to know of the shop and its visitor. Takes the notice out of the session.
fn view<'a>(shop: &'a Shop, memory: &'a mut Memory, ask: &'a Ask) -> View<'a> {
    let session = memory.sessions.find(ask.session, ask.now_ms);
    let notice = session.and_then(|session| session.notice.take());
    let session =
        memory.sessions.find(ask.session, ask.now_ms).map_or_else(Session::default, |s| s.clone());
    View { shop, stock: &memory.stock, session, notice, ask }
}

/// An address of our own that a form names as the place to go on from; anything else is the home
/// page, so that no form sends people to other sites.
fn local(path: &str) -> &str {
    let plain = path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    match path.starts_with('/') && !path.starts_with("//") && plain {
        true => path,
        false => "/",
    }
}

#[cfg(test)]
mod tests;
